//! `docs/ARCHITECTURE.md` names files and functions; each must exist, or the map leads nowhere.
//!
//! A place is written in back quotes as `model/session.rs:forward`: the crate without its prefix, the path below its
//! `src`, and the name of a function or type. The name may be left out.

use std::path::Path;

use crate::finding::Finding;
use crate::source::{Kind, code};
use crate::tidy::Tree;

const PAGE: &str = "docs/ARCHITECTURE.md";

/// Words that introduce a name.
const INTRODUCTIONS: &[&str] = &["fn", "struct", "enum", "trait", "const", "static", "type", "mod"];

/// Refuses places that are not there.
pub(crate) fn places(_: &Path, tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.pages.iter().find(|page| page.path == PAGE) else {
        return vec![Finding::file(PAGE, "is missing")];
    };
    let mut findings = Vec::new();
    for (at, line) in page.text.lines().enumerate() {
        for place in line.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains(".rs")) {
            if let Some(what) = missing(place, tree) {
                findings.push(Finding::line(PAGE, at + 1, what));
            }
        }
    }
    findings
}

fn missing(place: &str, tree: &Tree) -> Option<String> {
    let (file, name) = place.split_once(':').map_or((place, None), |(file, name)| (file, Some(name)));
    let (krate, below) = file.split_once('/')?;
    let paths = [format!("crates/realizar-{krate}/src/{below}"), file.to_owned()];
    let Some(found) = tree.sources.iter().find(|source| paths.contains(&source.path)) else {
        return Some(format!("`{file}` does not exist"));
    };
    let name = name?;
    let tokens = code(&found.text);
    let introduced = tokens.windows(2).any(|pair| {
        matches!(pair[0].kind, Kind::Word(word) if INTRODUCTIONS.contains(&word))
            && pair[1].kind == Kind::Word(name)
    });
    (!introduced).then(|| format!("`{file}` has no `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::{PAGE, places};
    use crate::tidy::tests::tree;
    use std::path::Path;

    #[test]
    fn places_on_the_map_exist() {
        let source =
            "//! x\npub struct Session;\nimpl Session { pub fn forward(&mut self) {} }\n// fn gone() {}";
        let page = "`model/session.rs:forward` and `model/session.rs:Session` in `model/session.rs`, `xtask/src/gate.rs`\n\
            `model/session.rs:gone`, `model/lost.rs:f`\n`xtask/src/lost.rs`, `lib.rs`, not.rs";
        let files =
            [("crates/realizar-model/src/session.rs", source), ("xtask/src/gate.rs", ""), (PAGE, page)];
        let found: Vec<String> =
            places(Path::new("/w"), &tree(&files)).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "docs/ARCHITECTURE.md:2: `model/session.rs` has no `gone`",
                "docs/ARCHITECTURE.md:2: `model/lost.rs` does not exist",
                "docs/ARCHITECTURE.md:3: `xtask/src/lost.rs` does not exist",
            ]
        );
    }

    #[test]
    fn the_map_itself_exists() {
        assert_eq!(places(Path::new("/w"), &tree(&[])).len(), 1);
    }
}
