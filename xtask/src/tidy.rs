//! House rules that no compiler knows. Each is a function from the tree to findings; the list below holds them all.

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::GateError;
use crate::finding::Finding;
use crate::gate::{Gate, Note};
use crate::source::{Kind, code, tokens};
use crate::workspace::{File, Workspace, files, read};
use crate::{architecture, book};

/// Lines of one file, above which a reader loses the thread.
const LONGEST: usize = 600;

/// Longer files, each with the reason why cutting it would not help its reader.
const LONGER: &[(&str, &str)] = &[];

/// `lib.rs` is a table of contents.
const LONGEST_ROOT: usize = 80;

/// Module names that say nothing. What has no better name has not been understood yet.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "misc", "core", "base", "manager", "managers"];

/// Marks of unfinished work, cut in two so that this file does not refuse itself.
const UNFINISHED: &[&str] =
    &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

/// How many packages the lock file may hold: a new one is a decision, not an accident.
const LOCKED_PACKAGES: usize = 240;

/// What the rules look at.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) workspace: Workspace,
    pub(crate) folders: Vec<String>,
    pub(crate) sources: Vec<File>,
    pub(crate) pages: Vec<File>,
    pub(crate) lock: String,
}

/// A rule and the phrase for what it holds.
const RULES: &[fn(&Path, &Tree) -> Vec<Finding>] = &[
    opening,
    names,
    length,
    table_of_contents,
    readme,
    unfinished,
    dependencies,
    manifests,
    versions,
    lock,
    architecture::places,
    book::pages,
    book::links,
    book::commands,
];

/// Applies every rule.
pub(crate) fn run(gate: &mut Gate<'_>) -> Result<Note, GateError> {
    let workspace = Workspace::read(gate)?;
    let folders: Vec<String> = workspace.packages.iter().map(|package| package.folder(gate.root)).collect();
    let top: Vec<&str> = vec!["crates", "xtask", "benches", "docs", "fuzz"];
    let mut pages = files(gate.root, &top, ".md")?;
    for name in ["README.md", "CHANGELOG.md"] {
        pages.push(File { path: name.to_owned(), text: read(&gate.root.join(name))? });
    }
    let lock = read(&gate.root.join("Cargo.lock"))?;
    let tree = Tree { sources: files(gate.root, &top, ".rs")?, workspace, folders, pages, lock };
    let findings = RULES.iter().flat_map(|rule| rule(gate.root, &tree)).collect();
    gate.report("tidy", findings)?;
    Ok(format!("{} sources, {} pages, {} rules", tree.sources.len(), tree.pages.len(), RULES.len()))
}

/// Every file says first what it is.
fn opening(_: &Path, tree: &Tree) -> Vec<Finding> {
    let silent = tree.sources.iter().filter(|file| !file.text.trim_start().starts_with("//!"));
    silent.map(|file| Finding::file(&file.path, "must open with `//!`: what it is, in a sentence")).collect()
}

fn names(_: &Path, tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.sources {
        for part in file.path.trim_end_matches(".rs").split('/') {
            if EMPTY_NAMES.contains(&part) {
                findings.push(Finding::file(&file.path, format!("`{part}` names nothing; find the noun")));
            }
        }
    }
    findings
}

fn length(_: &Path, tree: &Tree) -> Vec<Finding> {
    let lines = |file: &File| file.text.lines().count();
    let excused = |path: &str| LONGER.iter().any(|(longer, reason)| *longer == path && !reason.is_empty());
    let too_long = tree.sources.iter().filter(|file| lines(file) > LONGEST && !excused(&file.path));
    let mut findings: Vec<Finding> = too_long
        .map(|file| {
            Finding::file(&file.path, format!("{} lines; cut at an idea, {LONGEST} is the most", lines(file)))
        })
        .collect();
    for (path, _) in LONGER {
        if !tree.sources.iter().any(|file| file.path == *path && lines(file) > LONGEST) {
            findings.push(Finding::file(path, "needs no exception for its length any more"));
        }
    }
    findings
}

fn table_of_contents(_: &Path, tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.sources.iter().filter(|file| is_library(&file.path)) {
        let lines = file.text.lines().count();
        if lines > LONGEST_ROOT {
            let what = format!("{lines} lines; a table of contents has at most {LONGEST_ROOT}");
            findings.push(Finding::file(&file.path, what));
        }
        if !file.text.lines().any(|line| line.starts_with("//! ```")) && !file.text.contains("include_str!") {
            findings.push(Finding::file(&file.path, "needs one example in its documentation"));
        }
    }
    findings
}

/// `crates/NAME/src/lib.rs`
fn is_library(path: &str) -> bool {
    path.starts_with("crates/") && path.ends_with("/src/lib.rs") && path.split('/').count() == 4
}

fn readme(root: &Path, tree: &Tree) -> Vec<Finding> {
    let without = tree.folders.iter().filter(|folder| !root.join(folder).join("README.md").is_file());
    without
        .map(|folder| Finding::file(folder, "needs a README.md: what, an example, features, invariants"))
        .collect()
}

fn unfinished(_: &Path, tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut refuse = |path: &str, line, mark: &str| {
        findings.push(Finding::line(path, line, format!("`{mark}`: finish it or write it down as an issue")));
    };
    for file in &tree.sources {
        for token in tokens(&file.text) {
            if let Kind::Comment(text) = token.kind {
                for (at, line) in text.lines().enumerate() {
                    marks(line).for_each(|mark| refuse(&file.path, token.line + at, mark));
                }
            }
        }
        for pair in code(&file.text).windows(2) {
            if let (Kind::Word(word @ ("todo" | "unimplemented")), Kind::Mark('!')) =
                (pair[0].kind, pair[1].kind)
            {
                refuse(&file.path, pair[0].line, word);
            }
        }
    }
    for page in &tree.pages {
        for (at, line) in page.text.lines().enumerate() {
            marks(line).for_each(|mark| refuse(&page.path, at + 1, mark));
        }
    }
    findings
}

fn marks(line: &str) -> impl Iterator<Item = &'static str> {
    let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric()).collect();
    UNFINISHED.iter().copied().filter(move |mark| words.contains(mark))
}

/// Whoever takes a crate in says why, who keeps it, and who uses it.
fn dependencies(_: &Path, tree: &Tree) -> Vec<Finding> {
    const PAGE: &str = "docs/dependencies.md";
    let text = tree.pages.iter().find(|page| page.path == PAGE).map_or("", |page| page.text.as_str());
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    let named: Vec<&str> = cells.flat_map(|cell| cell.split(',')).map(str::trim).collect();
    let foreign = tree.workspace.foreign();
    let mut findings: Vec<Finding> = foreign
        .iter()
        .filter(|name| !named.contains(name))
        .map(|name| Finding::file(PAGE, format!("has no row for {name}")))
        .collect();
    let stale =
        named.iter().filter(|name| **name != "crate" && !name.is_empty() && !foreign.contains(**name));
    findings
        .extend(stale.map(|name| Finding::file(PAGE, format!("has a row for {name}, which nobody uses"))));
    findings
}

/// Versions and lints stand once, in the manifest of the workspace.
fn manifests(root: &Path, tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in &tree.folders {
        let path = format!("{folder}/Cargo.toml");
        let text = read(&root.join(&path)).unwrap_or_default();
        let mut section = "";
        let mut lints = false;
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with('[') {
                section = line;
            } else if section == "[lints]" {
                lints |= line == "workspace = true";
            } else if section.ends_with("dependencies]")
                && line.contains('=')
                && !line.contains("workspace = true")
            {
                findings.push(Finding::line(
                    &path,
                    at + 1,
                    "versions stand in the manifest of the workspace",
                ));
            }
        }
        if !lints {
            findings.push(Finding::file(&path, "must take `[lints]` from the workspace"));
        }
    }
    findings
}

/// The table of versions is in order, and each row of it has a user.
fn versions(root: &Path, tree: &Tree) -> Vec<Finding> {
    const PATH: &str = "Cargo.toml";
    let text = read(&root.join(PATH)).unwrap_or_default();
    let rows = text.lines().zip(1..).skip_while(|(line, _)| *line != "[workspace.dependencies]").skip(1);
    let rows = rows.take_while(|(line, _)| !line.starts_with('[')).filter(|(line, _)| !line.starts_with('#'));
    let all = tree.workspace.packages.iter().flat_map(|package| &package.dependencies);
    let used: BTreeSet<&str> = all.map(|dependency| dependency.name.as_str()).collect();
    let mut findings = Vec::new();
    let mut before = "";
    for (row, line) in rows {
        let Some((name, _)) = row.split_once(" = ") else { continue };
        if name < before {
            findings.push(Finding::line(PATH, line, format!("{name} belongs before {before}")));
        }
        if !used.contains(name) {
            findings.push(Finding::line(PATH, line, format!("nobody uses {name}")));
        }
        before = name;
    }
    findings
}

fn lock(_: &Path, tree: &Tree) -> Vec<Finding> {
    let count = tree.lock.lines().filter(|line| *line == "[[package]]").count();
    let what = format!("{count} packages; {LOCKED_PACKAGES} is the ceiling until somebody decides otherwise");
    if count > LOCKED_PACKAGES { vec![Finding::file("Cargo.lock", what)] } else { vec![] }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{LONGER, Tree, run};
    use crate::finding::Finding;
    use crate::gate::tests::Scene;
    use crate::workspace::{File, Workspace, tests::package};
    use std::path::{Path, PathBuf};

    /// A tree of these files: `.rs` are sources, `.md` are pages.
    pub(crate) fn tree(files: &[(&str, &str)]) -> Tree {
        let of = |ending: &str| {
            let chosen = files.iter().filter(|(path, _)| path.ends_with(ending));
            chosen.map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() }).collect()
        };
        let workspace = Workspace { packages: vec![], target_directory: PathBuf::new() };
        Tree { workspace, folders: vec![], sources: of(".rs"), pages: of(".md"), lock: String::new() }
    }

    fn printed(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(Finding::to_string).collect()
    }

    type Rule = fn(&Path, &Tree) -> Vec<Finding>;

    /// Name, rule, path, text, lines that are refused (0 is the file).
    fn cases() -> Vec<(&'static str, Rule, &'static str, String, Vec<usize>)> {
        let long = |lines: usize| "//! x\n".repeat(lines);
        let mark = concat!("TO", "DO");
        vec![
            ("opens well", super::opening, "a.rs", "//! What it is.\n".to_owned(), vec![]),
            ("opens with code", super::opening, "a.rs", "use x;\n//! Late.".to_owned(), vec![0]),
            ("opens with a comment", super::opening, "a.rs", "// Not documentation.".to_owned(), vec![0]),
            ("a noun", super::names, "crates/x/src/rope.rs", String::new(), vec![]),
            (
                "a noun that holds a banned word",
                super::names,
                "crates/x/src/utilisation.rs",
                String::new(),
                vec![],
            ),
            ("no noun", super::names, "crates/x/src/utils.rs", String::new(), vec![0]),
            ("no noun as a folder", super::names, "crates/x/tests/common/mod.rs", String::new(), vec![0]),
            ("600 lines", super::length, "a.rs", long(600), vec![]),
            ("601 lines", super::length, "a.rs", long(601), vec![0]),
            (
                "a root",
                super::table_of_contents,
                "crates/x/src/lib.rs",
                "//! ```\n//! ```\n".to_owned(),
                vec![],
            ),
            (
                "a root without example",
                super::table_of_contents,
                "crates/x/src/lib.rs",
                "//! X.\n".to_owned(),
                vec![0],
            ),
            ("a long root", super::table_of_contents, "crates/x/src/lib.rs", long(81) + "//! ```\n", vec![0]),
            ("no root", super::table_of_contents, "crates/x/src/a/lib.rs", String::new(), vec![]),
            (
                "a mark in a comment",
                super::unfinished,
                "a.rs",
                format!("//! x\n\n// {mark}: more\n"),
                vec![3],
            ),
            ("a mark deep in a comment", super::unfinished, "a.rs", format!("/* a\n{mark} */"), vec![2]),
            ("a mark in a text", super::unfinished, "a.rs", format!("let a = \"{mark}\";"), vec![]),
            ("a longer word", super::unfinished, "a.rs", format!("// {mark}S"), vec![]),
            ("a mark on a page", super::unfinished, "a.md", format!("\n- {mark}"), vec![2]),
            ("an open macro", super::unfinished, "a.rs", "fn f() {\n    todo!()\n}".to_owned(), vec![2]),
            (
                "a name like it",
                super::unfinished,
                "a.rs",
                "let todo = 1; assert!(todo > 0);".to_owned(),
                vec![],
            ),
        ]
    }

    #[test]
    fn each_rule_refuses_what_it_is_for() {
        for (name, rule, path, text, expected) in cases() {
            let found = rule(Path::new("/w"), &tree(&[(path, &text)]));
            let lines: Vec<usize> = found.iter().map(|finding| finding.line).collect();
            let lines: Vec<usize> =
                lines.into_iter().filter(|_| found.iter().all(|f| f.path == path)).collect();
            assert_eq!(lines, expected, "{name}: {found:?}");
        }
    }

    #[test]
    fn exceptions_for_length_are_excuses_with_a_reason() {
        for (path, reason) in LONGER {
            assert!(reason.len() > 20, "{path} needs a reason");
        }
    }

    #[test]
    fn every_foreign_crate_has_a_row_and_every_row_a_user() {
        let page = "| crate | used by |\n|---|---|\n| half | quant |\n| serde, serde_json | format |\n| rand | nobody |\n";
        let mut tree = tree(&[("docs/dependencies.md", page)]);
        tree.workspace.packages.push(package("a", &["normal:half", "dev:serde_json", "normal:serde"]));
        tree.workspace.packages.push(package("b", &["normal:libm", "normal:realizar-quant"]));
        let found = printed(&super::dependencies(Path::new("/w"), &tree));
        assert_eq!(
            found,
            [
                "docs/dependencies.md: has no row for libm",
                "docs/dependencies.md: has a row for rand, which nobody uses",
            ]
        );
    }

    #[test]
    fn manifests_take_versions_and_lints_from_the_workspace() {
        let good = "[package]\nversion = \"1\"\n[dependencies]\na.workspace = true\nb = { workspace = true }\n[lints]\nworkspace = true\n";
        let bad = "[dependencies]\na = \"1\"\n[target.'cfg(unix)'.dev-dependencies]\nb = { path = \"b\" }\n[lints]\n";
        let scene = Scene::new(&[("good/Cargo.toml", good), ("bad/Cargo.toml", bad), ("good/README.md", "")]);
        let mut tree = tree(&[]);
        tree.folders = vec!["good".to_owned(), "bad".to_owned()];
        assert_eq!(
            printed(&super::manifests(&scene.root, &tree)),
            [
                "bad/Cargo.toml:2: versions stand in the manifest of the workspace",
                "bad/Cargo.toml:4: versions stand in the manifest of the workspace",
                "bad/Cargo.toml: must take `[lints]` from the workspace",
            ]
        );
        assert_eq!(
            printed(&super::readme(&scene.root, &tree)),
            ["bad: needs a README.md: what, an example, features, invariants",]
        );
    }

    #[test]
    fn the_table_of_versions_is_in_order_and_used() {
        let manifest = "[workspace]\n\n[workspace.dependencies]\nhalf = \"2\"\n# Why.\nbytes = \"1\"\nrand = \"1\"\n\n[profile.dev]\nz = 1\n";
        let scene = Scene::new(&[("Cargo.toml", manifest)]);
        let mut tree = tree(&[]);
        tree.workspace.packages.push(package("a", &["normal:half", "dev:bytes"]));
        assert_eq!(
            printed(&super::versions(&scene.root, &tree)),
            ["Cargo.toml:6: bytes belongs before half", "Cargo.toml:7: nobody uses rand",]
        );
        assert!(super::versions(Path::new("/no/such/place"), &tree).is_empty());
    }

    #[test]
    fn the_lock_file_has_a_ceiling() {
        let mut tree = tree(&[]);
        tree.lock = "[[package]]\n".repeat(super::LOCKED_PACKAGES);
        assert!(super::lock(Path::new("/w"), &tree).is_empty());
        tree.lock += "[[package]]\n";
        assert_eq!(super::lock(Path::new("/w"), &tree).len(), 1);
    }

    #[test]
    fn a_tidy_tree_passes_and_is_counted() {
        let metadata = r#"{"target_directory":"/t","packages":[]}"#;
        let files = [
            ("README.md", ""),
            ("CHANGELOG.md", ""),
            ("Cargo.lock", ""),
            ("docs/lib.rs", "//! The book."),
            ("docs/src/SUMMARY.md", ""),
            ("docs/ARCHITECTURE.md", ""),
        ];
        let mut scene = Scene::new(&files).answering("metadata", metadata);
        assert_eq!(run(&mut scene.gate()).unwrap(), "1 sources, 4 pages, 14 rules", "{}", scene.printed());
    }
}
