//! Sequences with a recurrent state: cut, forked and gone on with, they are what a fresh run gives, to the bit.

use std::sync::Arc;

use realizar_model::{Model, ModelError, Session, SessionOptions, Span, Want};
use realizar_tensor::{Kernels, KvType, Pool};

use crate::golden::{self, Golden, Run, all};

/// A model of each kind of state; those of the first two stand beside attention.
const MODELS: [&str; 7] = ["qwen35", "falcon-h1", "mamba", "mamba2", "lfm2", "rwkv7", "kimi-linear"];

/// Tokens of the text: several places where a state is kept.
const TEXT: usize = 4 * Session::CHECKPOINT_TOKENS + 100;

fn model(name: &str) -> Option<Arc<Model>> {
    let data = golden::shared("zoo-modern, states")?;
    Some(Arc::new(Golden::read(&data.join("zoo-modern"), name).model()))
}

fn text(vocab: usize) -> Vec<u32> {
    (0..TEXT).map(|at| ((at * 37 + at / 50) % vocab.min(250)) as u32).collect()
}

fn session(model: &Arc<Model>, chunk: usize, checkpoints: usize) -> Session {
    Run { chunk, context: TEXT + 28, sequences: 2, checkpoints, ..Run::plain() }.session(model)
}

/// Numbers without a pattern, always the same.
struct Lengths(u64);

impl Lengths {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// However the text came, and however many states are kept.
#[test]
fn a_cut_state_is_that_of_a_fresh_run() {
    for name in MODELS {
        let Some(model) = model(name) else { return };
        let text = text(model.config().vocab);
        let whole = {
            let mut session = session(&model, 512, 0);
            let seq = session.open().unwrap();
            all(&mut session, seq, &text)
        };
        let every = Session::CHECKPOINT_TOKENS;
        let known = [0, 1, every - 1, every, every + 1, 2 * every, 3 * every - 1, TEXT - 1, TEXT];
        for (chunk, checkpoints) in [(1, 3), (7, 1), (7, 8), (64, 2), (512, 0), (512, 3)] {
            let mut session = session(&model, chunk, checkpoints);
            let seq = session.open().unwrap();
            let mut lengths = Lengths(chunk as u64 + checkpoints as u64);
            let mut cuts = known.to_vec();
            cuts.extend((0..6).map(|_| lengths.below(TEXT)));
            for cut in cuts {
                // Calls of any length up to some place; the cut; and a part of what follows.
                let end = (cut + lengths.below(TEXT)).min(TEXT);
                let mut at = session.len(seq).unwrap();
                while at < end {
                    let rows = (1 + lengths.below(300)).min(end - at);
                    session
                        .forward(&[Span { seq, tokens: &text[at..at + rows], logits: Want::None }])
                        .unwrap();
                    at += rows;
                }
                let cut = cut.min(at);
                session.truncate(seq, cut).unwrap_or_else(|error| panic!("{name}, {chunk}, {cut}: {error}"));
                assert_eq!(session.len(seq).unwrap(), cut, "{name}, {chunk}");
                let next = (cut + 9).min(TEXT);
                if cut < next {
                    let rows = all(&mut session, seq, &text[cut..next]);
                    assert!(
                        rows == whole[cut..next],
                        "{name}, chunk {chunk}, {checkpoints} states kept: cut to {cut} after {at}"
                    );
                }
            }
        }
    }
}

/// What speculation does: some tokens at once, of which some are right.
#[test]
fn drafts_are_taken_back() {
    for name in MODELS {
        let Some(model) = model(name) else { return };
        let text = text(model.config().vocab);
        let mut session = session(&model, 64, 1);
        let (plain, seq) = (session.open().unwrap(), session.open().unwrap());
        let whole = all(&mut session, plain, &text);
        let (mut len, mut lengths) = (0, Lengths(5));
        while len + 8 < TEXT {
            let right = 1 + lengths.below(6);
            let mut draft = text[len..len + right].to_vec();
            draft.extend((right..6).map(|at| (text[len + at] + 1) % 200));
            let rows = all(&mut session, seq, &draft);
            assert!(rows[..right] == whole[len..len + right], "{name} at {len}: {right} right ones");
            len += right;
            session.truncate(seq, len).unwrap();
        }
    }
}

#[test]
fn forks_are_cut_on_their_own() {
    for name in MODELS {
        let Some(model) = model(name) else { return };
        let text = text(model.config().vocab);
        let mut session = session(&model, 100, 2);
        let seq = session.open().unwrap();
        let half = TEXT / 2 + 3;
        let first = all(&mut session, seq, &text[..half]);
        let fork = session.fork(seq).unwrap();
        session.truncate(fork, 300).unwrap();
        let of_fork = all(&mut session, fork, &text[300..half]);
        assert!(of_fork == first[300..], "{name}: the fork");
        let rest = all(&mut session, seq, &text[half..]);
        session.truncate(seq, 290).unwrap();
        session.close(fork).unwrap();
        assert!(all(&mut session, seq, &text[290..half]) == first[290..], "{name}: its origin");
        assert!(all(&mut session, seq, &text[half..]) == rest, "{name}: its origin, further");
    }
}

#[test]
fn a_refused_cut_changes_nothing() {
    let Some(model) = model("qwen35") else { return };
    let mut session = session(&model, 64, 1);
    let seq = session.open().unwrap();
    let text = text(250);
    let whole = all(&mut session, seq, &text[..300]);
    let error = session.truncate(seq, 301).unwrap_err();
    assert!(matches!(error, ModelError::Truncate { len: 300, wanted: 301, .. }), "{error}");
    session.truncate(seq, 299).unwrap();
    assert!(all(&mut session, seq, &text[299..300]) == whole[299..]);
}

#[test]
fn states_are_told_with_the_memory() {
    let Some(model) = model("qwen35") else { return };
    let block = model.config().blocks.iter().find(|block| block.heads > 0).unwrap();
    let heads = (block.kv_heads * (block.head_dim + block.value_dim)) as u64;
    let plan = |sequences, context, checkpoints| {
        let options = SessionOptions {
            pool: Pool::new(1).unwrap(),
            kernels: Kernels::detect(),
            context,
            kv: KvType::F32,
            chunk: 64,
            max_sequences: sequences,
            kv_blocks: Some(2),
            checkpoints,
        };
        Session::memory_plan(&model, &options)
    };
    let bytes = |sequences, context, checkpoints| {
        let plan = plan(sequences, context, checkpoints).unwrap();
        // Two blocks of 64 tokens of the one layer with attention.
        assert_eq!(plan.kv_bytes, 2 * 64 * heads * 4);
        plan.state_bytes
    };
    // Three layers with 3 x 128 inputs of a convolution and 4 heads of 16 x 16.
    let state = 3 * (3 * 128 + 4 * 16 * 16) * 4;
    assert_eq!(bytes(1, 64, 9), 2 * state, "no place to keep one");
    assert_eq!(bytes(1, 600, 9), 4 * state, "two places");
    assert_eq!(bytes(3, 6000, 9), 3 * 11 * state);
    assert_eq!(bytes(1, 6000, 0), 2 * state);
    let error = plan(1 << 40, 1 << 30, 1 << 20).unwrap_err();
    assert!(matches!(error, ModelError::Memory { .. }), "{error}");
    let plain = Arc::new(Golden::read(&golden::own(), "llama-gqa").model());
    let options = SessionOptions {
        pool: Pool::new(1).unwrap(),
        kernels: Kernels::detect(),
        context: 600,
        kv: KvType::F32,
        chunk: 64,
        max_sequences: 1,
        kv_blocks: None,
        checkpoints: 9,
    };
    assert_eq!(Session::memory_plan(&plain, &options).unwrap().state_bytes, 0);
}
