//! Bytes that are not the HTTP that we speak: each gets its status or is closed, and never more than one answer.

use std::io::{Read, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::client::{Kind, each, eventually, half_close, post, read_reply, settings, start};
use crate::scripted::Scripted;

const HEAD: &str = "host: localhost\r\ncontent-type: application/json\r\n";

/// Name, bytes, statuses that are right (0 is a connection that is closed without an answer).
fn cases() -> Vec<(&'static str, Vec<u8>, &'static [u16])> {
    let tokenize = |fields: &str, body: &str| {
        format!("POST /tokenize HTTP/1.1\r\n{HEAD}{fields}\r\n\r\n{body}").into_bytes()
    };
    let line = |line: &str| format!("{line}\r\nhost: localhost\r\n\r\n").into_bytes();
    let field =
        |field: &str| format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{field}\r\n\r\n").into_bytes();
    let body = r#"{"text":"x"}"#;
    let chunked = |chunks: &str| tokenize("transfer-encoding: chunked", chunks);
    vec![
        // Request lines.
        ("no request line", b"\r\n\r\n\r\nx\r\n\r\n".to_vec(), &[400]),
        ("binary", b"\x00\x01\x02\x03\r\n\r\n".to_vec(), &[400]),
        ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), &[400]),
        ("HTTP/0.9", b"GET /livez\r\n\r\n".to_vec(), &[400]),
        ("HTTP/1.2", line("GET /livez HTTP/1.2"), &[400]),
        ("HTTP/2.0 in text", line("GET /livez HTTP/2.0"), &[400]),
        ("HTTP/3", line("GET /livez HTTP/3.0"), &[400]),
        ("lower case version", line("GET /livez http/1.1"), &[400]),
        ("no version", line("GET /livez"), &[400]),
        ("no method", line(" /livez HTTP/1.1"), &[400]),
        ("no target", line("GET HTTP/1.1"), &[400]),
        ("two spaces before the version", line("GET /livez  HTTP/1.1"), &[400]),
        ("a tab", line("GET\t/livez HTTP/1.1"), &[400]),
        ("words after the version", line("GET /livez HTTP/1.1 x"), &[400]),
        ("a method with brackets", line("G(E)T /livez HTTP/1.1"), &[400]),
        ("a method of 10,000 letters", line(&format!("{} /livez HTTP/1.1", "A".repeat(10_000))), &[400, 405, 414, 431]),
        ("NUL in the target", line("GET /li\0vez HTTP/1.1"), &[400]),
        ("a space in the target", line("GET /li vez HTTP/1.1"), &[400]),
        ("a control character in the target", line("GET /li\x7fvez HTTP/1.1"), &[400]),
        // Row 119: forms and spellings.
        ("absolute form", line("GET http://localhost/livez HTTP/1.1"), &[400]),
        ("absolute form of others", line("GET http://evil.example/livez HTTP/1.1"), &[400]),
        ("CONNECT", line("CONNECT localhost:80 HTTP/1.1"), &[400, 404, 405]),
        ("asterisk form", line("OPTIONS * HTTP/1.1"), &[404]),
        ("no slash", line("GET livez HTTP/1.1"), &[400, 404]),
        ("an encoded NUL", line("GET /livez%00 HTTP/1.1"), &[404]),
        ("encoded dots", line("GET /%2e%2e/livez HTTP/1.1"), &[404]),
        ("dots", line("GET /v1/../livez HTTP/1.1"), &[404]),
        ("an encoded letter", line("GET /%6civez HTTP/1.1"), &[404]),
        ("two slashes", line("GET //livez HTTP/1.1"), &[404]),
        ("a slash at the end", line("GET /livez/ HTTP/1.1"), &[404]),
        ("a bad escape", line("GET /livez%zz HTTP/1.1"), &[404]),
        ("a backslash", line("GET /\\livez HTTP/1.1"), &[400, 404]),
        ("capitals", line("GET /LIVEZ HTTP/1.1"), &[404]),
        ("target of 9,000 bytes", line(&format!("GET /livez?{} HTTP/1.1", "a".repeat(9_000))), &[414]),
        ("target of 70,000 bytes", line(&format!("GET /livez?{} HTTP/1.1", "a".repeat(70_000))), &[414, 431]),
        // Row 118 and the header's grammar.
        ("a header of 40,000 bytes", field(&format!("x: {}", "a".repeat(40_000))), &[431]),
        ("a header of 100,000 bytes", field(&format!("x: {}", "a".repeat(100_000))), &[431]),
        ("a header of 1 MiB without an end", format!("GET /livez HTTP/1.1\r\nx: {}", "a".repeat(1 << 20)).into_bytes(), &[431]),
        ("200 fields", field("x: y\r\n".repeat(200).trim_end()), &[431]),
        ("100,000 fields", field("x: y\r\n".repeat(100_000).trim_end()), &[431]),
        ("a field without colon", field("x"), &[400]),
        ("a field without name", field(": y"), &[400]),
        ("a space before the colon", field("x : y"), &[400]),
        ("a folded field", field("x: y\r\n z"), &[400]),
        ("NUL in a value", field("x: \0"), &[400]),
        ("a line break alone in a value", field("x: a\rb"), &[400]),
        ("no Host", b"GET /livez HTTP/1.1\r\n\r\n".to_vec(), &[400]),
        ("two Hosts", field("host: localhost"), &[400]),
        ("an empty Host", b"GET /livez HTTP/1.1\r\nhost:\r\n\r\n".to_vec(), &[400]),
        ("a foreign Host", b"GET /livez HTTP/1.1\r\nhost: evil.example\r\n\r\n".to_vec(), &[403]),
        // Row 114: lengths.
        ("two lengths", tokenize("content-length: 12\r\ncontent-length: 13", body), &[400]),
        ("a list of lengths", tokenize("content-length: 5, 5", body), &[400]),
        ("a signed length", tokenize("content-length: +12", body), &[400]),
        ("a negative length", tokenize("content-length: -1", body), &[400]),
        ("a hexadecimal length", tokenize("content-length: 0xc", body), &[400]),
        ("an empty length", tokenize("content-length:", body), &[400]),
        ("a length of 2^64", tokenize("content-length: 18446744073709551616", body), &[400]),
        ("a length of 2^63", tokenize("content-length: 9223372036854775808", body), &[400, 413]),
        ("a length over the limit", tokenize("content-length: 1048577", body), &[413]),
        // Row 115: transfer codings.
        ("coding twice", tokenize("transfer-encoding: chunked\r\ntransfer-encoding: chunked", "0\r\n\r\n"), &[400]),
        ("coding twice in one field", tokenize("transfer-encoding: chunked, chunked", "0\r\n\r\n"), &[400]),
        ("an unknown coding", tokenize("transfer-encoding: xchunked", "0\r\n\r\n"), &[400]),
        ("identity", tokenize("transfer-encoding: identity", body), &[400]),
        ("chunked not last", tokenize("transfer-encoding: chunked, gzip", "0\r\n\r\n"), &[400]),
        ("gzip and chunked", tokenize("transfer-encoding: gzip, chunked", "0\r\n\r\n"), &[400]),
        ("chunked in HTTP/1.0", format!("POST /tokenize HTTP/1.0\r\n{HEAD}transfer-encoding: chunked\r\n\r\n0\r\n\r\n").into_bytes(), &[400]),
        // Row 116: chunks.
        ("a chunk size that overflows", chunked("fffffffffffffffff\r\nx"), &[400, 0]),
        ("a huge chunk size", chunked("ffffffffffffffff\r\nx"), &[400, 408, 413, 0]),
        ("a negative chunk size", chunked("-2\r\nxx\r\n0\r\n\r\n"), &[400, 0]),
        ("a chunk size with prefix", chunked("0x2\r\n{}\r\n0\r\n\r\n"), &[400, 0]),
        ("a chunk size without digits", chunked("\r\n{}\r\n0\r\n\r\n"), &[400, 0]),
        ("a bare line feed", chunked("2\n{}\n0\n\n"), &[400, 0]),
        ("no line end after a chunk", chunked("2\r\n{}xx0\r\n\r\n"), &[400, 0]),
        ("1 MiB of chunk extension", chunked(&format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "a".repeat(1 << 20))), &[400, 0]),
        ("line feed in a chunk extension", chunked("2;a\nb\r\n{}\r\n0\r\n\r\n"), &[400, 0]),
        // Row 117: bodies without end.
        ("chunks over the limit", chunked(&"10000\r\n".to_owned().chars().chain("a".repeat(65_536).chars()).chain("\r\n".chars()).collect::<String>().repeat(17)), &[413]),
        ("100,000 trailers", chunked(&format!("2\r\n{{}}\r\n0\r\n{}\r\n", "x: y\r\n".repeat(100_000))), &[400, 0]),
        // Row 126: expectations.
        ("an unknown expectation", tokenize("expect: the-best\r\ncontent-length: 12", body), &[417]),
        ("continue for a body over the limit", tokenize("expect: 100-continue\r\ncontent-length: 2000000", ""), &[413]),
        // Rows 131 and 132.
        ("gzip", tokenize("content-encoding: gzip\r\ncontent-length: 12", body), &[415]),
        ("plain text", b"POST /tokenize HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 12\r\n\r\n{\"text\":\"x\"}".to_vec(), &[415]),
        ("a form of a browser", b"POST /tokenize HTTP/1.1\r\nhost: localhost\r\nsec-fetch-mode: cors\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 12\r\n\r\n{\"text\":\"x\"}".to_vec(), &[415]),
        // Methods.
        ("DELETE", line("DELETE /livez HTTP/1.1"), &[405]),
        ("GET of a POST route", line("GET /tokenize HTTP/1.1"), &[405]),
        ("an unknown method", line("BREW /livez HTTP/1.1"), &[405]),
    ]
}

#[test]
fn rows_113_to_132_bad_protocol_gets_its_status_or_is_closed() {
    let cases = cases();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    each(|kind, server| {
        for (name, bytes, statuses) in &cases {
            let began = Instant::now();
            let reply = server.raw(bytes);
            assert!(statuses.contains(&reply.status), "{name} over {kind:?}: {reply:?}");
            assert!(
                began.elapsed() < Duration::from_secs(4),
                "{name} over {kind:?} took {:?}",
                began.elapsed()
            );
            assert!(
                !reply.rest.windows(5).any(|window| window == b"HTTP/"),
                "{name} over {kind:?}: two answers"
            );
            // A body means that it is ours, and then it says what was wrong.
            if !reply.body.is_empty() {
                assert!(!reply.code().is_empty(), "{name} over {kind:?}: {reply:?}");
            }
            assert_eq!(server.get("/livez").status, 200, "after {name} over {kind:?}");
        }
    });
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
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        let text = String::from_utf8_lossy(&all);
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{kind:?}: {text}");
        let metrics = server.get("/metrics").body;
        assert!(!metrics.contains("route=\"/health\""), "{kind:?}: {metrics}");
    });
}

#[test]
fn row_114_equal_lengths_are_accepted_or_refused_but_never_two_requests() {
    each(|kind, server| {
        let bytes = format!("POST /tokenize HTTP/1.1\r\n{HEAD}content-length: 12\r\n\r\n{{\"text\":\"x\"}}");
        assert_eq!(server.raw(bytes.as_bytes()).status, 200, "{kind:?}");
    });
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
        closed |= stream.read_to_end(&mut rest).is_ok() || !rest.is_empty();
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
        // A byte now and then.
        let mut stream = server.connect();
        stream.write_all(head.as_bytes()).unwrap();
        for _ in 0..12 {
            if stream.write_all(b" ").is_err() {
                break;
            }
            sleep(Duration::from_millis(60));
        }
        let reply = read_reply(&mut stream);
        assert_eq!((reply.status, reply.code().as_str()), (408, "body_timeout"), "{kind:?}");
    });
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
        sleep(Duration::from_millis(50));
        let mut over = server.connect();
        over.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut byte = [0];
        assert!(matches!(over.read(&mut byte), Ok(0) | Err(_)), "{kind:?}");
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
fn row_124_pipelined_requests_are_answered_in_order() {
    each(|kind, server| {
        let mut stream = server.connect();
        let mut all = String::new();
        for number in 0..200 {
            let end = if number == 199 { "connection: close\r\n" } else { "" };
            all += &format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nx-request-id: n{number}\r\n{end}\r\n");
        }
        stream.write_all(all.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let ids: Vec<String> =
            text.lines().filter_map(|line| line.strip_prefix("x-request-id: ").map(str::to_owned)).collect();
        let expected: Vec<String> = (0..200).map(|number| format!("n{number}")).collect();
        assert_eq!(ids, expected, "{kind:?}");
    });
}

#[test]
fn row_125_a_client_that_closes_its_side_has_left() {
    each(|kind, server| {
        let mut stream = server.connect();
        stream.write_all(post("/v1/completions", r#"{"prompt":"silent"}"#).as_bytes()).unwrap();
        eventually("the answer begins", || server.live() == 1);
        half_close(&stream);
        let began = Instant::now();
        eventually("it is cancelled", || server.live() == 0);
        assert!(began.elapsed() < Duration::from_millis(1000), "{kind:?}: {:?}", began.elapsed());
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
    assert!(reply.closed && reply.status != 200, "{reply:?}");
}

#[test]
fn http2_with_prior_knowledge_is_answered() {
    each(|kind, server| {
        let mut stream = server.connect();
        // The preface, empty settings, and a header block: GET / http localhost, from the static table and one literal.
        let block = [0x82, 0x86, 0x84, 0x41, 0x09, b'l', b'o', b'c', b'a', b'l', b'h', b'o', b's', b't'];
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        bytes.extend([0, 0, u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, 1]);
        bytes.extend(block);
        stream.write_all(&bytes).unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while !seen.windows(9).any(|window| window == b"<!doctype") {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "{kind:?}: {seen:?}");
            seen.extend_from_slice(&buffer[..count]);
        }
    });
}

#[test]
fn row_128_rapid_resets_end_the_connection_and_not_the_server() {
    each(|kind, server| {
        let mut stream = server.connect();
        let block = [0x82, 0x86, 0x84, 0x41, 0x09, b'l', b'o', b'c', b'a', b'l', b'h', b'o', b's', b't'];
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        for stream in (1..20_000_u32).step_by(2) {
            bytes.extend([0, 0, u8::try_from(block.len()).unwrap(), 1, 5]);
            bytes.extend(stream.to_be_bytes());
            bytes.extend(block);
            bytes.extend([0, 0, 4, 3, 0]);
            bytes.extend(stream.to_be_bytes());
            bytes.extend(8_u32.to_be_bytes());
        }
        let _ = stream.write_all(&bytes);
        assert_eq!(server.get("/livez").status, 200, "{kind:?}");
        drop(stream);
        eventually("no request is left", || server.app.active() == 0);
    });
}
