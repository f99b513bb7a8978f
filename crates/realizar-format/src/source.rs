//! The one door to a model's weights and facts, whatever file they came from.

use std::fmt;
use std::path::Path;

use bytes::Bytes;
use realizar_quant::DType;

use crate::array::Array;
use crate::error::FormatError;
use crate::shape::Shape;
use crate::value::Value;

/// The kind of file behind a [`TensorSource`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it")]
pub enum Format {
    Gguf,
    Safetensors,
    Apr,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gguf => "GGUF",
            Self::Safetensors => "safetensors",
            Self::Apr => ".apr",
        })
    }
}

/// One tensor: its name, what its bytes mean, and the bytes where they lie in the file.
#[derive(Debug, Clone)]
pub struct TensorView<'a> {
    /// The name in the file.
    pub name: &'a str,
    /// The type of the elements.
    pub dtype: DType,
    /// Dimensions, outermost first.
    pub shape: Shape,
    /// Where the data starts in its file.
    pub offset: u64,
    /// The data: a view that shares the mapped file and keeps it alive. Alignment is not promised.
    pub data: Bytes,
}

/// A model file or folder that was checked when it was opened: nothing here fails or reads outside the file.
pub trait TensorSource: Send + Sync + fmt::Debug {
    /// The kind of file.
    fn format(&self) -> Format;

    /// The value of a metadata key.
    fn metadata(&self, key: &str) -> Option<Value<'_>>;

    /// All metadata keys, in the file's order.
    fn metadata_keys(&self) -> Box<dyn Iterator<Item = &str> + '_>;

    /// The tensor with this name.
    fn tensor(&self, name: &str) -> Option<TensorView<'_>>;

    /// All tensors, in the file's order.
    fn tensors(&self) -> Box<dyn Iterator<Item = TensorView<'_>> + '_>;

    /// The file or folder this was opened from; `None` when it was parsed from memory.
    fn path(&self) -> Option<&Path>;

    /// A file that belongs to the model, such as `tokenizer.json` of a model folder; `None` if there is none.
    fn companion(&self, name: &str) -> Option<Bytes> {
        let _ = name;
        None
    }

    /// What is odd about the file and yet no reason to refuse it, one line each.
    fn warnings(&self) -> &[String] {
        &[]
    }
}

/// Typed access to metadata. Every error names the key, and the file where there is one.
///
/// `get_` gives `None` for a missing key, `require_` an error. An integer may be stored in any integer type that
/// holds it; nothing else is converted.
impl dyn TensorSource + '_ {
    /// The integer behind `key`, if the key is there.
    ///
    /// # Errors
    ///
    /// The value is not an integer that fits.
    pub fn get_u32(&self, key: &str) -> Result<Option<u32>, FormatError> {
        self.typed(key, "an unsigned 32-bit integer", |value| value.as_u32())
    }

    /// The integer behind `key`.
    ///
    /// # Errors
    ///
    /// The key is missing, or the value is not an integer that fits.
    pub fn require_u32(&self, key: &str) -> Result<u32, FormatError> {
        self.present(key, self.get_u32(key))
    }

    /// The integer behind `key`, if the key is there.
    ///
    /// # Errors
    ///
    /// The value is not an integer that fits.
    pub fn get_u64(&self, key: &str) -> Result<Option<u64>, FormatError> {
        self.typed(key, "an unsigned 64-bit integer", |value| value.as_u64())
    }

    /// The integer behind `key`.
    ///
    /// # Errors
    ///
    /// The key is missing, or the value is not an integer that fits.
    pub fn require_u64(&self, key: &str) -> Result<u64, FormatError> {
        self.present(key, self.get_u64(key))
    }

    /// The float behind `key`, if the key is there.
    ///
    /// # Errors
    ///
    /// The value is not a float.
    pub fn get_f32(&self, key: &str) -> Result<Option<f32>, FormatError> {
        self.typed(key, "a float", |value| value.as_f32())
    }

    /// The float behind `key`.
    ///
    /// # Errors
    ///
    /// The key is missing, or the value is not a float.
    pub fn require_f32(&self, key: &str) -> Result<f32, FormatError> {
        self.present(key, self.get_f32(key))
    }

    /// The bool behind `key`, if the key is there.
    ///
    /// # Errors
    ///
    /// The value is not a bool.
    pub fn get_bool(&self, key: &str) -> Result<Option<bool>, FormatError> {
        self.typed(key, "a bool", |value| value.as_bool())
    }

    /// The text behind `key`, if the key is there.
    ///
    /// # Errors
    ///
    /// The value is not a string, or not UTF-8.
    pub fn get_str(&self, key: &str) -> Result<Option<&str>, FormatError> {
        self.typed(key, "a UTF-8 string", |value| value.as_str())
    }

    /// The text behind `key`.
    ///
    /// # Errors
    ///
    /// The key is missing, or the value is not a UTF-8 string.
    pub fn require_str(&self, key: &str) -> Result<&str, FormatError> {
        self.present(key, self.get_str(key))
    }

    /// The array behind `key`, if the key is there.
    ///
    /// # Errors
    ///
    /// The value is not an array.
    pub fn get_array(&self, key: &str) -> Result<Option<Array<'_>>, FormatError> {
        self.typed(key, "an array", |value| value.as_array())
    }

    /// The array behind `key`.
    ///
    /// # Errors
    ///
    /// The key is missing, or the value is not an array.
    pub fn require_array(&self, key: &str) -> Result<Array<'_>, FormatError> {
        self.present(key, self.get_array(key))
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, FormatError> {
        let Some(value) = self.metadata(key) else { return Ok(None) };
        if let Some(typed) = read(&value) {
            return Ok(Some(typed));
        }
        let found = format!("{} {value}", value.value_type());
        let error = FormatError::WrongType { key: key.to_owned(), found, expected };
        Err(error.in_file(self.path()))
    }

    fn present<T>(&self, key: &str, found: Result<Option<T>, FormatError>) -> Result<T, FormatError> {
        found?.ok_or_else(|| FormatError::MissingKey { key: key.to_owned() }.in_file(self.path()))
    }
}
