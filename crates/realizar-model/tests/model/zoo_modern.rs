//! Every model of the second zoo: decoders against the logits and the greedy continuation of their reference, however
//! their tokens are cut; what is not supported is refused by name.

use std::path::Path;
use std::sync::Arc;

use realizar_model::{ARCHITECTURES, Encoder, EncoderOptions, Model, Pooling, Session, Span, Want};
use realizar_quant::DType;
use realizar_tensor::{Kernels, Pool};

use crate::file::{ModelFile, Tensor};
use crate::golden::{self, Golden, Run, all, argmax, chain, floats, ids, last, outcome};

/// Names of all golden files of a kind.
pub(crate) fn names(folder: &Path, kind: &str) -> Vec<String> {
    let files =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = files.filter_map(|file| file.strip_suffix(".golden.json").map(str::to_owned));
    let mut names: Vec<String> =
        names.filter(|name| Golden::read(folder, name).json["kind"] == kind).collect();
    names.sort();
    names
}

/// `None`, or what is wrong with a model.
fn decoder(folder: &Path, name: &str, kernels: &'static Kernels) -> Option<String> {
    let golden = Golden::read(folder, name);
    let source = realizar_format::open(golden.file("model")).unwrap();
    let model = match Model::load(&*source) {
        Ok(model) => Arc::new(model),
        Err(error) => return Some(chain(&error)),
    };
    if !model.warnings().is_empty() {
        return Some(format!("{:?}", model.warnings()));
    }
    let run = Run { kernels, ..Run::plain() };
    let result = outcome(&golden, &golden, &model, run);
    let (error, limit) = (result.max_abs(), golden.number("suggested_max_abs"));
    let good = error <= limit && result.strayed.is_empty();
    eprintln!(
        "{} {name} on {}: max|diff| {error:.1e}, limit {limit:.1e}",
        if good { "pass" } else { "FAIL" },
        kernels.name()
    );
    if good {
        None
    } else {
        Some(format!("max|diff| {error:.1e}, limit {limit:.1e}; {}", result.strayed.join("; ")))
    }
}

fn report(failures: Vec<String>) {
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn modern_models_agree() {
    let Some(data) = golden::shared("zoo-modern, decoders") else { return };
    let folder = data.join("zoo-modern");
    let names = names(&folder, "decoder");
    let mut failures = Vec::new();
    for name in &names {
        let failed = decoder(&folder, name, Kernels::detect());
        failures.extend(failed.map(|text| format!("{name}: {text}")));
    }
    report(failures);
}

/// Logits after every token of a text, run in pieces of so many tokens.
fn pieces(session: &mut Session, text: &[u32], piece: usize) -> Vec<Vec<f32>> {
    let seq = session.open().unwrap();
    let rows = text.chunks(piece).flat_map(|tokens| all(session, seq, tokens)).collect();
    session.close(seq).unwrap();
    rows
}

/// One batch, token by token, pieces of 7, passes of 7 rows, a fork, and a cut: the same bits.
fn one_answer(model: &Arc<Model>, text: &[u32]) -> Option<&'static str> {
    let mut session = Run { chunk: 128, sequences: 3, ..Run::plain() }.session(model);
    let whole = pieces(&mut session, text, text.len());
    for (piece, what) in [(1, "token by token"), (7, "pieces of 7")] {
        if pieces(&mut session, text, piece) != whole {
            return Some(what);
        }
    }
    let mut narrow = Run { chunk: 7, threads: 1, ..Run::plain() }.session(model);
    if pieces(&mut narrow, text, text.len()) != whole {
        return Some("passes of 7 rows on one thread");
    }
    let half = text.len() / 2;
    let seq = session.open().unwrap();
    let mut rows = all(&mut session, seq, &text[..half]);
    let fork = session.fork(seq).unwrap();
    // Both go on in one batch, the fork behind its origin.
    for at in half..text.len() {
        let want = [
            Span { seq, tokens: &text[at..=at], logits: Want::All },
            Span { seq: fork, tokens: &text[at..=at], logits: Want::All },
        ];
        let logits = session.forward(&want).unwrap();
        if logits.row(0) != logits.row(1) {
            return Some("a fork beside its origin");
        }
        rows.push(logits.row(0).to_vec());
    }
    if rows != whole {
        return Some("a sequence with a fork");
    }
    for len in [text.len() - 1, half + 3, half, 5, 0] {
        session
            .truncate(seq, len)
            .unwrap_or_else(|error| panic!("{}: cut to {len}: {error}", model.config().arch.name));
        if session.len(seq).unwrap() != len || all(&mut session, seq, &text[len..]) != whole[len..] {
            return Some("a cut sequence");
        }
    }
    session.close(seq).unwrap();
    session.close(fork).unwrap();
    (session.free_blocks() != session.total_blocks()).then_some("blocks that are not given back")
}

#[test]
fn modern_models_answer_alike_however_they_are_cut() {
    let Some(data) = golden::shared("zoo-modern, determinism") else { return };
    let folder = data.join("zoo-modern");
    let mut failures = Vec::new();
    for name in names(&folder, "decoder") {
        let golden = Golden::read(&folder, &name);
        let model = golden.model();
        let prompt = &golden.json["prompts"].as_array().unwrap()[1];
        let text = [ids(&prompt["tokens"]), ids(&prompt["greedy"])].concat();
        failures.extend(one_answer(&Arc::new(model), &text).map(|what| format!("{name}: {what}")));
    }
    report(failures);
}

/// The greedy continuation by the shortest way: the whole prompt, then token by token.
#[test]
fn modern_models_go_on_greedily_on_every_table() {
    let Some(data) = golden::shared("zoo-modern, kernel tables") else { return };
    let folder = data.join("zoo-modern");
    let mut failures = Vec::new();
    for kernels in Kernels::available() {
        for name in names(&folder, "decoder") {
            let golden = Golden::read(&folder, &name);
            let model = golden.model();
            let mut session = Run { kernels, ..Run::plain() }.session(&Arc::new(model));
            let prompt = &golden.json["prompts"].as_array().unwrap()[0];
            let (tokens, greedy) = (ids(&prompt["tokens"]), ids(&prompt["greedy"]));
            let seq = session.open().unwrap();
            let mut chosen = vec![argmax(&last(&mut session, seq, &tokens))];
            while chosen.len() < greedy.len() {
                let next = chosen[chosen.len() - 1];
                chosen.push(argmax(&last(&mut session, seq, &[next])));
            }
            if chosen != greedy {
                failures.push(format!("{name} on {}", kernels.name()));
            }
        }
    }
    report(failures);
}

/// The largest difference of an encoder's vectors from the golden ones.
fn encoder(folder: &Path, name: &str, kernels: &'static Kernels) -> Result<f64, String> {
    let golden = Golden::read(folder, name);
    let source = realizar_format::open(golden.file("model")).unwrap();
    let model = Model::load(&*source).map_err(|error| chain(&error))?;
    if !model.warnings().is_empty() {
        return Err(format!("{:?}", model.warnings()));
    }
    let options = EncoderOptions { pool: Pool::new(2).unwrap(), kernels, max_tokens: 256 };
    let mut encoder = Encoder::new(Arc::new(model), options).unwrap();
    let width = golden.json["n_embd"].as_u64().unwrap() as usize;
    let expected = floats(&golden.file("embd_file"));
    let mut worst = 0.0f64;
    for (row, expected) in golden.json["embd_rows"].as_array().unwrap().iter().zip(expected.chunks(width)) {
        let tokens = ids(&golden.json["sequences"][row["seq"].as_u64().unwrap() as usize]);
        let pooling = match row["pooling"].as_str().unwrap() {
            "mean" => Pooling::Mean,
            "cls" => Pooling::Cls,
            "last" => Pooling::Last,
            _ => Pooling::None,
        };
        let vectors = encoder.encode(&tokens, pooling, row["normalised"].as_bool().unwrap()).unwrap();
        let at = row["token"].as_u64().unwrap_or(0) as usize * width;
        let vector = if pooling == Pooling::None { &vectors[at..at + width] } else { &vectors };
        worst = vector.iter().zip(expected).map(|(a, b)| f64::from((a - b).abs())).fold(worst, f64::max);
    }
    let limit = golden.number("suggested_max_abs");
    eprintln!("{name} on {}: max|diff| {worst:.1e}, limit {limit:.1e}", kernels.name());
    if worst <= limit { Ok(worst) } else { Err(format!("max|diff| {worst:.1e}, limit {limit:.1e}")) }
}

#[test]
fn modern_encoders_agree() {
    let Some(data) = golden::shared("zoo-modern, encoders") else { return };
    let folder = data.join("zoo-modern");
    let mut failures = Vec::new();
    for kernels in Kernels::available() {
        for name in names(&folder, "encoder") {
            let result = encoder(&folder, &name, kernels);
            failures.extend(result.err().map(|text| format!("{name} on {}: {text}", kernels.name())));
        }
    }
    report(failures);
}

/// Files that are neither decoders nor encoders are refused by name.
#[test]
fn others_are_refused() {
    let Some(data) = golden::shared("zoo-modern, others") else { return };
    let folder = data.join("zoo-modern");
    let others = names(&folder, "encoder-decoder");
    assert_eq!(others, ["t5"]);
    let source = realizar_format::open(folder.join("t5.gguf")).unwrap();
    let error = Model::load(&*source).unwrap_err().to_string();
    assert_eq!(
        error,
        "architecture `t5` cannot be run yet: it needs an encoder beside the decoder, attention across, and biases by \
         relative position"
    );
}

/// EmbeddingGemma's projections behind the pooling: two that undo each other change nothing.
#[test]
fn pooled_vectors_are_projected() {
    let Some(data) = golden::shared("zoo-modern, projections behind pooling") else { return };
    let mut file = ModelFile::open(&data.join("zoo-modern/gemma-embedding.gguf"));
    let vector = |file: &ModelFile, pooling| {
        let model = Arc::new(Model::load(&*file.source()).unwrap());
        let options =
            EncoderOptions { pool: Pool::new(1).unwrap(), kernels: Kernels::detect(), max_tokens: 16 };
        Encoder::new(model, options).unwrap().encode(&[1, 40, 41], pooling, false).unwrap()
    };
    let plain = vector(&file, Pooling::Mean);
    let diagonal = |rows: usize, cols: usize, value: f32| -> Vec<u8> {
        let cell = |at: usize| if at / cols % 32 == at % cols % 32 { value } else { 0.0 };
        (0..rows * cols).flat_map(|at| cell(at).to_le_bytes()).collect()
    };
    for (name, rows, cols, value) in [("dense_2.weight", 64, 32, 2.0), ("dense_3.weight", 32, 64, 0.25)] {
        let data = diagonal(rows, cols, value);
        file.tensors.push(Tensor { name: name.into(), dims: vec![rows, cols], dtype: DType::F32, data });
    }
    assert_eq!(vector(&file, Pooling::Mean), plain);
    assert_eq!(vector(&file, Pooling::None).len(), 3 * 32, "vectors of tokens are not");
    file.drop_tensor("dense_3.weight");
    assert_eq!(vector(&file, Pooling::Mean).len(), 64);
}

/// No architecture runs without a golden file or a tiny model that the peer has run, and the book's row of each has its
/// files and their limits.
#[test]
fn every_architecture_has_its_evidence() {
    let Some(data) = golden::shared("golden files per architecture") else { return };
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/transformer/models.md");
    let book = std::fs::read_to_string(book).unwrap();
    let mut seen = Vec::new();
    for folder in ["zoo", "zoo-modern"].map(|name| data.join(name)) {
        for name in names(&folder, "decoder").into_iter().chain(names(&folder, "encoder")) {
            let golden = Golden::read(&folder, &name);
            let source = realizar_format::open(golden.file("model")).unwrap();
            let arch = source.metadata("general.architecture").and_then(|value| value.as_str()).unwrap();
            seen.push(arch.to_owned());
            if !folder.ends_with("zoo-modern") {
                continue;
            }
            let row = book.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{arch}`")));
            let row = row.unwrap_or_else(|| panic!("the book has no row for {arch}"));
            let limit = format!(", {:.1e}", golden.number("suggested_max_abs"));
            assert!(row.contains(&limit), "{name}: no `{limit}` in {row}");
        }
    }
    for facts in ARCHITECTURES {
        let tiny = golden::own().join(format!("llama.cpp/{}.json", facts.name)).is_file();
        let row =
            book.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{}`", facts.name)));
        assert!(!tiny || row, "the book has no row for {}", facts.name);
        assert!(tiny || seen.iter().any(|arch| arch == facts.name), "{} has no golden file", facts.name);
    }
    assert!(names(&data.join("zoo-modern"), "decoder").len() == 55);
}
