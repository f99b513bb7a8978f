//! The checks that the toolchain brings along: formatting, lints, documentation.

use crate::error::GateError;
use crate::gate::{Gate, Note};
use crate::launch::Invocation;

/// Formatting, as `rustfmt.toml` has it.
pub(crate) fn fmt(gate: &mut Gate<'_>) -> Result<Note, GateError> {
    gate.must(&Invocation::cargo("fmt --all --check"))?;
    Ok("formatted".to_owned())
}

/// Every lint of the workspace's table, everywhere, as an error.
pub(crate) fn clippy(gate: &mut Gate<'_>) -> Result<Note, GateError> {
    gate.must(&Invocation::cargo("clippy --quiet --workspace --all-targets -- -D warnings"))?;
    Ok("no warning".to_owned())
}

/// Documentation with its links.
pub(crate) fn doc(gate: &mut Gate<'_>) -> Result<Note, GateError> {
    let invocation =
        Invocation::cargo("doc --quiet --workspace --no-deps").var("RUSTDOCFLAGS", "-D warnings");
    gate.must(&invocation)?;
    Ok("no warning".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{clippy, doc, fmt};
    use crate::error::GateError;
    use crate::gate::tests::Scene;
    use crate::gate::{Gate, Note};

    #[test]
    fn each_tool_is_asked_to_be_strict() {
        type Run = fn(&mut Gate<'_>) -> Result<Note, GateError>;
        let cases: [(Run, &'static str, &'static str); 3] = [
            (fmt, "cargo fmt", "--check"),
            (clippy, "cargo clippy", "-D warnings"),
            (doc, "cargo doc", "-D warnings"),
        ];
        for (run, program, strict) in cases {
            let mut scene = Scene::new(&[]);
            run(&mut scene.gate()).unwrap();
            assert!(
                scene.seen()[0].contains(program) && scene.seen()[0].contains(strict),
                "{:?}",
                scene.seen()
            );
            let mut broken = Scene::new(&[]).failing(program);
            let error = run(&mut broken.gate()).unwrap_err().to_string();
            assert!(error.ends_with("failed"), "{error}");
        }
    }
}
