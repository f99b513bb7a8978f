//! Bytes that are not the HTTP that we speak. Each has one status and one code, and whoever carries the routes is held to
//! them.

use std::time::{Duration, Instant};

use crate::wire::Reply;

pub(crate) const HEAD: &str = "host: localhost\r\ncontent-type: application/json\r\n";

/// Name, bytes, status and code.
type Case = (&'static str, Vec<u8>, u16, &'static str);

/// Request lines and header fields.
#[rustfmt::skip]
fn heads() -> Vec<Case> {
    let line = |line: &str| format!("{line}\r\nhost: localhost\r\n\r\n").into_bytes();
    let field =
        |field: &str| format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{field}\r\n\r\n").into_bytes();
    vec![
        // Request lines.
        ("no request line", b"\r\n\r\n\r\nx\r\n\r\n".to_vec(), 400, "bad_request"),
        ("binary", b"\x00\x01\x02\x03\r\n\r\n".to_vec(), 400, "bad_request"),
        ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), 400, "bad_request"),
        ("HTTP/0.9", b"GET /livez\r\n\r\n".to_vec(), 400, "bad_request"),
        ("HTTP/1.2", line("GET /livez HTTP/1.2"), 400, "bad_request"),
        ("HTTP/2.0 in text", line("GET /livez HTTP/2.0"), 400, "bad_request"),
        ("HTTP/3", line("GET /livez HTTP/3.0"), 400, "bad_request"),
        ("lower case version", line("GET /livez http/1.1"), 400, "bad_request"),
        ("no version", line("GET /livez"), 400, "bad_request"),
        ("no method", line(" /livez HTTP/1.1"), 400, "bad_request"),
        ("no target", line("GET HTTP/1.1"), 400, "bad_request"),
        ("two spaces before the version", line("GET /livez  HTTP/1.1"), 400, "bad_request"),
        ("a tab", line("GET\t/livez HTTP/1.1"), 400, "bad_request"),
        ("words after the version", line("GET /livez HTTP/1.1 x"), 400, "bad_request"),
        ("a method with brackets", line("G(E)T /livez HTTP/1.1"), 400, "bad_request"),
        ("a method of 10,000 letters", line(&format!("{} /livez HTTP/1.1", "A".repeat(10_000))), 405, "method_not_allowed"),
        ("NUL in the target", line("GET /li\0vez HTTP/1.1"), 400, "bad_request"),
        ("a space in the target", line("GET /li vez HTTP/1.1"), 400, "bad_request"),
        ("a control character in the target", line("GET /li\x7fvez HTTP/1.1"), 400, "bad_request"),
        // Row 119: forms and spellings.
        ("absolute form", line("GET http://localhost/livez HTTP/1.1"), 400, "bad_request"),
        ("absolute form of others", line("GET http://evil.example/livez HTTP/1.1"), 400, "bad_request"),
        ("CONNECT", line("CONNECT localhost:80 HTTP/1.1"), 400, "bad_request"),
        ("asterisk form", line("OPTIONS * HTTP/1.1"), 400, "bad_request"),
        ("no slash", line("GET livez HTTP/1.1"), 400, "bad_request"),
        ("an encoded NUL", line("GET /livez%00 HTTP/1.1"), 400, "bad_request"),
        ("encoded dots", line("GET /%2e%2e/livez HTTP/1.1"), 404, "unknown_route"),
        ("dots", line("GET /v1/../livez HTTP/1.1"), 404, "unknown_route"),
        ("two slashes", line("GET //livez HTTP/1.1"), 404, "unknown_route"),
        ("a slash at the end", line("GET /livez/ HTTP/1.1"), 404, "unknown_route"),
        ("a bad escape", line("GET /livez%zz HTTP/1.1"), 400, "bad_request"),
        ("a model behind its own path", line("GET /v1/models//v1/models/demo HTTP/1.1"), 404, "model_not_found"),
        ("a backslash", line("GET /\\livez HTTP/1.1"), 404, "unknown_route"),
        ("capitals", line("GET /LIVEZ HTTP/1.1"), 404, "unknown_route"),
        ("target of 8,193 bytes", line(&format!("GET /livez?{} HTTP/1.1", "a".repeat(8_193 - 7))), 414, "uri_too_long"),
        ("target of 9,000 bytes", line(&format!("GET /livez?{} HTTP/1.1", "a".repeat(9_000))), 414, "uri_too_long"),
        ("target of 70,000 bytes", line(&format!("GET /livez?{} HTTP/1.1", "a".repeat(70_000))), 414, "uri_too_long"),
        // Row 118 and the header's grammar.
        ("a header of 40,000 bytes", field(&format!("x: {}", "a".repeat(40_000))), 431, "headers_too_large"),
        ("a header of 100,000 bytes", field(&format!("x: {}", "a".repeat(100_000))), 431, "headers_too_large"),
        ("a header of 1 MiB without an end", format!("GET /livez HTTP/1.1\r\nx: {}", "a".repeat(1 << 20)).into_bytes(), 431, "headers_too_large"),
        // With `host: localhost` and its line end, a byte over 32 KiB.
        ("a header of 32,769 bytes", field(&format!("x: {}", "a".repeat(32_769 - 17 - 5))), 431, "headers_too_large"),
        ("101 fields", field("x: y\r\n".repeat(100).trim_end()), 431, "headers_too_large"),
        ("200 fields", field("x: y\r\n".repeat(200).trim_end()), 431, "headers_too_large"),
        ("100,000 fields", field("x: y\r\n".repeat(100_000).trim_end()), 431, "headers_too_large"),
        ("a field without colon", field("x"), 400, "bad_request"),
        ("a field without name", field(": y"), 400, "bad_request"),
        ("a space before the colon", field("x : y"), 400, "bad_request"),
        ("a folded field", field("x: y\r\n z"), 400, "bad_request"),
        ("NUL in a value", field("x: \0"), 400, "bad_request"),
        ("a line break alone in a value", field("x: a\rb"), 400, "bad_request"),
        ("no Host", b"GET /livez HTTP/1.1\r\n\r\n".to_vec(), 400, "bad_request"),
        ("two Hosts", field("host: localhost"), 400, "bad_request"),
        ("an empty Host", b"GET /livez HTTP/1.1\r\nhost:\r\n\r\n".to_vec(), 400, "bad_request"),
        ("a foreign Host", b"GET /livez HTTP/1.1\r\nhost: evil.example\r\n\r\n".to_vec(), 403, "host_not_allowed"),
        // Methods.
        ("DELETE", line("DELETE /livez HTTP/1.1"), 405, "method_not_allowed"),
        ("GET of a POST route", line("GET /tokenize HTTP/1.1"), 405, "method_not_allowed"),
        ("an unknown method", line("BREW /livez HTTP/1.1"), 405, "method_not_allowed"),
    ]
}

/// Lengths, codings, chunks, and what the header says of a body.
#[rustfmt::skip]
fn bodies() -> Vec<Case> {
    let tokenize = |fields: &str, body: &str| {
        format!("POST /tokenize HTTP/1.1\r\n{HEAD}{fields}\r\n\r\n{body}").into_bytes()
    };
    let body = r#"{"text":"x"}"#;
    let chunked = |chunks: &str| tokenize("transfer-encoding: chunked", chunks);
    vec![
        // Row 114: lengths.
        ("two lengths", tokenize("content-length: 12\r\ncontent-length: 13", body), 400, "bad_request"),
        ("a list of lengths", tokenize("content-length: 5, 5", body), 400, "bad_request"),
        ("a signed length", tokenize("content-length: +12", body), 400, "bad_request"),
        ("a negative length", tokenize("content-length: -1", body), 400, "bad_request"),
        ("a hexadecimal length", tokenize("content-length: 0xc", body), 400, "bad_request"),
        ("an empty length", tokenize("content-length:", body), 400, "bad_request"),
        ("a length of 2^64", tokenize("content-length: 18446744073709551616", body), 400, "bad_request"),
        ("a length of 2^64 - 1", tokenize("content-length: 18446744073709551615", body), 400, "bad_request"),
        ("a length of 2^63", tokenize("content-length: 9223372036854775808", body), 413, "body_too_large"),
        ("a length over the limit", tokenize("content-length: 1048577", body), 413, "body_too_large"),
        // Row 115: transfer codings.
        ("coding twice", tokenize("transfer-encoding: chunked\r\ntransfer-encoding: chunked", "0\r\n\r\n"), 400, "bad_request"),
        ("coding twice in one field", tokenize("transfer-encoding: chunked, chunked", "0\r\n\r\n"), 400, "bad_request"),
        ("an unknown coding", tokenize("transfer-encoding: xchunked", "0\r\n\r\n"), 400, "bad_request"),
        ("identity", tokenize("transfer-encoding: identity", body), 400, "bad_request"),
        ("chunked not last", tokenize("transfer-encoding: chunked, gzip", "0\r\n\r\n"), 400, "bad_request"),
        ("gzip and chunked", tokenize("transfer-encoding: gzip, chunked", "0\r\n\r\n"), 400, "bad_request"),
        ("chunked in HTTP/1.0", format!("POST /tokenize HTTP/1.0\r\n{HEAD}transfer-encoding: chunked\r\n\r\n0\r\n\r\n").into_bytes(), 400, "bad_request"),
        // Row 116: chunks.
        ("a chunk size that overflows", chunked("fffffffffffffffff\r\nx"), 400, "body_broken"),
        ("a huge chunk size", chunked("ffffffffffffffff\r\nx"), 408, "body_timeout"),
        ("a negative chunk size", chunked("-2\r\nxx\r\n0\r\n\r\n"), 400, "body_broken"),
        ("a chunk size with prefix", chunked("0x2\r\n{}\r\n0\r\n\r\n"), 400, "body_broken"),
        ("a chunk size without digits", chunked("\r\n{}\r\n0\r\n\r\n"), 400, "body_broken"),
        ("a bare line feed", chunked("2\n{}\n0\n\n"), 400, "body_broken"),
        ("no line end after a chunk", chunked("2\r\n{}xx0\r\n\r\n"), 400, "body_broken"),
        ("17,000 bytes of chunk extension", chunked(&format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "a".repeat(17_000))), 400, "body_broken"),
        ("1 MiB of chunk extension", chunked(&format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "a".repeat(1 << 20))), 400, "body_broken"),
        ("line feed in a chunk extension", chunked("2;a\nb\r\n{}\r\n0\r\n\r\n"), 400, "body_broken"),
        // Row 117: bodies without end.
        ("chunks over the limit", chunked(&"10000\r\n".to_owned().chars().chain("a".repeat(65_536).chars()).chain("\r\n".chars()).collect::<String>().repeat(17)), 413, "body_too_large"),
        ("101 trailers", chunked(&format!("2\r\n{{}}\r\n0\r\n{}\r\n", "x: y\r\n".repeat(101))), 400, "body_broken"),
        ("a trailer of 17,000 bytes", chunked(&format!("2\r\n{{}}\r\n0\r\nx: {}\r\n\r\n", "a".repeat(17_000))), 400, "body_broken"),
        ("100,000 trailers", chunked(&format!("2\r\n{{}}\r\n0\r\n{}\r\n", "x: y\r\n".repeat(100_000))), 400, "body_broken"),
        // Row 126: expectations.
        ("a second expectation", tokenize("expect: 100-continue\r\nexpect: x\r\ncontent-length: 12", body), 417, "expectation_failed"),
        ("a second encoding", tokenize("content-encoding: identity\r\ncontent-encoding: gzip\r\ncontent-length: 12", body), 415, "content_encoding"),
        ("a second type", tokenize("content-type: text/plain\r\ncontent-length: 12", body), 415, "content_type"),
        ("an unknown expectation", tokenize("expect: the-best\r\ncontent-length: 12", body), 417, "expectation_failed"),
        ("continue for a body over the limit", tokenize("expect: 100-continue\r\ncontent-length: 2000000", ""), 413, "body_too_large"),
        // Rows 131 and 132.
        ("gzip", tokenize("content-encoding: gzip\r\ncontent-length: 12", body), 415, "content_encoding"),
        ("plain text", b"POST /tokenize HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 12\r\n\r\n{\"text\":\"x\"}".to_vec(), 415, "content_type"),
        ("a form of a browser", b"POST /tokenize HTTP/1.1\r\nhost: localhost\r\nsec-fetch-mode: cors\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 12\r\n\r\n{\"text\":\"x\"}".to_vec(), 415, "content_type"),
    ]
}

/// Bytes at the very edge of what is welcome.
fn welcome() -> Vec<(&'static str, Vec<u8>)> {
    let get = |target: &str, fields: &str| {
        format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{fields}\r\n").into_bytes()
    };
    let body = r#"{"text":"x"}"#;
    let tokenize = |fields: &str, body: &str| {
        format!("POST /tokenize HTTP/1.1\r\n{HEAD}connection: close\r\n{fields}\r\n\r\n{body}").into_bytes()
    };
    let chunked = |chunks: &str| tokenize("transfer-encoding: chunked", chunks);
    // Beside `host: localhost` and `connection: close` with their ends.
    let most = (32 << 10) - "host: localhost\r\nconnection: close\r\n".len() - "x: \r\n".len();
    let target = |bytes: usize| format!("/livez?{}", "a".repeat(bytes - 7));
    vec![
        ("row 119: a target of 8,192 bytes", get(&target(8192), "")),
        ("row 118: 100 fields", get("/livez", &"x: y\r\n".repeat(98))),
        ("row 118: fields of 32 KiB", get("/livez", &format!("x: {}\r\n", "a".repeat(most)))),
        ("rows 118 and 119: all at once", get(&target(8192), &format!("x: {}\r\n", "a".repeat(most)))),
        ("row 114: a length told twice", tokenize("content-length: 12\r\ncontent-length: 12", body)),
        (
            "row 116: an extension of 16,000 bytes",
            chunked(&format!("c;{}\r\n{body}\r\n0\r\n\r\n", "a".repeat(16_000))),
        ),
        ("row 117: 100 trailers", chunked(&format!("c\r\n{body}\r\n0\r\n{}\r\n", "x: y\r\n".repeat(100)))),
        ("row 126: an expectation in capitals", tokenize("expect: 100-Continue\r\ncontent-length: 12", body)),
        (
            "row 131: an encoding that is none",
            tokenize("content-encoding: identity\r\ncontent-length: 12", body),
        ),
    ]
}

/// Asks a server all of it. A body limit of 1 MiB and a second of patience are expected of it.
pub(crate) fn check(server: &str, ask: impl Fn(&[u8]) -> Reply) {
    let cases = [heads(), bodies()].concat();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for (name, bytes, status, code) in &cases {
        let began = Instant::now();
        let reply = ask(bytes);
        assert!(began.elapsed() < Duration::from_secs(4), "{name} over {server} took {:?}", began.elapsed());
        let code_told = if reply.status == 0 { String::new() } else { reply.code() };
        if (reply.status, code_told.as_str()) != (*status, *code) {
            wrong.push(format!("{name}: {} {code_told:?}, not {status} {code:?}", reply.status));
            continue;
        }
        // Whoever answers, the object says what was wrong.
        let answer = reply.json();
        let message =
            if answer["error"].is_string() { &answer["error"] } else { &answer["error"]["message"] };
        assert!(message.as_str().is_some_and(|text| text.len() > 5), "{name} over {server}: {answer}");
        if answer["error"].is_object() {
            let kind = if *status == 403 { "permission_error" } else { "invalid_request_error" };
            assert_eq!(answer["error"]["type"], kind, "{name} over {server}: {answer}");
        }
        // What follows bytes that were not understood is not understood either.
        let closes = matches!(status, 400 | 408 | 413 | 414 | 417 | 431);
        assert!(reply.closed || !closes, "{name} over {server} stays open: {reply:?}");
        let answers = reply.rest.windows(5).filter(|window| *window == b"HTTP/").count();
        assert_eq!(answers, 0, "{name} over {server}: two answers");
        let alive = ask(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        assert_eq!(alive.status, 200, "after {name} over {server}");
    }
    for (name, bytes) in welcome() {
        let reply = ask(&bytes);
        if (reply.status, reply.rest.as_slice()) != (200, &[]) {
            wrong.push(format!("{name}: {} and {:?}, not 200", reply.status, reply.rest));
        }
    }
    assert!(wrong.is_empty(), "over {server}:\n{}", wrong.join("\n"));
}
