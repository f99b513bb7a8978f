//! The table of formats in the book: its sizes and errors are those of the code.

mod gaussian;

use std::fmt::Write;
use std::path::Path;

use gaussian::gaussian;
use realizar_quant::{Codec, DType, Importance, decode, encode};

/// As in the example that prints the table.
const COLUMNS: usize = 8192;

#[test]
fn the_book_tells_sizes_and_errors_as_they_are() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/quantization/q8-0-tradeoffs.md");
    let page = std::fs::read_to_string(page).unwrap();
    let known = |line: &&str| {
        let name = line.split('|').nth(1).unwrap_or_default().trim();
        name.parse::<DType>().is_ok()
    };
    let found: Vec<String> = page
        .lines()
        .filter(known)
        .map(|line| line.splitn(5, '|').take(4).collect::<Vec<_>>().join("|"))
        .collect();
    let row = gaussian(COLUMNS);
    let importance = vec![1.0; COLUMNS];
    let mut expected = String::new();
    for codec in DType::ALL.into_iter().filter_map(Codec::of) {
        let dtype = codec.dtype;
        if !codec.encodes() {
            writeln!(expected, "| {dtype} | {:.3} | - ", dtype.bits_per_weight()).unwrap();
            continue;
        }
        let (mut blocks, mut back) = (vec![0; dtype.row_bytes(COLUMNS).unwrap()], vec![0.0; COLUMNS]);
        let weights = (codec.importance == Importance::Needed).then_some(&importance[..]);
        encode(dtype, &row, weights, &mut blocks).unwrap();
        decode(dtype, &blocks, &mut back).unwrap();
        let sum: f64 = row.iter().zip(&back).map(|(x, y)| f64::from(x - y).powi(2)).sum();
        let rms = 100.0 * (sum / COLUMNS as f64).sqrt();
        writeln!(expected, "| {dtype} | {:.3} | {rms:.2} ", dtype.bits_per_weight()).unwrap();
    }
    assert_eq!(found.join("\n"), expected.trim_end_matches('\n'));
}
