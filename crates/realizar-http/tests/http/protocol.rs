//! Bytes that are not the HTTP that we speak: each gets its status or is closed, and never more than one answer.

use std::io::{Read, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bad_protocol::{self, HEAD};
use crate::client::{Kind, each, eventually, half_close, median, post, read_reply, settings, start};
use crate::scripted::Scripted;

#[test]
fn rows_113_to_119_bad_protocol_gets_its_status_and_code() {
    each(|kind, server| bad_protocol::check(&format!("{kind:?}"), |bytes| server.raw(bytes)));
}

#[test]
fn row_113_a_smuggled_request_is_never_run() {
    each(|kind, server| {
        let smuggled = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let both = format!(
            "POST /tokenize HTTP/1.1\r\n{HEAD}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
        );
        let mut stream = server.connect();
        stream.write_all(both.as_bytes()).unwrap();
        // To the end: the connection is closed.
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("invalid_json"), "{kind:?}: {text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{kind:?}: {text}");
        let metrics = server.get("/metrics").body;
        assert!(!metrics.contains("route=\"/health\""), "{kind:?}: {metrics}");
    });
}

#[test]
fn row_114_equal_lengths_are_one_length() {
    each(|kind, server| {
        let length = "content-length: 12\r\n";
        let one = format!("POST /tokenize HTTP/1.1\r\n{HEAD}{length}{length}\r\n{{\"text\":\"x\"}}");
        let mut stream = server.connect();
        stream.write_all(format!("{one}{}", get_and_close("/livez")).as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        // What follows the body is the next request, so both sides agree where it ends.
        assert_eq!(text.matches("HTTP/1.1 200 ").count(), 2, "{kind:?}: {text}");
        assert!(text.contains(r#""num_tokens":2"#), "{kind:?}: {text}");
    });
}

fn get_and_close(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

#[test]
fn row_120_a_slow_header_is_closed_in_time() {
    each(|kind, server| {
        let mut stream = server.connect();
        let began = Instant::now();
        let mut closed = false;
        for byte in
            b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                .iter()
        {
            if stream.write_all(&[*byte]).is_err() {
                closed = true;
                break;
            }
            sleep(Duration::from_millis(30));
        }
        let mut rest = Vec::new();
        closed |= stream.read_to_end(&mut rest).is_ok();
        assert!(rest.is_empty(), "{kind:?}: no request came, and none is answered");
        assert!(closed && began.elapsed() < Duration::from_secs(4), "{kind:?}: {:?}", began.elapsed());
    });
}

#[test]
fn row_120_the_time_for_a_header_begins_anew_with_every_request() {
    each(|kind, server| {
        let mut stream = server.connect();
        let began = Instant::now();
        // Far longer than a header may take, on one connection that is never idle for long.
        while began.elapsed() < Duration::from_millis(1200) {
            stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
            assert_eq!(read_reply(&mut stream).status, 200, "{kind:?} after {:?}", began.elapsed());
            sleep(Duration::from_millis(20));
        }
    });
}

#[test]
fn row_121_a_slow_body_is_a_timeout() {
    each(|kind, server| {
        // Nothing at all after the header.
        let head = format!("POST /tokenize HTTP/1.1\r\n{HEAD}content-length: 100\r\n\r\n");
        let reply = server.raw(head.as_bytes());
        assert_eq!(
            (reply.status, reply.code().as_str(), reply.closed),
            (408, "body_timeout", true),
            "{kind:?}"
        );
    });
    let long = Duration::from_secs(60);
    let slow = realizar_http::Limits {
        body_gap: long,
        body_time: long,
        body_grace: Duration::from_millis(200),
        ..crate::client::quick()
    };
    let whole =
        realizar_http::Limits { body_grace: long, body_time: Duration::from_millis(400), ..slow.clone() };
    for kind in crate::client::KINDS {
        // Each for its own reason: slower than 1 KiB/s, and in all too long.
        for limits in [&slow, &whole] {
            let server = start(*kind, Scripted::new(), settings(limits.clone()));
            let mut stream = server.connect();
            let head = format!("POST /tokenize HTTP/1.1\r\n{HEAD}content-length: 100000\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(60))).unwrap();
            let began = Instant::now();
            // A byte now and then, until the answer comes.
            while stream.peek(&mut [0]).is_err() {
                assert!(began.elapsed() < Duration::from_secs(20), "{kind:?}: {limits:?}");
                let _ = stream.write_all(b" ");
            }
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let reply = read_reply(&mut stream);
            let told = (reply.status, reply.code());
            assert_eq!((told.0, told.1.as_str(), reply.closed), (408, "body_timeout", true), "{kind:?}");
        }
    }
}

#[test]
fn row_122_a_reader_that_stops_loses_its_answer_and_nobody_else_does() {
    each(|kind, server| {
        let mut stalled = server.connect();
        let body = r#"{"prompt":"forever","stream":true,"max_tokens":100000000}"#;
        stalled.write_all(post("/v1/completions", body).as_bytes()).unwrap();
        eventually("the answer begins", || server.live() == 1);
        assert_eq!(server.post("/v1/completions", r#"{"prompt":"x"}"#).status, 200, "{kind:?}");
        eventually("the stalled answer is given up", || server.live() == 0);
        drop(stalled);
    });
}

#[test]
fn row_123_connections_over_the_limit_are_closed_and_the_others_served() {
    for kind in crate::client::KINDS {
        let limits = realizar_http::Limits { connections: 8, ..crate::client::quick() };
        let server = start(*kind, Scripted::new(), settings(limits));
        let mut idle: Vec<_> = (0..7).map(|_| server.connect()).collect();
        eventually("seven are in", || server.get("/livez").status == 200);
        idle.push(server.connect());
        // Those who came before have their places, and are served.
        let mut over = server.connect();
        assert_eq!(over.read(&mut [0]).unwrap(), 0, "{kind:?}: closed at once");
        for stream in &mut idle {
            stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
            assert_eq!(read_reply(stream).status, 200, "{kind:?}");
        }
        // Idle ones are closed in their time, and there is room again.
        eventually("room again", || {
            let mut stream = std::net::TcpStream::connect(server.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all);
            all.starts_with(b"HTTP/1.1 200")
        });
    }
}

#[test]
fn row_123_silence_ends_a_connection_in_its_time_whatever_came_before() {
    let (idle, header) = (Duration::from_secs(1), Duration::from_secs(4));
    for kind in crate::client::KINDS {
        let limits =
            realizar_http::Limits { header_time: header, idle_time: idle, ..crate::client::patient() };
        let server = start(*kind, Scripted::new(), settings(limits));
        let get = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned();
        let stream = kept("/v1/completions", r#"{"prompt":"x","stream":true}"#);
        for (name, requests) in [
            ("nothing", vec![]),
            ("a request", vec![get.clone()]),
            ("a body", vec![kept("/tokenize", r#"{"text":"x"}"#)]),
            ("a stream", vec![stream.clone()]),
            ("several", vec![get.clone(), stream, get.clone(), get]),
        ] {
            let mut connection = server.connect();
            connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut began = Instant::now();
            for request in requests {
                // In two pieces, as they may come.
                let (first, second) = request.as_bytes().split_at(10);
                connection.write_all(first).unwrap();
                sleep(Duration::from_millis(100));
                connection.write_all(second).unwrap();
                assert_eq!(read_reply(&mut connection).status, 200, "{name} over {kind:?}");
                began = Instant::now();
            }
            assert!(matches!(connection.read(&mut [0]), Ok(0)), "{name} over {kind:?}");
            let took = began.elapsed();
            assert!(took > idle / 2 && took < idle * 3, "{name} over {kind:?}: {took:?}");
        }
    }
}

#[test]
fn row_124_pipelined_requests_are_answered_in_order() {
    each(|kind, server| {
        let mut stream = server.connect();
        let mut all = String::new();
        for number in 0..1000 {
            let end = if number == 999 { "connection: close\r\n" } else { "" };
            all += &format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nx-request-id: n{number}\r\n{end}\r\n");
        }
        stream.write_all(all.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let ids: Vec<String> =
            text.lines().filter_map(|line| line.strip_prefix("x-request-id: ").map(str::to_owned)).collect();
        let expected: Vec<String> = (0..1000).map(|number| format!("n{number}")).collect();
        assert_eq!(ids, expected, "{kind:?}");
    });
}

#[test]
fn row_124_of_pipelined_requests_one_is_worked_at() {
    each(|kind, server| {
        let mut stream = server.connect();
        let body = r#"{"prompt":"forever","stream":true,"max_tokens":100000000}"#;
        let one = post("/v1/completions", body).replace("connection: close\r\n", "");
        stream.write_all(one.repeat(40).as_bytes()).unwrap();
        eventually("the first is worked at", || server.live() == 1);
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(200) {
            assert!(server.live() <= 1, "{kind:?}: {} at once", server.live());
            let _ = stream.read(&mut [0; 4 << 10]);
        }
        let begun = server.get("/metrics").body;
        let done =
            begun.lines().find(|line| line.starts_with("realizar_requests_active ")).map(str::to_owned);
        assert_eq!(done.as_deref(), Some("realizar_requests_active 2"), "{kind:?}: one, and the look at it");
    });
}

#[test]
fn row_117_a_million_chunks_of_a_byte_are_one_body_up_to_the_limit() {
    const CHUNKS: usize = 1_000_000;
    let text = format!(r#"{{"text":"x"{}}}"#, " ".repeat(CHUNKS - 12));
    assert_eq!(text.len(), CHUNKS);
    let mut bytes =
        format!("POST /tokenize HTTP/1.1\r\n{HEAD}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for byte in text.bytes() {
        bytes.extend_from_slice(&[b'1', b'\r', b'\n', byte, b'\r', b'\n']);
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    for kind in crate::client::KINDS {
        for (limit, status) in [(CHUNKS, 200), (CHUNKS - 1, 413), (1000, 413)] {
            let limits = realizar_http::Limits { body_bytes: limit, ..crate::client::patient() };
            let server = start(*kind, Scripted::new(), settings(limits));
            let mut stream = server.connect();
            stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
            // A server that refuses early closes before everything is written.
            let written = stream.write_all(&bytes);
            let reply = read_reply(&mut stream);
            if status == 200 {
                assert!(written.is_ok(), "{kind:?}: {written:?}");
                assert_eq!(reply.status, 200, "{limit} over {kind:?}: {reply:?}");
                assert_eq!(reply.json()["num_tokens"], 2, "{kind:?}: {reply:?}");
            } else {
                assert_eq!(
                    (reply.status, reply.code().as_str()),
                    (413, "body_too_large"),
                    "{limit} over {kind:?}: {reply:?}"
                );
                assert!(reply.closed, "{limit} over {kind:?}");
            }
        }
    }
}

#[test]
fn row_125_a_client_that_closes_its_side_has_left() {
    each(|kind, server| {
        let time = median(9, || {
            let mut stream = server.connect();
            stream.write_all(post("/v1/completions", r#"{"prompt":"silent"}"#).as_bytes()).unwrap();
            eventually("the answer begins", || server.live() == 1);
            half_close(&stream);
            let began = Instant::now();
            eventually("it is cancelled", || server.live() == 0);
            began.elapsed()
        });
        assert!(time <= Duration::from_millis(200), "{kind:?}: {time:?}");
    });
}

#[test]
fn row_125_bytes_behind_a_request_hide_nobody_who_leaves() {
    let request = kept("/v1/completions", r#"{"prompt":"silent"}"#);
    let streamed = kept("/v1/completions", r#"{"prompt":"silent","stream":true}"#);
    each(|kind, server| {
        for (name, first, behind) in [
            ("an empty line", &request, "\r\n".to_owned()),
            ("a request", &request, request.clone()),
            ("the beginning of one", &streamed, "GET /livez HT".to_owned()),
            ("many requests", &request, request.repeat(100)),
        ] {
            for half in [false, true] {
                for together in [false, true] {
                    let mut stream = server.connect();
                    let all = format!("{first}{behind}");
                    stream.write_all(if together { &all } else { first }.as_bytes()).unwrap();
                    eventually("the answer begins", || server.live() == 1);
                    if !together {
                        stream.write_all(behind.as_bytes()).unwrap();
                        sleep(Duration::from_millis(20));
                    }
                    if half {
                        half_close(&stream);
                    }
                    let held = half.then_some(stream);
                    eventually(&format!("{name} over {kind:?}, half {half}"), || server.live() == 0);
                    drop(held);
                }
            }
        }
        // Who stays gets an answer to each.
        let hello = kept("/v1/completions", r#"{"prompt":"x"}"#);
        let mut stream = server.connect();
        stream.write_all(hello.as_bytes()).unwrap();
        stream.write_all(format!("\r\n{hello}").as_bytes()).unwrap();
        stream.write_all(post("/tokenize", r#"{"text":"x"}"#).as_bytes()).unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        assert_eq!(all.matches("HTTP/1.1 200").count(), 3, "{kind:?}: {all}");
    });
}

/// A request on a connection that is kept.
fn kept(path: &str, body: &str) -> String {
    post(path, body).replace("connection: close\r\n", "")
}

#[test]
fn row_131_a_body_that_is_too_long_or_packed_is_refused_by_its_header() {
    each(|kind, server| {
        for (field, status, code) in [
            ("content-length: 1048577", 413, "body_too_large"),
            ("content-length: 12\r\ncontent-encoding: gzip", 415, "content_encoding"),
            ("content-length: 12\r\ncontent-encoding: br, gzip", 415, "content_encoding"),
            ("transfer-encoding: chunked\r\ncontent-encoding: zstd", 415, "content_encoding"),
        ] {
            // Nothing of the body is sent.
            let reply = server.raw(format!("POST /tokenize HTTP/1.1\r\n{HEAD}{field}\r\n\r\n").as_bytes());
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (status, code),
                "{field} over {kind:?}: {reply:?}"
            );
        }
    });
}

#[test]
fn row_126_continue_is_sent_only_for_bodies_that_are_wanted() {
    each(|kind, server| {
        let mut stream = server.connect();
        let head = format!(
            "POST /tokenize HTTP/1.1\r\n{HEAD}connection: close\r\nexpect: 100-continue\r\ncontent-length: 12\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut line = [0; 12];
        stream.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"HTTP/1.1 100", "{kind:?}");
        stream.write_all(b"{\"text\":\"x\"}").unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("HTTP/1.1 200"), "{kind:?}: {rest}");
        // Bodies that are not wanted are not asked for.
        for (fields, answer) in [
            ("expect: 100-continue\r\ncontent-length: 1048577", "HTTP/1.1 413 "),
            ("expect: 100-continue\r\ncontent-encoding: gzip\r\ncontent-length: 12", "HTTP/1.1 415 "),
            ("expect: the-best\r\ncontent-length: 12", "HTTP/1.1 417 "),
        ] {
            let mut stream = server.connect();
            let head = format!("POST /tokenize HTTP/1.1\r\n{HEAD}connection: close\r\n{fields}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert!(text.starts_with(answer), "{fields} over {kind:?}: {text}");
            assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{fields} over {kind:?}: {text}");
        }
    });
}

#[test]
fn row_127_upgrades_are_ignored_and_http2_can_be_off() {
    each(|kind, server| {
        for upgrade in ["websocket", "h2c"] {
            let bytes = format!(
                "GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade, close\r\nupgrade: {upgrade}\r\n\r\n"
            );
            assert_eq!(server.raw(bytes.as_bytes()).status, 200, "{upgrade} over {kind:?}");
        }
    });
    let limits = realizar_http::Limits { http2: false, ..crate::client::quick() };
    let server = start(Kind::Hyper, Scripted::new(), settings(limits));
    let reply = server.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!((reply.status, reply.code().as_str(), reply.closed), (400, "bad_request", true), "{reply:?}");
}
