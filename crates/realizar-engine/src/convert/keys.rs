//! Metadata alone, as a reader of a new file will find it.

use std::collections::HashMap;
use std::path::Path;

use realizar_format::{Format, TensorSource, TensorView, Value};

/// The metadata of a GGUF file that is not there yet.
#[derive(Debug)]
pub(super) struct Keys<'a>(HashMap<&'a str, Value<'a>>);

impl<'a> Keys<'a> {
    pub(super) fn new(entries: impl Iterator<Item = (&'a str, Value<'a>)>) -> Self {
        Self(entries.collect())
    }
}

impl TensorSource for Keys<'_> {
    fn format(&self) -> Format {
        Format::Gguf
    }

    fn metadata(&self, key: &str) -> Option<Value<'_>> {
        self.0.get(key).copied()
    }

    fn metadata_keys(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.0.keys().copied())
    }

    fn tensor(&self, _name: &str) -> Option<TensorView<'_>> {
        None
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorView<'_>> + '_> {
        Box::new(std::iter::empty())
    }

    fn path(&self) -> Option<&Path> {
        None
    }
}
