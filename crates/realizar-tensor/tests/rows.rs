//! What this crate promises of sameness and of bad input has tests, and `ROWS.md` says which.

use std::fs;
use std::path::Path;

#[path = "../../realizar-format/tests/catalogue/kept.rs"]
mod kept;

/// A promise, and the tests of it: file and functions.
type Line = (&'static str, &'static [(&'static str, &'static [&'static str])]);

#[rustfmt::skip]
const SAMENESS: &[Line] = &[
    ("the same bits in batches of 1 to 32", &[
        ("determinism.rs", &["batches_of_1_to_32_do_not_show"]),
        ("products.rs", &["a_batch_equals_its_tokens_bit_for_bit", "a_group_equals_its_products"]),
        ("experts.rs", &["experts_multiply_their_rows"]),
        ("attention.rs", &["chunks_batches_and_threads_do_not_show"]),
    ]),
    ("on 1 to 4 threads", &[
        ("determinism.rs", &["threads_1_to_4_do_not_show"]),
        ("products.rs", &["threads_do_not_show"]),
        ("operations.rs", &["threads_do_not_show"]),
        ("attention.rs", &["chunks_batches_and_threads_do_not_show"]),
    ]),
    ("however a prompt is cut", &[
        ("determinism.rs", &["chunks_do_not_show"]),
        ("attention.rs", &["chunks_batches_and_threads_do_not_show"]),
        ("recurrent.rs", &[
            "scans_agree_with_f64_however_they_are_cut",
            "scans_of_channels_agree_with_f64_however_they_are_cut",
            "convolutions_agree_with_f64_however_they_are_cut",
        ]),
    ]),
    ("integer products: those of the plain kernel", &[
        ("determinism.rs", &["integer_products_are_those_of_the_plain_kernel"]),
        ("products.rs", &["tables_agree_bit_for_bit_on_integers"]),
        ("garbage.rs", &["tables_agree_on_any_bytes"]),
    ]),
    ("attention: the bits of the plain loops in the level's rounding, and near the scalar table", &[
        ("../src/levels/attention.rs", &[
            "attention_is_the_plain_loops",
            "attention_to_chosen_keys_is_the_plain_loops",
        ]),
        ("attention.rs", &["vectors_of_any_width_agree"]),
    ]),
    ("products of floats, norms, activations, rotations, softmax and choices, scans: the same", &[
        ("../src/levels.rs", &[
            "products_of_floats_are_the_plain_loops",
            "norms_are_the_plain_loops",
            "activations_are_the_plain_loops",
            "rotations_and_choices_are_the_plain_loops",
        ]),
        ("../src/levels/recurrent.rs", &[
            "scans_are_the_plain_loops",
            "scans_of_channels_are_the_plain_loops",
            "convolutions_are_the_plain_loops",
        ]),
    ]),
    ("a level can be asked for by its name", &[
        ("inputs.rs", &["tables_are_found_by_level", "names_are_read_back"]),
    ]),
    ("tests run on every level of the machine", &[
        ("determinism.rs", &["every_level_of_this_machine_is_there"]),
        ("inputs.rs", &["the_fast_table_is_picked", "every_type_has_its_kernel_on_every_table"]),
    ]),
];

#[rustfmt::skip]
const BAD_INPUT: &[Line] = &[
    ("shapes that do not match", &[
        ("products.rs", &["widths_must_fit", "outputs_must_fit", "biases_must_fit"]),
        ("inputs.rs", &["matrices_are_checked", "slices_stay_inside", "rows_do_not_grow", "stores_are_checked"]),
        ("operations.rs", &["columns_stay_inside_rows"]),
        ("attention.rs", &["spans_need_their_blocks", "heads_must_divide"]),
    ]),
    ("no rows", &[
        ("products.rs", &["no_rows_are_no_work"]),
        ("inputs.rs", &["matrices_are_checked"]),
        ("operations.rs", &["heads_have_their_own_matrices"]),
        ("experts.rs", &["experts_multiply_their_rows"]),
    ]),
    ("one row", &[
        ("products.rs", &["products_agree_with_f64"]),
        ("garbage.rs", &["any_bytes_are_weights"]),
        ("determinism.rs", &["integer_products_are_those_of_the_plain_kernel"]),
    ]),
    ("numbers of rows that are no multiple of 16", &[
        ("products.rs", &["products_agree_with_f64", "a_batch_equals_its_tokens_bit_for_bit"]),
        ("determinism.rs", &["batches_of_1_to_32_do_not_show", "chunks_do_not_show"]),
    ]),
    ("k that is no multiple of the block", &[
        ("inputs.rs", &["matrices_are_checked"]),
    ]),
    ("k that ends inside 256 values", &[
        ("products.rs", &["products_agree_with_f64"]),
        ("determinism.rs", &["chunks_do_not_show", "integer_products_are_those_of_the_plain_kernel"]),
    ]),
    ("misaligned slices", &[
        ("products.rs", &["misaligned_weights_are_the_same_weights"]),
    ]),
    ("weights that are not finite, or of any bytes", &[
        ("garbage.rs", &["any_bytes_are_weights", "weights_that_are_not_finite_spoil_their_row_only"]),
    ]),
    ("activations that are not finite", &[
        ("products.rs", &["what_is_not_finite_shows_in_its_own_row_only"]),
        ("operations.rs", &["activations_agree_with_f64", "rows_are_looked_up"]),
        ("attention.rs", &["what_is_not_seen_does_not_matter", "quantised_keys_show_what_is_not_finite"]),
        ("experts.rs", &["nan_is_chosen_last_and_each_expert_once"]),
    ]),
    ("no threads", &[
        ("inputs.rs", &["a_pool_has_a_thread"]),
    ]),
];

#[test]
fn every_promise_has_its_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut table = String::from(
        "# What is promised and the tests of it\n\n\
         Written by `UPDATE_GOLDEN=1 cargo test -p realizar-tensor --test rows`.\n",
    );
    for (title, lines) in [("Same inputs, same bits", SAMENESS), ("Bad input", BAD_INPUT)] {
        table.push_str(&format!("\n| {title} | tests |\n|---|---|\n"));
        for (promise, files) in lines {
            let mut list = Vec::new();
            for (file, tests) in *files {
                let text = fs::read_to_string(folder.join(file)).unwrap();
                for test in *tests {
                    let at =
                        text.find(&format!("fn {test}()")).unwrap_or_else(|| panic!("{file}: no {test}"));
                    let (before, _) = text.split_at(at);
                    let attributes = before.rsplit("\n\n").next().unwrap_or_default();
                    assert!(attributes.contains("#[test]"), "{file}: {test} is no test");
                    list.push(format!("`{file}`: `{test}`"));
                }
            }
            table.push_str(&format!("| {promise} | {} |\n", list.join("<br>")));
        }
    }
    kept::check(&folder.join("ROWS.md"), &table);
}
