//! Bytes that are not the HTTP that we speak. Each has the statuses that are right, and whoever carries the routes is held
//! to them.

use std::time::{Duration, Instant};

use crate::wire::Reply;

pub(crate) const HEAD: &str = "host: localhost\r\ncontent-type: application/json\r\n";

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

/// Asks a server all of it. A body limit of 1 MiB and a second of patience are expected of it.
pub(crate) fn check(server: &str, ask: impl Fn(&[u8]) -> Reply) {
    let cases = cases();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    for (name, bytes, statuses) in &cases {
        let began = Instant::now();
        let reply = ask(bytes);
        assert!(statuses.contains(&reply.status), "{name} over {server}: {reply:?}");
        assert!(began.elapsed() < Duration::from_secs(4), "{name} over {server} took {:?}", began.elapsed());
        let answers = reply.rest.windows(5).filter(|window| *window == b"HTTP/").count();
        assert_eq!(answers, 0, "{name} over {server}: two answers");
        // Whoever answers, the object says what was wrong.
        if reply.status != 0 {
            assert!(!reply.code().is_empty(), "{name} over {server}: {reply:?}");
        }
        let alive = ask(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        assert_eq!(alive.status, 200, "after {name} over {server}");
    }
}
