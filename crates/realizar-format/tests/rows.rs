//! Every row of the reliability catalogue that speaks of model files has a test, and `ROWS.md` says which.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test code")]

mod catalogue;

use std::path::Path;

/// Rows of GGUF files; of safetensors, folders and `.apr`.
const ROWS: [std::ops::RangeInclusive<u32>; 2] = [1..=47, 65..=90];

#[test]
fn every_row_has_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let tests = catalogue::tests(&catalogue::files(&folder, ""));
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
    catalogue::check(&folder.join("ROWS.md"), &table);
}
