//! The dimensions of a tensor, outermost first.

use std::fmt;
use std::ops::Deref;

use realizar_quant::DType;

use crate::limits::DIMS;

/// Dimensions of a tensor, **outermost first**: a matrix is `[rows, cols]` and a row's `cols` elements lie together.
///
/// GGUF writes dimensions the other way round; the reader turns them. Up to 8 dimensions; none is a scalar.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [usize; DIMS],
    len: u8,
}

impl Shape {
    /// The shape with these dimensions, or `None` if there are more than 8.
    #[must_use]
    pub fn new(dims: &[usize]) -> Option<Self> {
        let mut shape = Self { dims: [0; DIMS], len: u8::try_from(dims.len()).ok()? };
        shape.dims.get_mut(..dims.len())?.copy_from_slice(dims);
        Some(shape)
    }

    /// No dimensions: one element.
    pub(crate) fn scalar() -> Self {
        Self { dims: [0; DIMS], len: 0 }
    }

    /// Length of the innermost, contiguous dimension; 1 for a scalar.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.last().copied().unwrap_or(1)
    }

    /// Product of all dimensions but the innermost: how many rows of [`Shape::cols`] elements there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.split_last().map_or(1, |(_, outer)| product(outer).unwrap_or(usize::MAX))
    }

    /// Bytes of a tensor whose rows are whole blocks of `dtype`; `None` if they are not, or if the size overflows. A
    /// tensor without elements has none, whatever its other dimensions are.
    pub(crate) fn bytes(&self, dtype: DType) -> Option<u64> {
        match self.elements()? {
            0 => Some(0),
            _ => (dtype.row_bytes(self.cols())? as u64).checked_mul(self.rows() as u64),
        }
    }

    /// Number of elements, or `None` if it overflows. A tensor from a checked file always has a number.
    #[must_use]
    pub fn elements(&self) -> Option<usize> {
        product(self)
    }
}

/// Product of the dimensions; one zero makes it zero, whatever the others are.
fn product(dims: &[usize]) -> Option<usize> {
    if dims.contains(&0) {
        return Some(0);
    }
    dims.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim))
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        self.dims.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{DType, Shape};

    #[test]
    fn sizes_follow_from_dimensions() {
        const HUGE: usize = usize::MAX / 2;
        let cases: &[(&[usize], usize, usize, Option<usize>)] = &[
            (&[], 1, 1, Some(1)),
            (&[7], 1, 7, Some(7)),
            (&[3, 4], 3, 4, Some(12)),
            (&[2, 3, 4], 6, 4, Some(24)),
            (&[0, HUGE, HUGE], 0, HUGE, Some(0)),
            (&[HUGE, HUGE, 0], usize::MAX, 0, Some(0)),
            (&[HUGE, 3], HUGE, 3, None),
        ];
        for (dims, rows, cols, elements) in cases {
            let shape = Shape::new(dims).unwrap();
            assert_eq!((shape.rows(), shape.cols(), shape.elements()), (*rows, *cols, *elements), "{shape}");
            assert_eq!(&*shape, *dims);
        }
        for (dims, bytes) in [
            (&[2, 64][..], Some(72)),
            (&[2, 33], None),
            (&[0, 33], Some(0)),
            (&[0, HUGE], Some(0)),
            (&[HUGE, 64], None),
        ] {
            assert_eq!(Shape::new(dims).unwrap().bytes(DType::Q4_0), bytes, "{dims:?}");
        }
        assert_eq!(Shape::new(&[1; 9]), None);
        assert_eq!(Shape::new(&[2, 3]).unwrap().to_string(), "[2, 3]");
    }
}
