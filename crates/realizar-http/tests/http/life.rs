//! Full queues, clients that leave, failures, and the end of the server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use realizar_http::{Access, Keys, LogSink, Phase, RequestLog, Settings};

use crate::client::{KINDS, each, eventually, median, patient, post, quick, read_reply, settings, start};
use crate::scripted::{QUEUE, Scripted};

const CHAT: &str = "/v1/chat/completions";

fn chat(word: &str, more: &str) -> String {
    format!(r#"{{"messages":[{{"role":"user","content":"{word}"}}]{more}}}"#)
}

#[test]
fn row_154_a_full_queue_is_refused_at_once_and_says_when_to_come_back() {
    each(|kind, server| {
        server.queued.store(QUEUE, Ordering::SeqCst);
        let routes = [
            (CHAT, chat("x", "")),
            ("/v1/completions", r#"{"prompt":"crash the tokenizer"}"#.to_owned()),
            ("/generate", r#"{"prompt":"crash the tokenizer"}"#.to_owned()),
        ];
        for (path, body) in routes {
            let time = median(9, || {
                let began = Instant::now();
                let reply = server.post(path, &body);
                assert_eq!(
                    (reply.status, reply.code().as_str()),
                    (429, "queue_full"),
                    "{path} over {kind:?}"
                );
                assert_eq!(reply.header("retry-after"), Some("1"), "{path} over {kind:?}");
                began.elapsed()
            });
            assert!(time <= Duration::from_millis(50), "{path} over {kind:?}: {time:?}");
        }
        server.queued.store(0, Ordering::SeqCst);
        assert_eq!(server.post(CHAT, &chat("x", "")).status, 200, "{kind:?}");
    });
}

#[test]
fn rows_162_to_165_a_client_that_leaves_takes_its_work_with_it() {
    each(|kind, server| {
        let cases = [
            ("streaming", chat("forever", r#","stream":true"#), 1),
            ("streaming, three answers", chat("forever", r#","stream":true,"n":3"#), 3),
            ("before the first token", chat("silent", r#","stream":true"#), 1),
            ("not streaming", chat("silent", ""), 1),
            ("not streaming, three answers", chat("silent", r#","n":3"#), 3),
        ];
        for (name, body, answers) in cases {
            let mut stream = server.connect();
            stream.write_all(post(CHAT, &body).as_bytes()).unwrap();
            eventually("the answers begin", || server.live() == answers);
            let began = Instant::now();
            drop(stream);
            eventually("they are cancelled", || server.live() == 0);
            assert!(began.elapsed() < Duration::from_secs(1), "{name} over {kind:?}: {:?}", began.elapsed());
        }
        eventually("the books are closed", || server.app.active() == 0);
    });
}

#[test]
fn a_silent_stream_is_kept_alive_with_comments() {
    each(|kind, server| {
        let mut stream = server.connect();
        stream.write_all(post(CHAT, &chat("silent", r#","stream":true"#)).as_bytes()).unwrap();
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while text.matches("\n:\n\n").count() < 2 {
            let count = stream.read(&mut buffer).unwrap();
            text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        let (role, comment) = (text.find(r#""role":"assistant""#), text.find("\n:\n\n"));
        assert!(role.is_some() && role < comment, "the role comes at once, over {kind:?}: {text}");
    });
}

#[test]
fn failures_are_told_inside_and_outside_of_streams() {
    each(|kind, server| {
        let reply = server.post(CHAT, &chat("fail", ""));
        assert_eq!((reply.status, reply.code().as_str()), (500, "generation_failed"), "{kind:?}");
        assert_eq!(reply.header("x-should-retry"), Some("false"), "{kind:?}");
        let reply = server.post(CHAT, &chat("late", ""));
        assert_eq!((reply.status, reply.code().as_str()), (503, "deadline"), "{kind:?}");
        let reply = server.post(CHAT, &chat("fail", r#","stream":true"#));
        let last = reply.body.trim_end().rsplit("\n\n").next().unwrap();
        assert_eq!(reply.status, 200, "{kind:?}");
        assert!(last.starts_with(r#"data: {"error":{"message":"the answer failed"#), "{kind:?}: {last}");
        let reply = server.post("/stream/generate", r#"{"prompt":"fail"}"#);
        let last = reply.body.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.starts_with("event: error\ndata: {\"error\":\"the answer failed"), "{kind:?}: {last}");
        // One for each of them, streamed or not.
        eventually("all are counted", || {
            server.get("/metrics").body.contains("realizar_rejected_total{reason=\"generation_failed\"} 3")
        });
        assert_eq!(server.live(), 0, "{kind:?}");
    });
}

#[test]
fn row_184_a_panic_is_one_failed_request() {
    each(|kind, server| {
        for (path, body) in
            [(CHAT, chat("panic", "")), ("/tokenize", r#"{"text":"crash the tokenizer"}"#.to_owned())]
        {
            let reply = server.post(path, &body);
            assert_eq!((reply.status, reply.code().as_str()), (500, "internal"), "{path} over {kind:?}");
        }
        let mut stream = server.connect();
        stream.write_all(post(CHAT, &chat("panic", r#","stream":true"#)).as_bytes()).unwrap();
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        let text = String::from_utf8_lossy(&all);
        assert!(
            text.contains("Hel") && text.contains(r#""code":"internal""#),
            "it ends with an error: {text}"
        );
        assert!(!text.contains("[DONE]") && text.ends_with("0\r\n\r\n"), "and cleanly, {kind:?}: {text}");
        let reply = server.post("/stream/generate", r#"{"prompt":"panic"}"#);
        assert!(
            reply.body.ends_with(
                "event: error\ndata: {\"error\":\"internal error\",\"code\":\"internal\",\"param\":null}\n\n"
            ),
            "{reply:?}"
        );
        eventually("nothing is left", || server.live() == 0 && server.app.active() == 0);
        assert_eq!(server.get("/livez").status, 200, "{kind:?}");
    });
}

#[test]
fn row_157_a_key_has_so_many_requests_at_a_time() {
    let keys = || {
        Keys::one("0123456789abcdef", "KEY").unwrap().and(Keys::one("another key of mine", "KEY").unwrap())
    };
    for kind in KINDS {
        let limits = realizar_http::Limits { requests_per_key: 2, ..quick() };
        let server = start(*kind, Scripted::new(), Settings { keys: keys(), ..settings(limits) });
        let ask = |key: &str, word: &str| {
            let request = post(CHAT, &chat(word, r#","stream":true"#));
            request.replace("host:", &format!("authorization: Bearer {key}\r\nhost:"))
        };
        let mut held = Vec::new();
        for count in 1..3 {
            let mut stream = server.connect();
            stream.write_all(ask("0123456789abcdef", "silent").as_bytes()).unwrap();
            eventually("it runs", || server.live() == count);
            held.push(stream);
        }
        let reply = server.raw(ask("0123456789abcdef", "x").as_bytes());
        assert_eq!((reply.status, reply.code().as_str()), (429, "key_busy"), "{kind:?}");
        assert_eq!(reply.header("retry-after"), Some("1"), "{kind:?}");
        assert_eq!(server.raw(ask("another key of mine", "x").as_bytes()).status, 200, "{kind:?}");
        let missing = server.post(CHAT, &chat("x", ""));
        assert_eq!((missing.status, missing.header("www-authenticate")), (401, Some("Bearer")), "{kind:?}");
        drop(held);
        eventually("the places are free", || server.live() == 0);
        assert_eq!(server.raw(ask("0123456789abcdef", "x").as_bytes()).status, 200, "{kind:?}");
        server.app.replace_keys(Keys::one("a key of tomorrow", "KEY").unwrap());
        assert_eq!(server.raw(ask("0123456789abcdef", "x").as_bytes()).status, 401, "{kind:?}");
    }
}

#[test]
fn row_159_bodies_share_a_memory_that_has_an_end() {
    for kind in KINDS {
        // Room for one body of 100 kB, which counts fourfold.
        let limits = realizar_http::Limits { memory_bytes: 500_000, ..quick() };
        let server = start(*kind, Scripted::new(), settings(limits));
        let body = format!(r#"{{"text":"x","more":"{}"}}"#, "a".repeat(100_000));
        let request = post("/tokenize", &body);
        let mut half = server.connect();
        half.write_all(&request.as_bytes()[..90_000]).unwrap();
        sleep(Duration::from_millis(100));
        let reply = server.post("/tokenize", &body);
        assert_eq!((reply.status, reply.code().as_str()), (503, "memory_full"), "{kind:?}");
        assert!(reply.closed && reply.header("retry-after").is_some(), "{kind:?}");
        assert_eq!(server.post("/tokenize", r#"{"text":"x"}"#).status, 200, "{kind:?}: small ones still fit");
        half.write_all(&request.as_bytes()[90_000..]).unwrap();
        assert_eq!(read_reply(&mut half).status, 200, "{kind:?}");
        assert_eq!(server.post("/tokenize", &body).status, 200, "{kind:?}: there is room again");
    }
}

#[test]
fn row_159_vectors_and_answers_are_counted_before_they_take_the_memory() {
    for kind in KINDS {
        let limits = realizar_http::Limits { memory_bytes: 400_000, ..quick() };
        let vectors = start(*kind, Scripted::encoder(), settings(limits.clone()));
        let texts = start(*kind, Scripted::new(), settings(limits));
        let batch = |count: usize| format!(r#"{{"input":["a"{}]}}"#, r#","a""#.repeat(count - 1));
        let letters = |more: &str| format!(r#"{{"prompt":"forever"{more}}}"#);
        let several =
            |count: usize| format!(r#"{{"prompts":["forever"{}]}}"#, r#","forever""#.repeat(count - 1));
        for (server, path, fits, too_much) in [
            (&vectors, "/v1/embeddings", batch(100), batch(2048)),
            (&texts, "/v1/completions", letters(r#","max_tokens":200"#), letters(r#","max_tokens":5000"#)),
            (
                &texts,
                "/v1/completions",
                letters(r#","max_tokens":20,"logprobs":5"#),
                letters(r#","max_tokens":80,"logprobs":5"#),
            ),
            (&texts, "/generate", letters(r#","max_tokens":200"#), letters(r#","max_tokens":5000"#)),
            (&texts, "/batch/generate", several(20), several(100)),
        ] {
            for _ in 0..3 {
                let reply = server.post(path, &too_much);
                assert_eq!(
                    (reply.status, reply.code().as_str()),
                    (503, "memory_full"),
                    "{path} over {kind:?}"
                );
                assert_eq!(server.post(path, &fits).status, 200, "{path} over {kind:?}");
            }
            assert_eq!(server.live(), 0, "{path} over {kind:?}");
        }
    }
}

#[test]
fn row_159_a_body_counts_as_the_values_that_it_becomes() {
    for kind in KINDS {
        let limits = realizar_http::Limits { memory_bytes: 20_000_000, ..quick() };
        let server = start(*kind, Scripted::new(), settings(limits));
        // 350 kB that become 50,000 objects, in a field that nobody knows.
        let objects = |count: usize| format!(r#"{{"prompt":"x","x":[{}0]}}"#, r#"{"":0},"#.repeat(count));
        for _ in 0..3 {
            let reply = server.post("/v1/completions", &objects(50_000));
            assert_eq!((reply.status, reply.code().as_str()), (503, "memory_full"), "{kind:?}: {reply:?}");
            assert_eq!(server.post("/v1/completions", &objects(5_000)).status, 200, "{kind:?}");
        }
    }
}

#[test]
fn row_159_answers_share_that_memory_until_they_are_read() {
    let long = |letters: usize| {
        let text = "a".repeat(letters);
        [
            ("/tokenize", format!(r#"{{"text":"{text}"}}"#)),
            ("/tokenize", format!(r#"{{"content":"{text}"}}"#)),
            ("/tokenize", format!(r#"{{"content":"{text}","with_pieces":true}}"#)),
            ("/batch/tokenize", format!(r#"{{"texts":["{text}"]}}"#)),
            ("/detokenize", format!(r#"{{"token_ids":[{}97]}}"#, "97,".repeat(letters - 1))),
            ("/apply-template", format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]}}"#)),
        ]
    };
    for kind in KINDS {
        let limits = realizar_http::Limits { memory_bytes: 150_000_000, body_bytes: 16 << 20, ..patient() };
        let server = start(*kind, Scripted::new(), settings(limits));
        for (path, body) in long(500_000) {
            let reply = server.post(path, &body);
            assert_eq!(reply.status, 200, "{path} over {kind:?}: {}", reply.head);
            assert!(reply.body.len() > 500_000, "{path} over {kind:?}");
        }
        // Readers that take nothing hold the memory of their answers, and no more is handed out.
        let (_, body) = &long(800_000)[0];
        let full = || {
            let reply = server.post("/tokenize", body);
            (reply.status == 503).then(|| assert_eq!(reply.code(), "memory_full", "{kind:?}")).is_some()
        };
        let mut readers = Vec::new();
        while !full() {
            assert!(readers.len() < 80, "{kind:?}: nothing holds the answers of {}", readers.len());
            let mut reader = server.connect();
            reader.write_all(post("/tokenize", body).as_bytes()).unwrap();
            // Its answer has begun.
            reader.read_exact(&mut [0; 100]).unwrap();
            readers.push(reader);
        }
        assert_eq!(server.post("/tokenize", r#"{"text":"x"}"#).status, 200, "{kind:?}: small ones still fit");
        drop(readers);
        eventually("there is room again", || !full());
    }
}

#[test]
fn row_160_health_answers_while_requests_wait() {
    each(|kind, server| {
        let mut waiting = Vec::new();
        for _ in 0..50 {
            let mut stream = server.connect();
            stream.write_all(post(CHAT, &chat("silent", "")).as_bytes()).unwrap();
            waiting.push(stream);
        }
        eventually("fifty wait", || server.live() == 50);
        // A loop of events that is blocked is so in every round; a machine that does something else is not.
        let rounds: Vec<Duration> = (0..5)
            .map(|_| {
                let mut times: Vec<Duration> = (0..100)
                    .map(|_| {
                        let began = Instant::now();
                        assert_eq!(server.get("/health").status, 200);
                        began.elapsed()
                    })
                    .collect();
                times.sort();
                times[98]
            })
            .collect();
        let best = rounds.iter().min().copied().unwrap_or_default();
        assert!(best <= Duration::from_millis(50), "{kind:?}: 99th percentiles {rounds:?}");
        drop(waiting);
        eventually("nothing is left", || server.live() == 0);
    });
}

#[test]
fn draining_refuses_new_work_and_finishes_what_runs() {
    for kind in KINDS {
        let server = start(*kind, Scripted::new(), settings(quick()));
        let mut running = server.connect();
        running.write_all(post(CHAT, &chat("silent", r#","stream":true"#)).as_bytes()).unwrap();
        eventually("it runs", || server.live() == 1);
        let app = server.app.clone();
        let ending = server.runtime.spawn(async move { app.shut_down(Duration::from_millis(800)).await });
        eventually("it drains", || server.app.phase() == Phase::Draining);
        assert_eq!(server.get("/livez").status, 200, "{kind:?}");
        for path in ["/readyz", "/health"] {
            assert_eq!(server.get(path).status, 503, "{path} over {kind:?}");
        }
        let reply = server.post(CHAT, &chat("x", ""));
        assert_eq!((reply.status, reply.code().as_str()), (503, "draining"), "{kind:?}");
        assert!(reply.closed && reply.header("retry-after").is_some(), "{kind:?}: {reply:?}");
        // Its time is over: the stream ends, and says why.
        let reply = read_reply(&mut running);
        let last = reply.body.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.contains(r#""code":"draining""#), "{kind:?}: {last}");
        server.runtime.block_on(ending).unwrap();
        server.runtime.block_on(server.serving).unwrap().unwrap();
        assert!(TcpStream::connect(server.address).is_err(), "{kind:?}");
    }
}

#[test]
fn row_186_who_does_not_read_holds_up_no_end() {
    for kind in KINDS {
        // Whoever reads nothing may stand still for two minutes.
        let server = start(*kind, Scripted::new(), settings(patient()));
        let stalled: Vec<_> = (0..3)
            .map(|_| {
                let mut stream = server.connect();
                let body = chat("forever", r#","stream":true,"max_tokens":100000000"#);
                stream.write_all(post(CHAT, &body).as_bytes()).unwrap();
                stream
            })
            .collect();
        eventually("they are answered", || server.live() == 3);
        let held = |stream: &TcpStream| stream.peek(&mut vec![0; 8 << 20]).unwrap();
        for stream in &stalled {
            let mut before = 0;
            while before != held(stream) {
                before = held(stream);
                // What the system holds for them is full when nothing more comes.
                sleep(Duration::from_millis(100));
            }
        }
        let began = Instant::now();
        server.runtime.block_on(server.app.shut_down(Duration::ZERO));
        server.runtime.block_on(server.serving).unwrap().unwrap();
        // Far less than those two minutes, however busy the machine is.
        assert!(began.elapsed() < Duration::from_secs(30), "{kind:?}: {:?}", began.elapsed());
        drop(stalled);
        drop(server.runtime);
        assert_eq!(server.live.load(Ordering::SeqCst), 0, "{kind:?}: their answers are gone");
    }
}

#[test]
fn an_idle_server_stops_at_once() {
    for kind in KINDS {
        let server = start(*kind, Scripted::new(), settings(quick()));
        let _idle = server.connect();
        sleep(Duration::from_millis(20));
        let began = Instant::now();
        server.runtime.block_on(server.app.shut_down(Duration::from_secs(30)));
        server.runtime.block_on(server.serving).unwrap().unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "{kind:?}: {:?}", began.elapsed());
    }
}

#[test]
fn row_175_every_route_but_the_public_ones_needs_a_key_however_it_is_spelt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, "0123456789abcdef\n").unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for kind in KINDS {
        let keys = Keys::read(&path).unwrap();
        let server = start(*kind, Scripted::new(), Settings { keys, ..settings(quick()) });
        for path in ["/", "/health", "/livez", "/readyz"] {
            assert_eq!(server.get(path).status, 200, "{path}");
        }
        let closed = [
            "/metrics",
            "/v1/models",
            "/v1/models/scripted",
            "/v1/chat/completions",
            "/v1/completions",
            "/v1/embeddings",
            "/tokenize",
            "/detokenize",
            "/apply-template",
            "/generate",
            "/stream/generate",
            "/batch/tokenize",
            "/batch/generate",
        ];
        for path in closed {
            let spellings = [
                path.to_owned(),
                format!("/{path}"),
                format!("{path}/"),
                path.to_uppercase(),
                format!("{path}?x=y"),
                format!("{path}%00"),
                path.replace("/v1", "/v1/."),
                path.replace('e', "%65"),
                format!("{path};x"),
            ];
            for spelling in spellings {
                for method in ["GET", "POST", "HEAD", "OPTIONS"] {
                    let request = format!(
                        "{method} {spelling} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                    );
                    let mut stream = server.connect();
                    stream.write_all(request.as_bytes()).unwrap();
                    let mut text = String::new();
                    stream.read_to_string(&mut text).unwrap();
                    let status = &text[9..12];
                    // What stands for no path is refused before anybody looks for a key.
                    let refused = if spelling.contains("%00") { ["400"; 2] } else { ["401", "429"] };
                    assert!(refused.contains(&status), "{method} {spelling} over {kind:?}: {text}");
                }
            }
        }
        let request = "GET /v1/models HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer 0123456789abcdef\r\nconnection: close\r\n\r\n";
        assert_eq!(server.raw(request.as_bytes()).status, 200, "{kind:?}");
    }
}

#[test]
fn rows_176_and_177_foreign_hosts_and_pages_are_kept_out() {
    for kind in KINDS {
        let access = Access { origins: vec!["https://app.example".to_owned()], ..Access::default() };
        let server = start(*kind, Scripted::new(), Settings { access, ..settings(quick()) });
        let with = |fields: &str| {
            server.raw(
                format!("POST /tokenize HTTP/1.1\r\n{fields}\r\ncontent-type: application/json\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{{\"text\":\"x\"}}").as_bytes(),
            )
        };
        assert_eq!(with("host: evil.example").code(), "host_not_allowed");
        assert_eq!(with("host: localhost\r\norigin: https://evil.example").code(), "origin_not_allowed");
        assert_eq!(with("host: localhost\r\nsec-fetch-site: cross-site").code(), "origin_not_allowed");
        let reply = with("host: localhost\r\norigin: https://app.example");
        assert_eq!(
            (reply.status, reply.header("access-control-allow-origin")),
            (200, Some("https://app.example"))
        );
        assert_eq!(reply.header("vary"), Some("Origin"));
        assert_eq!(with("host: localhost").header("access-control-allow-origin"), None);
        let ask = |origin: &str| {
            server.raw(
                format!("OPTIONS /tokenize HTTP/1.1\r\nhost: localhost\r\norigin: {origin}\r\naccess-control-request-method: POST\r\nconnection: close\r\n\r\n").as_bytes(),
            )
        };
        let reply = ask("https://app.example");
        assert_eq!(
            (reply.status, reply.header("access-control-allow-methods")),
            (204, Some("GET, POST")),
            "{kind:?}"
        );
        let usual = "authorization, content-type, x-api-key, x-request-id";
        assert_eq!(reply.header("access-control-allow-headers"), Some(usual), "{kind:?}");
        let wish = "https://app.example\r\naccess-control-request-headers: authorization, x-stainless-os";
        let granted = ask(wish);
        assert_eq!(
            granted.header("access-control-allow-headers"),
            Some("authorization, x-stainless-os"),
            "{kind:?}"
        );
        let odd = ask("https://app.example\r\naccess-control-request-headers: a b");
        assert_eq!(odd.header("access-control-allow-headers"), Some(usual), "{kind:?}");
        assert_eq!(ask("https://evil.example").status, 403, "{kind:?}");
    }
}

#[test]
fn row_182_logs_tell_of_requests_and_never_of_what_is_in_them() {
    for kind in KINDS {
        let lines: Arc<Mutex<Vec<RequestLog>>> = Arc::default();
        let sink = Arc::clone(&lines);
        let log = LogSink::new(move |log| sink.lock().unwrap().push(log.clone()));
        let server = start(*kind, Scripted::new(), Settings { log: Some(log), ..settings(quick()) });
        let canary = "canary-4711";
        server.post(CHAT, &chat(canary, r#","stream":true"#));
        server.post("/tokenize", &format!(r#"{{"text":"{canary}"}}"#));
        server.post("/generate", &format!(r#"{{"prompt":7,"x":"{canary}"}}"#));
        server.get(&format!("/{canary}"));
        eventually("four are told of", || lines.lock().unwrap().len() == 4);
        let lines = lines.lock().unwrap().clone();
        let seen: Vec<_> =
            lines.iter().map(|log| (log.method, log.route, log.status, log.code, log.complete)).collect();
        assert_eq!(
            seen,
            [
                ("POST", CHAT, 200, None, true),
                ("POST", "/tokenize", 200, None, true),
                ("POST", "/generate", 400, Some("invalid_value"), true),
                ("GET", "unknown", 404, Some("unknown_route"), true),
            ],
            "{kind:?}"
        );
        assert_eq!((lines[0].prompt_tokens, lines[0].completion_tokens), (29, 4), "{kind:?}");
        let metrics = server.get("/metrics").body;
        assert!(!format!("{lines:?}{metrics}").contains(canary), "{kind:?}");
        assert!(
            metrics.contains("realizar_requests_total{route=\"/tokenize\",status=\"200\"} 1"),
            "{metrics}"
        );
        assert!(metrics.contains("realizar_time_to_first_token_seconds_count 1"), "{metrics}");
        assert!(metrics.contains("realizar_inter_token_latency_seconds_count 3"), "{metrics}");
    }
}

#[test]
fn row_182_an_answer_that_breaks_off_is_told_of_with_its_reason() {
    for kind in KINDS {
        let lines: Arc<Mutex<Vec<RequestLog>>> = Arc::default();
        let sink = Arc::clone(&lines);
        let log = LogSink::new(move |log| sink.lock().unwrap().push(log.clone()));
        let server = start(*kind, Scripted::new(), Settings { log: Some(log), ..settings(quick()) });
        server.post(CHAT, &chat("fail", r#","stream":true"#));
        server.post("/stream/generate", r#"{"prompt":"fail"}"#);
        server.post(CHAT, &chat("panic", r#","stream":true"#));
        eventually("three are told of", || lines.lock().unwrap().len() == 3);
        let leaves = || {
            let mut stream = server.connect();
            stream.write_all(post(CHAT, &chat("silent", r#","stream":true"#)).as_bytes()).unwrap();
            eventually("it runs", || server.live() == 1);
        };
        leaves();
        eventually("four are told of", || lines.lock().unwrap().len() == 4);
        let seen: Vec<_> =
            lines.lock().unwrap().iter().map(|log| (log.route, log.status, log.code, log.complete)).collect();
        assert_eq!(
            seen,
            [
                (CHAT, 200, Some("generation_failed"), false),
                ("/stream/generate", 200, Some("generation_failed"), false),
                (CHAT, 200, Some("internal"), false),
                (CHAT, 200, None, false),
            ],
            "{kind:?}"
        );
        // Of these one client has left; the others were failed.
        let metrics = server.get("/metrics").body;
        assert!(metrics.contains("\nrealizar_disconnects_total 1\n"), "{kind:?}: {metrics}");
    }
}
