//! Finds tensors by name and checks their shapes, and keeps account of what was missing and what was never used.

use std::collections::HashSet;

use bytes::Bytes;
use realizar_format::{TensorSource, TensorView, Value};
use realizar_quant::DType;
use realizar_tensor::{QMatrix, TensorError, Vector};

use crate::arch::Presence;
use crate::config::Config;
use crate::dialect::Dialect;
use crate::error::ModelError;
use crate::hf::Counts;

/// Binds tensors for one model.
///
/// A missing tensor yields `None` and is noted, so that one error can name all of them at the end; everything else
/// that is wrong ends the binding at once.
#[derive(Debug)]
pub(crate) struct Binder<'a> {
    source: &'a dyn TensorSource,
    dialect: Dialect,
    counts: Counts,
    /// What was found, by GGUF's names.
    asked: Vec<String>,
    used: Vec<String>,
    missing: Vec<String>,
}

/// What binding gives: the tensor, or `None` if it is missing.
pub(crate) type Bound<T> = Result<Option<T>, ModelError>;

impl<'a> Binder<'a> {
    pub(crate) fn new(source: &'a dyn TensorSource, dialect: Dialect, config: &Config) -> Self {
        Self {
            source,
            dialect,
            counts: Counts::of(config),
            asked: Vec::new(),
            used: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Whether the file has the tensor.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.dialect.has(self.source, name)
    }

    /// Whether the embedding may serve as the output projection; a checkpoint can say that it does not.
    pub(crate) fn may_be_tied(&self) -> Result<bool, ModelError> {
        Ok(!self.dialect.is_json() || self.source.get_bool("config.tie_word_embeddings")? != Some(false))
    }

    /// Takes note that a tensor is not needed where it may stand.
    pub(crate) fn pass_over(&mut self, name: &str) {
        self.used.push(self.dialect.tensor(name));
    }

    /// A tensor's shape, if the file has it.
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.source.tensor(&self.dialect.tensor(name)).map(|view| view.shape.to_vec())
    }

    /// Rows of a matrix whose number is the file's business; 0 if it is not there.
    pub(crate) fn rows(&self, name: &str) -> usize {
        self.source.tensor(&self.dialect.tensor(name)).map_or(0, |view| matrix_rows(&view.shape))
    }

    /// Factors of the rotation, one per pair: a tensor, or in a checkpoint a list of its configuration.
    pub(crate) fn factors(&mut self, name: &str, list: &str, lens: &[usize]) -> Bound<Vec<f32>> {
        if self.has(name) {
            return Ok(self.vector(name, lens)?.map(|factors| factors.as_slice().to_vec()));
        }
        if list.is_empty() || !self.dialect.has_list(self.source, list)? {
            return Ok(None);
        }
        let key = self.dialect.key(self.source, list);
        let number = |value: Value<'_>| value.as_f32().or(value.as_i128().map(|whole| whole as f32));
        let found = self.source.require_array(&key)?;
        let factors: Option<Vec<f32>> = found.iter().map(number).collect();
        match factors
            .filter(|factors| lens.contains(&factors.len()) && factors.iter().all(|factor| *factor > 0.0))
        {
            Some(factors) => Ok(Some(factors)),
            None => {
                let expected = format!("{} numbers above 0", lens.first().copied().unwrap_or_default());
                Err(ModelError::OutOfRange { key, found: format!("a list of {}", found.len()), expected })
            }
        }
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

    /// A small vector of floats with as many elements as one of `lens` says, flat or in rows of the first of them.
    pub(crate) fn vector(&mut self, name: &str, lens: &[usize]) -> Bound<Vector> {
        let row = lens.first().copied().unwrap_or_default();
        self.rows_of(name, row, lens)
    }

    /// A small matrix of floats, flat or in its rows.
    pub(crate) fn table(&mut self, name: &str, [rows, row]: [usize; 2]) -> Bound<Vector> {
        self.rows_of(name, row, &[rows * row])
    }

    /// As [`Self::table`] where the architecture says whether it is there.
    pub(crate) fn table_if(
        &mut self,
        presence: Presence,
        name: &str,
        dims: [usize; 2],
    ) -> Bound<Option<Vector>> {
        match presence {
            Presence::Never => Ok(Some(None)),
            Presence::Optional if !self.has(name) => Ok(Some(None)),
            _ => Ok(self.table(name, dims)?.map(Some)),
        }
    }

    fn rows_of(&mut self, name: &str, row: usize, lens: &[usize]) -> Bound<Vector> {
        let Some(view) = self.find(name) else { return Ok(None) };
        let found: usize = view.shape.iter().product();
        let dims: Vec<usize> = view.shape.iter().copied().filter(|dim| *dim != 1).collect();
        let turned = dims.len() > 2 || dims.len() == 2 && dims.last() != Some(&row);
        if turned || !lens.contains(&found) {
            let expected: Vec<String> = lens.iter().map(ToString::to_string).collect();
            return Err(ModelError::TensorShape {
                tensor: view.name,
                expected: match turned {
                    true => format!("rows of {row}"),
                    false => format!("{} elements", expected.join(" or ")),
                },
                found: format!("{:?}", view.shape),
            });
        }
        let vector = Vector::from_bytes(view.dtype, &view.data).map_err(|source| unusable(&view, source))?;
        // They are few: to look at them costs nothing, and one of them spoils every token.
        match vector.as_slice().iter().position(|value| !value.is_finite()) {
            None => Ok(Some(vector)),
            Some(index) => {
                let found = vector.as_slice()[index];
                Err(ModelError::TensorValue { tensor: view.name, index, found })
            }
        }
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

    fn find(&mut self, gguf: &str) -> Option<Found> {
        if let Some(made) = self.dialect.made(self.source, gguf, self.counts) {
            let made = made.map_err(|missing| self.missing.push(missing)).ok()?;
            let name = made.used.first().cloned().unwrap_or_default();
            self.asked.push(gguf.to_owned());
            let data = made.joined();
            self.used.extend(made.used);
            return Some(Found { name, dtype: made.dtype, data, shape: made.dims });
        }
        let name = self.dialect.tensor(gguf);
        let found = self.source.tensor(&name);
        if found.is_some() {
            self.asked.push(gguf.to_owned());
            self.used.push(name);
        } else {
            self.missing.push(name);
        }
        found.map(|view| Found::of(&view))
    }
}

/// A tensor of the file, or one that was made of some.
#[derive(Debug)]
struct Found {
    /// As the file has it.
    name: String,
    dtype: DType,
    /// Outermost first.
    shape: Vec<usize>,
    data: Bytes,
}

impl Found {
    fn of(view: &TensorView<'_>) -> Self {
        let (name, shape) = (view.name.to_owned(), view.shape.to_vec());
        Self { name, dtype: view.dtype, shape, data: view.data.clone() }
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

fn check_shape(view: &Found, expected: &[usize]) -> Result<(), ModelError> {
    if squeezed(&view.shape) == squeezed(expected) {
        return Ok(());
    }
    Err(ModelError::TensorShape {
        tensor: view.name.clone(),
        expected: format!("{expected:?}"),
        found: format!("{:?}", view.shape),
    })
}

fn unusable(view: &Found, source: TensorError) -> ModelError {
    ModelError::Tensor { tensor: view.name.clone(), source }
}
