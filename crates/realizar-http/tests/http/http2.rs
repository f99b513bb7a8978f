//! HTTP/2 by hand: the connection of an attacker ends, and nobody else notices.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::{Kind, Running, each, eventually};

/// The preface and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// GET / http localhost: from the static table, and one literal.
const GET: [u8; 14] = [0x82, 0x86, 0x84, 0x41, 0x09, b'l', b'o', b'c', b'a', b'l', b'h', b'o', b's', b't'];

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A request for a stream, its body included.
fn ask(stream: u32, method: u8, path: &str, body: &str) -> Vec<u8> {
    let mut head = vec![method, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    head.extend_from_slice(path.as_bytes());
    head.extend_from_slice(&GET[3..]);
    // A content type, without noting it in the table.
    head.extend([0x0f, 0x10, 16]);
    head.extend_from_slice(b"application/json");
    let data = frame(DATA, END_STREAM, stream, body.as_bytes());
    [frame(HEADERS, END_HEADERS, stream, &head), data].concat()
}

#[test]
fn row_123_what_belongs_to_no_request_is_silence_over_http2() {
    let (idle, header) = (Duration::from_millis(1500), Duration::from_millis(300));
    for kind in crate::client::KINDS {
        let limits =
            realizar_http::Limits { header_time: header, idle_time: idle, ..crate::client::patient() };
        let server =
            crate::client::start(*kind, crate::scripted::Scripted::new(), crate::client::settings(limits));
        for request in [Vec::new(), ask(1, 0x83, "/tokenize", r#"{"text":"x"}"#)] {
            let mut stream = server.connect();
            stream.write_all(&[PREFACE, &request].concat()).unwrap();
            let began = Instant::now();
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            // A sign of life every tenth of a second, until the end.
            let closed = loop {
                match stream.read(&mut [0; 4096]) {
                    Ok(0) => break true,
                    Ok(_) => {}
                    Err(error)
                        if matches!(
                            error.kind(),
                            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                        ) =>
                    {
                        if stream.write_all(&frame(PING, 0, 0, &[0; 8])).is_err() {
                            break true;
                        }
                    }
                    Err(_) => break true,
                }
                if began.elapsed() > Duration::from_secs(10) {
                    break false;
                }
            };
            let took = began.elapsed();
            assert!(closed && took > idle / 2, "{kind:?}, {} bytes: {took:?}", request.len());
        }
    }
}

#[test]
fn row_122_a_stream_of_http2_whose_window_is_shut_is_given_up() {
    const SHUT: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";
    const POST: u8 = 0x83;
    each(|kind, server| {
        let forever = r#"{"prompt":"forever","stream":true,"max_tokens":100000000}"#;
        let mut stream = server.connect();
        stream.write_all(SHUT).unwrap();
        for (number, (path, body)) in (0..).zip([
            ("/v1/completions", forever),
            ("/v1/completions", r#"{"prompt":"x","stream":true}"#),
            ("/tokenize", r#"{"text":"x"}"#),
        ]) {
            stream.write_all(&ask(2 * number + 1, POST, path, body)).unwrap();
        }
        eventually("all are answered", || server.app.active() == 3);
        assert!(server.live() >= 1, "{kind:?}: one of them never ends");
        eventually("all are given up", || server.app.active() == 0 && server.live() == 0);
        // One that reads is not.
        let silent = r#"{"prompt":"silent","stream":true}"#;
        let mut reading = server.connect();
        reading.write_all(&[PREFACE, &ask(1, POST, "/v1/completions", silent)].concat()).unwrap();
        eventually("its answer begins", || server.live() == 1);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(2) {
            assert!(reading.read(&mut [0; 4096]).unwrap() > 0, "{kind:?}");
            assert_eq!(server.live(), 1, "{kind:?}");
        }
    });
}

/// What an attacker sends after the preface; whether the connection must be ended for it, in what time.
fn floods() -> Vec<(&'static str, Vec<u8>, bool)> {
    let many = |count: usize, one: &dyn Fn(u32) -> Vec<u8>| {
        (0..u32::try_from(count).unwrap()).flat_map(one).collect::<Vec<u8>>()
    };
    let open = |stream: u32, flags: u8| frame(HEADERS, flags, stream, &GET);
    let field = |name: &str, value: &str| {
        let mut bytes = vec![0, u8::try_from(name.len()).unwrap()];
        bytes.extend_from_slice(name.as_bytes());
        // A literal of up to 65,535 bytes: seven bits, then the rest in groups of seven.
        let mut rest = value.len() - 127;
        bytes.push(127);
        while rest >= 128 {
            bytes.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        bytes.push(u8::try_from(rest).unwrap());
        bytes.extend_from_slice(value.as_bytes());
        bytes
    };
    let large = field("x", &"a".repeat(12_000));
    let mut bomb = GET.to_vec();
    // One entry of the dynamic table, named ten thousand times: a few bytes that unfold to 40 MB.
    bomb.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    bomb.extend(vec![b'a'; 4000]);
    bomb.extend(vec![0xbe; 10_000]);
    vec![
        (
            "rapid reset",
            many(10_000, &|n| [open(2 * n + 1, 5), frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])].concat()),
            true,
        ),
        (
            "resets that the server must send",
            many(10_000, &|n| {
                [open(2 * n + 1, 5), frame(WINDOW_UPDATE, 0, 2 * n + 1, &[0, 0, 0, 0])].concat()
            }),
            true,
        ),
        (
            "continuations without end",
            [
                frame(HEADERS, END_STREAM, 1, &GET),
                many(20_000, &|_| frame(CONTINUATION, 0, 1, &[0x40, 1, b'x', 1, b'y'])),
            ]
            .concat(),
            true,
        ),
        (
            "empty continuations",
            [frame(HEADERS, END_STREAM, 1, &GET), many(20_000, &|_| frame(CONTINUATION, 0, 1, &[]))].concat(),
            true,
        ),
        (
            "a header list of 120 KB",
            [
                frame(HEADERS, END_STREAM, 1, &GET),
                many(9, &|_| frame(CONTINUATION, 0, 1, &large)),
                frame(CONTINUATION, END_HEADERS, 1, &large),
            ]
            .concat(),
            false,
        ),
        ("a header list that unfolds", frame(HEADERS, 5, 1, &bomb), false),
        ("settings", many(50_000, &|_| frame(SETTINGS, 0, 0, &[])), false),
        ("pings", many(50_000, &|_| frame(PING, 0, 0, &[0; 8])), false),
        ("priorities", many(50_000, &|n| frame(PRIORITY, 0, 2 * n + 1, &[0, 0, 0, 0, 16])), false),
        (
            "data without bytes",
            [frame(HEADERS, END_HEADERS, 1, &GET), many(50_000, &|_| frame(DATA, 0, 1, &[]))].concat(),
            false,
        ),
        (
            "windows of one byte",
            [frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]), many(200, &|n| open(2 * n + 1, 5))].concat(),
            false,
        ),
        ("a window over the limit", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]), true),
        ("a frame over the limit", frame(DATA, 0, 1, &vec![0; 20_000]), true),
        ("an even stream", open(2, 5), true),
        ("a stream that was closed", [open(3, 5), open(1, 5)].concat(), true),
        (
            "a header block cut off by data",
            [frame(HEADERS, 0, 1, &GET), frame(DATA, 0, 1, b"x")].concat(),
            true,
        ),
        ("nonsense", vec![0xff; 4096], true),
    ]
}

/// Processor time of this process so far.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(12) + ticks(13)) * 10)
}

/// Whether the server ends the connection: by GOAWAY, or by closing it.
fn ends(stream: &mut TcpStream, within: Duration) -> bool {
    let began = Instant::now();
    let (mut seen, mut buffer) = (Vec::new(), [0; 16 << 10]);
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    while began.elapsed() < within {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(count) => seen.extend_from_slice(&buffer[..count]),
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => return true,
        }
        let mut rest = seen.as_slice();
        while let [a, b, c, kind, _, _, _, _, _, after @ ..] = rest {
            if *kind == GOAWAY {
                return true;
            }
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            rest = after.get(length..).unwrap_or_default();
        }
    }
    false
}

fn attack(kind: Kind, server: &Running, name: &str, bytes: &[u8], must_end: bool) {
    let before = cpu_time();
    let mut stream = server.connect();
    let _ = stream.set_write_timeout(Some(Duration::from_secs(2)));
    let _ = stream.write_all(PREFACE);
    let _ = stream.write_all(bytes);
    let reply = server.get("/livez");
    assert_eq!(reply.status, 200, "others are served during {name} over {kind:?}");
    // What is merely cheap is cut off as idle, like any connection without a request.
    let ended = ends(&mut stream, Duration::from_secs(4));
    assert!(ended || !must_end, "{name} over {kind:?} goes on");
    let spent = cpu_time().saturating_sub(before);
    assert!(spent <= Duration::from_secs(1), "{name} over {kind:?} took {spent:?} of processor time");
    drop(stream);
    eventually("no request is left", || server.app.active() == 0);
}

#[test]
fn rows_128_to_130_floods_end_their_connection_and_not_the_server() {
    each(|kind, server| {
        for (name, bytes, must_end) in floods() {
            attack(kind, &server, name, &bytes, must_end);
        }
    });
}

#[test]
fn row_129_a_header_list_over_the_limit_runs_nothing() {
    each(|kind, server| {
        for (name, bytes, _) in floods().into_iter().filter(|(name, ..)| name.starts_with("a header list")) {
            let mut stream = server.connect();
            stream.write_all(&[PREFACE, &bytes].concat()).unwrap();
            // The same connection goes on, or ends: either way nothing of it is a request.
            let _ = stream.write_all(&frame(PING, 0, 0, &[7; 8]));
            ends(&mut stream, Duration::from_millis(300));
            let metrics = server.get("/metrics").body;
            assert!(!metrics.contains("route=\"/\""), "{name} over {kind:?}: {metrics}");
        }
    });
}

#[test]
fn row_176_the_names_of_a_request_of_http2_are_one() {
    each(|kind, server| {
        let mut expected = Vec::new();
        for (host, status) in
            [("localhost", "200"), ("LOCALHOST", "200"), ("localhost:1", "400"), ("evil.example", "400")]
        {
            // A name in the target, and a field beside it.
            let mut head = GET.to_vec();
            head.extend([0x0f, 0x17, u8::try_from(host.len()).unwrap()]);
            head.extend_from_slice(host.as_bytes());
            let mut stream = server.connect();
            let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head);
            stream.write_all(&[PREFACE, &request].concat()).unwrap();
            expected.push(status);
            let count = expected.iter().filter(|seen| **seen == status).count();
            let counted = format!("realizar_requests_total{{route=\"/\",status=\"{status}\"}} {count}\n");
            eventually(&format!("{host} gets {status} over {kind:?}"), || {
                server.get("/metrics").body.contains(&counted)
            });
        }
    });
}

#[test]
fn row_128_a_hundred_streams_of_a_connection_are_served_together() {
    each(|kind, server| {
        let body = br#"{"messages":[{"role":"user","content":"silent"}]}"#;
        // POST /v1/chat/completions as a literal path.
        let mut block = vec![0x83, 0x86, 0x04, 20];
        block.extend_from_slice(b"/v1/chat/completions");
        block.extend([0x41, 9]);
        block.extend_from_slice(b"localhost");
        let mut bytes = PREFACE.to_vec();
        for stream in (1..301_u32).step_by(2) {
            bytes.extend(frame(HEADERS, END_HEADERS, stream, &block));
            bytes.extend(frame(DATA, END_STREAM, stream, body));
        }
        let mut stream = server.connect();
        stream.write_all(&bytes).unwrap();
        // axum has a limit of its own, of 200.
        let most = if kind == Kind::Hyper { 100 } else { 150 };
        eventually("a hundred are in", || server.live() == most);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(server.live(), most, "{kind:?}: the others are refused");
        drop(stream);
        eventually("no request is left", || server.app.active() == 0 && server.live() == 0);
    });
}

#[test]
fn http2_with_prior_knowledge_is_answered() {
    each(|kind, server| {
        let mut stream = server.connect();
        stream.write_all(&[PREFACE, &frame(HEADERS, END_HEADERS | END_STREAM, 1, &GET)].concat()).unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while !seen.windows(9).any(|window| window == b"<!doctype") {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "{kind:?}: {seen:?}");
            seen.extend_from_slice(&buffer[..count]);
        }
    });
}
