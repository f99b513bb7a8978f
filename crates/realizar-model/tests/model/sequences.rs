//! Sessions: what they refuse, and that a refusal changes nothing.

use std::sync::Arc;

use realizar_model::{Model, ModelError, SeqId, Session, SessionOptions, Span, Want};
use realizar_tensor::{KV_BLOCK, Kernels, KvType, Pool};

use crate::golden::{self, Golden, all, chain, last};

fn model() -> Arc<Model> {
    Arc::new(Golden::read(&golden::own(), "llama-gqa").model())
}

fn options() -> SessionOptions {
    SessionOptions {
        pool: Pool::new(1).unwrap(),
        kernels: Kernels::detect(),
        context: 200,
        kv: KvType::F32,
        chunk: 64,
        max_sequences: 2,
        kv_blocks: Some(5),
        checkpoints: 0,
    }
}

fn span(seq: SeqId, tokens: &[u32]) -> Span<'_> {
    Span { seq, tokens, logits: Want::Last }
}

/// An option and what breaks it.
type BadOption = (&'static str, fn(&mut SessionOptions));

#[test]
fn options_are_checked() {
    let cases: &[BadOption] = &[
        ("context", |options| options.context = 0),
        ("chunk", |options| options.chunk = 0),
        ("max_sequences", |options| options.max_sequences = 0),
        ("kv_blocks", |options| options.kv_blocks = Some(0)),
        ("context", |options| options.context = usize::MAX),
    ];
    for (name, change) in cases {
        let mut options = options();
        change(&mut options);
        let error = Session::new(model(), options).unwrap_err().to_string();
        assert!(error.starts_with(&format!("option `{name}` is ")), "{name}: {error}");
    }
    // q8_0 needs heads of 32 and more.
    let error = Session::new(model(), SessionOptions { kv: KvType::Q8_0, ..options() }).unwrap_err();
    assert!(matches!(error, ModelError::Compute { .. }), "{}", chain(&error));
}

#[test]
fn memory_is_told_before_it_is_taken() {
    let model = model();
    let plan = Session::memory_plan(&model, &options()).unwrap();
    // 5 blocks of 64 tokens, 2 layers, 2 heads of keys and values of 16 numbers.
    assert_eq!(plan.kv_bytes, 5 * 64 * 2 * 2 * (16 + 16) * 4);
    assert_eq!(plan.weights_bytes, model.weights_bytes());
    let longer = SessionOptions { chunk: 128, ..options() };
    let more = Session::memory_plan(&model, &longer).unwrap();
    assert!(more.scratch_bytes > plan.scratch_bytes && more.kv_bytes == plan.kv_bytes);
    let all = SessionOptions { kv_blocks: None, ..options() };
    assert_eq!(Session::memory_plan(&model, &all).unwrap().kv_bytes, plan.kv_bytes / 5 * 8);
    let huge = SessionOptions { kv_blocks: Some(usize::MAX), ..options() };
    let error = Session::new(model, huge).unwrap_err();
    assert!(matches!(error, ModelError::Memory { .. }), "{error}");
}

/// A pass never has more rows than the session can hold tokens.
#[test]
fn chunks_beyond_the_context_cost_nothing() {
    let model = model();
    let whole = SessionOptions { chunk: 400, kv_blocks: None, ..options() };
    let plan = Session::memory_plan(&model, &whole).unwrap();
    let tokens: Vec<u32> = (1..150).collect();
    let run = |options| {
        let mut session = Session::new(model.clone(), options).unwrap();
        let seq = session.open().unwrap();
        last(&mut session, seq, &tokens)
    };
    let expected = run(whole.clone());
    for chunk in [401, 1_000_000, 100_000_000, 999_999_999_999, usize::MAX] {
        let options = SessionOptions { chunk, ..whole.clone() };
        assert_eq!(Session::memory_plan(&model, &options).unwrap(), plan, "chunk {chunk}");
        assert!(run(options) == expected, "chunk {chunk}");
    }
    let few = SessionOptions { chunk: usize::MAX, kv_blocks: Some(1), ..options() };
    let one = SessionOptions { chunk: KV_BLOCK, ..few.clone() };
    assert_eq!(
        Session::memory_plan(&model, &few).unwrap(),
        Session::memory_plan(&model, &one).unwrap(),
        "one block"
    );
}

/// What no machine has is refused, not tried.
#[test]
fn options_that_need_too_much_are_refused() {
    const HUGE: usize = u32::MAX as usize;
    let cases: &[BadOption] = &[
        ("context, all blocks", |options| (options.context, options.kv_blocks) = (HUGE, None)),
        ("context and chunk", |options| {
            (options.context, options.chunk, options.kv_blocks) = (HUGE, HUGE, Some(HUGE));
        }),
        ("sequences", |options| options.max_sequences = usize::MAX),
        ("sequences of 10^13 bytes", |options| options.max_sequences = 100_000_000_000),
        ("sequences and chunk", |options| (options.max_sequences, options.chunk) = (usize::MAX, usize::MAX)),
        ("blocks", |options| options.kv_blocks = Some(HUGE)),
    ];
    for (name, change) in cases {
        let mut options = options();
        change(&mut options);
        let error = Session::new(model(), options).unwrap_err();
        assert!(matches!(error, ModelError::Memory { .. }), "{name}: {}", chain(&error));
    }
}

#[test]
fn a_refused_batch_changes_nothing() {
    let mut session = Session::new(model(), options()).unwrap();
    let (a, b) = (session.open().unwrap(), session.open().unwrap());
    let start: Vec<u32> = (1..100).collect();
    last(&mut session, a, &start);
    let closed = {
        session.close(b).unwrap();
        b
    };
    let b = session.open().unwrap();
    assert_ne!(closed, b, "a closed name is not used again");
    let long = [1; 150];
    let cases: &[(&str, &[Span<'_>], &str)] = &[
        ("closed", &[span(a, &[1]), span(closed, &[1])], "sequence 1 is not open"),
        ("twice", &[span(a, &[1]), span(a, &[2])], "sequence 0 appears twice in one batch"),
        ("no tokens", &[span(b, &[])], "sequence 1 has no tokens to run"),
        (
            "not a token",
            &[span(a, &[1]), span(b, &[5, 272])],
            "token 272 of sequence 1 is outside the vocabulary of 272",
        ),
        (
            "context",
            &[span(a, &long)],
            "sequence 0 holds 99 tokens and 150 more do not fit into a context of 200",
        ),
        (
            "cache",
            &[span(a, &long[..90]), span(b, &long)],
            "the batch needs 4 more cache blocks and 3 are free",
        ),
    ];
    for &(name, batch, expected) in cases {
        let error = session.forward(batch).unwrap_err().to_string();
        assert_eq!(error, expected, "{name}");
        let state = (session.len(a).unwrap(), session.len(b).unwrap(), session.free_blocks());
        assert_eq!(state, (99, 0, 3), "{name}");
    }
    assert!(session.forward(&[]).unwrap().rows() == 0);
    assert_eq!(session.open().unwrap_err().to_string(), "all 2 sequences are in use");
    assert_eq!(session.fork(a).unwrap_err().to_string(), "all 2 sequences are in use");
    assert_eq!(
        session.truncate(b, 1).unwrap_err().to_string(),
        "sequence 1 holds 0 tokens and cannot be cut to 1"
    );
    for error in [session.close(closed), session.truncate(closed, 0), session.len(closed).map(drop)] {
        assert!(matches!(error, Err(ModelError::UnknownSequence { seq: 1 })));
    }
    assert!(matches!(session.fork(closed), Err(ModelError::UnknownSequence { seq: 1 })));
    // And it still works.
    assert_eq!(last(&mut session, b, &[1]).len(), session.model().config().vocab);
}

#[test]
fn a_context_can_be_filled_to_its_end() {
    let mut session = Session::new(model(), options()).unwrap();
    let seq = session.open().unwrap();
    last(&mut session, seq, &[1; 199]);
    last(&mut session, seq, &[2]);
    assert!(matches!(session.forward(&[span(seq, &[3])]), Err(ModelError::ContextFull { adding: 1, .. })));
    assert_eq!(session.total_blocks() - session.free_blocks(), 200usize.div_ceil(KV_BLOCK));
}

#[test]
fn a_cut_sequence_goes_on_as_if_nothing_had_been_behind_the_cut() {
    let mut session = Session::new(model(), options()).unwrap();
    let seq = session.open().unwrap();
    let tokens: Vec<u32> = (3..143).collect();
    let rows = all(&mut session, seq, &tokens);
    for len in [0, 1, 63, 64, 65, 128, 139] {
        session.truncate(seq, len).unwrap();
        assert_eq!(session.total_blocks() - session.free_blocks(), len.div_ceil(KV_BLOCK), "{len}");
        assert!(all(&mut session, seq, &tokens[len..]) == rows[len..], "{len}");
    }
}

/// Logits that do not fit into one pass, mixed with spans that want none or one.
#[test]
fn wanted_rows_come_in_the_batch_order() {
    let model = model();
    let tokens: Vec<u32> = (1..120).collect();
    let mut session = Session::new(model.clone(), options()).unwrap();
    let (a, b) = (session.open().unwrap(), session.open().unwrap());
    let rows = all(&mut session, a, &tokens);
    session.truncate(a, 0).unwrap();
    for (want_a, want_b, expected) in [
        (Want::None, Want::Last, vec![49]),
        (Want::Last, Want::Last, vec![118, 49]),
        (Want::Last, Want::All, [118].into_iter().chain(0..50).collect()),
        (Want::All, Want::None, (0..119).collect()),
        (Want::None, Want::None, vec![]),
    ] {
        let batch = [
            Span { seq: a, tokens: &tokens, logits: want_a },
            Span { seq: b, tokens: &tokens[..50], logits: want_b },
        ];
        let logits = session.forward(&batch).unwrap();
        assert_eq!(logits.rows(), expected.len(), "{want_a:?} {want_b:?}");
        for (row, at) in expected.into_iter().enumerate() {
            assert!(logits.row(row) == rows[at], "{want_a:?} {want_b:?}: row {row}");
        }
        session.truncate(a, 0).unwrap();
        session.truncate(b, 0).unwrap();
    }
}

#[test]
fn types_can_be_sent_between_threads() {
    fn sent<T: Send + Sync>() {}
    sent::<Model>();
    sent::<Session>();
    sent::<realizar_model::Encoder>();
    sent::<ModelError>();
}
