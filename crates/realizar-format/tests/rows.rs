//! Every row of the reliability catalogue that speaks of model files has a test, and `ROWS.md` says which.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Rows of GGUF files; of safetensors, folders and `.apr`.
const ROWS: [std::ops::RangeInclusive<u32>; 2] = [1..=47, 65..=90];

/// Tests by the number of their row, `file.rs` and name each.
fn tests() -> BTreeMap<u32, Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut tests: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "rs") {
            continue;
        }
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = line.strip_prefix("fn row_").and_then(|rest| rest.split('(').next()) else {
                continue;
            };
            // Inside `proptest!` the attribute stands there as well.
            let before = &lines[at.saturating_sub(3)..at];
            assert!(before.contains(&"#[test]"), "{file}: row_{name} is no test");
            let row = name[..3].parse().unwrap_or_else(|_| panic!("{file}: row_{name} has no number"));
            tests.entry(row).or_default().push(format!("`{file}`: `row_{name}`"));
        }
    }
    tests.values_mut().for_each(|list| list.sort());
    tests
}

#[test]
fn every_row_has_a_test() {
    let tests = tests();
    for row in ROWS.into_iter().flatten() {
        assert!(tests.contains_key(&row), "row {row} has no test");
    }
    let mut table = String::from(
        "# Rows of the reliability catalogue and their tests\n\n\
         Written by `UPDATE_GOLDEN=1 cargo test -p realizar-format --test rows`. The kinds of files of llama.cpp's own test are\n\
         in `gguf_kinds.rs`, each with the variant, field and offset of its error.\n\n| row | tests |\n|---|---|\n",
    );
    for (row, list) in tests {
        table.push_str(&format!("| {row} | {} |\n", list.join(", ")));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ROWS.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &table).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == table,
        "ROWS.md is old: UPDATE_GOLDEN=1 writes it anew"
    );
}
