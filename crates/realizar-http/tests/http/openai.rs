//! The OpenAI interface, word for word.

use serde_json::{Value, json};

use crate::client::{KINDS, each, quick, settings, start};
use crate::scripted::Scripted;

const CHAT: &str = "/v1/chat/completions";
const HI: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

/// A transcript with what differs from run to run blotted out.
fn blot(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let data = line.strip_prefix("data: ").and_then(|data| serde_json::from_str::<Value>(data).ok());
        match data {
            Some(mut chunk) => {
                for field in ["id", "created", "model", "system_fingerprint", "object"] {
                    chunk.as_object_mut().unwrap().shift_remove(field);
                }
                out += &format!("data: {chunk}\n");
            }
            None => out += &format!("{line}\n"),
        }
    }
    out
}

#[test]
fn a_chat_streams_role_text_finish_and_done() {
    each(|kind, server| {
        let reply = server.post(CHAT, &format!(r#"{{{HI},"stream":true}}"#));
        assert_eq!(reply.status, 200, "{kind:?}: {reply:?}");
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        assert_eq!(reply.header("cache-control"), Some("no-cache"));
        assert_eq!(reply.header("x-accel-buffering"), Some("no"));
        let expected = r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null},"logprobs":null,"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":null,"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"content":"lo"},"logprobs":null,"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"content":" w"},"logprobs":null,"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"content":"ö"},"logprobs":null,"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}

data: [DONE]

"#;
        assert_eq!(blot(&reply.body), expected, "{kind:?}");
        let ids: std::collections::BTreeSet<&str> =
            reply.body.split("\"id\":\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(ids.len(), 1, "{kind:?}: one id in all chunks");
        assert!(ids.first().unwrap().starts_with("chatcmpl-"), "{kind:?}");
        assert!(reply.body.contains(r#""object":"chat.completion.chunk","created":"#), "{kind:?}");
    });
}

#[test]
fn usage_comes_last_and_only_when_asked_for() {
    each(|kind, server| {
        let body =
            format!(r#"{{{HI},"stream":true,"max_tokens":1,"stream_options":{{"include_usage":true}}}}"#);
        let expected = r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}],"usage":null}

data: {"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":1,"total_tokens":21,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":0}}}

data: [DONE]

"#;
        assert_eq!(blot(&server.post(CHAT, &body).body), expected, "{kind:?}");
    });
}

#[test]
fn a_completion_streams_text_finish_and_done() {
    each(|kind, server| {
        let reply =
            server.post("/v1/completions", r#"{"prompt":"hi","stream":true,"max_tokens":2,"echo":true}"#);
        let expected = r#"data: {"choices":[{"text":"hi","index":0,"logprobs":null,"finish_reason":null}]}

data: {"choices":[{"text":"Hel","index":0,"logprobs":null,"finish_reason":null}]}

data: {"choices":[{"text":"lo","index":0,"logprobs":null,"finish_reason":null}]}

data: {"choices":[{"text":"","index":0,"logprobs":null,"finish_reason":"length"}]}

data: [DONE]

"#;
        assert_eq!(blot(&reply.body), expected, "{kind:?}");
    });
}

#[test]
fn a_whole_chat_is_one_object() {
    each(|kind, server| {
        let body =
            format!(r#"{{{HI},"n":2,"model":"scripted","seed":1,"user":"x","metadata":{{}},"unknown":[1]}}"#);
        let mut answer = server.post(CHAT, &body).json();
        assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"), "{kind:?}");
        assert!(answer["created"].as_u64().unwrap() > 1_700_000_000, "{kind:?}");
        assert!(answer["system_fingerprint"].as_str().unwrap().starts_with('b'), "{kind:?}");
        for field in ["id", "created", "system_fingerprint"] {
            answer.as_object_mut().unwrap().shift_remove(field);
        }
        let choice = |index: u32| {
            json!({
                "index": index,
                "message": { "role": "assistant", "content": "Hello wö", "refusal": null },
                "logprobs": null,
                "finish_reason": "stop",
            })
        };
        let expected = json!({
            "object": "chat.completion",
            "model": "scripted",
            "choices": [choice(0), choice(1)],
            "usage": {
                "prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28,
                "prompt_tokens_details": { "cached_tokens": 1 },
                "completion_tokens_details": { "reasoning_tokens": 0 },
            },
        });
        assert_eq!(answer, expected, "{kind:?}");
    });
}

#[test]
fn several_streamed_answers_tell_which_is_which() {
    each(|kind, server| {
        let reply = server.post(CHAT, &format!(r#"{{{HI},"stream":true,"n":3}}"#));
        let mut texts = vec![String::new(); 3];
        for chunk in reply
            .body
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        {
            let choice = &chunk["choices"][0];
            let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
            texts[index] += choice["delta"]["content"].as_str().unwrap_or_default();
            if !choice["finish_reason"].is_null() {
                texts[index] += "|";
            }
        }
        assert_eq!(texts, ["Hello wö|", "Hello wö|", "Hello wö|"], "{kind:?}");
    });
}

#[test]
fn row_144_logprobs_are_numbers_and_name_every_token_once() {
    each(|kind, server| {
        let ask =
            |more: &str| server.post(CHAT, &format!(r#"{{{HI},"logprobs":true,"top_logprobs":3{more}}}"#));
        let whole = ask("").json();
        let content = whole["choices"][0]["logprobs"]["content"].clone();
        assert_eq!(content.as_array().unwrap().len(), 4, "{kind:?}: {whole}");
        assert_eq!(
            content[0],
            json!({
                "token": "Hel", "logprob": -0.5, "bytes": [72, 101, 108], "id": 1,
                "top_logprobs": [
                    { "token": "Hel", "logprob": -0.5, "bytes": [72, 101, 108], "id": 1 },
                    { "token": "t1", "logprob": -1.5, "bytes": [116, 49], "id": 2 },
                    { "token": "t2", "logprob": -9999.0, "bytes": [116, 50], "id": 3 },
                ],
            }),
            "{kind:?}"
        );
        assert_eq!(content[3]["bytes"], json!([0xb6]), "{kind:?}: halves of a letter stay bytes");
        let streamed = ask(r#","stream":true"#).body;
        let chunks = streamed
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
        let all: Vec<Value> = chunks
            .flat_map(|chunk| {
                chunk["choices"][0]["logprobs"]["content"].as_array().cloned().unwrap_or_default()
            })
            .collect();
        assert_eq!(Value::Array(all), content, "{kind:?}");
        let bare = server.post(CHAT, &format!(r#"{{{HI},"logprobs":true}}"#)).json();
        assert_eq!(bare["choices"][0]["logprobs"]["content"][0]["top_logprobs"], json!([]), "{kind:?}");
        let old = server.post("/v1/completions", r#"{"prompt":"hi","logprobs":1}"#).json();
        assert_eq!(
            old["choices"][0]["logprobs"],
            json!({
                "tokens": ["Hel", "lo", " w\u{fffd}", "\u{fffd}"],
                "token_logprobs": [-0.5, -0.5, -0.5, -0.5],
                "top_logprobs": [{ "Hel": -0.5 }, { "lo": -0.5 }, { " w\u{fffd}": -0.5 }, { "\u{fffd}": -0.5 }],
                "text_offset": [0, 3, 5, 8],
            }),
            "{kind:?}"
        );
    });
}

#[test]
fn completions_take_texts_and_ids_one_or_many() {
    each(|kind, server| {
        let cases = [
            (r#""hi""#, 1, 3),
            (r#"["hi","ho ho"]"#, 2, 9),
            ("[104,105]", 1, 2),
            ("[[104,105],[104]]", 2, 3),
            (r#"["hi",[104]]"#, 2, 4),
        ];
        for (prompt, count, tokens) in cases {
            let answer = server
                .post("/v1/completions", &format!(r#"{{"prompt":{prompt},"echo":true,"max_tokens":1}}"#))
                .json();
            let choices = answer["choices"].as_array().unwrap();
            assert_eq!(choices.len(), count, "{prompt} over {kind:?}");
            assert_eq!(answer["usage"]["prompt_tokens"], tokens, "{prompt} over {kind:?}");
            assert!(
                choices[0]["text"].as_str().unwrap().starts_with("hi"),
                "{prompt} over {kind:?}: {answer}"
            );
            assert_eq!(choices[0]["finish_reason"], "length");
        }
        let two =
            server.post("/v1/completions", r#"{"prompt":["a","b"],"n":2,"best_of":2,"suffix":""}"#).json();
        let indices: Vec<u64> =
            two["choices"].as_array().unwrap().iter().map(|c| c["index"].as_u64().unwrap()).collect();
        assert_eq!(indices, [0, 1, 2, 3], "{kind:?}");
        assert_eq!(
            two["usage"],
            json!({
                "prompt_tokens": 4, "completion_tokens": 16, "total_tokens": 20,
                "prompt_tokens_details": { "cached_tokens": 2 }, "completion_tokens_details": { "reasoning_tokens": 0 },
            }),
            "{kind:?}"
        );
    });
}

#[test]
fn conversations_reach_the_template_whole() {
    let messages = r#"[
        {"role":"developer","content":"be brief"},
        {"role":"user","name":"ann","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
        {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},
        {"role":"tool","tool_call_id":"c1","content":"2"}
    ]"#;
    each(|kind, server| {
        let reply = server.post(
            "/apply-template",
            &format!(r#"{{"messages":{messages},"chat_template_kwargs":{{"enable_thinking":false}}}}"#),
        );
        let prompt = reply.json()["prompt"].as_str().unwrap().to_owned();
        for part in [
            "<system>be brief",
            "<user>ab{\"name\": String(\"ann\")}",
            "\"arguments\": Object {\"x\": Number(1)}",
            "<tool>2{\"tool_call_id\": String(\"c1\")}",
            "<assistant>",
        ] {
            assert!(prompt.contains(part), "{part} over {kind:?}: {prompt}");
        }
        let closed =
            server.post("/apply-template", &format!(r#"{{{HI},"add_generation_prompt":false}}"#)).json();
        assert_eq!(closed["prompt"], "<user>hi", "{kind:?}");
        let refused = server.post(CHAT, &format!(r#"{{{HI},"chat_template_kwargs":{{"refuse":1}}}}"#));
        assert_eq!((refused.status, refused.code().as_str()), (400, "template_refused"), "{kind:?}");
        assert!(refused.body.contains("roles must alternate"), "{kind:?}: {refused:?}");
        let harmless = r#","tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"none","response_format":{"type":"text"}"#;
        assert_eq!(server.post(CHAT, &format!("{{{HI}{harmless}}}")).status, 200, "{kind:?}");
    });
}

#[test]
fn models_are_listed_and_found_by_every_name() {
    for kind in KINDS {
        let mut with_alias = settings(quick());
        with_alias.aliases.push("other".to_owned());
        let server = start(*kind, Scripted::new(), with_alias);
        let list = server.get("/v1/models").json();
        assert_eq!(
            list["data"][0],
            json!({
                "id": "scripted", "object": "model", "created": 1_700_000_000, "owned_by": "realizar",
                "meta": { "architecture": "none", "n_ctx": 256, "n_vocab": 300, "n_params": 7 },
            })
        );
        assert_eq!(list["data"][1]["id"], "other");
        assert_eq!(server.get("/v1/models/other").json()["id"], "other");
        assert_eq!(server.post(CHAT, &format!(r#"{{{HI},"model":"other"}}"#)).json()["model"], "scripted");
        for path in ["/v1/models/none", "/v1/models/../scripted"] {
            let reply = server.get(path);
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (404, "model_not_found"),
                "{path} over {kind:?}"
            );
        }
    }
}

#[test]
fn embeddings_are_lists_or_packed() {
    for kind in KINDS {
        let server = start(*kind, Scripted::encoder(), settings(quick()));
        let answer = server.post("/v1/embeddings", r#"{"input":["ab",""],"model":"scripted"}"#).json();
        assert_eq!(
            answer,
            json!({
                "object": "list",
                "data": [
                    { "object": "embedding", "index": 0, "embedding": [1.0, 3.0, -0.5] },
                    { "object": "embedding", "index": 1, "embedding": [1.0, 1.0, -0.5] },
                ],
                "model": "scripted",
                "usage": { "prompt_tokens": 4, "total_tokens": 4 },
            }),
            "{kind:?}"
        );
        let packed = server.post("/v1/embeddings", r#"{"input":[1,2,3],"encoding_format":"base64"}"#).json();
        assert_eq!(packed["data"][0]["embedding"], "AACAPwAAQEAAAAC/", "{kind:?}");
        let long = server.post("/v1/embeddings", &format!(r#"{{"input":"{}"}}"#, "a".repeat(300)));
        assert_eq!((long.status, long.code().as_str()), (400, "context_length_exceeded"), "{kind:?}");
        // Row 153: sixteen contexts in all, and the text that passes them is named.
        let many = vec![format!("\"{}\"", "a".repeat(250)); 20].join(",");
        let many = server.post("/v1/embeddings", &format!(r#"{{"input":[{many}]}}"#));
        assert_eq!(
            (many.status, many.json()["error"]["param"].clone()),
            (400, json!("input[16]")),
            "{kind:?}"
        );
    }
}

#[test]
fn a_prompt_can_be_shown_without_an_answer() {
    each(|kind, server| {
        let reply =
            server.post("/v1/completions", r#"{"prompt":["ab","c"],"max_tokens":0,"echo":true,"n":2}"#);
        let texts: Vec<Value> =
            reply.json()["choices"].as_array().unwrap().iter().map(|choice| choice["text"].clone()).collect();
        assert_eq!(texts, ["ab", "ab", "c", "c"], "{kind:?}");
        assert_eq!(reply.json()["usage"]["completion_tokens"], 0, "{kind:?}");
        let stream =
            server.post("/v1/completions", r#"{"prompt":"ab","max_tokens":0,"echo":true,"stream":true}"#);
        assert!(
            stream.body.contains(r#""text":"ab""#) && stream.body.ends_with("[DONE]\n\n"),
            "{kind:?}: {stream:?}"
        );
        assert_eq!(server.live(), 0, "{kind:?}: no model was needed");
    });
}

#[test]
fn paths_without_a_version_and_what_they_can_be_asked_by() {
    each(|kind, server| {
        for (path, body) in
            [("/chat/completions", format!("{{{HI}}}")), ("/embeddings", r#"{"input":"a"}"#.to_owned())]
        {
            let (short, long) = (server.post(path, &body), server.post(&format!("/v1{path}"), &body));
            assert_eq!(short.status, long.status, "{path} over {kind:?}");
        }
        assert_eq!(server.get("/models").json(), server.get("/v1/models").json(), "{kind:?}");
        assert_eq!(server.get("/v1/health").json(), server.get("/health").json(), "{kind:?}");
        for (path, allow) in [("/v1/models", "GET, HEAD, OPTIONS"), (CHAT, "POST, OPTIONS")] {
            let request = format!("OPTIONS {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            let reply = server.raw(request.as_bytes());
            assert_eq!((reply.status, reply.header("allow")), (204, Some(allow)), "{path} over {kind:?}");
        }
        let refusal = r#"{"messages":[{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]}]}"#;
        assert!(server.post("/apply-template", refusal).body.contains("<assistant>no"), "{kind:?}");
    });
}

#[test]
fn every_answer_has_a_request_id() {
    each(|kind, server| {
        let with = |id: &str| {
            let bytes = format!(
                "GET /livez HTTP/1.1\r\nhost: localhost\r\nx-request-id: {id}\r\nconnection: close\r\n\r\n"
            );
            server.raw(bytes.as_bytes()).header("x-request-id").unwrap().to_owned()
        };
        assert_eq!(with("abc-123_x.y"), "abc-123_x.y", "{kind:?}");
        for bad in ["a b", "<script>", &"a".repeat(65), ""] {
            let id = with(bad);
            assert!(id.starts_with("req-") && id.len() == 28, "{bad} over {kind:?}: {id}");
        }
        assert_ne!(with(""), with(""), "{kind:?}");
    });
}

#[test]
fn every_option_reaches_the_engine() {
    let model = Scripted::new();
    let seen = std::sync::Arc::clone(&model.seen);
    let server = start(crate::client::Kind::Hyper, model, settings(quick()));
    let ask = |more: &str| {
        assert_eq!(server.post(CHAT, &format!("{{{HI}{more}}}")).status, 200, "{more}");
        seen.lock().unwrap().take().unwrap()
    };
    let plain = ask(r#","seed":0"#);
    let mut expected = plain.clone();
    assert_eq!(
        (plain.sampling.temperature, plain.sampling.top_p, plain.max_tokens, plain.logprobs),
        (1.0, 1.0, None, None)
    );
    expected.sampling.temperature = 0.5;
    expected.sampling.top_p = 0.25;
    expected.sampling.min_p = 0.125;
    expected.sampling.typical_p = 0.75;
    expected.sampling.top_k = 7;
    expected.sampling.repeat_penalty = 1.5;
    expected.sampling.repeat_last_n = 9;
    expected.sampling.frequency_penalty = 0.375;
    expected.sampling.presence_penalty = -0.5;
    expected.sampling.seed = u64::MAX;
    expected.sampling.logit_bias = vec![(5, -100.0), (6, 2.5)];
    expected.max_tokens = Some(11);
    expected.stop = vec!["x".to_owned()];
    expected.ignore_eos = true;
    expected.logprobs = Some(2);
    let all = ask(
        r#","temperature":0.5,"top_p":0.25,"min_p":0.125,"typical_p":0.75,"top_k":7,"repeat_penalty":1.5,"repeat_last_n":9,
        "frequency_penalty":0.375,"presence_penalty":-0.5,"seed":-1,"logit_bias":{"5":-100,"6":2.5},"max_tokens":12,
        "max_completion_tokens":11,"stop":"x","ignore_eos":true,"logprobs":true,"top_logprobs":2"#,
    );
    assert_eq!(all, expected);
    assert_eq!(ask(r#","repetition_penalty":2"#).sampling.repeat_penalty, 2.0);
    assert_eq!(ask(r#","n":3,"seed":4"#).sampling.choice, 2, "the last of three");
    assert_ne!(ask("").sampling.seed, ask("").sampling.seed, "no seed is a new one");
    assert_eq!(ask(r#","repeat_last_n":-1,"top_k":-1"#).sampling.repeat_last_n, usize::MAX);
}

#[test]
fn what_is_off_is_taken() {
    let off = r#""tools":[],"parallel_tool_calls":true,"functions":[],"function_call":"auto","grammar":"","guided_choice":[],"lora":[],"mirostat":0,"mirostat_tau":5.0,"mirostat_eta":0.1,"dry_multiplier":0,"dry_base":1.75,"dry_allowed_length":2,"dry_penalty_last_n":-1,"n_probs":0,"n_keep":0,"n_discard":0,"post_sampling_probs":false,"use_beam_search":false,"t_max_predict_ms":0,"modalities":["text"],"response_format":{"type":"text"}"#;
    each(|kind, server| {
        let reply = server.post(CHAT, &format!("{{{HI},{off}}}"));
        assert_eq!(reply.status, 200, "{kind:?}: {reply:?}");
    });
}

#[test]
fn fields_that_nobody_knows_are_named_to_who_asks() {
    each(|kind, server| {
        let body = format!(r#"{{{HI},"temprature":0.5,"max_tokens":3,"zz":null}}"#);
        let ask = |debug: &str| {
            let head = format!(
                "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{debug}content-length: {}\r\n\r\n{body}",
                body.len()
            );
            server.raw(head.as_bytes())
        };
        let told = ask("x-realizar-debug: unknown-fields\r\n");
        assert_eq!(told.status, 200, "{kind:?}: {told:?}");
        assert_eq!(told.header("x-realizar-unknown-fields"), Some("temprature, zz"), "{kind:?}: {told:?}");
        assert_eq!(ask("").header("x-realizar-unknown-fields"), None, "{kind:?}");
    });
}
