//! Tensors on their way into a file, row by row.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use realizar_format::{DType, Shape, TensorSource, release_pages};

use super::change::Change;
use crate::dialect::Dialect;
use crate::error::ModelError;
use crate::hf::Counts;

/// A tensor as the new file will have it.
#[derive(Debug)]
pub struct NewTensor {
    /// Its name in the new file.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// Dimensions, outermost first.
    pub shape: Shape,
    pub(super) origin: Origin,
    pub(super) change: Change,
}

/// Where the bytes come from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// A view of the source.
    View(Bytes),
    /// Made from several tensors of the source, under this name of GGUF.
    Made(String),
    /// Numbers that the source keeps elsewhere.
    Floats(Vec<f32>),
}

impl NewTensor {
    /// Bytes of all its rows.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let row = self.dtype.row_bytes(self.shape.cols()).unwrap_or_default() as u64;
        if self.shape.elements() == Some(0) { 0 } else { row * self.shape.rows() as u64 }
    }

    /// Whether it has no rows to speak of.
    pub(super) fn is_vector(&self) -> bool {
        self.shape.len() < 2
    }

    /// The bytes of some rows, out of the whole tensor's.
    fn part<'a>(&self, data: &'a [u8], rows: Range<usize>, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        let row_bytes = |cols| self.change.from.row_bytes(cols).unwrap_or_default();
        if self.is_vector() && self.dtype != DType::F32 && self.change.order.is_some() {
            // A vector that keeps its type is moved element by element.
            return self.change.rows(data, row_bytes(1), 0..self.shape.cols(), false, scratch);
        }
        let floats = self.is_vector() && self.dtype == DType::F32;
        self.change.rows(data, row_bytes(self.shape.cols()), rows, floats, scratch)
    }
}

/// A tensor that was made, or one matrix of it, and its parts.
type Last = ((String, Option<usize>), Arc<[Bytes]>);

/// Makes tensors that a source has in another form, one at a time.
#[derive(Debug)]
pub(super) struct Maker<'a> {
    pub(super) source: &'a dyn TensorSource,
    pub(super) form: Option<(Dialect, Counts)>,
    /// The one that was made last: rows are asked for in order.
    last: Mutex<Option<Last>>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(source: &'a dyn TensorSource, form: Option<(Dialect, Counts)>) -> Self {
        Self { source, form, last: Mutex::new(None) }
    }

    /// The bytes of some rows of a tensor; in `scratch`, unless they stand in the source as they are.
    pub(super) fn rows<'b>(
        &'b self,
        tensor: &'b NewTensor,
        rows: Range<usize>,
        scratch: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], ModelError> {
        match &tensor.origin {
            Origin::View(data) => {
                let part = tensor.part(data, rows, scratch);
                // What was copied is not needed again where it came from.
                if !data.as_ptr_range().contains(&part.as_ptr()) {
                    release_pages(data);
                }
                Ok(part)
            }
            Origin::Floats(values) => {
                scratch.clear();
                scratch.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                Ok(scratch)
            }
            Origin::Made(name) => {
                scratch.clear();
                if tensor.change.order.is_none()
                    && !tensor.is_vector()
                    && self.stack(tensor, name, rows.clone(), scratch)?
                {
                    return Ok(scratch);
                }
                let parts = self.made(name, None)?;
                if parts.len() > 1 && tensor.change.order.is_none() && !tensor.is_vector() {
                    stacked(tensor, &parts, rows, scratch);
                    return Ok(scratch);
                }
                let whole = if let [whole] = &parts[..] { whole.clone() } else { parts.concat().into() };
                scratch.extend_from_slice(tensor.part(&whole, rows, &mut Vec::new()));
                release_pages(&whole);
                Ok(scratch)
            }
        }
    }

    /// Appends rows of a tensor whose matrices can be made one by one; tells whether it is such a one.
    fn stack(
        &self,
        tensor: &NewTensor,
        name: &str,
        rows: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<bool, ModelError> {
        let stack = self.form.and_then(|(dialect, _)| dialect.matrices(self.source, name));
        let Some(stack) = stack.filter(|stack| *stack > 0) else { return Ok(false) };
        let row_bytes = tensor.change.from.row_bytes(tensor.shape.cols()).unwrap_or_default();
        let height = (tensor.shape.rows() / stack).max(1);
        let mut row = rows.start;
        while row < rows.end {
            let parts = self.made(name, Some(row / height))?;
            let (from, count) = (row % height, (height - row % height).min(rows.end - row));
            let matrix = parts.first().map(AsRef::as_ref).unwrap_or_default();
            out.extend_from_slice(
                matrix.get(from * row_bytes..(from + count) * row_bytes).unwrap_or_default(),
            );
            row += count;
        }
        Ok(true)
    }

    /// The parts of the tensor, one below the other, or one matrix of it.
    fn made(&self, name: &str, matrix: Option<usize>) -> Result<Arc<[Bytes]>, ModelError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, data)) = &*last
            && (known.0.as_str(), known.1) == (name, matrix)
        {
            return Ok(data.clone());
        }
        // What was made before goes first: two stacks of experts would take twice the memory.
        *last = None;
        let made = self.form.and_then(|(dialect, counts)| match matrix {
            Some(number) => dialect.made_matrix(self.source, name, counts, number),
            None => dialect.made(self.source, name, counts),
        });
        let missing = |name: String| ModelError::MissingTensors { names: vec![name], more: 0 };
        let made = made.ok_or_else(|| missing(name.to_owned()))?.map_err(missing)?;
        let_go(self.source, &made.used);
        let parts: Arc<[Bytes]> = made.parts.into();
        *last = Some(((name.to_owned(), matrix), Arc::clone(&parts)));
        Ok(parts)
    }
}

/// Appends rows of matrices that stand one below the other, as they are.
fn stacked(tensor: &NewTensor, parts: &[Bytes], rows: Range<usize>, out: &mut Vec<u8>) {
    let row_bytes = tensor.change.from.row_bytes(tensor.shape.cols()).unwrap_or_default();
    let height = (tensor.shape.rows() / parts.len()).max(1);
    let mut row = rows.start;
    while row < rows.end {
        let Some(part) = parts.get(row / height) else { return };
        let (from, count) = (row % height, (height - row % height).min(rows.end - row));
        let piece = part.get(from * row_bytes..(from + count) * row_bytes).unwrap_or_default();
        out.extend_from_slice(piece);
        release_pages(piece);
        row += count;
    }
}

/// The pages of tensors that were copied need not stay in memory.
pub(super) fn let_go(source: &dyn TensorSource, names: &[String]) {
    for tensor in names.iter().filter_map(|name| source.tensor(name)) {
        release_pages(&tensor.data);
    }
}
