//! Heads of rerankers: what they compute from the vectors of a text, and what is refused.

use std::sync::Arc;

use realizar_model::{Encoder, EncoderOptions, Model, ModelError, Pooling};
use realizar_quant::DType;
use realizar_tensor::{Kernels, Pool};

use crate::file::{Fact, ModelFile, Tensor};
use crate::golden::{self, chain};

fn encoder(file: &ModelFile) -> Encoder {
    let model = Model::load(&*file.source()).unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(model.warnings(), []);
    let options = EncoderOptions { pool: Pool::new(1).unwrap(), kernels: Kernels::detect(), max_tokens: 32 };
    Encoder::new(Arc::new(model), options).unwrap()
}

fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 37 + seed * 11) % 29) as f32 / 29.0 - 0.5).collect()
}

fn add(file: &mut ModelFile, name: &str, dims: &[usize], values: &[f32]) {
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    file.tensors.push(Tensor { name: name.into(), dims: dims.to_vec(), dtype: DType::F32, data });
}

/// `rows` products of `x` with a matrix, plus a bias.
fn product(matrix: &[f32], x: &[f64], bias: &[f32]) -> Vec<f64> {
    let row = |(row, bias): (&[f32], &f32)| -> f64 {
        row.iter().zip(x).map(|(a, b)| f64::from(*a) * b).sum::<f64>() + f64::from(*bias)
    };
    matrix.chunks(x.len()).zip(bias).map(row).collect()
}

const TEXT: [u32; 6] = [1, 40, 41, 3, 17, 9];

/// Model, architecture, pooling, whether the head has its first matrix, classes.
const HEADS: &[(&str, &str, Pooling, bool, usize)] = &[
    ("jina-bert-v3", "jina-bert-v3", Pooling::Cls, true, 1),
    ("jina-bert-v3", "jina-bert-v3", Pooling::Cls, false, 1),
    ("modern-bert", "modern-bert", Pooling::Mean, true, 1),
    ("modern-bert", "modern-bert", Pooling::Cls, true, 1),
    ("qwen3vl", "qwen3vl", Pooling::Last, false, 2),
];

#[test]
fn scores_are_what_the_head_says() {
    let Some(data) = golden::shared("zoo-modern, rerankers") else { return };
    for &(name, arch, pooling, dense, classes) in HEADS {
        let case = format!("{name}, dense {dense}");
        let mut file = ModelFile::open(&data.join(format!("zoo-modern/{name}.gguf")));
        let vector = encoder(&file).encode(&TEXT, pooling, false).unwrap();
        let hidden = vector.len();
        let mut x: Vec<f64> = vector.iter().map(|x| f64::from(*x)).collect();
        file.set(&format!("{arch}.pooling_type"), Fact::U32(4));
        let modern = arch == "modern-bert";
        if modern && pooling == Pooling::Cls {
            file.set("modern-bert.classifier.pooling_type", Fact::U32(2));
        }
        if dense {
            let (weight, bias) = (values(hidden * hidden, 1), values(hidden, 2));
            add(&mut file, "cls.weight", &[hidden, hidden], &weight);
            add(&mut file, "cls.bias", &[hidden], &bias);
            let tanh = !modern;
            // erf by its series, exact enough for a test.
            let erf = |x: f64| {
                let term = |n: i32| {
                    let factorial: f64 = (1..=n).map(f64::from).product();
                    (-1f64).powi(n) * x.powi(2 * n + 1) / (factorial * f64::from(2 * n + 1))
                };
                2.0 / std::f64::consts::PI.sqrt() * (0..40).map(term).sum::<f64>()
            };
            let activate = |x: f64| {
                if tanh { x.tanh() } else { 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)) }
            };
            x = product(&weight, &x, &bias).into_iter().map(activate).collect();
        }
        let (weight, bias) = (values(classes * hidden, 3), values(classes, 4));
        add(&mut file, "cls.output.weight", &[classes, hidden], &weight);
        add(&mut file, "cls.output.bias", &[classes], &bias);
        let out = product(&weight, &x, &bias);
        let expected = if classes == 2 { 1.0 / (1.0 + (out[1] - out[0]).exp()) } else { out[0] };
        let mut ranker = encoder(&file);
        let found = ranker.score(&TEXT).unwrap();
        assert!((f64::from(found) - expected).abs() < 1e-4, "{case}: {found} instead of {expected}");
        assert_eq!(ranker.score(&TEXT).unwrap().to_bits(), found.to_bits(), "{case}: again");
        assert_ne!(ranker.score(&[1, 40, 41, 3, 18]).unwrap(), found, "{case}: another text");
        assert!(matches!(ranker.score(&[]), Err(ModelError::NoTokens { .. })), "{case}");
    }
}

#[test]
fn heads_that_cannot_be_are_refused() {
    let Some(data) = golden::shared("zoo-modern, rerankers' heads") else { return };
    let mut file = ModelFile::open(&data.join("zoo-modern/jina-bert-v3.gguf"));
    let error = encoder(&file).score(&TEXT).unwrap_err().to_string();
    assert_eq!(error, "architecture `jina-bert-v3` is without a reranker's head");
    let error = encoder(&file).last_logits(&TEXT).unwrap_err().to_string();
    assert_eq!(error, "architecture `jina-bert-v3` is an encoder");
    file.set("jina-bert-v3.pooling_type", Fact::U32(4));
    let refusal = |file: &ModelFile| Model::load(&*file.source()).unwrap_err().to_string();
    assert_eq!(refusal(&file), "tensors are missing: cls.output.weight");
    add(&mut file, "cls.output.weight", &[1, 16], &values(16, 1));
    assert!(refusal(&file).starts_with("tensor `cls.output.weight` has shape [1, 16]"), "{}", refusal(&file));
}

/// A decoder without a head: yes and no are words of its vocabulary.
#[test]
fn the_last_logits_are_those_of_a_session() {
    let file = ModelFile::open(&golden::own().join("llama-gqa.gguf"));
    let model = Arc::new(Model::load(&*file.source()).unwrap());
    let mut session = golden::Run::plain().session(&model);
    let seq = session.open().unwrap();
    let expected = golden::last(&mut session, seq, &TEXT);
    assert_eq!(encoder(&file).last_logits(&TEXT).unwrap(), expected);
}
