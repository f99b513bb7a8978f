//! Valid containers with mutated numbers and shapes: loading either refuses them or gives a model that runs.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use realizar_model::{Encoder, EncoderOptions, Model, Pooling, Role, Session, SessionOptions, Span, Want};
use realizar_tensor::{Kernels, KvType, Pool};

use crate::file::{Fact, ModelFile};
use crate::golden;

/// Files per model. `REALIZAR_MUTANTS` asks for more.
const ROUNDS: u64 = 60;

/// A counter-based generator: round `n` is the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ bits >> 31) % sides as u64) as usize
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len())]
    }
}

fn mutate(file: &mut ModelFile, dice: &mut Dice) -> String {
    let mut what = Vec::new();
    for _ in 0..=dice.roll(3) {
        let kind = dice.roll(6);
        if kind < 3 {
            let at = dice.roll(file.facts.len());
            let (key, fact) = &mut file.facts[at];
            match fact {
                Fact::U32(number) => {
                    let near =
                        [number.wrapping_add(1), number.wrapping_sub(1), number.wrapping_mul(2), *number / 2];
                    let far = [0, 1, 3, 1_000_000, u32::MAX];
                    *number = dice.pick(&[near.as_slice(), &far].concat());
                }
                Fact::F32(number) => {
                    *number = dice.pick(&[0.0, -1.0, 1e-30, 1e30, f32::NAN, f32::INFINITY, 0.5])
                }
                Fact::Bool(truth) => *truth = !*truth,
                Fact::Text(_) if key == "general.architecture" => {}
                _ => *fact = Fact::U32(dice.roll(300) as u32),
            }
            what.push(format!("{key} = {fact:?}"));
            continue;
        }
        let at = dice.roll(file.tensors.len());
        let tensor = &mut file.tensors[at];
        what.push(format!("{} {:?}", tensor.name, tensor.dims));
        match kind {
            3 => tensor.dims.reverse(),
            4 => {
                // Another split of the same elements.
                let total: usize = tensor.dims.iter().product();
                tensor.dims =
                    dice.pick(&[[1, total], [total / 4, 4], [total / 8, 8], [2, total / 2]]).to_vec();
            }
            _ => {
                let other = dice.roll(file.tensors.len());
                let name = file.tensors[other].name.clone();
                file.tensors[other].name = std::mem::replace(&mut file.tensors[at].name, name);
            }
        }
    }
    what.join("; ")
}

/// Runs two steps of whatever has loaded.
pub(crate) fn run(model: Model) {
    let model = Arc::new(model);
    let pool = Pool::new(1).unwrap();
    let kernels = Kernels::detect();
    if model.config().arch.role == Role::Encoder {
        let max_tokens = 4.min(model.config().context);
        let mut encoder = Encoder::new(model, EncoderOptions { pool, kernels, max_tokens }).unwrap();
        let _ = encoder.encode(&[0], Pooling::Mean, true);
        return;
    }
    let context = 8.min(model.config().context);
    let options = SessionOptions {
        pool,
        kernels,
        context,
        kv: KvType::F32,
        chunk: 4,
        max_sequences: 1,
        kv_blocks: None,
        checkpoints: 1,
    };
    if Session::memory_plan(&model, &options).unwrap().scratch_bytes > 1 << 28 {
        return;
    }
    let mut session = Session::new(model, options).unwrap();
    let seq = session.open().unwrap();
    for tokens in [[0, 0].as_slice(), &[0]] {
        let _ = session.forward(&[Span { seq, tokens, logits: Want::All }]);
    }
}

#[test]
fn mutated_models_are_refused_or_run() {
    let rounds =
        std::env::var("REALIZAR_MUTANTS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let mut files: Vec<PathBuf> = vec![golden::own().join("llama-gqa.gguf")];
    if let Some(data) = golden::shared("mutated models of the zoo") {
        let names = std::fs::read_dir(data.join("zoo")).unwrap().map(|entry| entry.unwrap().path());
        files.extend(names.filter(|path| path.extension().is_some_and(|ending| ending == "gguf")));
    }
    files.sort();
    let (mut refused, mut ran) = (0, 0);
    for path in files {
        let original = ModelFile::open(&path);
        for round in 0..rounds {
            let mut file = original.clone();
            let what = mutate(&mut file, &mut Dice(round));
            let bytes = file.to_bytes();
            let Ok(source) = realizar_format::parse(bytes.into()) else { continue };
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| match Model::load(&*source) {
                Err(_) => false,
                Ok(model) => {
                    run(model);
                    true
                }
            }));
            match outcome {
                Ok(true) => ran += 1,
                Ok(false) => refused += 1,
                Err(_) => panic!("{} in round {round}: {what}", path.display()),
            }
        }
    }
    assert!(refused > 0 && ran > 0, "{refused} refused, {ran} ran");
}
