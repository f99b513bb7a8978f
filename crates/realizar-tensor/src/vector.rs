//! Small f32 parameters: norm gains, biases, rope frequencies, attention sinks.

use std::sync::Arc;

use realizar_quant::{DType, decode};

use crate::TensorError;

/// An immutable list of f32; clones share it.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector(Arc<[f32]>);

impl Vector {
    /// Takes the values as they are.
    #[must_use]
    pub fn from_vec(values: Vec<f32>) -> Self {
        Self(values.into())
    }

    /// Decodes little-endian bytes of `dtype`; the number of elements follows from the length.
    ///
    /// # Errors
    /// When the bytes are not whole blocks, or the type cannot be decoded.
    pub fn from_bytes(dtype: DType, bytes: &[u8]) -> Result<Self, TensorError> {
        let block_bytes = dtype.block_bytes();
        if !bytes.len().is_multiple_of(block_bytes) {
            return Err(TensorError::VectorBytes { dtype, block_bytes, found: bytes.len() });
        }
        let mut values = vec![0.0; bytes.len() / block_bytes * dtype.block_elems()];
        decode(dtype, bytes, &mut values).map_err(|source| TensorError::Decode { dtype, source })?;
        Ok(Self::from_vec(values))
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }
}
