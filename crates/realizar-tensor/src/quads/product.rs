//! One tile of an integer product: unpack eight rows, meet the tokens, fold the blocks' sums to floats.

use super::meet::Meet;
use super::unpack::{Format, Quad, ROWS};
use crate::acts::{Acts, MOST_SUMS, SUPER, groups};
use crate::matrix::Weights;
use crate::pool::Tile;
use crate::scratch::Scratch;

/// Bytes beyond the next eight rows at which weights are asked for.
const LEAD: usize = 8 << 10;
/// Bytes of the largest 256-block of eight rows.
const TAIL: usize = ROWS * 272;

/// See [`IntegerFormat::product`](crate::kernels::IntegerFormat). Tokens come in groups of up to four.
#[inline(always)]
pub(crate) fn product<V: Meet<F>, F: Format>(
    weights: &Weights<'_>,
    acts: &Acts<'_>,
    scratch: &mut Scratch,
    out: &mut Tile<'_, f32>,
) {
    let mut copy = std::mem::take(&mut scratch.bytes);
    let whole = if weights.rows < ROWS {
        // Too few rows: copy them, with zeros below.
        copy.clear();
        copy.extend_from_slice(weights.data);
        copy.resize(ROWS * weights.row_bytes, 0);
        Weights { data: &copy, rows: ROWS, ..*weights }
    } else {
        *weights
    };
    tile::<V, F>(&whole, weights.rows.min(ROWS), acts, scratch, out);
    scratch.bytes = copy;
}

/// Eight rows at a time, of which the first `used` are wanted.
#[inline(always)]
fn tile<V: Meet<F>, F: Format>(
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
        let (mut panel, mut heads) = (V::panel(), V::heads());
        // While eight rows are computed, the next are fetched in the order in which they lie, a share with each part of a block:
        // memory serves one long stream far better than eight short ones.
        let blocks = weights.cols.div_ceil(SUPER);
        let share = (ROWS * weights.row_bytes).div_ceil(blocks * 4).next_multiple_of(64);
        let mut first = 0;
        while first < weights.rows {
            // The last rows may overlap those before: what is computed twice comes out the same.
            first = first.min(weights.rows - ROWS);
            sums.fill([0.0; ROWS]);
            let next = weights.data.as_ptr().wrapping_add((first + ROWS) * weights.row_bytes + LEAD);
            for block in 0..blocks {
                let ahead = (next.wrapping_add(block * 4 * share), share);
                unpack::<V, F>(weights, first, block, ahead, &mut panel, &mut heads);
                for (at, count) in groups(tokens, acts.group) {
                    let (words, sums) = (acts.group(block, from + at, count), &mut sums[at..at + count]);
                    match count {
                        1 => V::meet::<1>(&panel, &heads, words, sums),
                        2 => V::meet::<2>(&panel, &heads, words, sums),
                        3 => V::meet::<3>(&panel, &heads, words, sums),
                        _ => V::meet::<4>(&panel, &heads, words, sums),
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
fn unpack<V: Meet<F>, F: Format>(
    weights: &Weights<'_>,
    first: usize,
    block: usize,
    ahead: (*const u8, usize),
    panel: &mut V::Panel,
    heads: &mut V::Heads,
) {
    let at = block * F::BYTES;
    let mut tail;
    let (bytes, stride) = if (block + 1) * SUPER <= weights.cols {
        (&weights.data[first * weights.row_bytes + at..], weights.row_bytes)
    } else {
        tail = [0; TAIL];
        for (row, tail) in tail.chunks_exact_mut(F::BYTES).take(ROWS).enumerate() {
            let rest = &weights.row(first + row)[at..];
            tail[..rest.len()].copy_from_slice(rest);
        }
        (&tail[..], F::BYTES)
    };
    unpack_at::<V, F>(bytes, stride, ahead, panel, heads);
}

#[inline(always)]
fn unpack_at<V: Meet<F>, F: Format>(
    bytes: &[u8],
    stride: usize,
    (next, share): (*const u8, usize),
    panel: &mut V::Panel,
    heads: &mut V::Heads,
) {
    for (quad, head) in heads.as_mut().iter_mut().enumerate() {
        let rows = Quad::new::<V, F>(&bytes[quad * V::ROWS * stride..], stride);
        F::head(rows, head);
        V::prepare(head);
        for part in 0..4 {
            if quad == 0 {
                V::fetch(next.wrapping_add(part * share), share);
            }
            F::part::<V>(rows, part, |place, x| V::put(panel, place, quad, x));
        }
    }
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
