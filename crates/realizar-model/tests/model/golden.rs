//! Golden files: where they are, what they hold, how an engine is judged by them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use realizar_format::TensorSource;
use realizar_model::{Model, SeqId, Session, SessionOptions, Span, Want};
use realizar_tensor::{Kernels, KvType, Pool};
use serde_json::Value;

use crate::judge;
pub(crate) use crate::judge::{floats, kl, log_softmax};

/// The folder of golden data beside the checkout; says so when it is absent.
pub(crate) fn shared(suite: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED (no shared/data): {suite}");
    None
}

/// The slice of it that is part of the repository.
pub(crate) fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

pub(crate) fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// `NAME.golden.json` with the files it speaks of.
pub(crate) struct Golden {
    pub(crate) folder: PathBuf,
    pub(crate) json: Value,
}

impl Golden {
    pub(crate) fn read(folder: &Path, name: &str) -> Self {
        Self { folder: folder.to_owned(), json: judge::json(&folder.join(format!("{name}.golden.json"))) }
    }

    pub(crate) fn number(&self, key: &str) -> f64 {
        self.json[key].as_f64().unwrap_or_else(|| panic!("no number {key}"))
    }

    pub(crate) fn file(&self, key: &str) -> PathBuf {
        self.folder.join(self.json[key].as_str().unwrap_or_else(|| panic!("no file {key}")))
    }

    pub(crate) fn model(&self) -> Model {
        let path = self.file("model");
        let source = realizar_format::open(&path).unwrap();
        load(&*source, &path.display().to_string())
    }

    pub(crate) fn context(&self) -> usize {
        self.json["n_ctx"].as_u64().unwrap_or(256) as usize
    }
}

pub(crate) fn load(source: &dyn TensorSource, name: &str) -> Model {
    let model = Model::load(source).unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
    assert_eq!(model.warnings(), [], "{name}");
    model
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// How a test runs a model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) kernels: &'static Kernels,
    pub(crate) threads: usize,
    pub(crate) chunk: usize,
    pub(crate) context: usize,
    pub(crate) kv: KvType,
    pub(crate) sequences: usize,
    pub(crate) checkpoints: usize,
}

impl Run {
    pub(crate) fn plain() -> Self {
        Self {
            kernels: Kernels::detect(),
            threads: 2,
            chunk: 32,
            context: 256,
            kv: KvType::F32,
            sequences: 1,
            checkpoints: 1,
        }
    }

    pub(crate) fn session(self, model: &Arc<Model>) -> Session {
        let options = SessionOptions {
            pool: Pool::new(self.threads).unwrap(),
            kernels: self.kernels,
            context: self.context,
            kv: self.kv,
            chunk: self.chunk,
            max_sequences: self.sequences,
            kv_blocks: None,
            checkpoints: self.checkpoints,
        };
        Session::new(model.clone(), options).unwrap_or_else(|error| panic!("{}", chain(&error)))
    }
}

pub(crate) fn argmax(row: &[f32]) -> u32 {
    let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    best.0 as u32
}

/// All rows of logits of one span.
pub(crate) fn all(session: &mut Session, seq: SeqId, tokens: &[u32]) -> Vec<Vec<f32>> {
    let logits = session.forward(&[Span { seq, tokens, logits: Want::All }]).unwrap();
    (0..logits.rows()).map(|row| logits.row(row).to_vec()).collect()
}

/// The logits after the last token of one span.
pub(crate) fn last(session: &mut Session, seq: SeqId, tokens: &[u32]) -> Vec<f32> {
    session.forward(&[Span { seq, tokens, logits: Want::Last }]).unwrap().row(0).to_vec()
}

/// Logits after every token of the prompt and of what follows it: the golden's own tokens, whatever the model would
/// have chosen.
pub(crate) fn forced(session: &mut Session, prompt: &[u32], follow: &[u32]) -> Vec<Vec<f32>> {
    let seq = session.open().unwrap();
    let mut rows = all(session, seq, prompt);
    for token in &follow[..follow.len() - 1] {
        rows.push(last(session, seq, &[*token]));
    }
    session.close(seq).unwrap();
    rows
}

/// What a run gave, beside what the golden says.
pub(crate) struct Outcome {
    pub(crate) rows: Vec<f32>,
    pub(crate) golden: Vec<f32>,
    pub(crate) vocab: usize,
    /// Prompts whose greedy tokens differ from the golden's.
    pub(crate) strayed: Vec<String>,
}

/// Runs all prompts of `prompts` and gathers the rows that `golden` speaks of.
pub(crate) fn outcome(golden: &Golden, prompts: &Golden, model: &Arc<Model>, run: Run) -> Outcome {
    let mut session = run.session(model);
    let (mut passes, mut strayed) = (Vec::new(), Vec::new());
    for (index, prompt) in prompts.json["prompts"].as_array().unwrap().iter().enumerate() {
        let tokens = ids(&prompt["tokens"]);
        let greedy = prompt.get("greedy").map(ids);
        let follow = greedy.clone().unwrap_or_else(|| ids(&prompt["forced"]));
        let rows = forced(&mut session, &tokens, &follow);
        if let Some(greedy) = greedy {
            let chosen: Vec<u32> = rows[tokens.len() - 1..].iter().map(|row| argmax(row)).collect();
            if chosen != greedy {
                strayed.push(format!("prompt {index}: {chosen:?} instead of {greedy:?}"));
            }
        }
        passes.push(rows);
    }
    let mut rows = Vec::new();
    for row in golden.json["logits_rows"].as_array().unwrap() {
        let at = |key: &str| row[key].as_u64().unwrap() as usize;
        rows.extend_from_slice(&passes[at("prompt")][at("pos")]);
    }
    let vocab = golden.json["n_vocab"].as_u64().unwrap() as usize;
    let wanted = floats(&golden.file("logits_file"));
    assert_eq!(rows.len(), wanted.len(), "rows of {}", golden.json["model"]);
    Outcome { rows, golden: wanted, vocab, strayed }
}

impl Outcome {
    pub(crate) fn max_abs(&self) -> f64 {
        let pairs = self.rows.iter().zip(&self.golden);
        pairs
            .map(|(a, b)| f64::from(a - b).abs())
            .fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst })
    }

    pub(crate) fn rms(&self) -> f64 {
        judge::rms(&self.rows, &self.golden)
    }

    pub(crate) fn kl(&self) -> f64 {
        judge::mean_kl(&self.golden, &self.rows, self.vocab)
    }
}
