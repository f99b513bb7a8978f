//! One tile of an integer product: which rows go together, and which of the three ways computes them.

use super::along;
use super::few;
use super::fold::lanes;
use super::many;
use super::rows::{LANES, Rows16};
use super::unpack::FACTS;
use crate::acts::{Acts, SUPER};
use crate::kernels::ALONG_MOST;
use crate::matrix::Weights;
use crate::pool::Tile;
use crate::scratch::Scratch;

/// See [`IntegerFormat::product`](crate::kernels::IntegerFormat).
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
pub(super) fn product<const F: usize>(
    weights: &Weights<'_>,
    acts: &Acts<'_>,
    scratch: &mut Scratch,
    out: &mut Tile<'_, f32>,
) {
    if weights.rows < LANES {
        // Too few rows for one register: copy them, with zeros below.
        let mut copy = std::mem::take(&mut scratch.bytes);
        copy.clear();
        copy.extend_from_slice(weights.data);
        copy.resize(LANES * weights.row_bytes, 0);
        let padded = Weights { data: &copy, rows: LANES, ..*weights };
        tiles::<F>(&padded, weights.rows, acts, scratch, out);
        scratch.bytes = copy;
        return;
    }
    tiles::<F>(weights, LANES, acts, scratch, out);
}

/// Sixteen rows at a time, of which the first `used` are wanted.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
fn tiles<const F: usize>(
    weights: &Weights<'_>,
    used: usize,
    acts: &Acts<'_>,
    scratch: &mut Scratch,
    out: &mut Tile<'_, f32>,
) {
    const { assert!(ALONG_MOST == 2) };
    match acts.tokens {
        1 => return rows_along::<F, 1>(weights, used, acts, scratch, out),
        2 => return rows_along::<F, 2>(weights, used, acts, scratch, out),
        _ => {}
    }
    let mut first = 0;
    let mut tail = Tail::EMPTY;
    while first < weights.rows {
        // The last rows may overlap those before: what is computed twice comes out the same.
        let left = weights.rows - first;
        if left < LANES {
            first = weights.rows - LANES;
        }
        if acts.tokens <= few::MOST {
            few::rows16::<F>(weights, first, acts, &mut tail, |token, sums| {
                put(&mut out.row(token)[first..], sums, used);
            });
            first += LANES;
        } else {
            let panels = (left / LANES).clamp(1, many::PANELS);
            many::rows::<F>(weights, first, panels, acts, &mut tail, scratch, |token, row, sums| {
                put(&mut out.row(token)[row..], sums, used);
            });
            first += panels * LANES;
        }
    }
}

/// As [`tiles`], for the `T` tokens of [`along`].
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
fn rows_along<const F: usize, const T: usize>(
    weights: &Weights<'_>,
    used: usize,
    acts: &Acts<'_>,
    scratch: &mut Scratch,
    out: &mut Tile<'_, f32>,
) {
    let blocks = weights.cols.div_ceil(SUPER);
    let (panel, sums) = along::words::<F>(acts, blocks);
    along::arrange::<F>(acts, blocks, scratch.buffers(panel, sums).0);
    let mut stream = along::Stream::new(weights, along::units::<F>(blocks), scratch.last);
    let mut tail = Tail::EMPTY;
    for first in (0..weights.rows).step_by(LANES) {
        // See `tiles`.
        let first = first.min(weights.rows - LANES);
        let sums = along::rows16::<F, T>(weights, first, acts, &mut tail, &mut stream, scratch);
        for (token, sums) in sums.into_iter().enumerate() {
            put(&mut out.row(token)[first..], &lanes(sums), used);
        }
    }
    scratch.last = weights.data.as_ptr_range().end.addr();
}

/// Stores the first `used` sums; nearly always all of them, by one register.
#[inline(always)]
fn put(out: &mut [f32], sums: &[f32; LANES], used: usize) {
    match out.first_chunk_mut() {
        Some(out) if used == LANES => *out = *sums,
        _ => out[..used].copy_from_slice(&sums[..used]),
    }
}

/// The 256-block `block` of sixteen rows: in place, or copied with zeros behind it when the row ends inside it.
#[inline(always)]
pub(super) fn block_of<const F: usize>(
    weights: &Weights<'_>,
    first: usize,
    block: usize,
    tail: &mut Tail,
) -> Rows16 {
    let bytes = FACTS[F].bytes;
    if (block + 1) * SUPER <= weights.cols {
        let rows = &weights.data[first * weights.row_bytes..];
        return Rows16::new(rows, weights.row_bytes).at(block * bytes, bytes);
    }
    tail.0 = [0; TAIL];
    for row in 0..LANES {
        let rest = &weights.row(first + row)[block * bytes..];
        tail.0[row * bytes..][..rest.len()].copy_from_slice(rest);
    }
    Rows16::new(&tail.0, bytes)
}

/// Bytes of the largest 256-block of sixteen rows.
const TAIL: usize = LANES * 272;

/// Room for the last block of rows that are not whole 256-blocks.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Tail([u8; TAIL]);

impl Tail {
    pub(super) const EMPTY: Self = Self([0; TAIL]);

    /// The bytes of one of the rows that are here, each `bytes` long.
    pub(super) fn row(&self, row: usize, bytes: usize) -> &[u8] {
        &self.0[row * bytes..][..bytes]
    }
}
