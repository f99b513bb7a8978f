//! Encoders against the vectors of their reference, and a decoder's last states.

use std::sync::Arc;

use realizar_model::{Encoder, EncoderOptions, Model, ModelError, Pooling};
use realizar_tensor::{Kernels, Pool};

use crate::golden::{self, Golden, floats, ids};

const ENCODERS: &[&str] = &["bert-mean", "bert-cls", "nomic-bert", "jina-bert-v2"];

fn encoder(model: &Arc<Model>, kernels: &'static Kernels, threads: usize, max_tokens: usize) -> Encoder {
    let pool = Pool::new(threads).unwrap();
    Encoder::new(model.clone(), EncoderOptions { pool, kernels, max_tokens }).unwrap()
}

fn pooling(name: &str) -> Pooling {
    match name {
        "mean" => Pooling::Mean,
        "cls" => Pooling::Cls,
        "last" => Pooling::Last,
        other => panic!("pooling {other}"),
    }
}

#[test]
fn vectors_agree() {
    let Some(data) = golden::shared("zoo, encoders") else { return };
    for kernels in Kernels::available() {
        for name in ENCODERS {
            let golden = Golden::read(&data.join("zoo"), name);
            let model = Arc::new(golden.model());
            assert_eq!(
                model.config().pooling,
                Some(pooling(golden.json["pooling_in_file"].as_str().unwrap())),
                "{name}"
            );
            let mut encoder = encoder(&model, kernels, 2, 100);
            let width = golden.json["n_embd"].as_u64().unwrap() as usize;
            let (std, limit) =
                (golden.number("embd_std"), golden.json["tolerance"]["max_abs_over_std"].as_f64().unwrap());
            let mut worst = 0.0f64;
            let expected = floats(&golden.file("embd_file"));
            for (row, expected) in
                golden.json["embd_rows"].as_array().unwrap().iter().zip(expected.chunks(width))
            {
                let tokens = ids(&golden.json["sequences"][row["seq"].as_u64().unwrap() as usize]);
                let unit_length = row["normalised"].as_bool().unwrap();
                let vector = match row["pooling"].as_str().unwrap() {
                    "none" => {
                        let at = row["token"].as_u64().unwrap() as usize * width;
                        encoder.encode(&tokens, Pooling::None, unit_length).unwrap()[at..at + width].to_vec()
                    }
                    word => encoder.encode(&tokens, pooling(word), unit_length).unwrap(),
                };
                let pairs = || vector.iter().zip(expected).map(|(a, b)| (f64::from(*a), f64::from(*b)));
                let dot = |f: fn((f64, f64)) -> f64| pairs().map(f).sum::<f64>();
                let cosine = dot(|(a, b)| a * b) / (dot(|(a, _)| a * a) * dot(|(_, b)| b * b)).sqrt();
                assert!(cosine >= 0.99999, "{name} {row}: cosine {cosine}");
                worst = pairs().map(|(a, b)| (a - b).abs() / std).fold(worst, f64::max);
            }
            eprintln!("{name} on {}: max|diff|/std {worst:.1e}, limit {limit:.1e}", kernels.name());
            assert!(worst <= limit, "{name}: {worst} above {limit}");
        }
    }
}

#[test]
fn vectors_do_not_depend_on_threads_or_on_the_text_before() {
    let Some(data) = golden::shared("zoo, encoders, determinism") else { return };
    for name in ENCODERS {
        let golden = Golden::read(&data.join("zoo"), name);
        let model = Arc::new(golden.model());
        let texts: Vec<Vec<u32>> = golden.json["sequences"].as_array().unwrap().iter().map(ids).collect();
        let vectors = |threads, tokens| {
            let mut encoder = encoder(&model, Kernels::detect(), threads, tokens);
            texts.iter().map(|text| encoder.encode(text, Pooling::Mean, true).unwrap()).collect::<Vec<_>>()
        };
        let expected = vectors(1, 76);
        assert!(vectors(4, 100) == expected, "{name}");
        let mut reversed = encoder(&model, Kernels::detect(), 2, 76);
        for (text, expected) in texts.iter().zip(&expected).rev() {
            assert!(reversed.encode(text, Pooling::Mean, true).unwrap() == *expected, "{name}");
        }
    }
}

/// A decoder encodes as well: the state of its last token after the last norm.
#[test]
fn a_decoder_gives_its_states() {
    let golden = Golden::read(&golden::own(), "llama-gqa");
    let model = Arc::new(golden.model());
    let mut encoder = encoder(&model, Kernels::detect(), 1, 16);
    let tokens = [1, 34, 50, 212];
    let all = encoder.encode(&tokens, Pooling::None, false).unwrap();
    assert_eq!(all.len(), 4 * 64);
    // A decoder's token does not see what follows it.
    assert_eq!(encoder.encode(&tokens[..2], Pooling::Last, false).unwrap(), all[64..128]);
}

#[test]
fn texts_that_cannot_be_encoded_are_refused() {
    let golden = Golden::read(&golden::own(), "llama-gqa");
    let model = Arc::new(golden.model());
    let mut encoder = encoder(&model, Kernels::detect(), 1, 3);
    let cases: &[(&str, &[u32], &str)] = &[
        ("no tokens", &[], "sequence 0 has no tokens to run"),
        ("too long", &[1; 4], "sequence 0 holds 0 tokens and 4 more do not fit into a context of 3"),
        ("not a token", &[1, 272], "token 272 of sequence 0 is outside the vocabulary of 272"),
    ];
    for &(case, tokens, expected) in cases {
        let error = encoder.encode(tokens, Pooling::Mean, true).unwrap_err();
        assert_eq!(error.to_string(), expected, "{case}");
    }
    let options = EncoderOptions { pool: Pool::new(1).unwrap(), kernels: Kernels::detect(), max_tokens: 0 };
    let error = Encoder::new(model, options).unwrap_err();
    assert!(matches!(error, ModelError::Option { option: "max_tokens", found: 0, .. }), "{error}");
}
