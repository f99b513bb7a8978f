//! Keys and values of past positions, in reference-counted blocks of [`KV_BLOCK`] positions.
//!
//! A block holds its positions for every layer and head: `[layer][kv_head][K | V]`, where K lies as
//! `[head_dim_k][64 positions]`, so that one vector load gives a dimension of many positions and scores need no
//! horizontal sums, and V as `[64 positions][head_dim_v]`. In q8_0 both are followed by f16 scales: one per
//! position and 32 dimensions.

use std::fmt;
use std::str::FromStr;

use realizar_quant::{f16_to_f32, f32_to_f16};

use crate::{Kernels, TensorError};

/// Dimensions of a key that are made f16 at a time.
const NARROWED: usize = 64;

/// The scale of values that cannot be kept.
const Q8_NAN: u16 = 0x7e00;

/// Positions per block.
pub const KV_BLOCK: usize = 64;

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KvType {
    /// 32-bit floats: exact.
    F32,
    /// 16-bit floats.
    F16,
    /// 8-bit integers with one f16 scale per 32 values.
    Q8_0,
}

impl KvType {
    /// Every type.
    pub const ALL: &[Self] = &[Self::F32, Self::F16, Self::Q8_0];

    /// The name that [`FromStr`] reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
        }
    }

    /// Bytes of 64 positions of one head with `dim` dimensions.
    fn bytes(self, dim: u64) -> Option<u64> {
        let values = dim.checked_mul(KV_BLOCK as u64)?;
        match self {
            Self::F32 => values.checked_mul(4),
            Self::F16 => values.checked_mul(2),
            Self::Q8_0 => values.checked_add(values / 32 * 2),
        }
    }
}

impl fmt::Display for KvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KvType {
    type Err = TensorError;

    fn from_str(name: &str) -> Result<Self, TensorError> {
        let found = || TensorError::UnknownKvType { found: name.to_owned() };
        Self::ALL.iter().copied().find(|kind| kind.name() == name).ok_or_else(found)
    }
}

/// What one position of one sequence holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvShape {
    /// Layers with a cache.
    pub layers: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Dimensions of a key.
    pub head_dim_k: usize,
    /// Dimensions of a value.
    pub head_dim_v: usize,
    /// Element type.
    pub dtype: KvType,
}

/// Names one block of a [`KvStore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(u32);

/// Where the keys and values of one position go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The block.
    pub block: BlockId,
    /// The position inside it, below [`KV_BLOCK`].
    pub offset: u32,
}

/// All blocks of a cache, allocated at once.
#[derive(Debug)]
pub struct KvStore {
    shape: KvShape,
    layout: Layout,
    data: Vec<u8>,
    counts: Vec<u32>,
    free: Vec<BlockId>,
}

/// Byte sizes of the parts of a block.
#[derive(Debug, Clone, Copy)]
struct Layout {
    k: usize,
    head: usize,
    layer: usize,
    block: usize,
}

impl KvStore {
    /// Bytes of `blocks` blocks; `None` when that overflows.
    #[must_use]
    pub fn bytes_needed(shape: &KvShape, blocks: usize) -> Option<u64> {
        let size = |dim: usize| shape.dtype.bytes(u64::try_from(dim).ok()?);
        let head = size(shape.head_dim_k)?.checked_add(size(shape.head_dim_v)?)?;
        let heads = u64::try_from(shape.layers.checked_mul(shape.kv_heads)?).ok()?;
        head.checked_mul(heads)?.checked_mul(u64::try_from(blocks).ok()?)
    }

    /// Allocates `blocks` blocks, all zero and free.
    ///
    /// # Errors
    /// When the shape is empty, does not fit its type, or the memory cannot be had.
    pub fn new(shape: KvShape, blocks: usize) -> Result<Self, TensorError> {
        let KvShape { layers, kv_heads, head_dim_k, head_dim_v, dtype } = shape;
        if layers == 0 || kv_heads == 0 || head_dim_k == 0 || head_dim_v == 0 {
            return Err(TensorError::EmptyKv { layers, kv_heads, head_dim_k, head_dim_v });
        }
        if dtype == KvType::Q8_0 && !(head_dim_k.is_multiple_of(32) && head_dim_v.is_multiple_of(32)) {
            return Err(TensorError::KvHeadDim { head_dim_k, head_dim_v });
        }
        let bytes = Self::bytes_needed(&shape, blocks);
        let refused = TensorError::OutOfMemory { what: "the KV cache", bytes };
        let (Some(total), Ok(count)) = (bytes.and_then(|b| usize::try_from(b).ok()), u32::try_from(blocks))
        else {
            return Err(refused);
        };
        // Memory that is zeroed by the system costs nothing before it is used, but it cannot be asked for politely: so the
        // same amount is asked for first.
        if Vec::<u8>::new().try_reserve_exact(total).is_err() {
            return Err(refused);
        }
        let data = vec![0; total];
        // Every part of the whole fits `usize`, as the whole does.
        let size = |dim: usize| dtype.bytes(dim as u64).unwrap_or(0) as usize;
        let (k, head) = (size(head_dim_k), size(head_dim_k) + size(head_dim_v));
        let layout = Layout { k, head, layer: head * kv_heads, block: head * kv_heads * layers };
        let free = (0..count).rev().map(BlockId).collect();
        Ok(Self { shape, layout, data, counts: vec![0; blocks], free })
    }

    /// What a position holds.
    #[must_use]
    pub fn shape(&self) -> &KvShape {
        &self.shape
    }

    /// Blocks in all.
    #[must_use]
    pub fn total_blocks(&self) -> usize {
        self.counts.len()
    }

    /// Blocks that [`Self::alloc`] can still give.
    #[must_use]
    pub fn free_blocks(&self) -> usize {
        self.free.len()
    }

    /// Holders of a block; 0 when it is free.
    ///
    /// # Panics
    /// When the block is of another store.
    #[must_use]
    pub fn holders(&self, block: BlockId) -> u32 {
        self.counts[block.0 as usize]
    }

    /// A free block, held once. Its contents are whatever was there.
    pub fn alloc(&mut self) -> Option<BlockId> {
        let block = self.free.pop()?;
        self.counts[block.0 as usize] = 1;
        Some(block)
    }

    /// One holder more.
    ///
    /// # Panics
    /// When the block is free.
    pub fn retain(&mut self, block: BlockId) {
        let count = &mut self.counts[block.0 as usize];
        assert!(*count > 0, "{block:?} is free");
        *count += 1;
    }

    /// One holder less; the block is free when it was the last.
    ///
    /// # Panics
    /// When the block is free already.
    pub fn release(&mut self, block: BlockId) {
        let count = &mut self.counts[block.0 as usize];
        assert!(*count > 0, "{block:?} is free already");
        *count -= 1;
        if *count == 0 {
            self.free.push(block);
        }
    }

    /// A new block, held once, with the contents of `source`: before one of several holders writes to it.
    pub fn copy_block(&mut self, source: BlockId) -> Option<BlockId> {
        let copy = self.alloc()?;
        let size = self.layout.block;
        self.data
            .copy_within(source.0 as usize * size..(source.0 as usize + 1) * size, copy.0 as usize * size);
        Some(copy)
    }

    /// Whether `block` is one of this store's that somebody holds.
    pub(crate) fn is_held(&self, block: BlockId) -> bool {
        self.counts.get(block.0 as usize).is_some_and(|&count| count > 0)
    }

    /// The bytes of keys and of values of one head.
    pub(crate) fn head(&self, block: BlockId, layer: usize, head: usize) -> (&[u8], &[u8]) {
        self.data[self.start(block, layer, head)..][..self.layout.head].split_at(self.layout.k)
    }

    /// Writes one position: `k` and `v` hold all heads of one row.
    pub(crate) fn write(&mut self, slot: Slot, layer: usize, k: &[f32], v: &[f32], kernels: &Kernels) {
        let KvShape { kv_heads, head_dim_k, head_dim_v, dtype, .. } = self.shape;
        let pos = slot.offset as usize;
        assert!(pos < KV_BLOCK, "offset {pos} in a block of {KV_BLOCK}");
        for head in 0..kv_heads {
            let (k, v) = (&k[head * head_dim_k..][..head_dim_k], &v[head * head_dim_v..][..head_dim_v]);
            let start = self.start(slot.block, layer, head);
            let bytes = &mut self.data[start..start + self.layout.head];
            let (k_out, v_out) = bytes.split_at_mut(self.layout.k);
            match dtype {
                KvType::F32 => {
                    scatter(k_out, pos, k, f32::to_le_bytes);
                    store(v_out, pos, v, f32::to_le_bytes);
                }
                KvType::F16 => {
                    let mut halves = [[0; 2]; NARROWED];
                    for (k_out, k) in k_out.chunks_mut(NARROWED * KV_BLOCK * 2).zip(k.chunks(NARROWED)) {
                        let halves = &mut halves[..k.len()];
                        (kernels.narrow_f16)(k, halves);
                        for (row, half) in k_out.chunks_exact_mut(KV_BLOCK * 2).zip(halves) {
                            row[pos * 2..][..2].copy_from_slice(half);
                        }
                    }
                    let v_out = &mut v_out.as_chunks_mut::<2>().0[pos * head_dim_v..];
                    (kernels.narrow_f16)(v, &mut v_out[..head_dim_v]);
                }
                KvType::Q8_0 => {
                    let (values, scales) = k_out.split_at_mut(head_dim_k * KV_BLOCK);
                    for (index, part) in k.chunks_exact(32).enumerate() {
                        let (scale, inverse) = q8_scale(part);
                        let values = &mut values[index * 32 * KV_BLOCK..];
                        scatter(values, pos, part, |x| q8(x, inverse).to_le_bytes());
                        scales[(index * KV_BLOCK + pos) * 2..][..2].copy_from_slice(&scale);
                    }
                    let (values, scales) = v_out.split_at_mut(head_dim_v * KV_BLOCK);
                    for (index, part) in v.chunks_exact(32).enumerate() {
                        let (scale, inverse) = q8_scale(part);
                        let values = &mut values[pos * head_dim_v + index * 32..];
                        store(values, 0, part, |x| q8(x, inverse).to_le_bytes());
                        scales[(pos * head_dim_v / 32 + index) * 2..][..2].copy_from_slice(&scale);
                    }
                }
            }
        }
    }

    fn start(&self, block: BlockId, layer: usize, head: usize) -> usize {
        assert!(layer < self.shape.layers && head < self.shape.kv_heads, "layer {layer}, head {head}");
        block.0 as usize * self.layout.block + layer * self.layout.layer + head * self.layout.head
    }
}

/// One column of a `[dim][64]` array.
fn scatter<const N: usize>(out: &mut [u8], pos: usize, values: &[f32], bytes: impl Fn(f32) -> [u8; N]) {
    for (row, &value) in out.chunks_exact_mut(KV_BLOCK * N).zip(values) {
        row[pos * N..][..N].copy_from_slice(&bytes(value));
    }
}

/// One row of a `[64][dim]` array.
fn store<const N: usize>(out: &mut [u8], pos: usize, values: &[f32], bytes: impl Fn(f32) -> [u8; N]) {
    let out = &mut out[pos * values.len() * N..][..values.len() * N];
    for (cell, &value) in out.chunks_exact_mut(N).zip(values) {
        cell.copy_from_slice(&bytes(value));
    }
}

/// Scale of 32 values, as it is stored, and the inverse of just that; NaN when one of the values is not finite or f16 cannot
/// hold the scale, so that it shows in every score.
fn q8_scale(values: &[f32]) -> ([u8; 2], f32) {
    let largest = values.iter().map(|x| x.to_bits() & 0x7fff_ffff).max().unwrap_or(0);
    let largest = f32::from_bits(largest);
    let mut scale = f32_to_f16(largest / 127.0);
    let mut wide = f16_to_f32(scale);
    // Among the smallest halves the nearest can be so far below that the integers do not reach: then it is the next.
    if wide * 127.5 < largest {
        scale += 1;
        wide = f16_to_f32(scale);
    }
    if wide.is_finite() {
        (scale.to_le_bytes(), if wide > 0.0 { 1.0 / wide } else { 0.0 })
    } else {
        (Q8_NAN.to_le_bytes(), 0.0)
    }
}

/// The nearest integer, ties to even, of what is at most 127.5 in size; anything where the scale is NaN.
fn q8(value: f32, inverse: f32) -> i8 {
    // Where floats are whole numbers: adding rounds, without the call that rounding is for some processors.
    const WHOLE: f32 = 12_582_912.0;
    let rounded = (value * inverse + WHOLE).to_bits() as i32 - WHOLE.to_bits() as i32;
    rounded.min(127) as i8
}
