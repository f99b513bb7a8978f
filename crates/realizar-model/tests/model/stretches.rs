//! Llama 4 beyond position 8,192, where layers that rotate begin a new stretch and the queries of the others grow.

use std::sync::Arc;

use realizar_model::{Span, Want};

use crate::file::{Fact, ModelFile};
use crate::golden::{self, Run, all, floats, load};

/// Positions whose logits `llama4-long.logits.f32` holds: llama.cpp 0c1e570 on the CPU with an F32 cache, for the text
/// `tokens` in batches of 512.
const POSITIONS: [usize; 7] = [100, 8190, 8191, 8192, 8193, 8200, 8299];

fn tokens() -> Vec<u32> {
    (0..8300).map(|at| at * 37 % 250).collect()
}

#[test]
fn stretches_and_temperatures_agree_with_the_reference() {
    let Some(data) = golden::shared("zoo-modern, positions beyond 8192") else { return };
    let mut file = ModelFile::open(&data.join("zoo-modern/llama4.gguf"));
    file.set("llama4.context_length", Fact::U32(8320));
    let model = Arc::new(load(&*file.source(), "llama4"));
    let text = tokens();
    let mut session = Run { chunk: 512, context: 8320, sequences: 2, ..Run::plain() }.session(&model);
    let seq = session.open().unwrap();
    let (mut found, mut at) = (Vec::new(), 0);
    let mut fork = None;
    for position in POSITIONS {
        let tokens = &text[at..=position];
        let logits = session.forward(&[Span { seq, tokens, logits: Want::Last }]).unwrap();
        found.extend_from_slice(logits.row(0));
        at = position + 1;
        if position == 8190 {
            fork = Some(session.fork(seq).unwrap());
        }
    }
    let expected = floats(&golden::own().join("llama4-long.logits.f32"));
    assert_eq!(found.len(), expected.len());
    let width = model.config().vocab;
    for (row, position) in POSITIONS.iter().enumerate() {
        let pair = found[row * width..].iter().zip(&expected[row * width..(row + 1) * width]);
        let worst = pair.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        eprintln!("position {position}: max|diff| {worst:.1e}");
        assert!(worst < 2e-4, "position {position}: {worst}");
    }

    // Over the edge in pieces of 7 and in one: the same bits.
    let fork = fork.unwrap();
    let pieces: Vec<_> = text[8191..].chunks(7).flat_map(|tokens| all(&mut session, fork, tokens)).collect();
    session.truncate(seq, 8191).unwrap();
    let whole = all(&mut session, seq, &text[8191..]);
    assert!(pieces == whole, "pieces of 7");
    let last = found.len() - width;
    assert!(whole[whole.len() - 1] == found[last..], "one piece");
}
