//! The source's tensors and facts under the names and in the order of a GGUF file.

use std::ops::Range;

use realizar_format::{DType, Shape, TensorSource, TensorView, Value};

use crate::error::CliError;

/// What there is to quantise.
#[derive(Debug)]
pub(super) struct Weights<'a> {
    source: &'a dyn TensorSource,
    tensors: Vec<TensorView<'a>>,
}

/// A tensor: its name, type and shape, outermost dimension first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tensor<'a> {
    pub(super) name: &'a str,
    pub(super) dtype: DType,
    pub(super) shape: Shape,
}

impl<'a> Weights<'a> {
    pub(super) fn new(source: &'a dyn TensorSource) -> Result<Self, CliError> {
        Ok(Self { source, tensors: source.tensors().collect() })
    }

    pub(super) fn metadata(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.source.metadata_keys().filter_map(|key| Some((key, self.source.metadata(key)?)))
    }

    pub(super) fn value(&self, key: &str) -> Option<Value<'_>> {
        self.metadata().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// What the start of each tensor's data is a multiple of.
    pub(super) fn alignment(&self) -> u64 {
        self.value("general.alignment").and_then(|value| value.as_u64()).unwrap_or(32)
    }

    pub(super) fn tensors(&self) -> impl Iterator<Item = Tensor<'_>> {
        self.tensors.iter().map(|tensor| Tensor {
            name: tensor.name,
            dtype: tensor.dtype,
            shape: tensor.shape,
        })
    }

    /// The bytes of whole rows.
    pub(super) fn rows<'b>(
        &'b self,
        tensor: usize,
        rows: Range<usize>,
        _scratch: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], CliError> {
        let tensor = &self.tensors[tensor];
        let row = tensor.dtype.row_bytes(tensor.shape.cols()).unwrap_or_default();
        Ok(&tensor.data[rows.start * row..rows.end * row])
    }
}
