//! Who may depend on whom: the floors of the house, held against `cargo metadata`.
//!
//! The table is the decision, the manifests are the fact. A new edge is a change of this file, which a reviewer sees.

use crate::error::GateError;
use crate::finding::Finding;
use crate::gate::{Gate, Note};
use crate::workspace::{Dependency, Package, Workspace};

/// A crate of ours and every crate of ours that it may be built from.
#[derive(Debug)]
struct Layer {
    name: &'static str,
    may_use: &'static [&'static str],
}

/// Lowest first. A row uses only rows above it, so a cycle cannot be written down; tests of a crate may use
/// any row above its own.
const LAYERS: &[Layer] = &[
    Layer { name: "realizar-quant", may_use: &[] },
    Layer { name: "realizar-tokenize", may_use: &[] },
    Layer { name: "realizar-sample", may_use: &[] },
    Layer { name: "realizar-format", may_use: &["realizar-quant"] },
    Layer { name: "realizar-tensor", may_use: &["realizar-quant"] },
    Layer { name: "realizar-model", may_use: &["realizar-format", "realizar-tensor", "realizar-quant"] },
    Layer {
        name: "realizar-engine",
        may_use: &["realizar-model", "realizar-tokenize", "realizar-sample", "realizar-format"],
    },
    Layer { name: "realizar-http", may_use: &["realizar-engine"] },
    Layer {
        name: "realizar-cli",
        may_use: &[
            "realizar-quant",
            "realizar-tokenize",
            "realizar-sample",
            "realizar-format",
            "realizar-tensor",
            "realizar-model",
            "realizar-engine",
            "realizar-http",
        ],
    },
];

/// Beside the house: they may look at every floor, and no floor may know them.
const BESIDE: &[&str] = &["realizar-benches", "realizar-book"];

/// The gate knows the workspace and nothing of the product.
const GATE: &str = "xtask";

/// A foreign crate that enters the house by a few doors only.
#[derive(Debug)]
struct Door {
    foreign: &'static str,
    allowed: &'static [&'static str],
    /// Whether tests may have it anywhere.
    free_in_tests: bool,
}

const TENSOR: &[&str] = &["realizar-tensor"];
const TEXT_FORMATS: &[&str] = &[
    "realizar-format",
    "realizar-tokenize",
    "realizar-engine",
    "realizar-http",
    "realizar-cli",
    "realizar-benches",
    "xtask",
];

const DOORS: &[Door] = &[
    Door { foreign: "trueno", allowed: TENSOR, free_in_tests: false },
    Door { foreign: "wgpu", allowed: TENSOR, free_in_tests: false },
    Door { foreign: "naga", allowed: TENSOR, free_in_tests: false },
    Door { foreign: "ash", allowed: TENSOR, free_in_tests: false },
    Door { foreign: "cudarc", allowed: TENSOR, free_in_tests: false },
    Door { foreign: "pollster", allowed: TENSOR, free_in_tests: false },
    Door { foreign: "memmap2", allowed: &["realizar-format"], free_in_tests: false },
    Door { foreign: "hyper", allowed: &["realizar-http"], free_in_tests: false },
    Door { foreign: "hyper-util", allowed: &["realizar-http"], free_in_tests: false },
    Door { foreign: "axum", allowed: &["realizar-http"], free_in_tests: false },
    // The book's examples ask a server.
    Door {
        foreign: "tokio",
        allowed: &["realizar-http", "realizar-cli", "realizar-book"],
        free_in_tests: false,
    },
    Door { foreign: "clap", allowed: &["realizar-cli"], free_in_tests: false },
    Door { foreign: "serde", allowed: TEXT_FORMATS, free_in_tests: true },
    Door { foreign: "serde_json", allowed: TEXT_FORMATS, free_in_tests: true },
];

/// Refuses every edge that the tables do not allow.
pub(crate) fn run(gate: &mut Gate<'_>) -> Result<Note, GateError> {
    let workspace = Workspace::read(gate)?;
    let edges: usize = workspace.packages.iter().map(|package| package.dependencies.len()).sum();
    let findings = workspace.packages.iter().flat_map(violations).collect();
    gate.report("layers", findings)?;
    Ok(format!("{} crates, {edges} edges", workspace.packages.len()))
}

/// What one member depends on but may not. Pure, so that tests need no cargo.
fn violations(package: &Package) -> Vec<Finding> {
    let refused = package.dependencies.iter().filter_map(|dependency| refuse(&package.name, dependency));
    let mut refused: Vec<String> = refused.collect();
    if position(&package.name).is_none() && !is_beside(&package.name) {
        refused.insert(0, "has no row in the table of layers; adding a crate is a decision".to_owned());
    }
    refused.into_iter().map(|what| Finding::file(&package.name, what)).collect()
}

fn refuse(name: &str, dependency: &Dependency) -> Option<String> {
    let test = dependency.kind.as_deref() == Some("dev");
    let target = dependency.name.as_str();
    let edge = if test { "its tests may" } else { "may" };
    if dependency.path.is_some() {
        let allowed =
            if name == GATE { false } else { BESIDE.contains(&name) || floor_allows(name, target, test) };
        return (!allowed || is_beside(target)).then(|| format!("{edge} not depend on {target}"));
    }
    let door = DOORS.iter().find(|door| door.foreign == target)?;
    let allowed = door.allowed.contains(&name) || (test && door.free_in_tests);
    (!allowed).then(|| format!("{edge} not depend on {target}, whose door is {}", door.allowed.join(", ")))
}

fn floor_allows(name: &str, target: &str, test: bool) -> bool {
    let (Some(own), Some(other)) = (position(name), position(target)) else { return false };
    LAYERS[own].may_use.contains(&target) || (test && other < own)
}

fn position(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.name == name)
}

fn is_beside(name: &str) -> bool {
    name == GATE || BESIDE.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::{DOORS, LAYERS, position, run, violations};
    use crate::gate::tests::Scene;
    use crate::workspace::tests::package;

    /// Name, member, its dependencies as `KIND:NAME`, what must be refused.
    const EDGES: &[(&str, &str, &[&str], &[&str])] = &[
        ("an allowed edge", "realizar-format", &["normal:realizar-quant"], &[]),
        ("upward", "realizar-quant", &["normal:realizar-format"], &["may not depend on realizar-format"]),
        ("sideways", "realizar-tensor", &["normal:realizar-format"], &["may not depend on realizar-format"]),
        (
            "past a floor",
            "realizar-http",
            &["normal:realizar-tensor"],
            &["may not depend on realizar-tensor"],
        ),
        (
            "at build time",
            "realizar-quant",
            &["build:realizar-format"],
            &["may not depend on realizar-format"],
        ),
        ("a test looks down", "realizar-model", &["dev:realizar-sample"], &[]),
        (
            "a test looks up",
            "realizar-format",
            &["dev:realizar-model"],
            &["its tests may not depend on realizar-model"],
        ),
        ("benches look anywhere", "realizar-benches", &["normal:realizar-http"], &[]),
        (
            "the gate knows no product",
            "xtask",
            &["normal:realizar-quant"],
            &["may not depend on realizar-quant"],
        ),
        (
            "nobody uses the gate",
            "realizar-cli",
            &["normal:realizar-benches"],
            &["may not depend on realizar-benches"],
        ),
        ("unknown target", "realizar-cli", &["normal:realizar-new"], &["may not depend on realizar-new"]),
        (
            "unknown member",
            "realizar-new",
            &["normal:realizar-quant"],
            &[
                "has no row in the table of layers; adding a crate is a decision",
                "may not depend on realizar-quant",
            ],
        ),
        ("memmap2 at its door", "realizar-format", &["normal:memmap2"], &[]),
        (
            "memmap2 elsewhere",
            "realizar-model",
            &["normal:memmap2"],
            &["may not depend on memmap2, whose door is realizar-format"],
        ),
        (
            "trueno in tests",
            "realizar-model",
            &["dev:trueno"],
            &["its tests may not depend on trueno, whose door is realizar-tensor"],
        ),
        (
            "tokio in the engine",
            "realizar-engine",
            &["normal:tokio"],
            &["may not depend on tokio, whose door is realizar-http, realizar-cli, realizar-book"],
        ),
        (
            "hyper in the command line",
            "realizar-cli",
            &["normal:hyper"],
            &["may not depend on hyper, whose door is realizar-http"],
        ),
        (
            "clap in the gate",
            "xtask",
            &["normal:clap"],
            &["may not depend on clap, whose door is realizar-cli"],
        ),
        (
            "a graphics crate in the model",
            "realizar-model",
            &["normal:wgpu"],
            &["may not depend on wgpu, whose door is realizar-tensor"],
        ),
        ("JSON in tests", "realizar-quant", &["dev:serde_json"], &[]),
        ("a free crate", "realizar-quant", &["normal:half", "normal:thiserror"], &[]),
    ];

    #[test]
    fn forbidden_edges_are_refused() {
        for &(name, member, dependencies, expected) in EDGES {
            let found = violations(&package(member, dependencies));
            let found: Vec<&str> = found.iter().map(|finding| finding.what.as_str()).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn json_below_the_text_formats_is_refused() {
        let found = violations(&package("realizar-quant", &["normal:serde_json"]));
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn a_row_uses_only_rows_above_it() {
        for (own, layer) in LAYERS.iter().enumerate() {
            for used in layer.may_use {
                let other = position(used).unwrap_or_else(|| panic!("{}: no row for {used}", layer.name));
                assert!(other < own, "{} uses {used}, which is not above it", layer.name);
            }
        }
        for door in DOORS {
            assert!(!door.allowed.is_empty(), "{} has no door", door.foreign);
        }
    }

    #[test]
    fn this_workspace_keeps_its_layers() {
        let mut scene = Scene::real();
        let note = run(&mut scene.gate()).unwrap_or_else(|error| panic!("{error}: {}", scene.printed()));
        assert!(note.contains("crates"), "{note}");
    }

    #[test]
    fn a_forbidden_edge_fails_the_step_and_is_printed() {
        let metadata = r#"{"target_directory":"/t","packages":[{"name":"realizar-quant","manifest_path":"/w/q/Cargo.toml",
            "targets":[],"features":{},"dependencies":[{"name":"realizar-model","kind":null,"path":"/w/m"}]}]}"#;
        let mut scene = Scene::new(&[]).answering("metadata", metadata);
        let error = run(&mut scene.gate()).unwrap_err();
        assert_eq!(error.to_string(), "layers: 1 to fix");
        assert_eq!(scene.printed(), "realizar-quant: may not depend on realizar-model\n");
    }
}
