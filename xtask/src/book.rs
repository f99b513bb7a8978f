//! The book is whole: every page is listed, every listed page is there, every example runs, every link leads on.

use std::path::Path;

use crate::finding::Finding;
use crate::gate;
use crate::tidy::Tree;

const SUMMARY: &str = "docs/src/SUMMARY.md";
const ROOT: &str = "docs/lib.rs";

/// Pages, the table of contents and the crate that runs the examples name the same files.
pub(crate) fn pages(_: &Path, tree: &Tree) -> Vec<Finding> {
    let text = |path: &str| {
        let page = tree.pages.iter().chain(&tree.sources).find(|file| file.path == path);
        page.map_or("", |file| file.text.as_str())
    };
    let (summary, root) = (text(SUMMARY), text(ROOT));
    let mut findings = Vec::new();
    for page in tree.pages.iter().filter(|page| page.path.starts_with("docs/src/") && page.path != SUMMARY) {
        let below = page.path.trim_start_matches("docs/src/");
        if !summary.contains(&format!("(./{below})")) {
            findings.push(Finding::file(&page.path, "is not listed in SUMMARY.md"));
        }
        if !root.contains(&format!("include_str!(\"src/{below}\")")) {
            findings.push(Finding::file(
                &page.path,
                "is not included in docs/lib.rs, so its examples do not run",
            ));
        }
        if page.text.lines().filter(|line| !line.trim().is_empty()).count() < 3 {
            findings.push(Finding::file(&page.path, "is a stub; list a chapter when it says something"));
        }
    }
    findings
}

/// What a page tells its reader to type exists.
pub(crate) fn commands(_: &Path, tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in &tree.pages {
        for (at, line) in page.text.lines().enumerate() {
            for rest in line.split("cargo xtask ").skip(1) {
                let name =
                    rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap_or(rest);
                if name.starts_with(|c: char| c.is_ascii_lowercase())
                    && !gate::commands().any(|known| known == name)
                {
                    let what = format!("there is no `cargo xtask {name}`");
                    findings.push(Finding::line(&page.path, at + 1, what));
                }
            }
        }
    }
    findings
}

/// Links to files of the repository lead to files.
pub(crate) fn links(root: &Path, tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in &tree.pages {
        let folder = root.join(&page.path);
        let mut in_code = false;
        for (at, line) in page.text.lines().enumerate() {
            in_code ^= line.trim_start().starts_with("```");
            if in_code {
                continue;
            }
            for target in targets(line) {
                let path = target.split('#').next().unwrap_or(target);
                if !path.is_empty() && !folder.with_file_name("").join(path).exists() {
                    findings.push(Finding::line(
                        &page.path,
                        at + 1,
                        format!("the link to `{target}` leads nowhere"),
                    ));
                }
            }
        }
    }
    findings
}

/// What the links of one line point to, without those that leave the repository.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let inside = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    inside.filter(|target| !target.contains("://") && !target.starts_with("mailto:") && !target.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::{commands, links, pages};
    use crate::gate::tests::Scene;
    use crate::tidy::tests::tree;
    use std::path::Path;

    #[test]
    fn pages_are_listed_and_run() {
        let page = "# A\n\nText.\n\nMore.\n";
        let files = [
            ("docs/src/SUMMARY.md", "- [A](./a/a.md)\n- [C](./c.md)\n"),
            ("docs/lib.rs", "#[doc = include_str!(\"src/a/a.md\")] mod a {}\ninclude_str!(\"src/b.md\")"),
            ("docs/src/a/a.md", page),
            ("docs/src/b.md", page),
            ("docs/src/c.md", "# C\n\n"),
        ];
        let found: Vec<String> =
            pages(Path::new("/w"), &tree(&files)).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "docs/src/b.md: is not listed in SUMMARY.md",
                "docs/src/c.md: is not included in docs/lib.rs, so its examples do not run",
                "docs/src/c.md: is a stub; list a chapter when it says something",
            ]
        );
    }

    #[test]
    fn commands_exist() {
        let page = "`cargo xtask ci`\nand `cargo xtask layers`, `cargo xtask mutants -p x`, `cargo xtask X`\n`cargo xtask frobnicate now`";
        let found = commands(Path::new("/w"), &tree(&[("a.md", page)]));
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["a.md:3: there is no `cargo xtask frobnicate`"]);
    }

    #[test]
    fn links_lead_somewhere() {
        let page = "[a](./b.md#part), [c](https://example.org/x), [d](#here)\n```\n[e](gone.md)\n```\n[f](../gone.md) [g](mailto:a@b)";
        let scene = Scene::new(&[("docs/a.md", page), ("docs/b.md", "")]);
        let found = links(&scene.root, &tree(&[("docs/a.md", page)]));
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["docs/a.md:5: the link to `../gone.md` leads nowhere"]);
    }
}
