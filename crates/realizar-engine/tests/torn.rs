//! A model file that is shortened while it is in use. The test has a process of its own: what was torn stays so.
#![cfg(unix)]

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use realizar_engine::{
    AnswerOptions, Engine, EngineError, EngineOptions, Event, Loaded, Request, SampleOptions, SessionOptions,
    Solo, Times,
};
use realizar_tensor::{Kernels, KvType, Pool};
use realizar_tokenize::Compat;

#[test]
fn answers_from_a_file_that_shrank_fail() {
    realizar_format::guard_mappings().expect("a signal handler");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/llama-gqa.gguf");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("torn.gguf");
    fs::copy(model, &path).expect("a copy");
    let source = realizar_format::open(&path).expect("a model file");
    let loaded = Loaded::new(source.as_ref(), Compat::Original).expect("a model");
    let session = SessionOptions {
        pool: Pool::new(1).expect("a pool"),
        kernels: Kernels::detect(),
        context: 200,
        kv: KvType::F16,
        chunk: 32,
        max_sequences: 2,
        kv_blocks: None,
        checkpoints: 1,
    };
    let mut solo = Solo::new(loaded.clone(), session.clone()).expect("memory");
    let options =
        EngineOptions { session, max_queue: 4, step_tokens: 8, max_events: 1, times: Times::default() };
    let engine = Engine::start(loaded, options).expect("an engine");
    let options = AnswerOptions { ignore_eos: true, ..AnswerOptions::new(SampleOptions::greedy()) };
    let ask = || {
        let (prompt, options) = (vec![5, 6], options.clone());
        engine
            .submit(Request { prompt, options, owner: 0, reader: 0, deadline: None, wake: None })
            .expect("room")
    };
    let mut running = ask();
    assert!(engine.works());
    assert!(matches!(running.next_event(), Some(Event::Token(_))), "the file is whole");
    let mut answer = solo.answer(&[5, 6], &options).expect("a good request");
    assert!(answer.next_token().is_ok());
    File::options().write(true).open(&path).and_then(|file| file.set_len(4096)).expect("shortened");
    assert!(matches!(answer.next_token(), Err(EngineError::Torn)));
    for mut ticket in [running, ask()] {
        let end = std::iter::from_fn(|| ticket.next_event()).last();
        assert!(matches!(end, Some(Event::Failed(EngineError::Torn))), "{end:?}");
    }
    assert!(engine.wait_idle(Duration::from_secs(10)));
    assert!(!engine.works(), "and it says so");
}
