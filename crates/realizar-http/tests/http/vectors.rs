//! Vectors: a queue of their own, and nothing computed that nobody waits for.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::client::{KINDS, Kind, Running, eventually, patient, post, read_reply, settings, start};
use crate::scripted::{QUEUE, Scripted};

/// A server of vectors that is stuck in the first of a request.
fn stuck_in_a_vector(kind: Kind) -> (Running, Gate) {
    let model = Scripted::encoder();
    let gate = Gate { released: Arc::clone(&model.released), embedded: Arc::clone(&model.embedded) };
    (start(kind, model, settings(patient())), gate)
}

/// How far it is, and how it is let go on.
struct Gate {
    released: Arc<AtomicBool>,
    embedded: Arc<AtomicUsize>,
}

/// Asks for vectors.
fn ask(server: &Running, input: &str) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(post("/v1/embeddings", &format!(r#"{{"input":{input}}}"#)).as_bytes()).unwrap();
    stream
}

#[test]
fn row_154_vectors_have_a_queue_of_the_same_length() {
    for kind in KINDS {
        let (server, gate) = stuck_in_a_vector(*kind);
        let mut asked = vec![ask(&server, "[7]")];
        eventually("the first is computed", || gate.embedded.load(Ordering::SeqCst) == 1);
        asked.extend((0..QUEUE).map(|_| ask(&server, "[8]")));
        // Whether all wait already is seen from outside only by the next one's refusal; nobody who waits may lose.
        eventually("all others wait", || server.app.active() == 1 + QUEUE);
        let mut refused = 0;
        while refused < 20 {
            let mut stream = ask(&server, "[9]");
            stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            let mut first = [0];
            if stream.peek(&mut first).is_err() {
                // It came before one of the others, which is refused instead.
                asked.push(stream);
                continue;
            }
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let reply = read_reply(&mut stream);
            assert_eq!((reply.status, reply.code().as_str()), (429, "queue_full"), "{kind:?}: {reply:?}");
            assert_eq!(reply.json()["error"]["type"], "rate_limit_error", "{kind:?}");
            assert_eq!(reply.header("retry-after"), Some("1"), "{kind:?}");
            refused += 1;
        }
        // What takes no vector is answered as ever.
        for path in ["/health", "/readyz", "/metrics"] {
            assert_eq!(server.get(path).status, 200, "{path} over {kind:?}");
        }
        assert_eq!(server.post("/tokenize", r#"{"text":"x"}"#).status, 200, "{kind:?}");
        assert_eq!(gate.embedded.load(Ordering::SeqCst), 1, "{kind:?}");
        gate.released.store(true, Ordering::SeqCst);
        let statuses: Vec<u16> = asked.iter_mut().map(|stream| read_reply(stream).status).collect();
        let answered = statuses.iter().filter(|status| **status == 200).count();
        let others = statuses.iter().filter(|status| **status == 429).count();
        assert_eq!((answered, answered + others), (1 + QUEUE, statuses.len()), "{kind:?}: {statuses:?}");
        assert_eq!(gate.embedded.load(Ordering::SeqCst), 1 + QUEUE, "{kind:?}");
    }
}

#[test]
fn rows_162_and_165_vectors_that_nobody_waits_for_are_not_computed() {
    for kind in KINDS {
        let (server, gate) = stuck_in_a_vector(*kind);
        let running = ask(&server, "[[7],[8],[8]]");
        eventually("the first is computed", || gate.embedded.load(Ordering::SeqCst) == 1);
        let waiting = ask(&server, "[8]");
        eventually("the other waits", || server.app.active() == 2);
        drop((running, waiting));
        eventually("both have left", || server.app.active() == 0);
        gate.released.store(true, Ordering::SeqCst);
        assert_eq!(server.post("/v1/embeddings", r#"{"input":[9]}"#).status, 200, "{kind:?}");
        assert_eq!(
            gate.embedded.load(Ordering::SeqCst),
            2,
            "{kind:?}: the first, and that of the last request"
        );
    }
}
