//! Every row of the reliability catalogue that speaks of servers has a test, and `ROWS.md` says which.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

/// Connections, requests and their bodies, load.
const ROWS: RangeInclusive<u32> = 113..=160;

/// Where tests of these rows are, beside this crate's own.
const FILES: &[&str] = &[
    "realizar-cli/tests/serve.rs",
    "realizar-engine/src/channel.rs",
    "realizar-engine/src/scheduler/tests.rs",
    "realizar-engine/src/spelled/tests.rs",
    "realizar-engine/src/template/tests.rs",
    "realizar-engine/tests/answers.rs",
];

/// What a row asks for beyond what its tests show, and why that is not here.
#[rustfmt::skip]
const NOTES: &[(u32, &str)] = &[
    (119, "the absolute form is refused (400), as the row says of all other forms"),
    (122, "events that wait are counted in tokens, 128 of a request, and what the kernel holds is set by `send_buffer`"),
    (127, "HTTP/2 is on unless `--no-http2` turns it off: then its preface gets 400"),
    (129, "by the CPU time of the attack"),
    (130, "by the CPU time of the attack; `cargo deny` stands for the versions"),
    (145, "there are no schemas yet: every field that would bring one is refused by name (`unsupported`)"),
    (146, "there are no grammars yet: every field that would bring one is refused by name (`unsupported`)"),
    (147, "there are no patterns yet: every field that would bring one is refused by name (`unsupported`)"),
    (148, "nothing is compiled for a request, so there is no cache"),
    (149, "templates of a request are refused; its variables are data, and names of the template's own are refused"),
    (152, "models read text only: every part that is no text is refused by its path"),
    (155, "blocks are kept for the longest that an answer may get before it begins, so that none runs out of them"),
    (156, "by the steps: each that reads a prompt goes on with every answer; times are in the records of `benches/`"),
    (158, "by the CPU time of the process"),
];

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
fn tests() -> BTreeMap<u32, Vec<String>> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let own = ["realizar-http/tests/http", "realizar-http/src"];
    let of_folder = |folder: &str| {
        let entries = fs::read_dir(crates.join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names = names.filter(|name| name.ends_with(".rs"));
        names.map(|name| format!("{folder}/{name}")).collect::<Vec<String>>()
    };
    let files = own.iter().flat_map(|folder| of_folder(folder)).chain(FILES.iter().map(ToString::to_string));
    let mut tests: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(crates.join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            let Some(name) = rest.and_then(|rest| rest.split('(').next()) else { continue };
            if !(name.starts_with("row_") || name.starts_with("rows_1")) {
                continue;
            }
            let before = &lines[at.saturating_sub(3)..at];
            assert!(before.iter().any(|line| line.ends_with("test]")), "{file}: {name} is no test");
            for row in rows_of(name).into_iter().filter(|row| ROWS.contains(row)) {
                tests.entry(row).or_default().push(format!("`{file}`: `{name}`"));
            }
        }
    }
    tests.values_mut().for_each(|list| list.sort());
    tests
}

#[test]
fn every_row_has_a_test_of_its_own_or_a_reason() {
    let tests = tests();
    let mut table = String::from(
        "# Rows of the reliability catalogue and their tests\n\n\
         Written by `UPDATE_GOLDEN=1 cargo test -p realizar-http --test http rows`. The tests that stand for many rows are\n\
         tables: `bad_protocol.rs` and `bad_bodies.rs` name the rows beside their cases, and every case asserts status and\n\
         error object; they run over hyper, over axum and against the program itself.\n\n| row | tests | note |\n|---|---|---|\n",
    );
    for row in ROWS {
        let list = tests.get(&row).unwrap_or_else(|| panic!("row {row} has no test"));
        let note = NOTES.iter().find(|(noted, _)| *noted == row).map_or("", |(_, note)| note);
        table.push_str(&format!("| {row} | {} | {note} |\n", list.join("<br>")));
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
