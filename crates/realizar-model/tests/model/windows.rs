//! Layers with a sliding window keep only what can still be seen.

use std::sync::Arc;

use realizar_model::{Model, ModelError, Session};
use realizar_tensor::KvType;

use crate::golden::{self, Golden, Run, all, last};

/// A window of 16 on every other layer.
fn model() -> Arc<Model> {
    Arc::new(Golden::read(&golden::own(), "gemma2").model())
}

/// Chunks of at most 32 tokens: a window layer never needs more than 2 blocks of 64 positions.
fn session(model: &Arc<Model>, sequences: usize) -> Session {
    Run { sequences, chunk: 32, ..Run::plain() }.session(model)
}

fn tokens(count: u32) -> Vec<u32> {
    (0..count).map(|at| at * 37 % 250).collect()
}

#[test]
fn window_layers_need_less_memory() {
    let model = model();
    let bytes = |chunk| {
        let options = realizar_model::SessionOptions {
            pool: realizar_tensor::Pool::new(1).unwrap(),
            kernels: realizar_tensor::Kernels::detect(),
            context: 256,
            kv: KvType::F32,
            chunk,
            max_sequences: 3,
            kv_blocks: None,
            checkpoints: 0,
        };
        Session::memory_plan(&model, &options).unwrap().kv_bytes
    };
    // Of four blocks a sequence needs two in the window's layer, if it does not grow by more than 32 at once.
    assert_eq!((bytes(32) * 8, bytes(256) * 8), (bytes(256) * 6, bytes(256) * 8));
}

/// Every sequence filled to the end of its context, in turns: what was given back is used by others meanwhile.
#[test]
fn passed_blocks_serve_other_sequences() {
    let model = model();
    let text = tokens(256);
    let whole = {
        let mut session = Run { chunk: 256, ..Run::plain() }.session(&model);
        let seq = session.open().unwrap();
        all(&mut session, seq, &text)
    };
    let mut session = session(&model, 3);
    let sequences: Vec<_> = (0..3).map(|_| session.open().unwrap()).collect();
    let mut at = 0;
    for step in [1, 31, 32, 7, 64, 100, 1, 20] {
        for seq in &sequences {
            let rows = all(&mut session, *seq, &text[at..at + step]);
            assert!(rows == whole[at..at + step], "tokens {at}..{}", at + step);
        }
        at += step;
    }
    assert_eq!(at, 256);
    sequences.into_iter().for_each(|seq| session.close(seq).unwrap());
    assert_eq!(session.free_blocks(), session.total_blocks());
}

#[test]
fn cuts_and_forks_know_what_is_gone() {
    let model = model();
    let text = tokens(200);
    let mut session = session(&model, 2);
    let seq = session.open().unwrap();
    let mut rows = all(&mut session, seq, &text[..180]);
    rows.extend(all(&mut session, seq, &text[180..]));
    // The step that came last can be undone.
    session.truncate(seq, 180).unwrap();
    let fork = session.fork(seq).unwrap();
    assert!(all(&mut session, fork, &text[180..]) == rows[180..], "a fork");
    assert!(all(&mut session, seq, &text[180..]) == rows[180..], "its origin");
    let error = session.truncate(seq, 50).unwrap_err();
    assert!(matches!(error, ModelError::Truncate { len: 200, wanted: 50, .. }), "{error}");
    assert_eq!(session.len(seq).unwrap(), 200, "a refusal changes nothing");
    session.truncate(seq, 0).unwrap();
    assert!(all(&mut session, seq, &text[..70]) == rows[..70], "from the start");
    session.close(seq).unwrap();
    session.truncate(fork, 200).unwrap();
    assert_eq!(last(&mut session, fork, &[1]).len(), model.config().vocab);
}
