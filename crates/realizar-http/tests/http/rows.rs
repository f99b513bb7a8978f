//! Every row of the reliability catalogue that speaks of servers has a test, and `ROWS.md` says which.

use std::ops::RangeInclusive;
use std::path::Path;

#[path = "../../../realizar-format/tests/catalogue/mod.rs"]
mod catalogue;

/// Connections, requests and their bodies, load.
const ROWS: RangeInclusive<u32> = 113..=160;

/// Where tests of these rows are, beside this crate's own.
const FILES: &[&str] = &[
    "realizar-cli/tests/serve/main.rs",
    "realizar-cli/tests/serve/limits.rs",
    "realizar-engine/src/channel.rs",
    "realizar-engine/src/scheduler/places.rs",
    "realizar-engine/src/scheduler/tests.rs",
    "realizar-engine/src/spelled/tests.rs",
    "realizar-engine/src/template/tests.rs",
    "realizar-engine/tests/answers.rs",
];

/// What a row asks for beyond what its tests show, and why that is not here.
#[rustfmt::skip]
const NOTES: &[(u32, &str)] = &[
    (118, "by the resident memory of the process with 400 connections that have sent nothing, a request, or nearly a header"),
    (119, "the absolute form is refused (400), as the row says of all other forms"),
    (122, "events that wait are counted in tokens, 256 of a request, and what the kernel holds is set by `send_buffer`; after `stall_time` the answer gives way to others"),
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
    (159, "by what is counted, and by the resident memory of the process in a flood of bodies where the allocator keeps nothing (`MALLOC_MMAP_THRESHOLD_`); an hour's load is not run with the tests: longer ones are in the records of `benches/`"),
];

/// The files of this crate's tests and of [`FILES`].
fn files() -> Vec<catalogue::File> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let own = ["realizar-http/tests/http", "realizar-http/src"];
    let mut files: Vec<catalogue::File> =
        own.iter().flat_map(|folder| catalogue::files(&crates.join(folder), &format!("{folder}/"))).collect();
    files.extend(FILES.iter().map(|file| ((*file).to_owned(), crates.join(file))));
    files
}

#[test]
fn every_row_has_a_test_of_its_own_or_a_reason() {
    let tests = catalogue::tests(&files());
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
    catalogue::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ROWS.md"), &table);
}
