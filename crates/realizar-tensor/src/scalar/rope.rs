//! Rotary position embedding of one row.

use crate::PairOrder;

/// How the heads of one row rotate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn<'a> {
    /// Values per head.
    pub(crate) head_dim: usize,
    /// The first value of a head that rotates.
    pub(crate) offset: usize,
    /// Which values are pairs.
    pub(crate) order: PairOrder,
    /// One per pair.
    pub(crate) sin: &'a [f32],
    /// One per pair.
    pub(crate) cos: &'a [f32],
}

/// See [`Kernels::rope`](crate::Kernels).
#[inline(always)]
pub(crate) fn rope(turn: &Turn<'_>, row: &mut [f32], copy: &mut [f32]) {
    let Turn { head_dim, offset, order, sin, cos } = *turn;
    let pairs = cos.len();
    for head in row.chunks_exact_mut(head_dim) {
        let part = &mut head[offset..offset + 2 * pairs];
        match order {
            PairOrder::Adjacent => {
                let (first, second) = copy.split_at_mut(pairs);
                let out = first.iter_mut().zip(second);
                for (((a, b), pair), (sin, cos)) in out.zip(part.as_chunks::<2>().0).zip(sin.iter().zip(cos))
                {
                    (*a, *b) = rotate(pair[0], pair[1], *sin, *cos);
                }
                part.copy_from_slice(copy);
            }
            PairOrder::Halves => {
                let (first, second) = part.split_at_mut(pairs);
                for ((a, b), (sin, cos)) in first.iter_mut().zip(second).zip(sin.iter().zip(cos)) {
                    (*a, *b) = rotate(*a, *b, *sin, *cos);
                }
            }
        }
    }
}

#[inline(always)]
fn rotate(a: f32, b: f32, sin: f32, cos: f32) -> (f32, f32) {
    (a * cos - b * sin, a * sin + b * cos)
}
