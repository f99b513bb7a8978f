//! Requests that ask for far more than anybody needs: each is refused by name, at once, and nobody else notices.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use realizar_http::Limits;
use serde_json::{Value, json};

use crate::bad_bodies::{CHAT, COMPLETIONS, HI};
use crate::client::{KINDS, Running, each, eventually, post, quick, read_reply, settings, start};
use crate::scripted::Scripted;

const EMBEDDINGS: &str = "/v1/embeddings";

#[test]
fn row_134_depth_and_the_number_of_values_have_an_end() {
    for kind in KINDS {
        let server = start(*kind, Scripted::new(), settings(Limits { body_bytes: 16 << 20, ..quick() }));
        // A number at this level, which is in so many lists but one, and an object.
        let deep = |level: usize| {
            let lists = level - 2;
            format!(r#"{{{HI},"x":{}0{}}}"#, "[".repeat(lists), "]".repeat(lists))
        };
        assert_eq!(server.post(CHAT, &deep(128)).status, 200, "{kind:?}");
        for levels in [129, 3_000, 100_000, 1_000_000] {
            let reply = server.post(CHAT, &deep(levels));
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (400, "invalid_json"),
                "{levels} over {kind:?}"
            );
        }
        let many = format!(r#"{{{HI},"x":[{}0]}}"#, "0,".repeat(1 << 20));
        let reply = server.post(CHAT, &many);
        assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_json"), "{kind:?}: {reply:?}");
    }
}

#[test]
fn row_138_answers_beyond_the_memory_are_refused_before_the_first() {
    each(|kind, server| {
        for (path, fields, param) in [
            (CHAT, r#""n":1000000"#, "n"),
            (CHAT, r#""n":129"#, "n"),
            (COMPLETIONS, r#""best_of":1000000"#, "best_of"),
        ] {
            let body = format!(r#"{{{HI},"prompt":"a",{fields}}}"#);
            let reply = server.post(path, &body);
            assert_eq!(reply.status, 400, "{fields} over {kind:?}: {reply:?}");
            assert_eq!(reply.json()["error"]["param"], param, "{fields} over {kind:?}");
        }
        assert_eq!(server.live(), 0, "{kind:?}");
    });
}

#[test]
fn row_140_ids_are_checked_one_by_one_and_ten_million_are_too_many_bytes() {
    each(|kind, server| {
        for (ids, code, param) in [
            ("[65,-1]", "invalid_value", json!("prompt[1]")),
            ("[65,300]", "invalid_value", json!("prompt[1]")),
            ("[65,\"a\"]", "invalid_value", json!("prompt[1]")),
            ("[[65],[65,-1]]", "invalid_value", json!("prompt[1][1]")),
        ] {
            let reply = server.post(COMPLETIONS, &format!(r#"{{"prompt":{ids}}}"#));
            assert_eq!((reply.status, reply.code().as_str()), (400, code), "{ids} over {kind:?}: {reply:?}");
            assert_eq!(reply.json()["error"]["param"], param, "{ids} over {kind:?}");
        }
        let reply = server.post(COMPLETIONS, &format!(r#"{{"prompt":[{}1]}}"#, "1,".repeat(10_000_000)));
        assert_eq!((reply.status, reply.code().as_str()), (413, "body_too_large"), "{kind:?}: {reply:?}");
        assert_eq!(server.live(), 0, "{kind:?}");
    });
}

/// Every number that the sampler reads.
const NUMBERS: &[&str] = &[
    "temperature",
    "top_p",
    "min_p",
    "typical_p",
    "repeat_penalty",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "top_n_sigma",
    "xtc_probability",
    "xtc_threshold",
    "dynatemp_range",
    "dynatemp_exponent",
    "top_k",
    "repeat_last_n",
    "seed",
    "n_predict",
    "max_tokens",
    "logprobs",
    "n",
    "mirostat",
    "mirostat_tau",
    "dry_multiplier",
    "dry_base",
    "dry_allowed_length",
    "dry_penalty_last_n",
    "n_keep",
    "n_discard",
    "mirostat_eta",
    "min_keep",
    "n_probs",
    "n_cmpl",
    "n_indent",
    "adaptive_target",
    "adaptive_decay",
    "t_max_predict_ms",
    "reasoning_budget",
    "id_slot",
    "n_cache_reuse",
    "speculative.n_max",
    "speculative.p_min",
];

/// Values around every border that a range may have, and what is no number at all.
const VALUES: &[&str] = &[
    "0",
    "-0",
    "-0.0",
    "1",
    "-1",
    "2",
    "0.5",
    "1.5",
    "-2",
    "2.0000001",
    "100",
    "101",
    "127",
    "128",
    "129",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "1e30",
    "-1e30",
    "1e38",
    "3.5e38",
    "1e308",
    "1e309",
    "-1e309",
    "1e-320",
    "0.1e-400",
    "\"NaN\"",
    "\"1\"",
    "[]",
    "[1]",
    "{}",
    "true",
    "false",
    "null",
];

#[test]
fn row_143_every_value_of_every_number_is_followed_or_refused_by_name() {
    each(|kind, server| {
        let (mut taken, mut refused) = (0, 0);
        for name in NUMBERS {
            for value in VALUES {
                let body = format!(r#"{{"prompt":"a","{name}":{value}}}"#);
                let reply = server.post(COMPLETIONS, &body);
                match (reply.status, reply.code().as_str()) {
                    (200, _) => {
                        let number = value.starts_with(|first: char| first == '-' || first.is_ascii_digit());
                        assert!(number || *value == "null", "{body} over {kind:?}: taken");
                        taken += 1;
                    }
                    // No JSON number is that large.
                    (400, "invalid_json") => assert!(value.contains("e309"), "{body}: {reply:?}"),
                    (400, _) => {
                        let error = &reply.json()["error"];
                        let told = error["message"].as_str().unwrap_or_default().contains(name);
                        assert!(error["param"] == *name && told, "{body} over {kind:?}: {error}");
                        refused += 1;
                    }
                    _ => panic!("{body} over {kind:?}: {reply:?}"),
                }
            }
        }
        assert!(taken > 100 && refused > 400, "{taken} taken, {refused} refused over {kind:?}");
        assert_eq!(server.live(), 0, "{kind:?}");
    });
}

#[test]
fn row_150_a_template_over_its_limits_fails_its_request_alone() {
    each(|kind, server| {
        let reply = server.post(CHAT, &format!(r#"{{{HI},"chat_template_kwargs":{{"bomb":1}}}}"#));
        assert_eq!((reply.status, reply.code().as_str()), (500, "template_limit"), "{kind:?}: {reply:?}");
        assert_eq!(reply.json()["error"]["param"], Value::Null, "{kind:?}");
        assert_eq!(server.post(CHAT, &format!("{{{HI}}}")).status, 200, "{kind:?}");
    });
}

#[test]
fn row_151_tools_are_counted_and_their_names_are_words() {
    let tool = |name: &str| json!({ "type": "function", "function": { "name": name } });
    let body = |tools: Vec<Value>| {
        json!({ "messages": [{ "role": "user", "content": "hi" }], "tools": tools, "tool_choice": "none" })
            .to_string()
    };
    each(|kind, server| {
        let many = |count: usize| body((0..count).map(|at| tool(&format!("f{at}"))).collect());
        assert_eq!(server.post(CHAT, &many(512)).status, 200, "{kind:?}");
        for (body, param) in [
            (many(513), "tools"),
            (many(10_000), "tools"),
            (body(vec![tool("f"), tool("f")]), "tools[1].function.name"),
            (body(vec![tool("")]), "tools[0].function.name"),
            (body(vec![tool("rm -rf")]), "tools[0].function.name"),
            (body(vec![tool(&"f".repeat(65))]), "tools[0].function.name"),
        ] {
            let reply = server.post(CHAT, &body);
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (400, "invalid_value"),
                "{param} over {kind:?}"
            );
            assert_eq!(reply.json()["error"]["param"], param, "{kind:?}");
        }
    });
}

#[test]
fn row_153_the_items_of_a_batch_are_counted_and_an_empty_one_is_named() {
    for kind in KINDS {
        let server = start(*kind, Scripted::encoder(), settings(quick()));
        let batch = |count: usize| json!({ "input": vec!["a"; count] }).to_string();
        let reply = server.post(EMBEDDINGS, &batch(2048));
        assert_eq!(reply.status, 200, "{kind:?}: {reply:?}");
        assert_eq!(reply.json()["data"].as_array().map(Vec::len), Some(2048), "{kind:?}");
        for (body, param) in [
            (batch(2049), "input"),
            (batch(100_000), "input"),
            (json!({ "input": ["a", [65], 7] }).to_string(), "input[2]"),
            (json!({ "input": ["a", null] }).to_string(), "input[1]"),
            (json!({ "input": vec!["a".repeat(250); 17] }).to_string(), "input[16]"),
        ] {
            let reply = server.post(EMBEDDINGS, &body);
            assert_eq!(reply.status, 400, "{param} over {kind:?}: {reply:?}");
            assert_eq!(reply.json()["error"]["param"], param, "{kind:?}: {reply:?}");
        }
    }
}

#[test]
fn row_160_large_texts_hold_up_no_small_ones() {
    for kind in KINDS {
        let model = Scripted::new();
        let released = Arc::clone(&model.released);
        let limits = Limits { write_time: Duration::from_secs(60), ..quick() };
        let server = Arc::new(start(*kind, model, settings(limits)));
        let large = json!({ "text": format!("stuck{}", "a".repeat(100_000)) }).to_string();
        let stuck: Vec<_> = (0..12)
            .map(|_| {
                let mut stream = server.connect();
                stream.write_all(post("/tokenize", &large).as_bytes()).unwrap();
                stream
            })
            .collect();
        eventually("all of them wait", || server.app.active() == 12);
        let small = server.post("/v1/completions", r#"{"prompt":"x"}"#);
        assert_eq!(small.status, 200, "{kind:?}: {small:?}");
        assert_eq!(server.app.active(), 12, "{kind:?}");
        released.store(true, std::sync::atomic::Ordering::SeqCst);
        for mut stream in stuck {
            assert_eq!(read_reply(&mut stream).status, 200, "{kind:?}");
        }
    }
}

#[test]
fn row_160_tokenizing_large_texts_keeps_nobody_waiting() {
    for kind in KINDS {
        let limits = Limits { body_bytes: 16 << 20, ..Limits::default() };
        let server = Arc::new(start(*kind, Scripted::new(), settings(limits)));
        // A loop of events that is blocked is so in every round; a machine that does something else is not.
        let rounds: Vec<Duration> = (0..5).map(|_| slowest_health_beside_tokenizing(&server)).collect();
        let best = rounds.iter().min().copied().unwrap_or_default();
        assert!(best <= Duration::from_millis(50), "{kind:?}: 99th percentiles {rounds:?}");
    }
}

/// The 99th percentile of the time that `/health` takes while large texts are tokenized.
fn slowest_health_beside_tokenizing(server: &Arc<Running>) -> Duration {
    let body = json!({ "text": "a".repeat(1 << 20) }).to_string();
    let busy: Vec<_> = (0..6)
        .map(|_| {
            let (server, body) = (Arc::clone(server), body.clone());
            std::thread::spawn(move || server.post("/tokenize", &body).status)
        })
        .collect();
    let mut times: Vec<Duration> = Vec::new();
    while times.len() < 20 || busy.iter().any(|thread| !thread.is_finished()) {
        let began = Instant::now();
        assert_eq!(server.get("/health").status, 200);
        times.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(1));
    }
    for thread in busy {
        // There is memory for all of them, and they wait for each other.
        assert_eq!(thread.join().unwrap(), 200);
    }
    times.sort();
    times[(times.len() * 99).div_ceil(100) - 1]
}
