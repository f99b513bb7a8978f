//! Mutation testing of one crate: changes to its code that no test notices.

use std::path::PathBuf;

use serde::Deserialize;

use crate::error::GateError;
use crate::gate::{Gate, Note};
use crate::launch::Invocation;
use crate::workspace::{Workspace, read};

/// How the command is called.
pub(crate) const USAGE: &str = "mutants -p CRATE";

/// Runs cargo-mutants on one crate and sums up what its tests missed.
pub(crate) fn run(gate: &mut Gate<'_>, arguments: &[String]) -> Result<Note, GateError> {
    let ["-p", package] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
        return Err(GateError::Usage { command: "mutants", given: arguments.join(" "), usage: USAGE });
    };
    gate.needs("mutants", "cargo-mutants")?;
    let output = Workspace::read(gate)?.target_directory.join("mutants");
    let outcomes = output.join("mutants.out/outcomes.json");
    let invocation = Invocation::cargo("mutants --no-shuffle --package").arg(package).arg("--output");
    let invocation = invocation.arg(output.to_string_lossy());
    let clean = gate.programs.run(gate.root, &invocation, &mut |_| {})?;
    let score = Score::read(outcomes)?;
    gate.say(&score.line(package))?;
    match score.missed + score.timeout {
        0 if clean => Ok(format!("every viable mutant of {package} was caught")),
        0 => Err(GateError::Failed { invocation: invocation.to_string() }),
        count => Err(GateError::Refused { step: "mutants", count }),
    }
}

/// What cargo-mutants counted.
#[derive(Debug, Deserialize)]
struct Score {
    caught: usize,
    missed: usize,
    timeout: usize,
    unviable: usize,
}

impl Score {
    fn read(path: PathBuf) -> Result<Self, GateError> {
        let json = read(&path)?;
        serde_json::from_str(&json)
            .map_err(|source| GateError::Json { what: "the outcomes of cargo-mutants", source })
    }

    fn line(&self, package: &str) -> String {
        let Self { caught, missed, timeout, unviable } = self;
        let viable = caught + missed + timeout;
        format!(
            "{package}: {caught} of {viable} viable mutants caught, {missed} missed, {timeout} timed out, {unviable} unviable"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::gate::tests::Scene;

    const METADATA: &str = r#"{"target_directory":"ROOT/target","packages":[]}"#;
    const OUTCOMES: &str = "target/mutants/mutants.out/outcomes.json";

    fn arguments(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn missed_mutants_fail_the_command() {
        let cases = [
            (
                r#"{"caught":9,"missed":0,"timeout":0,"unviable":2}"#,
                false,
                "every viable mutant of a was caught",
            ),
            (r#"{"caught":9,"missed":1,"timeout":1,"unviable":2}"#, false, "mutants: 2 to fix"),
            (r#"{"caught":0,"missed":0,"timeout":0,"unviable":0}"#, true, "failed"),
            ("{}", false, "the outcomes of cargo-mutants is not the JSON that was expected"),
        ];
        for (json, broken, expected) in cases {
            let mut scene = Scene::new(&[(OUTCOMES, json)]).answering("metadata", METADATA);
            if broken {
                scene = scene.failing("--no-shuffle");
            }
            let said = run(&mut scene.gate(), &arguments("-p a")).unwrap_or_else(|error| error.to_string());
            assert!(said.ends_with(expected), "{json}: {said}");
        }
    }

    #[test]
    fn the_crate_must_be_named() {
        for line in ["", "-p", "-p a b", "a b"] {
            let mut scene = Scene::new(&[]);
            let error = run(&mut scene.gate(), &arguments(line)).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}: {error}");
        }
    }

    #[test]
    fn a_run_without_outcomes_names_the_file() {
        let mut scene = Scene::new(&[]).answering("metadata", METADATA);
        let error = run(&mut scene.gate(), &arguments("-p a")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read ") && error.ends_with("outcomes.json"), "{error}");
    }
}
