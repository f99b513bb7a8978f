//! The real engine behind the routes, with the demo model: what is promised of answers holds over HTTP too.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use realizar_engine::{Engine, EngineOptions, Loaded, SessionOptions, Times};
use realizar_http::{Served, Settings};
use realizar_tensor::{Kernels, KvType, Pool};
use realizar_tokenize::Compat;
use serde_json::{Value, json};

use crate::client::{Kind, Running, post, quick, settings, start_backend};

const DEMO: &str = "realizar-cli/assets/demo-q8_0.gguf";
const ENCODER: &str = "realizar-engine/tests/data/bert-cls.gguf";

fn model(file: &str, max_sequences: usize, max_queue: usize) -> Served {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let source = realizar_format::open(&path).unwrap();
    let loaded = Loaded::new(source.as_ref(), Compat::Original).unwrap();
    let session = SessionOptions {
        pool: Pool::new(2).unwrap(),
        kernels: Kernels::detect(),
        context: if file == DEMO { 256 } else { 64 },
        kv: KvType::F16,
        chunk: 64,
        max_sequences,
        kv_blocks: None,
    };
    let options =
        EngineOptions { session, max_queue, step_tokens: 64, max_events: 16, times: Times::default() };
    Served::new(Engine::start(loaded, options).unwrap(), if file == DEMO { "demo" } else { "encoder" })
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
    let body = r#"{"prompt":"Once upon a time","n":9,"ignore_eos":true,"max_tokens":200}"#;
    let reply = server.post("/v1/completions", body);
    assert_eq!((reply.status, reply.code().as_str()), (429, "queue_full"), "{reply:?}");
    assert!(reply.header("retry-after").is_some_and(|time| time.parse::<u64>().is_ok_and(|time| time >= 1)));
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
    let chat = server.post("/v1/chat/completions", r#"{"messages":[{"role":"user","content":"hello"}]}"#);
    assert_eq!((chat.status, chat.code().as_str()), (400, "no_chat_template"), "{chat:?}");
    let long = server.post("/v1/embeddings", &json!({ "input": "hello ".repeat(200) }).to_string());
    assert_eq!((long.status, long.code().as_str()), (400, "context_length_exceeded"), "{long:?}");
}
