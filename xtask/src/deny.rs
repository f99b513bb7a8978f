//! What we depend on: licences, sources, bans and duplicates, as `deny.toml` has them.
//!
//! Security advisories need a database from the network, so they are checked by the hosted workflow instead.

use crate::error::GateError;
use crate::gate::{Gate, Note};
use crate::launch::Invocation;

/// The release that `deny.toml` was written for.
const VERSION: &str = "0.20.2";

/// Runs cargo-deny and builds it first where it is missing.
pub(crate) fn run(gate: &mut Gate<'_>) -> Result<Note, GateError> {
    if !gate.programs.has_cargo(gate.root, "deny")? {
        gate.say("cargo-deny is missing: building it once")?;
        // An unoptimised build is there in a third of the time and fast enough for a graph of this size.
        gate.must(&Invocation::cargo("install --quiet --locked --debug cargo-deny --version").arg(VERSION))?;
    }
    gate.must(&Invocation::cargo("deny --log-level error --all-features check bans licenses sources"))?;
    Ok("bans, licenses and sources hold".to_owned())
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::gate::tests::Scene;

    #[test]
    fn the_tool_is_built_only_when_it_is_missing() {
        let mut scene = Scene::new(&[]);
        run(&mut scene.gate()).unwrap();
        assert!(!scene.seen().iter().any(|line| line.contains("install")), "{:?}", scene.seen());
        let mut bare = Scene::new(&[]).failing("cargo deny --version");
        run(&mut bare.gate()).unwrap();
        assert!(
            bare.seen().iter().any(|line| line.contains("install --quiet --locked")),
            "{:?}",
            bare.seen()
        );
    }

    #[test]
    fn a_violation_fails_the_step() {
        let mut scene = Scene::new(&[]).failing("check bans");
        assert!(
            run(&mut scene.gate()).unwrap_err().to_string().contains("check bans licenses sources` failed")
        );
    }
}
