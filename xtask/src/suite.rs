//! All tests, and a count of them that does not hide what was skipped.
//!
//! Suites that need data which is not part of the repository print `SKIPPED (no shared/data): NAME` and pass; a
//! green run without them proves less, so their names are collected and shown. Both test runners hide what passing
//! tests print: cargo-nextest keeps it in its report, `cargo test` shows it on request.

use std::collections::BTreeSet;

use crate::error::GateError;
use crate::gate::{Gate, Note};
use crate::launch::{Invocation, Watch};
use crate::workspace::read;

/// What a suite prints when its data is missing.
const SKIPPED: &str = "SKIPPED (no shared/data): ";

/// What ran so far.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    without_data: BTreeSet<String>,
}

/// Runs every test of the workspace, then the examples in its documentation.
pub(crate) fn run(gate: &mut Gate<'_>) -> Result<Note, GateError> {
    let mut tally = Tally::default();
    let broken = if gate.programs.has_cargo(gate.root, "nextest")? {
        with_nextest(gate, &mut tally)?
    } else {
        let invocation =
            Invocation::cargo("test --workspace --all-targets --features realizar-http/axum --no-fail-fast");
        with_cargo(gate, &invocation, &mut tally)?
    };
    let invocation = Invocation::cargo("test --workspace --doc --no-fail-fast");
    let broken = broken.or(with_cargo(gate, &invocation, &mut tally)?);
    for suite in &tally.without_data {
        gate.say(&format!("{SKIPPED}{suite}"))?;
    }
    if let Some(invocation) = broken {
        gate.say(&tally.line())?;
        return Err(GateError::Failed { invocation: invocation.to_string() });
    }
    Ok(tally.line())
}

impl Tally {
    fn line(&self) -> String {
        let Self { passed, failed, skipped, without_data } = self;
        let line = format!("{passed} passed, {failed} failed, {skipped} skipped");
        match without_data.len() {
            0 => line,
            count => format!("{line} ({count} suites found no shared/data)"),
        }
    }

    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; ...`
    fn add_cargo_result(&mut self, line: &str) {
        let words: Vec<&str> = line.split([' ', ';']).collect();
        for pair in words.windows(2) {
            self.add(pair[0], pair[1]);
        }
    }

    /// `Summary [   0.021s] 4 tests run: 3 passed (1 slow), 1 failed, 2 skipped`
    fn add_nextest_summary(&mut self, line: &str) {
        let words: Vec<&str> = line.split([' ', ',', '(', ')']).collect();
        for pair in words.windows(2) {
            self.add(pair[0], pair[1]);
        }
    }

    fn add(&mut self, count: &str, what: &str) {
        let Ok(count) = count.parse::<u64>() else { return };
        match what {
            "passed" => self.passed += count,
            "failed" | "timed" => self.failed += count,
            "skipped" | "ignored" => self.skipped += count,
            _ => {}
        }
    }

    fn add_output(&mut self, line: &str) {
        if let Some((_, suite)) = line.split_once(SKIPPED) {
            let suite = suite.split('<').next().unwrap_or(suite).trim();
            self.without_data.insert(suite.replace("&amp;", "&").replace("&gt;", ">").replace("&lt;", "<"));
        }
    }
}

fn with_nextest(gate: &mut Gate<'_>, tally: &mut Tally) -> Result<Option<Invocation>, GateError> {
    // nextest keeps its reports here wherever the build goes.
    let report = gate.root.join("target/nextest/gate/junit.xml");
    let invocation = Invocation::cargo(
        "nextest run --workspace --all-targets --features realizar-http/axum --config-file xtask/nextest.toml \
         --profile gate --color never --no-tests pass",
    );
    let invocation = invocation.watch(Watch::Stderr);
    let mut printed = Ok(());
    let passed = gate.programs.run(gate.root, &invocation, &mut |line| {
        if line.trim_start().starts_with("Summary [") {
            tally.add_nextest_summary(line);
        }
        printed = writeln!(gate.out, "{line}");
    })?;
    printed.map_err(|source| GateError::Print { source })?;
    if report.is_file() {
        read(&report)?.lines().for_each(|line| tally.add_output(line));
    }
    Ok((!passed).then_some(invocation))
}

fn with_cargo(
    gate: &mut Gate<'_>,
    invocation: &Invocation,
    tally: &mut Tally,
) -> Result<Option<Invocation>, GateError> {
    let invocation = invocation.clone().arg("--").arg("--show-output").watch(Watch::Stdout);
    let mut printed = Ok(());
    let mut in_successes = false;
    let passed = gate.programs.run(gate.root, &invocation, &mut |line| {
        tally.add_output(line);
        if line.starts_with("test result: ") {
            tally.add_cargo_result(line);
        }
        in_successes = line == "successes:"
            || (in_successes && line != "failures:" && !line.starts_with("test result: "));
        if !in_successes && !line.trim().is_empty() && !line.ends_with(" ... ok") {
            printed = writeln!(gate.out, "{line}");
        }
    })?;
    printed.map_err(|source| GateError::Print { source })?;
    Ok((!passed).then_some(invocation))
}

#[cfg(test)]
mod tests {
    use super::{Tally, run};
    use crate::gate::tests::Scene;

    const DOC_TESTS: &str = "running 2 tests\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.1s";

    #[test]
    fn nextest_is_counted_and_its_report_read() {
        let report =
            "<system-err>SKIPPED (no shared/data): a &amp; b</system-err>\nSKIPPED (no shared/data): quant\n";
        let summary = "     Summary [   0.021s] 5 tests run: 4 passed (1 slow), 1 timed out, 2 skipped";
        let mut scene = Scene::new(&[("target/nextest/gate/junit.xml", report)])
            .answering("nextest run", summary)
            .answering("--doc", DOC_TESTS);
        let note = run(&mut scene.gate()).unwrap();
        assert_eq!(note, "6 passed, 1 failed, 3 skipped (2 suites found no shared/data)");
        let printed = scene.printed();
        assert!(
            printed.contains("SKIPPED (no shared/data): a & b\nSKIPPED (no shared/data): quant\n"),
            "{printed}"
        );
    }

    #[test]
    fn without_nextest_cargo_test_is_counted() {
        let output = "running 2 tests\ntest one ... ok\ntest two ... FAILED\n\nsuccesses:\n\n---- one stdout ----\n\
            SKIPPED (no shared/data): golden\nnoise\n\nfailures:\n\n---- two stdout ----\nthe story\n\n\
            test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let mut scene = Scene::new(&[])
            .failing("nextest")
            .failing("--all-targets")
            .answering("--all-targets", output)
            .answering("--doc", DOC_TESTS);
        let error = run(&mut scene.gate()).unwrap_err().to_string();
        assert!(error.starts_with("`cargo test --workspace --all-targets"), "{error}");
        let printed = scene.printed();
        assert!(printed.contains("the story") && !printed.contains("noise"), "{printed}");
        assert!(printed.contains("SKIPPED (no shared/data): golden"), "{printed}");
        assert!(
            printed.ends_with("3 passed, 1 failed, 1 skipped (1 suites found no shared/data)\n"),
            "{printed}"
        );
    }

    #[test]
    fn a_broken_doc_test_fails_the_step() {
        let mut scene = Scene::new(&[]).failing("--doc");
        assert!(run(&mut scene.gate()).unwrap_err().to_string().contains("--doc"));
    }

    #[test]
    fn a_plain_run_reads_as_a_plain_line() {
        let tally = Tally { passed: 3, ..Tally::default() };
        assert_eq!(tally.line(), "3 passed, 0 failed, 0 skipped");
    }
}
