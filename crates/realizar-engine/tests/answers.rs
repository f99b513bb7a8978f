//! Answers of a real (if tiny) model: alone, and many together.
#![expect(clippy::expect_used, reason = "a test that cannot go on should say why")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use realizar_engine::{
    AnswerOptions, ChatMessage, ChatPrompt, Engine, EngineError, EngineOptions, Event, Finish, Loaded,
    Request, SampleOptions, SessionOptions, Solo, SubmitError, Ticket, Times, Token, TryNext,
};
use realizar_tensor::{KV_BLOCK, Kernels, KvType, Pool};
use realizar_tokenize::Compat;

const CONTEXT: usize = 200;
const VOCAB: u32 = 272;

fn loaded(name: &str) -> Loaded {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let source = realizar_format::open(path).expect("a model file");
    Loaded::new(source.as_ref(), Compat::Original).expect("a model")
}

fn session(max_sequences: usize) -> SessionOptions {
    SessionOptions {
        pool: Pool::new(2).expect("a pool"),
        kernels: Kernels::detect(),
        context: CONTEXT,
        kv: KvType::F16,
        chunk: 32,
        max_sequences,
        kv_blocks: None,
        checkpoints: 1,
    }
}

fn engine(max_sequences: usize) -> Engine {
    let options = EngineOptions {
        session: session(max_sequences),
        max_queue: 64,
        step_tokens: 24,
        max_events: 16,
        times: Times::default(),
    };
    Engine::start(loaded("llama-gqa.gguf"), options).expect("an engine")
}

fn solo() -> Solo {
    Solo::new(loaded("llama-gqa.gguf"), session(1)).expect("memory")
}

fn sampled(seed: u64, n: usize) -> AnswerOptions {
    let sampling = SampleOptions { temperature: 0.9, top_k: 40, seed, ..SampleOptions::greedy() };
    AnswerOptions { max_tokens: Some(n), ignore_eos: true, logprobs: Some(2), ..AnswerOptions::new(sampling) }
}

fn request(prompt: &[u32], options: &AnswerOptions) -> Request {
    Request {
        prompt: prompt.to_vec(),
        options: options.clone(),
        owner: 0,
        reader: 0,
        deadline: None,
        wake: None,
    }
}

/// A prompt that depends on `i`, from 1 to about 90 tokens.
fn prompt(i: u32) -> Vec<u32> {
    (0..1 + i * 37 % 90).map(|j| 3 + (i * 31 + j * 7) % (VOCAB - 3)).collect()
}

fn alone(solo: &mut Solo, prompt: &[u32], options: &AnswerOptions) -> (Vec<Token>, Finish) {
    let mut answer = solo.answer(prompt, options).expect("a good request");
    let mut tokens = Vec::new();
    while let Some(token) = answer.next_token().expect("finite scores") {
        tokens.push(token);
    }
    let summary = answer.summary();
    assert_eq!(summary.usage.completion_tokens, tokens.len());
    (tokens, summary.finish.expect("it has ended"))
}

fn collect(mut ticket: Ticket) -> (Vec<Token>, Finish) {
    let mut tokens = Vec::new();
    loop {
        match ticket.next_event().expect("an end before the channel closes") {
            Event::Token(token) => tokens.push(token),
            Event::Finished { finish, usage, .. } => {
                assert_eq!(usage.completion_tokens, tokens.len());
                return (tokens, finish);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn thirty_two_streams_are_what_each_is_alone() {
    let engine = engine(7);
    let mut solo = solo();
    let tickets: Vec<(u32, AnswerOptions, Ticket)> = (0..32)
        .map(|i| {
            let options = sampled(u64::from(i), 5 + i as usize * 13 % 60);
            let ticket = engine.submit(request(&prompt(i), &options)).expect("room");
            (i, options, ticket)
        })
        .collect();
    let readers: Vec<_> = tickets
        .into_iter()
        .map(|(i, options, mut ticket)| {
            let reader = std::thread::spawn(move || match i % 4 {
                // Some go away after a token or two, or before the first.
                3 => {
                    if i % 8 == 3 {
                        drop(ticket.next_event());
                    }
                    None
                }
                _ => Some(collect(ticket)),
            });
            (i, options, reader)
        })
        .collect();
    for (i, options, reader) in readers {
        if let Some(together) = reader.join().expect("a reader") {
            assert_eq!(together, alone(&mut solo, &prompt(i), &options), "stream {i}");
        }
    }
    assert!(engine.wait_idle(Duration::from_secs(20)));
    let stats = engine.stats();
    assert_eq!(stats.kv_blocks_free, stats.kv_blocks_total);
    assert_eq!(stats.kv_blocks_total, 7 * CONTEXT.div_ceil(KV_BLOCK));
    assert!(stats.steps > 0 && stats.prompt_tokens_total > 0 && stats.generated_tokens_total > 0);
}

#[test]
fn row_122_answers_that_gave_way_and_went_on_are_what_each_is_alone() {
    let times = Times { stalled: Some(Duration::ZERO), ..Times::default() };
    let demo = "../../../realizar-cli/assets/demo-q8_0.gguf";
    for (file, kv) in [("llama-gqa.gguf", KvType::F32), ("llama-gqa.gguf", KvType::F16), (demo, KvType::Q8_0)]
    {
        let one = SessionOptions { kv, ..session(1) };
        let session = SessionOptions { kv, ..session(2) };
        let options = EngineOptions { session, max_queue: 64, step_tokens: 24, max_events: 4, times };
        let engine = Engine::start(loaded(file), options).expect("an engine");
        let mut solo = Solo::new(loaded(file), one).expect("memory");
        let readers: Vec<_> = (0..12)
            .map(|i| {
                let options = sampled(u64::from(i), 40 + i as usize * 5);
                let ticket = engine.submit(request(&prompt(i), &options)).expect("room");
                (i, options, ticket)
            })
            .collect();
        // All of them are begun before the first is read.
        while engine.stats().parked < 10 {
            std::thread::yield_now();
        }
        let readers = readers
            .into_iter()
            .map(|(i, options, ticket)| (i, options, std::thread::spawn(move || collect(ticket))));
        for (i, options, reader) in readers.collect::<Vec<_>>() {
            let together = reader.join().expect("a reader");
            assert_eq!(together, alone(&mut solo, &prompt(i), &options), "stream {i} of {file} with {kv:?}");
        }
        assert!(engine.wait_idle(Duration::from_secs(20)));
        assert_eq!(engine.stats().kv_blocks_free, engine.stats().kv_blocks_total);
    }
}

/// The bytes of the tokens whose probabilities were told.
fn told(tokens: &[Token]) -> Vec<u8> {
    tokens.iter().flat_map(|token| &token.logprobs).flat_map(|logprob| logprob.bytes.clone()).collect()
}

#[test]
fn probabilities_come_with_tokens() {
    let (tokens, finish) = alone(&mut solo(), &prompt(3), &sampled(1, 8));
    assert_eq!(finish, Finish::Length);
    let logprobs: Vec<_> = tokens.iter().flat_map(|token| &token.logprobs).collect();
    assert!(logprobs.len() > 4, "{logprobs:?}");
    for logprob in logprobs {
        assert!(logprob.logprob <= 0.0 && logprob.top.len() == 2, "{logprob:?}");
        assert!(logprob.top[0].logprob >= logprob.top[1].logprob);
        assert!(logprob.top[0].logprob >= logprob.logprob);
    }
}

#[test]
fn tokens_that_are_told_make_up_the_text_wherever_it_stops() {
    // It writes words, not bytes at random.
    let demo = loaded("../../../realizar-cli/assets/demo-q8_0.gguf");
    let prompt = demo.tokenize("Once upon a time", true).expect("tokens");
    let mut solo = Solo::new(demo, session(1)).expect("memory");
    let options = sampled(5, 40);
    let text = |tokens: &[Token]| tokens.iter().map(|token| token.text.as_str()).collect::<String>();
    let (whole, _) = alone(&mut solo, &prompt, &options);
    let whole = text(&whole);
    let letters: Vec<(usize, char)> = whole.char_indices().collect();
    let mut stopped = 0;
    for window in letters.windows(3) {
        let stop: String = window.iter().map(|(_, letter)| letter).collect();
        let options = AnswerOptions { stop: vec![stop.clone()], ..options.clone() };
        let (tokens, finish) = alone(&mut solo, &prompt, &options);
        let (text, told) = (text(&tokens), String::from_utf8_lossy(&told(&tokens)).into_owned());
        assert_eq!(finish, Finish::Stop(stop.clone()));
        assert_eq!(text, whole[..whole.find(&stop).expect("it is in the text")], "{stop:?}");
        assert_eq!(told, text, "{stop:?}");
        stopped += 1;
    }
    assert!(stopped > 50, "{stopped} of {whole:?}");
}

#[test]
fn requests_that_cannot_be_followed_are_refused_at_once() {
    let engine = engine(1);
    let good = sampled(0, 4);
    let stop = AnswerOptions { stop: vec![String::new()], ..good.clone() };
    let none = AnswerOptions { max_tokens: Some(0), ..good.clone() };
    let hot = AnswerOptions {
        sampling: SampleOptions { temperature: f32::NAN, ..SampleOptions::greedy() },
        ..good.clone()
    };
    let bias = AnswerOptions {
        sampling: SampleOptions { logit_bias: vec![(9999, 1.0)], ..SampleOptions::greedy() },
        ..good.clone()
    };
    let long = vec![5; CONTEXT];
    // Name, prompt, options, the message.
    let cases: &[(&str, &[u32], &AnswerOptions, &str)] = &[
        ("empty prompt", &[], &good, "the prompt has no tokens"),
        ("no room for an answer", &long, &good, "the prompt has 200 tokens, the context holds 200"),
        ("unknown token", &[5, 272], &good, "token 272 of the prompt is outside the vocabulary of 272"),
        ("empty stop string", &[5], &stop, "a stop string is empty"),
        ("no tokens", &[5], &none, "max_tokens is 0"),
        ("temperature", &[5], &hot, "temperature is NaN"),
        ("bias", &[5], &bias, "logit_bias names token 9999"),
    ];
    for (name, prompt, options, message) in cases {
        let error = engine.submit(request(prompt, options)).expect_err(name).to_string();
        assert!(error.contains(message), "{name}: {error}");
    }
    let mut solo = solo();
    assert!(matches!(solo.answer(&[], &good), Err(EngineError::Submit(SubmitError::EmptyPrompt))));
    assert!(format!("{:?}", request(&[5, 6], &good)).contains("prompt_tokens: 2"));
}

#[test]
fn a_full_queue_turns_away_and_a_draining_one_too() {
    let options = EngineOptions {
        session: session(1),
        max_queue: 2,
        step_tokens: 8,
        max_events: 1,
        times: Times::default(),
    };
    let engine = Engine::start(loaded("llama-gqa.gguf"), options).expect("an engine");
    assert_eq!(engine.max_queue(), 2);
    let submit = || engine.submit(request(&prompt(1), &sampled(1, 30)));
    // The first is parked by its unread event; two wait; the next one is too much.
    let mut first = submit().expect("room");
    assert!(matches!(first.next_timeout(Duration::from_secs(20)), TryNext::Event(Event::Token(_))));
    let waiting = [submit().expect("room"), submit().expect("room")];
    match submit() {
        Err(SubmitError::QueueFull { waiting: 2, limit: 2, retry_after }) => {
            assert!(retry_after >= Duration::from_secs(1))
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((engine.stats().queued, engine.stats().running), (2, 1));
    engine.drain();
    assert!(matches!(submit(), Err(SubmitError::Draining)));
    assert!(!engine.wait_idle(Duration::from_millis(1)));
    // What was accepted is answered.
    let mut rest = 0;
    while let Some(event) = first.next_event() {
        rest += usize::from(matches!(event, Event::Token(_)));
    }
    assert_eq!(rest, 29);
    for ticket in waiting {
        assert_eq!(collect(ticket).0.len(), 30);
    }
    assert!(engine.wait_idle(Duration::from_secs(20)));
    let last = engine.clone();
    engine.shutdown();
    assert!(matches!(last.submit(request(&prompt(1), &sampled(1, 3))), Err(SubmitError::Draining)));
}

#[test]
fn dropping_the_engine_ends_its_requests() {
    let engine = engine(1);
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    let wake: realizar_engine::Wake = Arc::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let ticket =
        engine.submit(Request { wake: Some(wake), ..request(&prompt(2), &sampled(1, 150)) }).expect("room");
    drop(engine);
    let (tokens, finish) = collect(ticket);
    assert!(finish == Finish::Cancelled || tokens.len() == 150, "{finish:?}");
    assert_eq!(woken.load(Ordering::SeqCst), tokens.len() + 1);
}

#[test]
fn options_of_an_engine_are_checked() {
    let good = EngineOptions {
        session: session(1),
        max_queue: 1,
        step_tokens: 1,
        max_events: 1,
        times: Times::default(),
    };
    for (option, options) in [
        ("max_queue", EngineOptions { max_queue: 0, ..good.clone() }),
        ("step_tokens", EngineOptions { step_tokens: 0, ..good.clone() }),
        ("max_events", EngineOptions { max_events: 0, ..good.clone() }),
        ("chunk", EngineOptions { session: SessionOptions { chunk: 0, ..session(1) }, ..good.clone() }),
    ] {
        let error = Engine::start(loaded("llama-gqa.gguf"), options).expect_err(option).to_string();
        assert!(error.contains(option), "{error}");
    }
}

#[test]
fn the_time_that_an_engine_gives_unasked() {
    let options = EngineOptions {
        session: session(1),
        max_queue: 4,
        step_tokens: 8,
        max_events: 1,
        times: Times { answer: Some(Duration::from_millis(20)), ..Times::default() },
    };
    let engine = Engine::start(loaded("llama-gqa.gguf"), options).expect("an engine");
    let ticket = engine.submit(request(&prompt(1), &sampled(1, 100))).expect("room");
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(collect(ticket).1, Finish::Deadline);
}

#[test]
fn what_an_engine_says_of_itself() {
    let engine = engine(2);
    let info = engine.info();
    assert_eq!((info.architecture, info.context, info.vocab), ("llama", CONTEXT, 272));
    assert!(!info.embeddings && !info.template && info.parameters > 10_000);
    assert_eq!(engine.tokenizer().vocab_len(), 272);
    assert_eq!(engine.loaded().name(), info.id);
    assert!(matches!(engine.embed(&[5]), Err(EngineError::NoEmbeddings { architecture: "llama" })));
    const fn shared<T: Send + Sync + Clone>() {}
    shared::<Engine>();
    const fn sent<T: Send>() {}
    sent::<Ticket>();
}

#[test]
fn an_encoder_makes_vectors() {
    let options = EngineOptions {
        session: session(1),
        max_queue: 1,
        step_tokens: 1,
        max_events: 1,
        times: Times::default(),
    };
    let options =
        EngineOptions { session: SessionOptions { context: 128, ..options.session.clone() }, ..options };
    let engine = Engine::start(loaded("bert-cls.gguf"), options).expect("an engine");
    assert!(engine.info().embeddings);
    let error = engine.submit(request(&[5], &sampled(0, 1))).expect_err("no text").to_string();
    assert!(error.contains("bert"), "{error}");
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let golden = std::fs::read(folder.join("bert-cls.golden.json")).expect("golden");
    let golden: serde_json::Value = serde_json::from_slice(&golden).expect("JSON");
    let bytes = std::fs::read(folder.join("bert-cls.embd.f32")).expect("golden");
    let values: Vec<f32> =
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let width = golden["n_embd"].as_u64().expect("a width") as usize;
    let mut checked = 0;
    for (row, expected) in golden["embd_rows"].as_array().expect("rows").iter().zip(values.chunks(width)) {
        if row["pooling"] == "cls" && row["normalised"] == true {
            let index = row["seq"].as_u64().expect("a sequence") as usize;
            let ids = golden["sequences"][index].as_array().expect("ids").iter();
            let ids: Vec<u32> = ids.map(|id| id.as_u64().expect("an id") as u32).collect();
            let found = engine.embed(&ids).expect("a vector");
            let cosine: f32 = found.iter().zip(expected).map(|(a, b)| a * b).sum();
            assert!(cosine > 0.9999, "sequence {index}: {cosine}");
            checked += 1;
        }
    }
    assert_eq!(checked, 4);
    assert!(engine.embed(&[]).is_err());
    assert!(engine.wait_idle(Duration::ZERO));
}

#[test]
fn conversations_go_through_the_template() {
    let plain = loaded("llama-gqa.gguf");
    let messages = [ChatMessage::new("user", "abc")];
    let extra = serde_json::Map::new();
    let chat = ChatPrompt {
        messages: &messages,
        add_generation_prompt: true,
        extra: &extra,
        now: std::time::SystemTime::UNIX_EPOCH,
    };
    assert!(matches!(plain.render(&chat), Err(EngineError::NoTemplate)));
    let named = plain.clone().with_named_template("mistral").expect("a name");
    let text = named.render(&chat).expect("a prompt");
    let bos = String::from_utf8_lossy(named.tokenizer().token_text(1)).into_owned();
    assert_eq!(text, format!("{bos}[INST] abc [/INST]"));
    // The template wrote the token that begins a text, so it is not added again.
    let ids = named.render_tokens(&chat, true).expect("tokens");
    assert_eq!(ids.iter().filter(|&&id| id == 1).count(), 1);
    let other = plain.clone().with_template("{{ messages[0].content }}").expect("compiles");
    assert_eq!(other.render_tokens(&chat, true).expect("tokens")[0], 1);
    assert_eq!(other.template().expect("a template").source(), "{{ messages[0].content }}");
    assert!(plain.clone().with_template("{% if %}").is_err());
    assert!(plain.with_named_template("nope").is_err());
}
