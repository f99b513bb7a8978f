//! The real engine behind the routes, with the demo model: what is promised of answers holds over HTTP too.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use realizar_engine::{Engine, EngineOptions, Loaded, SessionOptions, Times};
use realizar_format::{GgufWriter, TensorSource};
use realizar_http::{Served, Settings};
use realizar_tensor::{Kernels, KvType, Pool};
use realizar_tokenize::Compat;
use serde_json::{Value, json};

use crate::client::{Kind, Running, patient, post, quick, settings, start_backend};

const DEMO: &str = "realizar-cli/assets/demo-q8_0.gguf";
const ENCODER: &str = "realizar-engine/tests/data/bert-cls.gguf";

fn session(max_sequences: usize) -> SessionOptions {
    SessionOptions {
        pool: Pool::new(2).unwrap(),
        kernels: Kernels::detect(),
        context: 256,
        kv: KvType::F16,
        chunk: 64,
        max_sequences,
        kv_blocks: None,
        checkpoints: 1,
    }
}

fn served(source: &dyn TensorSource, session: SessionOptions, max_queue: usize, name: &str) -> Served {
    let loaded = Loaded::new(source, Compat::Original).unwrap();
    let times = Times { stalled: Some(Duration::from_millis(50)), ..Times::default() };
    let options = EngineOptions { session, max_queue, step_tokens: 64, max_events: 16, times };
    Served::new(Engine::start(loaded, options).unwrap(), name)
}

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}

fn model(file: &str, max_sequences: usize, max_queue: usize) -> Served {
    let source = realizar_format::open(path(file)).unwrap();
    let context = if file == DEMO { 256 } else { 128 };
    let session = SessionOptions { context, ..session(max_sequences) };
    served(source.as_ref(), session, max_queue, if file == DEMO { "demo" } else { "encoder" })
}

fn serve(max_sequences: usize, max_queue: usize) -> Running {
    let settings: Settings = settings(quick());
    start_backend(Kind::Hyper, model(DEMO, max_sequences, max_queue), settings)
}

fn metric(server: &Running, name: &str) -> u64 {
    let metrics = server.get("/metrics").body;
    let line = metrics.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn text(stream: &str) -> String {
    let chunks =
        stream.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    chunks.map(|chunk| chunk["choices"][0]["text"].as_str().unwrap().to_owned()).collect()
}

fn request(number: usize) -> String {
    let prompts = ["Once upon a time", "The cat", "A little girl whose name was", "One day, Tom and his dog"];
    json!({
        "prompt": prompts[number % 4].repeat(1 + number % 3),
        "max_tokens": 1 + number % 17,
        "temperature": if number.is_multiple_of(2) { 0.0 } else { 1.2 },
        "seed": number,
        "stream": true,
    })
    .to_string()
}

#[test]
fn row_167_thirty_two_streams_at_once_are_what_each_is_alone() {
    let server = Arc::new(serve(8, 64));
    let alone: Vec<String> =
        (0..32).map(|number| text(&server.post("/v1/completions", &request(number)).body)).collect();
    let clients: Vec<_> = (0..32)
        .map(|number| {
            let server = Arc::clone(&server);
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(u64::try_from(number * 7 % 50).unwrap()));
                if number % 4 == 3 {
                    // This one leaves in the middle of a long answer.
                    use std::io::{Read, Write};
                    let mut stream = server.connect();
                    let body = r#"{"prompt":"Once","stream":true,"ignore_eos":true}"#;
                    stream.write_all(post("/v1/completions", body).as_bytes()).unwrap();
                    stream.read_exact(&mut [0; 300]).unwrap();
                    return None;
                }
                Some(text(&server.post("/v1/completions", &request(number)).body))
            })
        })
        .collect();
    for (number, client) in clients.into_iter().enumerate() {
        if let Some(answer) = client.join().unwrap() {
            assert_eq!(answer, alone[number], "request {number}");
        }
    }
    crate::client::eventually("all memory is free", || {
        metric(&server, "realizar_requests_running") == 0
            && metric(&server, "realizar_kv_blocks_free") == metric(&server, "realizar_kv_blocks_total")
    });
    assert!(metric(&server, "realizar_generated_tokens_total") > 200);
}

/// The choices of a stream, without what differs from one request to the next.
fn choices(stream: &str) -> Vec<Value> {
    let chunks =
        stream.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let mut choices: Vec<Value> = chunks.map(|chunk| chunk["choices"][0].clone()).collect();
    // Several answers of one request come in any order, each by itself in one.
    choices.sort_by_key(|choice| choice["index"].as_u64());
    choices
}

#[test]
fn row_122_clients_that_do_not_read_hold_up_nobody_and_lose_nothing() {
    use std::io::Write;
    // Nobody is given up for not reading while this lasts, and what is told of each token fills every buffer on the way.
    let body = |seed: u32, n: u32| {
        json!({
            "messages": [{ "role": "user", "content": "Once upon a time" }], "stream": true, "ignore_eos": true,
            "logprobs": true, "top_logprobs": 20, "seed": seed, "temperature": 1.0, "n": n,
        })
        .to_string()
    };
    let server = start_backend(Kind::Hyper, model(DEMO, 4, 64), settings(patient()));
    let read = |seed, n| choices(&server.post("/v1/chat/completions", &body(seed, n)).body);
    for (name, requests) in [("many clients", &[1; 8][..]), ("one client", &[8])] {
        let numbered = || (0..).zip(requests);
        let alone: Vec<Vec<Value>> = numbered().map(|(seed, n)| read(seed, *n)).collect();
        let unread: Vec<_> = numbered()
            .map(|(seed, n)| {
                let mut stream = server.connect();
                stream.write_all(post("/v1/chat/completions", &body(seed, *n)).as_bytes()).unwrap();
                stream
            })
            .collect();
        crate::client::eventually("answers give way", || metric(&server, "realizar_requests_parked") > 0);
        let quick = server.post("/v1/completions", r#"{"prompt":"Once","max_tokens":8}"#);
        assert_eq!((quick.status, metric(&server, "realizar_requests_parked") > 0), (200, true), "{name}");
        let readers: Vec<_> = unread
            .into_iter()
            .map(|mut stream| thread::spawn(move || crate::client::read_reply(&mut stream).body))
            .collect();
        for (reader, alone) in readers.into_iter().zip(alone) {
            assert_eq!(choices(&reader.join().unwrap()), alone, "{name}");
        }
        crate::client::eventually("all memory is free", || {
            metric(&server, "realizar_requests_running") + metric(&server, "realizar_requests_parked") == 0
                && metric(&server, "realizar_kv_blocks_free") == metric(&server, "realizar_kv_blocks_total")
        });
    }
}

#[test]
fn the_routes_speak_to_the_engine() {
    let server = serve(2, 4);
    let ids = server.post("/tokenize", r#"{"text":"Once upon a time"}"#).json()["token_ids"].clone();
    let back = server.post("/detokenize", &json!({ "token_ids": ids }).to_string()).json();
    assert_eq!(back["text"].as_str().unwrap().trim_start(), "Once upon a time");
    let chat =
        json!({ "messages": [{ "role": "user", "content": "Once" }], "max_tokens": 3, "temperature": 0 });
    let prompt = server.post("/apply-template", &chat.to_string()).json();
    assert!(prompt["prompt"].as_str().unwrap().contains("Once"), "{prompt}");
    let answer = server.post("/v1/chat/completions", &chat.to_string()).json();
    assert_eq!(answer["usage"]["completion_tokens"], 3, "{answer}");
    let facts = server.get("/v1/models").json()["data"][0].clone();
    assert_eq!((&facts["id"], &facts["meta"]["architecture"]), (&json!("demo"), &json!("llama")));
    let generated = server.post("/generate", r#"{"prompt":"Once upon","max_tokens":4}"#).json();
    assert_eq!(generated["num_generated"], 4, "{generated}");
    // What the engine refuses is the client's to mend.
    let long = json!({ "prompt": "word ".repeat(400) }).to_string();
    assert_eq!(server.post("/v1/completions", &long).code(), "context_length_exceeded");
    assert_eq!(server.post("/v1/embeddings", r#"{"input":"x"}"#).code(), "no_embeddings");
}

#[test]
fn row_154_more_answers_than_places_are_refused_as_one() {
    let server = serve(1, 2);
    let body = |n: usize| {
        json!({ "prompt": "Once upon a time", "n": n, "ignore_eos": true, "max_tokens": 200, "logprobs": 5 })
            .to_string()
    };
    // As many as there can never be room for are the client's to mend.
    let reply = server.post("/v1/completions", &body(9));
    assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_value"), "{reply:?}");
    assert_eq!(reply.json()["error"]["param"], "n", "{reply:?}");
    let batch = json!({ "prompts": vec!["Once"; 9] }).to_string();
    let reply = server.post("/batch/generate", &batch);
    assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_value"), "{reply:?}");
    assert_eq!(reply.json()["param"], "prompts", "{reply:?}");
    // Others may come back: three do not fit beside what is there.
    use std::io::Write;
    let unread: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = server.connect();
            let body =
                json!({ "prompt": "Once", "ignore_eos": true, "stream": true, "logprobs": 5 }).to_string();
            stream.write_all(post("/v1/completions", &body).as_bytes()).unwrap();
            stream
        })
        .collect();
    let refused = || {
        let reply = server.post("/v1/completions", &body(3));
        let again = reply.header("retry-after").and_then(|time| time.parse::<u64>().ok()).unwrap_or_default();
        reply.status == 429 && reply.code() == "queue_full" && again >= 1
    };
    assert!((0..20).any(|_| refused()), "nobody is turned away");
    drop(unread);
    crate::client::eventually("none of them is left", || {
        metric(&server, "realizar_requests_running") + metric(&server, "realizar_requests_waiting") == 0
    });
}

#[test]
fn an_encoder_makes_vectors_and_refuses_to_write() {
    let server = start_backend(Kind::Hyper, model(ENCODER, 1, 2), settings(quick()));
    let answer = server.post("/v1/embeddings", r#"{"input":["hello world","hello"]}"#).json();
    let vectors: Vec<Vec<f64>> = answer["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            entry["embedding"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
        })
        .collect();
    for vector in &vectors {
        let length = vector.iter().map(|number| number * number).sum::<f64>().sqrt();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    assert_ne!(vectors[0], vectors[1]);
    let text = server.post("/v1/completions", r#"{"prompt":"hello"}"#);
    assert_eq!((text.status, text.code().as_str()), (400, "no_text"), "{text:?}");
    let none = server.post("/v1/completions", r#"{"prompt":"hello","echo":true,"max_tokens":0}"#);
    assert_eq!((none.status, none.code().as_str()), (400, "no_text"), "{none:?}");
    let chat = server.post("/v1/chat/completions", r#"{"messages":[{"role":"user","content":"hello"}]}"#);
    assert_eq!((chat.status, chat.code().as_str()), (400, "no_chat_template"), "{chat:?}");
    let long = server.post("/v1/embeddings", &json!({ "input": "hello ".repeat(200) }).to_string());
    assert_eq!((long.status, long.code().as_str()), (400, "context_length_exceeded"), "{long:?}");
}

/// Numbers of a list.
fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn vectors_over_http_are_those_of_the_reference() {
    let server = start_backend(Kind::Hyper, model(ENCODER, 1, 2), settings(quick()));
    let golden = |ending: &str| std::fs::read(path(ENCODER).with_extension(ending)).unwrap();
    let facts: Value = serde_json::from_slice(&golden("golden.json")).unwrap();
    let values: Vec<f64> = golden("embd.f32")
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f64::from(f32::from_le_bytes(*bytes)))
        .collect();
    let width = usize::try_from(facts["n_embd"].as_u64().unwrap()).unwrap();
    let rows = facts["embd_rows"].as_array().unwrap().iter().zip(values.chunks(width));
    let rows: Vec<(&Value, &[f64])> =
        rows.filter(|(row, _)| row["pooling"] == "cls" && row["normalised"] == true).collect();
    assert_eq!(rows.len(), 4);
    let inputs: Vec<&Value> = rows
        .iter()
        .map(|(row, _)| &facts["sequences"][usize::try_from(row["seq"].as_u64().unwrap()).unwrap()])
        .collect();
    let answer = server.post("/v1/embeddings", &json!({ "input": inputs }).to_string()).json();
    let ids: usize = inputs.iter().map(|ids| ids.as_array().unwrap().len()).sum();
    assert_eq!(answer["usage"]["prompt_tokens"], ids, "{}", answer["usage"]);
    for (at, (_, expected)) in rows.iter().enumerate() {
        let found = numbers(&answer["data"][at]["embedding"]);
        let cosine: f64 = found.iter().zip(*expected).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.9999 && found.len() == width, "sequence {at}: {cosine}");
    }
}

/// A model of which one token's row holds no numbers: whoever sends that token gets no numbers. Its output matrix is one of
/// its own, so that the others do.
fn torn_token(token: usize) -> Served {
    let source = realizar_format::open(path("realizar-engine/tests/data/llama-gqa.gguf")).unwrap();
    let mut writer = GgufWriter::new();
    for key in source.metadata_keys() {
        writer.metadata(key, source.metadata(key).unwrap()).unwrap();
    }
    let table = source.tensor("token_embd.weight").unwrap();
    let mut broken = table.data.to_vec();
    let row = broken.len() / table.shape[0];
    for number in broken[token * row..(token + 1) * row].as_chunks_mut::<4>().0 {
        *number = f32::NAN.to_le_bytes();
    }
    for view in source.tensors() {
        writer.tensor(view.name, view.dtype, view.shape).unwrap();
    }
    writer.tensor("output.weight", table.dtype, table.shape).unwrap();
    let mut file = writer.begin(Vec::new()).unwrap();
    for view in source.tensors() {
        let data: &[u8] = if view.name == table.name { &broken } else { &view.data };
        file.write(data).unwrap();
    }
    file.write(&table.data).unwrap();
    let source = realizar_format::parse(file.finish().unwrap().into()).unwrap();
    served(source.as_ref(), session(4), 8, "torn")
}

#[test]
fn scores_that_are_no_numbers_fail_their_own_request_only() {
    let server = Arc::new(start_backend(Kind::Hyper, torn_token(40), settings(quick())));
    let good = json!({ "prompt": [1, 41, 42], "max_tokens": 40, "ignore_eos": true, "temperature": 0, "logit_bias": { "40": -100 } });
    let bad = |more: Value| {
        let mut body = json!({ "prompt": [1, 40, 42], "max_tokens": 40, "ignore_eos": true });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let expected = server.post("/v1/completions", &good.to_string()).json()["choices"][0].clone();
    assert_eq!(expected["finish_reason"], "length", "{expected}");
    let others: Vec<_> = (0..3)
        .map(|_| {
            let (server, body) = (Arc::clone(&server), good.to_string());
            thread::spawn(move || server.post("/v1/completions", &body).json()["choices"][0].clone())
        })
        .collect();
    for more in [json!({}), json!({ "temperature": 0 }), json!({ "logprobs": 5 }), json!({ "n": 2 })] {
        let reply = server.post("/v1/completions", &bad(more.clone()));
        assert_eq!((reply.status, reply.code().as_str()), (500, "generation_failed"), "{more}: {reply:?}");
        let error = reply.json()["error"].clone();
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
    }
    // The head is sent before the first token is known: the stream tells of it and does not end as a good one does.
    let stream = server.post("/v1/completions", &bad(json!({ "stream": true })));
    assert!(stream.body.contains("generation_failed") && !stream.body.contains("[DONE]"), "{}", stream.body);
    for other in others {
        assert_eq!(other.join().unwrap(), expected);
    }
    assert_eq!(server.post("/v1/completions", &good.to_string()).json()["choices"][0], expected);
    assert_eq!(server.get("/readyz").status, 200);
    crate::client::eventually("all memory is free", || {
        metric(&server, "realizar_kv_blocks_free") == metric(&server, "realizar_kv_blocks_total")
    });
}

#[test]
fn row_155_requests_that_do_not_fit_together_wait_and_none_fails() {
    let body = |number: usize| {
        json!({
            "prompt": format!("Once upon a time there were {number}"), "max_tokens": 40 + number * 17,
            "ignore_eos": true, "temperature": 1.0, "seed": number, "stream": true,
        })
        .to_string()
    };
    let source = realizar_format::open(path(DEMO)).unwrap();
    let alone = serve(1, 16);
    let expected: Vec<String> =
        (0..8).map(|number| text(&alone.post("/v1/completions", &body(number)).body)).collect();
    drop(alone);
    // Six blocks of 64 tokens, which is three answers of the shortest kind or one and a half of the longest.
    let session = SessionOptions { kv_blocks: Some(6), ..session(8) };
    let server =
        Arc::new(start_backend(Kind::Hyper, served(source.as_ref(), session, 16, "demo"), settings(quick())));
    assert_eq!(metric(&server, "realizar_kv_blocks_total"), 6);
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let (server, body) = (Arc::clone(&server), body(number));
            thread::spawn(move || server.post("/v1/completions", &body))
        })
        .collect();
    for (number, client) in clients.into_iter().enumerate() {
        let reply = client.join().unwrap();
        assert_eq!((reply.status, text(&reply.body).as_str()), (200, expected[number].as_str()), "{number}");
        assert!(reply.body.ends_with("data: [DONE]\n\n"), "{number}: {}", reply.body);
    }
    crate::client::eventually("all blocks are free", || metric(&server, "realizar_kv_blocks_free") == 6);
    // What can never fit is refused before it waits.
    let words = json!({ "prompt": "word ".repeat(300) }).to_string();
    let reply = server.post("/v1/completions", &words);
    assert_eq!((reply.status, reply.code().as_str()), (400, "context_length_exceeded"), "{reply:?}");
}
