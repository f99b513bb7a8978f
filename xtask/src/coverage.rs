//! How many lines of each crate the tests reach. No crate and no module is left out of the count.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::GateError;
use crate::gate::{Gate, Note};
use crate::launch::{Invocation, Watch};
use crate::workspace::{Package, Workspace, relative};

/// The share of lines that the tests of every crate must reach.
const AT_LEAST: f64 = 95.0;

/// How the command is called.
pub(crate) const USAGE: &str = "coverage [CRATE..]";

/// Programs that tests start add to a few files instead of writing one each: the tests of the command line start
/// thousands.
const PROFILES: (&str, &str) = ("LLVM_PROFILE_FILE_NAME", "realizar-%4m.profraw");

/// Measures with cargo-llvm-cov, which takes its LLVM tools from `LLVM_COV` and `LLVM_PROFDATA` where they are set. A crate
/// is held to its own tests: those of another one that call into it do not count.
pub(crate) fn run(gate: &mut Gate<'_>, arguments: &[String]) -> Result<Note, GateError> {
    gate.needs("llvm-cov", "cargo-llvm-cov")?;
    let mut packages = Workspace::read(gate)?.packages;
    if let Some(given) = arguments.iter().find(|given| !packages.iter().any(|known| known.name == **given)) {
        return Err(GateError::Usage { command: "coverage", given: given.clone(), usage: USAGE });
    }
    packages.retain(|package| arguments.is_empty() || arguments.contains(&package.name));
    let mut table = Vec::new();
    for package in &packages {
        table.push((&package.name, measure(gate, package)?));
    }
    gate.say("crate                          lines  reached   share")?;
    let mut below = 0;
    for (name, lines) in &table {
        let verdict = if lines.share() < AT_LEAST { "  below" } else { "" };
        below += usize::from(!verdict.is_empty());
        let (share, count, covered) = (lines.share(), lines.count, lines.covered);
        gate.say(&format!("{name:28} {count:7}  {covered:7}  {share:5.1} %{verdict}"))?;
    }
    if below > 0 {
        return Err(GateError::Refused { step: "coverage", count: below });
    }
    let crates = if table.len() == 1 { "crate" } else { "crates, each" };
    Ok(format!("{} {crates} at least {AT_LEAST} %", table.len()))
}
/// Runs the tests of one crate and counts the lines of its folder. What earlier runs left is taken away first.
fn measure(gate: &mut Gate<'_>, package: &Package) -> Result<Lines, GateError> {
    gate.must(&Invocation::cargo("llvm-cov clean --profraw-only"))?;
    let tests = Invocation::cargo("llvm-cov --no-report --no-fail-fast --all-features --package");
    gate.must(&tests.arg(&package.name).var(PROFILES.0, PROFILES.1))?;
    let report = Invocation::cargo("llvm-cov report --json --summary-only").watch(Watch::Stdout);
    let mut json = String::new();
    if !gate.programs.run(gate.root, &report, &mut |line| json.push_str(line))? {
        return Err(GateError::Failed { invocation: report.to_string() });
    }
    lines_of(gate.root, &package.folder(gate.root), &json)
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

/// The lines of all files below a folder.
fn lines_of(root: &Path, folder: &str, json: &str) -> Result<Lines, GateError> {
    let parsed = serde_json::from_str(json);
    let report: Report = parsed.map_err(|source| GateError::Json { what: "the coverage report", source })?;
    let folder = format!("{folder}/");
    let mut sum = Lines::default();
    for file in report.data.iter().flat_map(|export| &export.files) {
        if relative(root, &file.filename).starts_with(&folder) {
            sum.count += file.summary.lines.count;
            sum.covered += file.summary.lines.covered;
        }
    }
    Ok(sum)
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
    fn every_crate_is_held_to_the_same_share_by_its_own_tests() {
        let mut scene =
            Scene::new(&[]).answering("metadata", METADATA).answering("llvm-cov report", &report(95));
        assert_eq!(run(&mut scene.gate(), &[]).unwrap(), "2 crates, each at least 95 %");
        let printed = scene.printed();
        assert!(printed.contains("a                                200      190   95.0 %\n"), "{printed}");
        assert!(printed.contains("b                                  0        0  100.0 %\n"), "{printed}");
        let runs: Vec<String> = scene.seen().into_iter().filter(|line| line.contains("--package")).collect();
        assert_eq!(
            runs,
            ["a", "b"].map(|name| format!(
                "LLVM_PROFILE_FILE_NAME=\"realizar-%4m.profraw\" cargo llvm-cov --no-report --no-fail-fast \
                 --all-features --package {name}"
            ))
        );
    }

    #[test]
    fn some_crates_can_be_measured_alone() {
        let scene =
            || Scene::new(&[]).answering("metadata", METADATA).answering("llvm-cov report", &report(95));
        let mut one = scene();
        assert_eq!(run(&mut one.gate(), &["b".to_owned()]).unwrap(), "1 crate at least 95 %");
        assert!(!one.seen().iter().any(|line| line.ends_with("--package a")), "{:?}", one.seen());
        let error = run(&mut scene().gate(), &["a".to_owned(), "c".to_owned()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`coverage` takes no argument `c`; usage: cargo xtask coverage [CRATE..]"
        );
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
            ("clean", "`cargo llvm-cov clean --profraw-only` failed"),
            (
                "--no-report",
                "`LLVM_PROFILE_FILE_NAME=\"realizar-%4m.profraw\" cargo llvm-cov --no-report --no-fail-fast \
                 --all-features --package a` failed",
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
