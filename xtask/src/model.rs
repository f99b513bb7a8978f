//! `cargo xtask model`: a model file of random weights, so that anyone can repeat a figure.
//!
//! The gate knows nothing of the product, so the file is made by a program of the benches.

use std::path::absolute;

use crate::error::GateError;
use crate::gate::{Gate, Note};
use crate::launch::Invocation;

/// How the command is called.
pub(crate) const USAGE: &str = "model SHAPE TYPE OUT [--seed N] [--layers N]";

/// Builds the program and runs it; what it says goes to the terminal.
pub(crate) fn run(gate: &mut Gate<'_>, arguments: &[String]) -> Result<Note, GateError> {
    let [shape, dtype, out, flags @ ..] = arguments else {
        return Err(GateError::Usage { command: "model", given: arguments.join(" "), usage: USAGE });
    };
    // Programs start in the root of the workspace, wherever the command was typed.
    let path = absolute(out).map_err(|source| GateError::Read { path: out.into(), source })?;
    let build = "run --quiet --release --package realizar-benches --bin random-model --";
    let mut invocation = Invocation::cargo(build).arg(shape).arg(dtype).arg(path.to_string_lossy());
    for flag in flags {
        invocation = invocation.arg(flag);
    }
    gate.must(&invocation)?;
    Ok(format!("{shape} in {dtype} is at {out}"))
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::gate::tests::Scene;

    fn arguments(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_program_gets_an_absolute_path_and_the_flags() {
        let mut scene = Scene::new(&[]);
        let note = run(&mut scene.gate(), &arguments("tiny Q4_0 x/tiny.gguf --seed 7")).unwrap();
        assert_eq!(note, "tiny in Q4_0 is at x/tiny.gguf");
        let seen = scene.seen().remove(0);
        let expected = std::env::current_dir().unwrap().join("x/tiny.gguf");
        assert!(seen.ends_with(&format!("tiny Q4_0 {} --seed 7", expected.display())), "{seen}");
    }

    #[test]
    fn failures_are_told() {
        let mut scene = Scene::new(&[]).failing("random-model");
        assert!(run(&mut scene.gate(), &arguments("tiny Q4_0 x.gguf")).is_err());
        let error = run(&mut Scene::new(&[]).gate(), &arguments("tiny Q4_0")).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
