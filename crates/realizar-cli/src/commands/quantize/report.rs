//! What was made, or would be: for people and for scripts.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use realizar_format::GgufWriter;
use realizar_model::GgufView;
use serde::Serialize;

use super::plan::Plan;
use crate::error::CliError;
use crate::output;

/// Sizes of the files that are read and made.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Summary<'a> {
    tensors: usize,
    bytes_in: u64,
    bytes_out: u64,
    seconds: f64,
    bits_per_weight: f64,
    /// How many tensors have each type.
    types: BTreeMap<&'static str, usize>,
    /// Tensors whose rows did not suit the type of the recipe.
    fallbacks: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Vec<Row<'a>>>,
}

/// A tensor of `--dry-run --json`.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    shape: &'a [usize],
    from: &'static str,
    to: &'static str,
    bytes_in: u64,
    bytes_out: u64,
}

const MIB: f64 = (1 << 20) as f64;

impl Report<'_> {
    /// The result of the work.
    pub(super) fn done(&self, took: Duration, json: bool) -> Result<(), CliError> {
        let summary = self.summary(took);
        if json {
            return output::json_line(&summary);
        }
        output::print(&format!("{} in {:.1} s\n", summary.text("became"), summary.seconds))
    }

    /// The result of `--dry-run`.
    pub(super) fn planned(&self, took: Duration, json: bool) -> Result<(), CliError> {
        let rows = self.plan.tensors.iter().map(|tensor| Row {
            name: tensor.name,
            shape: &tensor.shape,
            from: tensor.from.name(),
            to: tensor.to.name(),
            bytes_in: tensor.bytes_in,
            bytes_out: tensor.bytes_out,
        });
        let mut summary = self.summary(took);
        if json {
            summary.plan = Some(rows.collect());
            return output::json_line(&summary);
        }
        let mut text = String::new();
        for row in rows {
            let name = row.name.escape_debug();
            text.push_str(&match row.from == row.to {
                true => format!("{name} {:?}: {} ({} bytes)\n", row.shape, row.to, row.bytes_out),
                false => format!(
                    "{name} {:?}: {} ({} bytes) -> {} ({} bytes)\n",
                    row.shape, row.from, row.bytes_in, row.to, row.bytes_out
                ),
            });
        }
        output::print(&format!("{text}{}\n", summary.text("would become")))
    }

    fn summary(&self, took: Duration) -> Summary<'_> {
        let mut types = BTreeMap::new();
        let (mut elements, mut bytes) = (0.0, 0);
        for tensor in &self.plan.tensors {
            *types.entry(tensor.to.name()).or_default() += 1;
            elements += tensor.shape.elements().unwrap_or_default() as f64;
            bytes += tensor.bytes_out;
        }
        Summary {
            tensors: self.plan.tensors.len(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            seconds: took.as_secs_f64(),
            bits_per_weight: if elements > 0.0 { 8.0 * bytes as f64 / elements } else { 0.0 },
            types,
            fallbacks: self.plan.fallbacks(),
            plan: None,
        }
    }
}

impl Summary<'_> {
    fn text(&self, verb: &str) -> String {
        format!(
            "{} tensors, {:.1} MiB {verb} {:.1} MiB ({:.2} bits per weight)",
            self.tensors,
            self.bytes_in as f64 / MIB,
            self.bytes_out as f64 / MIB,
            self.bits_per_weight
        )
    }
}

/// How long the file will be: its head is made and counted, and its data is known.
pub(super) fn file_bytes(head: GgufWriter, plan: &Plan<'_>, weights: &GgufView<'_>) -> Result<u64, CliError> {
    let alignment = weights.value("general.alignment").and_then(|value| value.as_u64()).unwrap_or(32);
    let counted = Counter::default();
    drop(head.begin(counted.clone())?);
    let data: u64 = plan.tensors.iter().map(|tensor| tensor.bytes_out.next_multiple_of(alignment)).sum();
    Ok(counted.0.load(Ordering::Relaxed) + data)
}

/// Counts what is written to it.
#[derive(Debug, Clone, Default)]
struct Counter(Arc<AtomicU64>);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
