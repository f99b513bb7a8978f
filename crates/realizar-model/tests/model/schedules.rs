//! Sequences that are opened, forked, cut, closed and run together in any order: each is what it would be alone, to
//! the bit, and nothing is lost of the memory.

use std::sync::Arc;

use realizar_model::{Model, ModelError, SeqId, Session, Span, Want};

use crate::golden::{self, Golden, Run, all};

/// One of each kind of memory: attention alone, with windows, with latent keys, shared between layers, and every
/// kind of recurrent state; and whether it has windows.
const MODELS: [(&str, bool); 11] = [
    ("qwen35", false),
    ("falcon-h1", false),
    ("jamba", false),
    ("mamba2", false),
    ("lfm2", false),
    ("rwkv7", false),
    ("kimi-linear", false),
    ("gemma3n", true),
    ("gemma4-ple", true),
    ("deepseek32", false),
    ("mimo2", true),
];

/// Sequences at most, and tokens of each.
const SEQUENCES: usize = 5;
const CONTEXT: usize = 640;

const STEPS: usize = 60;

/// Numbers without a pattern, always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn tokens(&mut self, most: usize, vocab: usize) -> Vec<u32> {
        // Mostly a few tokens, at times a long prompt.
        let most = if self.below(4) == 0 { most } else { most.min(9) };
        (0..1 + self.below(most)).map(|_| self.below(vocab) as u32).collect()
    }
}

/// A sequence, and the tokens that it stands for.
type Known = (SeqId, Vec<u32>);

/// One thing that happens to the open sequences, other than that they run.
fn change(session: &mut Session, open: &mut Vec<Known>, dice: &mut Dice, windows: bool) {
    let room = open.len() < SEQUENCES;
    match dice.below(5) {
        0 | 1 if room => open.push((session.open().unwrap(), Vec::new())),
        2 if room && !open.is_empty() => {
            let (seq, tokens) = open[dice.below(open.len())].clone();
            open.push((session.fork(seq).unwrap(), tokens));
        }
        3 if !open.is_empty() => {
            let at = dice.below(open.len());
            let (seq, tokens) = &mut open[at];
            let len = dice.below(tokens.len() + 1);
            match session.truncate(*seq, len) {
                Ok(()) => tokens.truncate(len),
                // What windows have left behind is gone; the sequence stands as it was.
                Err(ModelError::Truncate { .. }) if windows => {}
                Err(error) => panic!("{len} of {}: {error}", tokens.len()),
            }
        }
        4 if open.len() > 2 => {
            let (seq, _) = open.swap_remove(dice.below(open.len()));
            session.close(seq).unwrap();
        }
        _ => {}
    }
}

/// Runs some of the open sequences in one batch; gives the last row of each, with its place in `open`.
fn run(session: &mut Session, open: &mut [Known], dice: &mut Dice, vocab: usize) -> Vec<(usize, Vec<f32>)> {
    let mut parts = Vec::new();
    for (at, (seq, tokens)) in open.iter_mut().enumerate() {
        let room = CONTEXT - tokens.len();
        if room > 0 && dice.below(3) > 0 {
            let new = dice.tokens(room.min(290), vocab);
            tokens.extend_from_slice(&new);
            parts.push((at, *seq, new));
        }
    }
    let spans: Vec<_> =
        parts.iter().map(|(_, seq, tokens)| Span { seq: *seq, tokens, logits: Want::Last }).collect();
    if spans.is_empty() {
        return Vec::new();
    }
    let logits = session.forward(&spans).unwrap();
    assert_eq!(logits.rows(), parts.len());
    parts.iter().enumerate().map(|(row, (at, ..))| (*at, logits.row(row).to_vec())).collect()
}

fn schedule(model: &Arc<Model>, (name, windows): (&str, bool), chunk: usize, checkpoints: usize) {
    let plain = Run { context: CONTEXT, ..Run::plain() };
    let mut session = Run { chunk, checkpoints, sequences: SEQUENCES, ..plain }.session(model);
    let mut alone = Run { chunk: 512, threads: 1, checkpoints: 0, ..plain }.session(model);
    let vocab = model.config().vocab;
    let (mut dice, mut open) = (Dice(chunk as u64), Vec::new());
    let (mut compared, mut longest) = (0, 0);
    for step in 0..STEPS {
        change(&mut session, &mut open, &mut dice, windows);
        for (at, row) in run(&mut session, &mut open, &mut dice, vocab) {
            let (_, tokens) = &open[at];
            if dice.below(4) > 0 {
                continue;
            }
            let seq = alone.open().unwrap();
            // With the logits of all tokens, which spares the last block nothing.
            let expected = all(&mut alone, seq, tokens).pop();
            alone.close(seq).unwrap();
            assert!(Some(row) == expected, "{name}, chunk {chunk}, step {step}: {} tokens", tokens.len());
            compared += 1;
            longest = longest.max(tokens.len());
        }
    }
    assert!(
        compared > STEPS / 4 && longest > CONTEXT / 2,
        "{name}: only {compared} compared, up to {longest} tokens"
    );
    for (seq, _) in open {
        session.close(seq).unwrap();
    }
    assert_eq!(session.free_blocks(), session.total_blocks(), "{name}, chunk {chunk}");
}

#[test]
fn any_order_of_events_leaves_each_sequence_what_it_is() {
    for (name, windows) in MODELS {
        let Some(data) = golden::shared("zoo-modern, schedules") else { return };
        let model = Arc::new(Golden::read(&data.join("zoo-modern"), name).model());
        for (chunk, checkpoints) in [(7, 1), (64, 3), (300, 0)] {
            schedule(&model, (name, windows), chunk, checkpoints);
        }
    }
}
