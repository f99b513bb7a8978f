//! How many lines of each crate the tests reach. No crate and no module is left out of the count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::GateError;
use crate::gate::{Gate, Note};
use crate::launch::{Invocation, Watch};
use crate::workspace::{Workspace, relative};

/// The share of lines that the tests of every crate must reach.
const AT_LEAST: f64 = 95.0;

/// Measures with cargo-llvm-cov, which takes its LLVM tools from `LLVM_COV` and `LLVM_PROFDATA` where they are set.
pub(crate) fn run(gate: &mut Gate<'_>, arguments: &[String]) -> Result<Note, GateError> {
    if let Some(given) = arguments.first() {
        return Err(GateError::Usage { command: "coverage", given: given.clone(), usage: "coverage" });
    }
    gate.needs("llvm-cov", "cargo-llvm-cov")?;
    let folders: Vec<String> =
        Workspace::read(gate)?.packages.iter().map(|package| package.folder(gate.root)).collect();
    gate.must(&Invocation::cargo(
        "llvm-cov --workspace --features realizar-http/axum --no-report --no-fail-fast",
    ))?;
    let report = Invocation::cargo("llvm-cov report --json --summary-only").watch(Watch::Stdout);
    let mut json = String::new();
    if !gate.programs.run(gate.root, &report, &mut |line| json.push_str(line))? {
        return Err(GateError::Failed { invocation: report.to_string() });
    }
    let table = per_crate(gate.root, &folders, &json)?;
    gate.say("crate                          lines  reached   share")?;
    let mut below = 0;
    for (folder, lines) in &table {
        let verdict = if lines.share() < AT_LEAST { "  below" } else { "" };
        below += usize::from(!verdict.is_empty());
        let (share, count, covered) = (lines.share(), lines.count, lines.covered);
        gate.say(&format!("{folder:28} {count:7}  {covered:7}  {share:5.1} %{verdict}"))?;
    }
    if below > 0 {
        return Err(GateError::Refused { step: "coverage", count: below });
    }
    Ok(format!("{} crates, each at least {AT_LEAST} %", table.len()))
}

#[derive(Debug, Deserialize)]
struct Report {
    data: Vec<Export>,
}

#[derive(Debug, Deserialize)]
struct Export {
    files: Vec<Measured>,
}

#[derive(Debug, Deserialize)]
struct Measured {
    filename: PathBuf,
    summary: Summary,
}

#[derive(Debug, Deserialize)]
struct Summary {
    lines: Lines,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Deserialize)]
struct Lines {
    count: u32,
    covered: u32,
}

impl Lines {
    /// A crate without lines has nothing that a test could miss.
    fn share(self) -> f64 {
        if self.count == 0 { 100.0 } else { f64::from(self.covered) * 100.0 / f64::from(self.count) }
    }
}

fn per_crate(root: &Path, folders: &[String], json: &str) -> Result<BTreeMap<String, Lines>, GateError> {
    let parsed = serde_json::from_str(json);
    let report: Report = parsed.map_err(|source| GateError::Json { what: "the coverage report", source })?;
    let mut table: BTreeMap<String, Lines> =
        folders.iter().map(|folder| (folder.clone(), Lines::default())).collect();
    for file in report.data.iter().flat_map(|export| &export.files) {
        let path = relative(root, &file.filename);
        let owner = folders.iter().find(|folder| path.starts_with(&format!("{folder}/")));
        if let Some(lines) = owner.and_then(|folder| table.get_mut(folder)) {
            lines.count += file.summary.lines.count;
            lines.covered += file.summary.lines.covered;
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::gate::tests::Scene;

    const METADATA: &str = r#"{"target_directory":"/t","packages":[
        {"name":"a","manifest_path":"ROOT/crates/a/Cargo.toml","targets":[],"features":{},"dependencies":[]},
        {"name":"b","manifest_path":"ROOT/crates/b/Cargo.toml","targets":[],"features":{},"dependencies":[]}]}"#;

    fn report(covered: u32) -> String {
        let file = |path: &str, covered: u32| {
            format!(r#"{{"filename":"{path}","summary":{{"lines":{{"count":100,"covered":{covered}}}}}}}"#)
        };
        let files = [
            file("ROOT/crates/a/src/x.rs", 95),
            file("ROOT/crates/a/src/y.rs", covered),
            file("/other.rs", 0),
        ];
        format!(r#"{{"data":[{{"files":[{}]}}]}}"#, files.join(","))
    }

    #[test]
    fn every_crate_is_held_to_the_same_share() {
        let mut scene =
            Scene::new(&[]).answering("metadata", METADATA).answering("llvm-cov report", &report(95));
        assert_eq!(run(&mut scene.gate(), &[]).unwrap(), "2 crates, each at least 95 %");
        let printed = scene.printed();
        assert!(printed.contains("crates/a                         200      190   95.0 %\n"), "{printed}");
        assert!(printed.contains("crates/b                           0        0  100.0 %\n"), "{printed}");
    }

    #[test]
    fn a_crate_below_the_share_fails() {
        let mut scene =
            Scene::new(&[]).answering("metadata", METADATA).answering("llvm-cov report", &report(94));
        assert_eq!(run(&mut scene.gate(), &[]).unwrap_err().to_string(), "coverage: 1 to fix");
        assert!(scene.printed().contains("94.5 %  below"), "{}", scene.printed());
    }

    #[test]
    fn failing_tests_and_reports_are_failures() {
        let cases = [
            (
                "llvm-cov --version",
                "`cargo llvm-cov` is not installed; `cargo install --locked cargo-llvm-cov` installs it",
            ),
            (
                "--no-report",
                "`cargo llvm-cov --workspace --features realizar-http/axum --no-report --no-fail-fast` failed",
            ),
            ("llvm-cov report", "`cargo llvm-cov report --json --summary-only` failed"),
            ("nothing", "the coverage report is not the JSON that was expected"),
        ];
        for (part, expected) in cases {
            let mut scene = Scene::new(&[]).answering("metadata", METADATA).failing(part);
            assert_eq!(run(&mut scene.gate(), &[]).unwrap_err().to_string(), expected, "{part}");
        }
    }
}
