//! The same bytes whatever runs beside them: threads, chunks, batch mates, forks, and a fresh start.

use std::sync::Arc;

use realizar_model::{Model, Session, Span, Want};
use realizar_tensor::{Kernels, KvType};

use crate::file::ModelFile;
use crate::golden::{self, Golden, Run, all, forced, ids, last, load};

/// Models whose paths differ most from each other, of the data beside the checkout.
const MODELS: &[&str] = &[
    "llama-gqa",
    "llama-gqa256-Q8_0",
    "llama-gqa256-Q4_K",
    "llama-gqa256-Q6_K",
    "llama-gqa256-IQ2_XS",
    "llama-gqa256-F16",
    "llama-gqa64-BF16",
    "gemma2",
    "gemma3",
    "gpt-oss-MXFP4",
    "qwen2moe",
    "deepseek3",
    "mistral3",
    "phi2",
    "gpt2",
];

/// Threads, and tokens per pass.
const ALL_WAYS: &[(usize, usize)] =
    &[(1, 1), (1, 7), (1, 64), (2, 1), (2, 7), (2, 64), (4, 1), (4, 7), (4, 64), (4, 512)];

fn bits(rows: &[Vec<f32>]) -> Vec<u32> {
    rows.iter().flatten().map(|x| x.to_bits()).collect()
}

fn agrees(golden: &Golden, name: &str, kernels: &'static Kernels, ways: &[(usize, usize)]) {
    let model = Arc::new(golden.model());
    let prompt = ids(&golden.json["prompts"][1]["tokens"]);
    let (prompt, follow) = prompt.split_at(prompt.len() - 5);
    let context = golden.context().min(model.config().context);
    for kv in [KvType::F32, KvType::F16] {
        let rows = |threads, chunk| {
            let run = Run { kernels, threads, chunk, context, kv, sequences: 1, checkpoints: 1 };
            let mut session = run.session(&model);
            let mut rows = forced(&mut session, prompt, follow);
            let seq = session.open().unwrap();
            let alone = last(&mut session, seq, prompt);
            assert!(alone == rows[prompt.len() - 1], "{name}: the last token's logits alone");
            rows.push(alone);
            bits(&rows)
        };
        let expected = rows(1, 512);
        for &(threads, chunk) in ways {
            let found = rows(threads, chunk);
            assert!(
                found == expected,
                "{name} on {}, {kv}, {threads} threads, chunks of {chunk}",
                kernels.name()
            );
        }
    }
}

#[test]
fn threads_and_chunks_change_nothing() {
    for kernels in Kernels::available() {
        for name in ["llama-gqa", "llama-gqa256-Q4_K", "gemma2"] {
            agrees(&Golden::read(&golden::own(), name), name, kernels, ALL_WAYS);
        }
    }
    let Some(data) = golden::shared("determinism of the zoo") else { return };
    for kernels in Kernels::available() {
        for name in MODELS {
            agrees(&Golden::read(&data.join("zoo"), name), name, kernels, &[(1, 1), (2, 7), (4, 64)]);
        }
    }
}

/// A session for three sequences on the slice in the repository.
fn session() -> (Golden, Session) {
    let golden = Golden::read(&golden::own(), "llama-gqa256-Q4_K");
    let session = Run { sequences: 3, chunk: 16, ..Run::plain() }.session(&Arc::new(golden.model()));
    (golden, session)
}

#[test]
fn batch_mates_change_nothing() {
    let (golden, mut session) = session();
    let prompts: Vec<Vec<u32>> = (0..2).map(|at| ids(&golden.json["prompts"][at]["tokens"])).collect();
    let alone: Vec<Vec<u32>> =
        prompts.iter().map(|prompt| bits(&forced(&mut session, prompt, &[1, 2, 3]))).collect();
    let (a, b) = (session.open().unwrap(), session.open().unwrap());
    let both = |tokens: [&[u32]; 2], session: &mut Session| {
        let [first, second] = tokens;
        let span = |seq, tokens| Span { seq, tokens, logits: Want::All };
        let logits = session.forward(&[span(a, first), span(b, second)]).unwrap();
        let rows: Vec<Vec<f32>> = (0..logits.rows()).map(|row| logits.row(row).to_vec()).collect();
        let (first, second) = rows.split_at(first.len());
        [first.to_vec(), second.to_vec()]
    };
    let mut together = both([&prompts[0], &prompts[1]], &mut session);
    for token in [1, 2] {
        for (rows, more) in together.iter_mut().zip(both([&[token], &[token]], &mut session)) {
            rows.extend(more);
        }
    }
    for (at, rows) in together.iter().enumerate() {
        assert!(bits(rows) == alone[at], "sequence {at} of a batch");
    }
}

#[test]
fn a_fork_goes_on_as_its_origin() {
    let (golden, mut session) = session();
    let prompt = ids(&golden.json["prompts"][1]["tokens"]);
    let origin = session.open().unwrap();
    all(&mut session, origin, &prompt);
    let free = session.free_blocks();
    let fork = session.fork(origin).unwrap();
    assert_eq!(
        (session.free_blocks(), session.len(fork).unwrap()),
        (free, prompt.len()),
        "a fork shares its blocks"
    );
    let there = last(&mut session, fork, &[7]);
    assert_eq!(session.free_blocks(), free - 1, "the block that is written is copied");
    let other = last(&mut session, fork, &[9]);
    assert!(last(&mut session, origin, &[7]) == there, "the origin's next token");
    assert!(last(&mut session, origin, &[9]) == other, "and the one after");
    session.truncate(fork, prompt.len()).unwrap();
    assert!(last(&mut session, fork, &[7]) == there, "a fork that was cut back");
    session.close(origin).unwrap();
    assert!(last(&mut session, fork, &[9]) == other, "a fork whose origin is gone");
    session.close(fork).unwrap();
    assert_eq!(session.free_blocks(), session.total_blocks());
}

/// A sequence that ends in NaN leaves nothing behind: neither in its batch mates nor in the blocks it had.
#[test]
fn broken_numbers_stay_in_their_sequence() {
    for kernels in Kernels::available() {
        for kv in [KvType::F32, KvType::F16, KvType::Q8_0] {
            let mut file = ModelFile::open(&golden::own().join("llama-gqa256-Q4_K.gguf"));
            let clean: Arc<Model> = Arc::new(load(&*file.source(), "clean"));
            // Scales of the row of token 5 become NaN; it is tied to the logits of token 5 for everyone.
            let row_bytes = file.tensor("token_embd.weight").data.len() / 264;
            for block in file.tensor("token_embd.weight").data[5 * row_bytes..6 * row_bytes].chunks_mut(144) {
                block[..2].copy_from_slice(&0x7e00u16.to_le_bytes());
            }
            let broken = Arc::new(load(&*file.source(), "broken"));
            let run = Run { kernels, kv, sequences: 2, ..Run::plain() };
            let mut session = run.session(&clean);
            let seq = session.open().unwrap();
            let expected = all(&mut session, seq, &[1, 2, 3]);
            let mut session = run.session(&broken);
            let (bad, good) = (session.open().unwrap(), session.open().unwrap());
            let span = |seq, tokens| Span { seq, tokens, logits: Want::All };
            let logits = session.forward(&[span(bad, &[1, 5, 3]), span(good, &[1, 2, 3])]).unwrap();
            let same = |row: &[f32], expected: &[f32]| {
                row.iter().zip(expected).enumerate().all(|(at, (a, b))| at == 5 || a.to_bits() == b.to_bits())
            };
            for (row, expected) in expected.iter().enumerate() {
                assert!(same(logits.row(3 + row), expected), "{kv} on {}: a batch mate", kernels.name());
            }
            assert!(
                logits.check(2).is_err() && logits.row(2).iter().all(|x| x.is_nan()),
                "{kv}: {}",
                kernels.name()
            );
            session.close(bad).unwrap();
            let fresh = session.open().unwrap();
            let rows = all(&mut session, fresh, &[1, 2, 3]);
            for (row, expected) in rows.iter().zip(&expected) {
                assert!(same(row, expected), "{kv} on {}: who gets the blocks next", kernels.name());
            }
        }
    }
}
