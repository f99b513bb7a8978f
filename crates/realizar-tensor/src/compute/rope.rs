//! Rotary position embedding.

use super::Compute;
use crate::scalar::rope::Turn;
use crate::{Rows, Vector};

/// Which two values of a head rotate together.
///
/// In either case the rotated values of pair i end up at i and i + half of the rotated part: files that differ only in
/// the order of rows give the same sums in attention, bit for bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairOrder {
    /// 2i and 2i + 1.
    Adjacent,
    /// i and i + half of the rotated part.
    Halves,
}

/// Values of a head that fit on the stack while they change places; heads of models have at most half of it.
const STASH: usize = 512;

/// The rotation of one kind of layer.
#[derive(Debug, Clone)]
pub struct Rope {
    /// Values per head.
    pub head_dim: usize,
    /// Values that rotate; even.
    pub rotary_dim: usize,
    /// The first value of a head that rotates.
    pub offset: usize,
    /// Pairs.
    pub order: PairOrder,
    /// Radians per position of each pair, scaling applied.
    pub inv_freq: Vector,
    /// Factor of the rotated values.
    pub magnitude: f32,
}

/// Sines and cosines of the last positions: layers of the same kind share them.
#[derive(Debug, Default)]
pub(super) struct Table {
    inv_freq: Option<(Vector, f32)>,
    positions: Vec<u32>,
    /// `[row]`: the sines of all pairs, then the cosines.
    angles: Vec<f32>,
}

impl Table {
    fn fill(&mut self, rope: &Rope, positions: &[u32]) {
        let same = self.inv_freq.as_ref().is_some_and(|(inv_freq, magnitude)| {
            std::ptr::eq(inv_freq.as_slice(), rope.inv_freq.as_slice()) && *magnitude == rope.magnitude
        });
        if same && self.positions == positions {
            return;
        }
        self.inv_freq = Some((rope.inv_freq.clone(), rope.magnitude));
        self.positions.clear();
        self.positions.extend_from_slice(positions);
        self.angles.clear();
        for &pos in positions {
            let frequencies = rope.inv_freq.as_slice();
            let sines = self.angles.len();
            self.angles.resize(sines + 2 * frequencies.len(), 0.0);
            let (sines, cosines) = self.angles[sines..].split_at_mut(frequencies.len());
            for ((sine, cosine), &freq) in sines.iter_mut().zip(cosines).zip(frequencies) {
                let (sin, cos) = (pos as f32 * freq).sin_cos();
                (*sine, *cosine) = (sin * rope.magnitude, cos * rope.magnitude);
            }
        }
    }
}

impl Compute {
    /// Rotates the heads of each row by its position; see [`PairOrder`] for where the values end up.
    ///
    /// # Panics
    /// When rows are not `heads` heads, the rotated part leaves the head, or there is not one position per row and one
    /// frequency per pair.
    pub fn rope(&mut self, x: &mut Rows, heads: usize, rope: &Rope, positions: &[u32]) {
        let Rope { head_dim, rotary_dim, offset, order, .. } = *rope;
        let pairs = rotary_dim / 2;
        assert_eq!(x.width(), heads * head_dim, "{heads} heads of {head_dim} in rows of {}", x.width());
        assert!(
            rotary_dim.is_multiple_of(2) && rotary_dim <= head_dim.saturating_sub(offset),
            "{rotary_dim} of {head_dim} values"
        );
        assert_eq!(rope.inv_freq.len(), pairs, "one frequency per pair");
        assert_eq!(positions.len(), x.rows(), "{} positions for {} rows", positions.len(), x.rows());
        if pairs == 0 {
            return;
        }
        let mut table = std::mem::take(&mut self.rope);
        table.fill(rope, positions);
        let kernels = self.kernels;
        self.by_rows(x, |_, mut tile| {
            let mut on_stack = [0.0; STASH];
            let mut larger = if rotary_dim > STASH { vec![0.0; rotary_dim] } else { Vec::new() };
            let copy = on_stack.get_mut(..rotary_dim).unwrap_or(&mut larger);
            for (index, row) in tile.rows().enumerate() {
                let (sin, cos) = table.angles[row * rotary_dim..][..rotary_dim].split_at(pairs);
                (kernels.rope)(&Turn { head_dim, offset, order, sin, cos }, tile.row(index), copy);
            }
        });
        self.rope = table;
    }
}
