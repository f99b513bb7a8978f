//! Tables of tests by the rows of the reliability catalogue that they are named after. Crates that have rows of their own
//! include this file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

mod kept;
pub(crate) use kept::check;

/// A file of tests: how a table names it, and where it is.
pub(crate) type File = (String, PathBuf);

/// The Rust files of a folder, each named with `prefix` before it.
pub(crate) fn files(folder: &Path, prefix: &str) -> Vec<File> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    let sources = paths.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    sources.map(|path| (format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap()), path)).collect()
}

/// Rows that a test's name begins with: `row_117_`, `rows_113_to_132_`, `rows_176_and_177_`.
fn rows_of(name: &str) -> Vec<u32> {
    let mut words = name.split('_');
    let kind = words.next();
    let mut number = || words.next().and_then(|word| word.parse().ok());
    match (kind, number()) {
        (Some("row"), Some(row)) => vec![row],
        (Some("rows"), Some(from)) => {
            let between = words.next();
            let to = words.next().and_then(|word| word.parse().ok());
            match (between, to) {
                (Some("to"), Some(to)) => (from..=to).collect(),
                (Some("and"), Some(to)) => vec![from, to],
                _ => panic!("{name} has no second number"),
            }
        }
        _ => panic!("{name} has no number"),
    }
}

/// Tests by the number of their row: file and name.
pub(crate) fn tests(files: &[File]) -> BTreeMap<u32, Vec<String>> {
    let mut tests: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (file, path) in files {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"));
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            let Some(name) = rest.and_then(|rest| rest.split('(').next()) else { continue };
            let numbered = name.split('_').nth(1).is_some_and(|word| word.parse::<u32>().is_ok());
            if !(numbered && (name.starts_with("row_") || name.starts_with("rows_"))) {
                continue;
            }
            // Inside `proptest!` the attribute stands there as well.
            let before = &lines[at.saturating_sub(3)..at];
            assert!(before.iter().any(|line| line.ends_with("test]")), "{file}: {name} is no test");
            for row in rows_of(name) {
                tests.entry(row).or_default().push(format!("`{file}`: `{name}`"));
            }
        }
    }
    tests.values_mut().for_each(|list| list.sort());
    tests
}
