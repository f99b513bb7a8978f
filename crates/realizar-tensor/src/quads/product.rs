//! One tile of an integer product: unpack eight rows, meet the tokens, fold the blocks' sums to floats.

use super::unpack::{Format, Head, Panel, QUADS, Quad, ROWS};
use super::vector::Vector;
use crate::acts::{ActKind, Acts, MOST_SUMS, SUPER, groups, word};
use crate::matrix::Weights;
use crate::pool::Tile;
use crate::scalar::formats::Minima;
use crate::scratch::Scratch;

/// Bytes of the largest 256-block of eight rows.
const TAIL: usize = ROWS * 272;

/// See [`IntegerFormat::product`](crate::kernels::IntegerFormat). Tokens come in groups of up to four.
#[inline(always)]
pub(crate) fn product<V: Vector, F: Format>(
    weights: &Weights<'_>,
    acts: &Acts<'_>,
    scratch: &mut Scratch,
    out: &mut Tile<'_, f32>,
) {
    if weights.rows >= ROWS {
        return tile::<V, F>(weights, ROWS, acts, scratch, out);
    }
    // Too few rows: copy them, with zeros below.
    let mut copy = std::mem::take(&mut scratch.bytes);
    copy.clear();
    copy.extend_from_slice(weights.data);
    copy.resize(ROWS * weights.row_bytes, 0);
    let padded = Weights { data: &copy, rows: ROWS, ..*weights };
    tile::<V, F>(&padded, weights.rows, acts, scratch, out);
    scratch.bytes = copy;
}

/// Eight rows at a time, of which the first `used` are wanted.
#[inline(always)]
fn tile<V: Vector, F: Format>(
    weights: &Weights<'_>,
    used: usize,
    acts: &Acts<'_>,
    scratch: &mut Scratch,
    out: &mut Tile<'_, f32>,
) {
    // Sums of a stretch of whole groups are kept until all of k is done.
    let stretch = (MOST_SUMS / acts.group * acts.group).max(acts.group);
    for from in (0..acts.tokens).step_by(stretch) {
        let tokens = stretch.min(acts.tokens - from);
        let (_, sums) = scratch.buffers(0, tokens * ROWS);
        let sums = sums.as_chunks_mut::<ROWS>().0;
        let mut first = 0;
        while first < weights.rows {
            // The last rows may overlap those before: what is computed twice comes out the same.
            first = first.min(weights.rows - ROWS);
            sums.fill([0.0; ROWS]);
            for block in 0..weights.cols.div_ceil(SUPER) {
                let (panel, heads) = unpack::<V, F>(weights, first, block);
                for (at, count) in groups(tokens, acts.group) {
                    let (words, sums) = (acts.group(block, from + at, count), &mut sums[at..at + count]);
                    match count {
                        1 => meet::<V, F, 1>(&panel, &heads, words, sums),
                        2 => meet::<V, F, 2>(&panel, &heads, words, sums),
                        3 => meet::<V, F, 3>(&panel, &heads, words, sums),
                        _ => meet::<V, F, 4>(&panel, &heads, words, sums),
                    }
                }
            }
            for (token, sums) in sums.iter().enumerate() {
                out.row(from + token)[first..first + used].copy_from_slice(&sums[..used]);
            }
            first += ROWS;
        }
    }
}

/// 256-block number `block` of eight rows: in place, or copied with zeros behind it when the rows end inside it.
#[inline(always)]
fn unpack<V: Vector, F: Format>(
    weights: &Weights<'_>,
    first: usize,
    block: usize,
) -> (Panel<V>, [Head<V>; QUADS]) {
    let at = block * F::BYTES;
    if (block + 1) * SUPER <= weights.cols {
        return unpack_at::<V, F>(&weights.data[first * weights.row_bytes + at..], weights.row_bytes);
    }
    let mut tail = [0; TAIL];
    for (row, tail) in tail.chunks_exact_mut(F::BYTES).take(ROWS).enumerate() {
        let rest = &weights.row(first + row)[at..];
        tail[..rest.len()].copy_from_slice(rest);
    }
    unpack_at::<V, F>(&tail, F::BYTES)
}

#[inline(always)]
fn unpack_at<V: Vector, F: Format>(bytes: &[u8], stride: usize) -> (Panel<V>, [Head<V>; QUADS]) {
    let mut panel = [[V::splat32(0).bytes(); QUADS]; 64];
    let mut heads = [Head::zero(); QUADS];
    for (quad, head) in heads.iter_mut().enumerate() {
        let rows = Quad { bytes: &bytes[quad * 4 * stride..], stride };
        F::head(rows, head);
        for part in 0..4 {
            F::part::<V>(rows, part, |place, bytes| panel[place][quad] = bytes.bytes());
        }
    }
    (panel, heads)
}

/// Adds the products of 256 values of eight rows with `T` tokens to their sums.
#[inline(always)]
fn meet<V: Vector, F: Format, const T: usize>(
    panel: &Panel<V>,
    heads: &[Head<V>; QUADS],
    words: &[i32],
    sums: &mut [[f32; ROWS]],
) {
    let (words, sums) = (&words.as_chunks::<T>().0[..F::KIND.words()], &mut sums[..T]);
    let mut floats = [[V::splat(0.0); T]; QUADS];
    let mut whole = [[V::splat32(0); T]; QUADS];
    for (b, panel) in panel.chunks_exact(F::BLOCK / 4).enumerate() {
        let mut acc = [[V::no_sums(); T]; QUADS];
        for (weights, tokens) in panel.iter().zip(&words[b * F::BLOCK / 4..]) {
            for t in 0..T {
                let token = V::token(tokens[t]);
                for q in 0..QUADS {
                    acc[q][t] = V::dot(acc[q][t], weights[q], token);
                }
            }
        }
        for q in 0..QUADS {
            for t in 0..T {
                let sum = V::total(acc[q][t]);
                match F::KIND {
                    ActKind::Super256 => whole[q][t] = whole[q][t].mul_add32(sum, heads[q].scales[b]),
                    ActKind::Block32 => {
                        let scale = V::splat(float(words[word::B32_SCALE + b][t]));
                        let scale = V::mul(heads[q].floats[b], scale);
                        floats[q][t] = V::mul_add(sum.to_floats(), scale, floats[q][t]);
                    }
                }
            }
        }
    }
    for t in 0..T {
        for q in 0..QUADS {
            let Some(out) = sums[t][q * 4..].first_chunk_mut() else { return };
            let before = V::load_floats(out);
            let after = match F::KIND {
                ActKind::Block32 => {
                    let mut value = floats[q][t];
                    if F::MINS != Minima::None {
                        for b in 0..8 {
                            let eighths = V::splat32(words[word::B32_MINUS_8 + b][t]).to_floats();
                            let scale = V::splat(float(words[word::B32_SCALE + b][t]));
                            value = V::mul_add(eighths, V::mul(heads[q].float_mins[b], scale), value);
                        }
                    }
                    V::add(before, value)
                }
                ActKind::Super256 => {
                    let mut value = V::mul(whole[q][t].to_floats(), heads[q].d);
                    if F::MINS != Minima::None {
                        let mut mins = V::splat32(0);
                        // The record has the sums of 32 times -16, and those of 16 times -32.
                        let (count, first, shift) = match F::MINS {
                            Minima::Of16 => (16, word::S16_MINUS_32, 5),
                            _ => (8, word::S32_MINUS_16, 4),
                        };
                        for b in 0..count {
                            let sum = -(words[first + b][t] >> shift);
                            mins = mins.mul_add32(V::splat32(sum), heads[q].mins[b]);
                        }
                        value = V::mul_sub(mins.to_floats(), heads[q].d_min, value);
                    }
                    V::mul_add(value, V::splat(float(words[word::S_SCALE][t])), before)
                }
            };
            V::store_floats(after, out);
        }
    }
}

#[inline(always)]
fn float(word: i32) -> f32 {
    f32::from_bits(word as u32)
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use realizar_quant::encode;

    use super::{Acts, Format, Scratch, Tile, Weights, product};
    use crate::kernels::IntegerFormat;
    use crate::quads;
    use crate::{Compute, Kernels, Pool, Product, QMatrix, Rows, TensorError};

    fn plain<F: Format>(
        weights: &Weights<'_>,
        acts: &Acts<'_>,
        scratch: &mut Scratch,
        out: &mut Tile<'_, f32>,
    ) {
        product::<[i32; 4], F>(weights, acts, scratch, out);
    }

    /// The scalar table with the products of this module on plain arrays.
    fn table() -> &'static Kernels {
        static TABLE: OnceLock<Kernels> = OnceLock::new();
        const FORMATS: &[IntegerFormat] = quads::formats!(plain);
        TABLE.get_or_init(|| Kernels { name: "quads", group: 4, integer: FORMATS, ..crate::scalar::TABLE })
    }

    fn run(kernels: &'static Kernels, weight: &QMatrix, x: &Rows) -> Result<Vec<u32>, TensorError> {
        let mut out = Rows::with_capacity(x.rows(), weight.rows());
        Compute::new(Pool::new(1)?, kernels).matmul(x, &mut [Product { weight, bias: None, out: &mut out }]);
        Ok(out.read().iter().map(|x| x.to_bits()).collect())
    }

    #[test]
    fn quads_of_rows_give_the_bits_of_the_reference() -> Result<(), Box<dyn std::error::Error>> {
        for format in table().integer {
            let dtype = format.dtype;
            for (rows, cols, tokens) in [(1, 256, 1), (7, 512, 2), (8, 256, 3), (9, 768, 4), (37, 256, 21)] {
                // Blocks of 32 may end inside 256.
                let cols = if dtype.block_elems() == 32 { cols + 96 } else { cols };
                let value = |i: usize| ((i * i + 7 * i) as f32 * 0.618).sin() * (1.0 + (i % 5) as f32);
                let values: Vec<f32> = (0..rows * cols).map(value).collect();
                let row_bytes = dtype.row_bytes(cols).ok_or("whole blocks")?;
                let mut bytes = vec![0; rows * row_bytes];
                for (row, out) in values.chunks_exact(cols).zip(bytes.chunks_exact_mut(row_bytes)) {
                    encode(dtype, row, None, out)?;
                }
                let weight = QMatrix::new(dtype, rows, cols, bytes.into())?;
                let mut x = Rows::with_capacity(tokens, cols);
                x.write(&(0..tokens * cols).map(|i| value(i + 99)).collect::<Vec<_>>());
                let (found, expected) =
                    (run(table(), &weight, &x)?, run(&crate::scalar::TABLE, &weight, &x)?);
                assert_eq!(found, expected, "{dtype} [{rows}, {cols}] x {tokens}");
            }
        }
        Ok(())
    }
}
