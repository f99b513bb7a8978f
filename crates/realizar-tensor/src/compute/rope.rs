//! Rotary position embedding.

use super::Compute;
use crate::{Rows, Vector};

/// Which two values of a head rotate together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairOrder {
    /// 2i and 2i + 1.
    Adjacent,
    /// i and i + half of the rotated part.
    Halves,
}

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
    /// `[row][pair]`.
    angles: Vec<(f32, f32)>,
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
            self.angles.extend(rope.inv_freq.as_slice().iter().map(|&freq| {
                let (sin, cos) = (pos as f32 * freq).sin_cos();
                (sin * rope.magnitude, cos * rope.magnitude)
            }));
        }
    }
}

impl Compute {
    /// Rotates the heads of each row by its position.
    ///
    /// # Panics
    /// When rows are not `heads` heads, the rotated part leaves the head, or there is not one position per row and one
    /// frequency per pair.
    pub fn rope(&mut self, x: &mut Rows, heads: usize, rope: &Rope, positions: &[u32]) {
        let Rope { head_dim, rotary_dim, offset, order, .. } = *rope;
        let pairs = rotary_dim / 2;
        assert_eq!(x.width(), heads * head_dim, "{heads} heads of {head_dim} in rows of {}", x.width());
        assert!(
            rotary_dim.is_multiple_of(2) && offset + rotary_dim <= head_dim,
            "{rotary_dim} of {head_dim} values"
        );
        assert_eq!(rope.inv_freq.len(), pairs, "one frequency per pair");
        assert_eq!(positions.len(), x.rows(), "{} positions for {} rows", positions.len(), x.rows());
        if pairs == 0 {
            return;
        }
        let mut table = std::mem::take(&mut self.rope);
        table.fill(rope, positions);
        self.by_rows(x, |_, mut tile| {
            for (index, row) in tile.rows().enumerate() {
                let angles = &table.angles[row * pairs..][..pairs];
                for head in tile.row(index).chunks_exact_mut(head_dim) {
                    let part = &mut head[offset..offset + rotary_dim];
                    match order {
                        PairOrder::Adjacent => {
                            for (pair, &angle) in part.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
                                (pair[0], pair[1]) = rotate(pair[0], pair[1], angle);
                            }
                        }
                        PairOrder::Halves => {
                            let (first, second) = part.split_at_mut(pairs);
                            for ((a, b), &angle) in first.iter_mut().zip(second).zip(angles) {
                                (*a, *b) = rotate(*a, *b, angle);
                            }
                        }
                    }
                }
            }
        });
        self.rope = table;
    }
}

fn rotate(a: f32, b: f32, (sin, cos): (f32, f32)) -> (f32, f32) {
    (a * cos - b * sin, a * sin + b * cos)
}
