//! A file that does not exist yet, as far as its configuration can be read.

use std::collections::HashMap;
use std::path::Path;

use realizar_format::{DType, Format, Shape, TensorSource, TensorView, Value};

use super::fact::Fact;

/// Metadata and shapes without data: enough to read a configuration, and so to see whether it came through.
#[derive(Debug)]
pub(crate) struct Probe<'a> {
    pub(crate) format: Format,
    pub(crate) entries: HashMap<&'a str, &'a Fact>,
    pub(crate) tensors: HashMap<&'a str, Shape>,
}

impl TensorSource for Probe<'_> {
    fn format(&self) -> Format {
        self.format
    }

    fn metadata(&self, key: &str) -> Option<Value<'_>> {
        self.entries.get(key).map(|fact| fact.value())
    }

    fn metadata_keys(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.entries.keys().copied())
    }

    fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        let (name, shape) = self.tensors.get_key_value(name)?;
        Some(TensorView { name, dtype: DType::F32, shape: *shape, offset: 0, data: bytes::Bytes::new() })
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorView<'_>> + '_> {
        Box::new(self.tensors.keys().filter_map(|name| self.tensor(name)))
    }

    fn path(&self) -> Option<&Path> {
        None
    }
}
