//! Finds tensors by name and checks their shapes, and keeps account of what was missing and what was never used.

use std::collections::HashSet;

use realizar_format::{TensorSource, TensorView};
use realizar_tensor::{QMatrix, TensorError, Vector};

use crate::arch::Presence;
use crate::dialect::Dialect;
use crate::error::ModelError;

/// Binds tensors for one model.
///
/// A missing tensor yields `None` and is noted, so that one error can name all of them at the end; everything else
/// that is wrong ends the binding at once.
#[derive(Debug)]
pub(crate) struct Binder<'a> {
    source: &'a dyn TensorSource,
    dialect: Dialect,
    used: Vec<String>,
    missing: Vec<String>,
}

/// What binding gives: the tensor, or `None` if it is missing.
pub(crate) type Bound<T> = Result<Option<T>, ModelError>;

impl<'a> Binder<'a> {
    pub(crate) fn new(source: &'a dyn TensorSource, dialect: Dialect) -> Self {
        Self { source, dialect, used: Vec::new(), missing: Vec::new() }
    }

    /// Whether the file has the tensor.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.source.tensor(&self.dialect.tensor(name)).is_some()
    }

    /// Whether the embedding may serve as the output projection; a checkpoint can say that it does not.
    pub(crate) fn may_be_tied(&self) -> bool {
        self.source.metadata("config.tie_word_embeddings").and_then(|tied| tied.as_bool()) != Some(false)
    }

    /// Rows of a matrix whose number is the file's business; 0 if it is not there.
    pub(crate) fn rows(&self, name: &str) -> usize {
        self.source.tensor(&self.dialect.tensor(name)).map_or(0, |view| matrix_rows(&view.shape))
    }

    /// A matrix of `rows` by `cols`, or a stack of them (`dims` ends with the row's length), as one matrix.
    pub(crate) fn matrix(&mut self, name: &str, dims: &[usize]) -> Bound<QMatrix> {
        let Some(view) = self.find(name) else { return Ok(None) };
        let (cols, outer) = dims.split_last().map_or((1, dims), |(cols, outer)| (*cols, outer));
        let rows = outer.iter().product();
        check_shape(&view, dims)?;
        QMatrix::new(view.dtype, rows, cols, view.data.clone())
            .map(Some)
            .map_err(|source| unusable(&view, source))
    }

    /// The gain of a norm, as [`Self::vector`]; some families store it less 1.
    pub(crate) fn gain(&mut self, presence: Presence, name: &str, lens: &[usize]) -> Bound<Option<Vector>> {
        let offset = self.dialect.gain_offset();
        let gain = self.vector_if(presence, name, lens)?;
        if offset == 0.0 {
            return Ok(gain);
        }
        let raised = |gain: Vector| Vector::from_vec(gain.as_slice().iter().map(|x| x + offset).collect());
        Ok(gain.map(|gain| gain.map(raised)))
    }

    /// A small vector of floats with `len` elements in all, whatever its dimensions.
    pub(crate) fn vector(&mut self, name: &str, lens: &[usize]) -> Bound<Vector> {
        let Some(view) = self.find(name) else { return Ok(None) };
        let found: usize = view.shape.iter().product();
        if !lens.contains(&found) {
            let expected: Vec<String> = lens.iter().map(ToString::to_string).collect();
            return Err(ModelError::TensorShape {
                tensor: view.name.to_owned(),
                expected: format!("{} elements", expected.join(" or ")),
                found: view.shape.to_string(),
            });
        }
        Vector::from_bytes(view.dtype, &view.data).map(Some).map_err(|source| unusable(&view, source))
    }

    /// As [`Self::vector`] where the architecture says whether it is there. The inner `None`: there is none, rightly.
    pub(crate) fn vector_if(
        &mut self,
        presence: Presence,
        name: &str,
        lens: &[usize],
    ) -> Bound<Option<Vector>> {
        match presence {
            Presence::Never => Ok(Some(None)),
            Presence::Optional if !self.has(name) => Ok(Some(None)),
            _ => Ok(self.vector(name, lens)?.map(Some)),
        }
    }

    /// Ends the binding: an error for what was missing, else the names that were never asked for.
    pub(crate) fn finish(self) -> Result<Vec<String>, ModelError> {
        const SHOWN: usize = 20;
        if self.missing.is_empty() {
            let used: HashSet<String> = self.used.into_iter().collect();
            let surplus = self.source.tensors().filter(|view| !used.contains(view.name));
            return Ok(surplus.map(|view| view.name.to_owned()).collect());
        }
        let more = self.missing.len().saturating_sub(SHOWN);
        Err(ModelError::MissingTensors { names: self.missing.into_iter().take(SHOWN).collect(), more })
    }

    fn find(&mut self, name: &str) -> Option<TensorView<'a>> {
        let name = self.dialect.tensor(name);
        let found = self.source.tensor(&name);
        let list = if found.is_some() { &mut self.used } else { &mut self.missing };
        list.push(name);
        found
    }
}

/// Rows of a matrix, whose shape may be padded with ones.
pub(crate) fn matrix_rows(shape: &[usize]) -> usize {
    match squeezed(shape) {
        [rows, _, ..] => *rows,
        _ => 1,
    }
}

/// A shape without the ones before it: a row vector may stand as a matrix of one row, or the other way round.
fn squeezed(shape: &[usize]) -> &[usize] {
    let ones = shape.iter().take_while(|dim| **dim == 1).count();
    &shape[ones..]
}

fn check_shape(view: &TensorView<'_>, expected: &[usize]) -> Result<(), ModelError> {
    if squeezed(&view.shape) == squeezed(expected) {
        return Ok(());
    }
    Err(ModelError::TensorShape {
        tensor: view.name.to_owned(),
        expected: format!("{expected:?}"),
        found: view.shape.to_string(),
    })
}

fn unusable(view: &TensorView<'_>, source: TensorError) -> ModelError {
    ModelError::Tensor { tensor: view.name.to_owned(), source }
}
