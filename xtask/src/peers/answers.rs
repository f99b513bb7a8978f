//! What the programs answer, as far as it is used here.

use serde::Deserialize;

use crate::error::GateError;

/// The answer of `realizar-cli bench --json`.
#[derive(Debug, Deserialize)]
pub(super) struct Ours {
    pub(super) isa: String,
    results: Vec<OurResult>,
    pub(super) hardware: Hardware,
}

/// One figure of ours.
#[derive(Debug, Deserialize)]
pub(super) struct OurResult {
    test: String,
    batch: usize,
    tokens_per_s: Speed,
    pub(super) bound: String,
    pub(super) share_of_bound: f64,
}

#[derive(Debug, Deserialize)]
struct Speed {
    median: f64,
}

/// The bounds of the machine.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Hardware {
    pub(super) read_gb_s: f64,
    pub(super) int8_gmac_s: f64,
    pub(super) f32_gmac_s: f64,
}

impl Ours {
    pub(super) fn parse(json: &str) -> Result<Self, GateError> {
        parse("the answer of realizar-cli", json)
    }

    /// The figure of one test.
    pub(super) fn result(&self, test: &str, batch: usize) -> Result<&OurResult, GateError> {
        let found = self.results.iter().find(|result| result.test == test && result.batch == batch);
        found.ok_or_else(|| GateError::Lacks { program: "realizar-cli", what: format!("{test} x {batch}") })
    }
}

impl OurResult {
    /// Tokens per second.
    pub(super) fn speed(&self) -> f64 {
        self.tokens_per_s.median
    }
}

/// One figure of llama-bench.
#[derive(Debug, Deserialize)]
pub(super) struct Theirs {
    build_commit: String,
    build_number: u64,
    n_prompt: usize,
    n_gen: usize,
    avg_ts: f64,
}

impl Theirs {
    pub(super) fn parse(json: &str) -> Result<Vec<Self>, GateError> {
        parse("the answer of llama-bench", json)
    }

    /// Tokens per second of the prompt, or of the answer.
    pub(super) fn speed(all: &[Self], prompt: bool) -> Result<f64, GateError> {
        let found = all.iter().find(|one| if prompt { one.n_prompt > 0 } else { one.n_gen > 0 });
        let what = if prompt { super::PREFILL } else { super::DECODE };
        let name = if prompt { "pp" } else { "tg" };
        let lacks = || GateError::Lacks { program: "llama-bench", what: format!("{name}{what}") };
        found.map(|one| one.avg_ts).ok_or_else(lacks)
    }

    /// Which build it was.
    pub(super) fn build(all: &[Self]) -> Option<String> {
        all.first().map(|one| format!("build {} ({})", one.build_number, one.build_commit))
    }
}

/// One line of llama-batched-bench.
#[derive(Debug, Deserialize)]
pub(super) struct Batched {
    /// Sequences.
    pub(super) pl: usize,
    /// Tokens per second of all answers together.
    pub(super) speed_tg: f64,
}

impl Batched {
    /// Its lines that are JSON; others are remarks.
    pub(super) fn parse(lines: &str) -> Result<Vec<Self>, GateError> {
        let json = lines.lines().filter(|line| line.starts_with('{'));
        json.map(|line| parse("the answer of llama-batched-bench", line)).collect()
    }
}

fn parse<'a, T: Deserialize<'a>>(what: &'static str, json: &'a str) -> Result<T, GateError> {
    serde_json::from_str(json).map_err(|source| GateError::Json { what, source })
}
