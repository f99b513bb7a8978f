//! Each crate alone: a build of the whole workspace unifies features and hides the ones that a crate forgot.

use crate::error::GateError;
use crate::gate::{Gate, Note};
use crate::launch::Invocation;
use crate::workspace::{Package, Workspace};

/// Checks every crate with its default features, with none, and with each of its features alone.
pub(crate) fn run(gate: &mut Gate<'_>) -> Result<Note, GateError> {
    let workspace = Workspace::read(gate)?;
    let choices: Vec<String> = workspace.packages.iter().flat_map(choices).collect();
    for choice in &choices {
        // Clippy is `cargo check` that also refuses what only this choice leaves unused.
        gate.must(&Invocation::cargo(&format!("clippy --quiet --package {choice} -- -D warnings")))?;
    }
    Ok(format!("{} builds of {} crates", choices.len(), workspace.packages.len()))
}

/// The choices of features for one crate, as arguments. The members beside the house have none to choose.
fn choices(package: &Package) -> Vec<String> {
    let name = &package.name;
    let mut choices = vec![format!("{name} --no-default-features"), name.clone()];
    if package.features.is_empty() {
        choices.truncate(1);
    }
    let own = package.features.keys().filter(|feature| *feature != "default");
    choices.extend(own.map(|feature| format!("{name} --no-default-features --features {feature}")));
    choices
}

#[cfg(test)]
mod tests {
    use super::{choices, run};
    use crate::gate::tests::Scene;
    use crate::workspace::tests::package;

    #[test]
    fn every_feature_is_chosen_alone() {
        let mut crate_of_three = package("realizar-format", &[]);
        for feature in ["default", "mmap"] {
            crate_of_three.features.insert(feature.to_owned(), vec![]);
        }
        let expected = [
            "realizar-format --no-default-features",
            "realizar-format",
            "realizar-format --no-default-features --features mmap",
        ];
        assert_eq!(choices(&crate_of_three), expected);
        assert_eq!(choices(&package("xtask", &[])), ["xtask --no-default-features"]);
    }

    #[test]
    fn each_choice_is_built_and_a_broken_one_is_named() {
        let metadata = r#"{"target_directory":"/t","packages":[{"name":"xtask","manifest_path":"/w/x/Cargo.toml",
            "targets":[],"features":{},"dependencies":[]}]}"#;
        let mut scene = Scene::new(&[]).answering("metadata", metadata);
        assert_eq!(run(&mut scene.gate()).unwrap(), "1 builds of 1 crates");
        let mut broken = Scene::new(&[]).answering("metadata", metadata).failing("clippy");
        let error = run(&mut broken.gate()).unwrap_err().to_string();
        assert_eq!(
            error,
            "`cargo clippy --quiet --package xtask --no-default-features -- -D warnings` failed"
        );
    }
}
