//! Our own routes, word for word.

use serde_json::json;

use crate::client::each;

#[test]
fn health_tells_what_runs_here() {
    each(|kind, server| {
        let version = env!("CARGO_PKG_VERSION");
        for path in ["/health", "/readyz"] {
            let reply = server.get(path);
            let expected = json!({ "status": "ok", "version": version, "compute_mode": "cpu" });
            assert_eq!((reply.status, reply.json()), (200, expected), "{path} over {kind:?}");
        }
        assert_eq!(server.get("/livez?verbose=1").json(), json!({ "status": "ok" }), "{kind:?}");
        let head = server.raw(b"HEAD /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        assert!(head.status == 200 || head.head.is_empty(), "{kind:?}: {head:?}");
    });
}

#[test]
fn tokens_go_both_ways_in_both_dialects() {
    let cases = [
        ("/tokenize", r#"{"text":"hi"}"#, json!({ "num_tokens": 3, "token_ids": [256, 104, 105] })),
        (
            "/tokenize",
            r#"{"text":"hi","add_special":false}"#,
            json!({ "num_tokens": 2, "token_ids": [104, 105] }),
        ),
        ("/tokenize", r#"{"content":"hi"}"#, json!({ "tokens": [104, 105] })),
        (
            "/tokenize",
            r#"{"content":"hi","add_special":true,"parse_special":true}"#,
            json!({ "tokens": [256, 104, 105] }),
        ),
        (
            "/tokenize",
            r#"{"content":"a^","with_pieces":true,"parse_special":false}"#,
            json!({ "tokens": [{ "id": 97, "piece": "a" }, { "id": 94, "piece": "^" }] }),
        ),
        (
            "/tokenize",
            r#"{"content":"é","with_pieces":true}"#,
            json!({ "tokens": [{ "id": 195, "piece": [195] }, { "id": 169, "piece": [169] }] }),
        ),
        ("/tokenize", r#"{"text":"^","add_special":false}"#, json!({ "num_tokens": 1, "token_ids": [256] })),
        (
            "/tokenize",
            r#"{"text":"^","add_special":false,"parse_special":false}"#,
            json!({ "num_tokens": 1, "token_ids": [94] }),
        ),
        ("/detokenize", r#"{"token_ids":[256,104,105]}"#, json!({ "text": "hi" })),
        ("/detokenize", r#"{"tokens":[104.0,105]}"#, json!({ "content": "hi" })),
        ("/detokenize", r#"{"tokens":[]}"#, json!({ "content": "" })),
        (
            "/batch/tokenize",
            r#"{"texts":["a",""]}"#,
            json!({ "results": [{ "num_tokens": 2, "token_ids": [256, 97] }, { "num_tokens": 1, "token_ids": [256] }] }),
        ),
    ];
    each(|kind, server| {
        for (path, body, expected) in &cases {
            let reply = server.post(path, body);
            assert_eq!((reply.status, reply.json()), (200, expected.clone()), "{path} {body} over {kind:?}");
        }
    });
}

#[test]
fn generation_returns_the_prompt_with_its_continuation() {
    let hello = json!({
        "token_ids": [256, 104, 105, 1, 2, 3, 4], "text": "hiHello wö", "num_generated": 4, "finish_reason": "eos",
    });
    let short = json!({ "token_ids": [256, 104, 105, 1], "text": "hiHel", "num_generated": 1, "finish_reason": "length" });
    let cases = [
        ("/generate", r#"{"prompt":"hi"}"#, hello.clone()),
        (
            "/generate",
            r#"{"prompt":"hi","max_tokens":1,"strategy":"top_k","top_k":5,"temperature":0.5,"seed":7}"#,
            short.clone(),
        ),
        (
            "/generate",
            r#"{"prompt":"hi","max_tokens":1,"strategy":"top_p","top_p":0.5,"stop":["x"]}"#,
            short.clone(),
        ),
        ("/batch/generate", r#"{"prompts":["hi","hi"]}"#, json!({ "results": [hello.clone(), hello] })),
        (
            "/batch/generate",
            r#"{"prompts":["hi"],"max_tokens":1,"strategy":"greedy"}"#,
            json!({ "results": [short] }),
        ),
    ];
    each(|kind, server| {
        for (path, body, expected) in &cases {
            let reply = server.post(path, body);
            assert_eq!((reply.status, reply.json()), (200, expected.clone()), "{path} {body} over {kind:?}");
        }
    });
}

#[test]
fn generation_streams_named_events() {
    each(|kind, server| {
        let reply = server.post("/stream/generate", r#"{"prompt":"hi","max_tokens":2}"#);
        let expected = "event: token\ndata: {\"token_id\":1,\"text\":\"Hel\"}\n\n\
                        event: token\ndata: {\"token_id\":2,\"text\":\"lo\"}\n\n\
                        event: done\ndata: {\"num_generated\":2,\"finish_reason\":\"length\"}\n\n";
        assert_eq!((reply.status, reply.body.as_str()), (200, expected), "{kind:?}");
        let silent = {
            use std::io::{Read, Write};
            let mut stream = server.connect();
            stream
                .write_all(crate::client::post("/stream/generate", r#"{"prompt":"silent"}"#).as_bytes())
                .unwrap();
            let mut text = Vec::new();
            let mut buffer = [0; 1024];
            while !text.windows(3).any(|window| window == b":\n\n") {
                let count = stream.read(&mut buffer).unwrap();
                text.extend_from_slice(&buffer[..count]);
            }
            text
        };
        assert!(silent.starts_with(b"HTTP/1.1 200"), "{kind:?}");
    });
}

#[test]
fn the_page_runs_nothing_but_its_own_script() {
    each(|kind, server| {
        let reply = server.get("/");
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some("text/html; charset=utf-8")),
            "{kind:?}"
        );
        let policy = reply.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; connect-src 'self'; script-src 'sha256-"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!reply.body.contains(outside), "{outside}");
        }
        for part in ["id=\"stop\"", "id=\"settings\"", "/v1/chat/completions"] {
            assert!(reply.body.contains(part), "{part}");
        }
    });
}

#[test]
fn metrics_are_prometheus_text() {
    each(|kind, server| {
        server.post("/generate", r#"{"prompt":"hi"}"#);
        let reply = server.get("/metrics");
        assert_eq!(
            reply.header("content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8"),
            "{kind:?}"
        );
        for line in reply.body.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with("realizar_") && value.parse::<f64>().is_ok(), "{kind:?}: {line}");
        }
        let types = reply.body.lines().filter(|line| line.starts_with("# TYPE")).count();
        let helps = reply.body.lines().filter(|line| line.starts_with("# HELP")).count();
        assert_eq!((types, helps), (19, 19), "{kind:?}");
        assert!(
            reply.body.contains("realizar_time_to_first_token_seconds_bucket{le=\"+Inf\"} 1"),
            "{}",
            reply.body
        );
    });
}
