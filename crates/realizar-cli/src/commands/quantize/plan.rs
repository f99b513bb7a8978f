//! What becomes of every tensor, decided before a weight is read.

use realizar_format::{DType, Shape};
use realizar_model::{GgufView, NewTensor};
use realizar_quant::{Choice, Codec, Importance, ModelFacts, PlanOptions, QuantError, Recipe, TensorFacts};

use super::error::QuantizeError;
use super::imatrix::Imatrix;
use super::wanted::Wanted;
use super::{QuantizeArgs, Target};
use crate::error::CliError;
use crate::output;

/// The tensors of the new file, in its order.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) tensors: Vec<Planned<'a>>,
    /// `general.file_type`.
    pub(super) file_type: u32,
    missing: Vec<String>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Planned<'a> {
    pub(super) name: &'a str,
    /// Its number in the source.
    pub(super) index: usize,
    pub(super) shape: Shape,
    pub(super) from: DType,
    pub(super) to: DType,
    /// Its importance weights: their number in the file of importance weights.
    pub(super) importance: Option<usize>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    fell_back: bool,
}

/// Marks a file type that was guessed from the tensors, in llama.cpp's numbering.
const GUESSED: u32 = 1024;

/// Decides for the whole model, and refuses what cannot be done.
pub(super) fn make<'a>(
    args: &QuantizeArgs,
    weights: &'a GgufView<'_>,
    imatrix: Option<&Imatrix>,
) -> Result<Plan<'a>, CliError> {
    let sources = weights.tensors();
    let facts: Vec<TensorFacts<'_>> = sources
        .iter()
        .map(|tensor| TensorFacts {
            name: &tensor.name,
            shape: &tensor.shape,
            dtype: tensor.dtype,
            wanted: Wanted::of(&args.tensor_type, &tensor.name),
        })
        .collect();
    let (choices, file_type) = match args.target {
        Target::Copy => (facts.iter().map(kept).collect(), copied_file_type(weights)),
        Target::Recipe(recipe) => {
            let options = PlanOptions {
                importance: imatrix.is_some(),
                pure: args.pure,
                keep_output: args.leave_output_tensor,
                output: args.output_type,
                embedding: args.token_embedding_type,
            };
            let name =
                weights.value("general.architecture").and_then(|value| value.as_str()).unwrap_or_default();
            let plan = recipe.plan(&model_facts(weights, name), &options, &facts);
            (plan.map_err(QuantizeError::Plan)?, recipe.file_type)
        }
    };
    let mut missing = Vec::new();
    let mut tensors = Vec::with_capacity(sources.len());
    for (index, (tensor, choice)) in sources.iter().zip(choices).enumerate() {
        tensors.push(planned(args, tensor, index, choice, imatrix, &mut missing)?);
    }
    tensors.sort_by(|a, b| TensorFacts::order(a.name).cmp(&TensorFacts::order(b.name)));
    Ok(Plan { tensors, file_type, missing })
}

fn uses_importance(dtype: DType) -> bool {
    Codec::of(dtype).is_some_and(|codec| codec.importance != Importance::Ignored)
}

fn kept(tensor: &TensorFacts<'_>) -> Choice {
    Choice { dtype: tensor.dtype, fell_back: false, needs_importance: false }
}

fn planned<'a>(
    args: &QuantizeArgs,
    tensor: &'a NewTensor,
    index: usize,
    choice: Choice,
    imatrix: Option<&Imatrix>,
    missing: &mut Vec<String>,
) -> Result<Planned<'a>, QuantizeError> {
    let (name, cols) = (&*tensor.name, tensor.shape.cols());
    let size = |dtype: DType| match dtype.row_bytes(cols) {
        Some(row) => Ok(row as u64 * tensor.shape.rows() as u64),
        None => Err(refuse(name, QuantError::RowLength { dtype, elems: cols })),
    };
    let (from, to) = (tensor.dtype, choice.dtype);
    // The blocks of these run through the whole tensor.
    if from == DType::APR_Q8 || from == DType::APR_Q4 && !cols.is_multiple_of(from.block_elems()) {
        return Err(QuantizeError::NoRows { name: name.to_owned(), dtype: from });
    }
    let mut importance = None;
    if from != to {
        if from.block_elems() > 1 && !args.allow_requantize {
            return Err(QuantizeError::Requantize { name: name.to_owned(), dtype: from });
        }
        importance = imatrix.map(|imatrix| imatrix.find(name, &tensor.shape)).transpose()?.flatten();
        if importance.is_none() && imatrix.is_some() && uses_importance(to) {
            missing.push(name.to_owned());
        }
        importance = importance.filter(|_| uses_importance(to));
        if choice.needs_importance && importance.is_none() && !args.dry_run {
            let others = imatrix.is_some();
            return Err(QuantizeError::NeedsImportance { name: name.to_owned(), dtype: to, others });
        }
    }
    Ok(Planned {
        name,
        index,
        shape: tensor.shape,
        from,
        to,
        importance,
        bytes_in: size(from)?,
        bytes_out: size(to)?,
        fell_back: choice.fell_back,
    })
}

/// The file type of a copy: what the source says, or a guess by the most frequent type.
fn copied_file_type(weights: &GgufView<'_>) -> u32 {
    if let Some(file_type) = weights.value("general.file_type").and_then(|value| value.as_u32()) {
        return file_type;
    }
    let count = |dtype: DType| weights.tensors().iter().filter(|tensor| tensor.dtype == dtype).count();
    let most = DType::ALL.into_iter().rev().max_by_key(|&dtype| count(dtype));
    let recipe = most.and_then(|dtype| Recipe::named(dtype.name()).ok());
    recipe.map_or(0, |recipe| recipe.file_type) | GUESSED
}

/// What a recipe must know of the model; 0 where the source says nothing.
fn model_facts<'a>(weights: &GgufView<'_>, architecture: &'a str) -> ModelFacts<'a> {
    // A number that differs between layers is a list: the first layer's counts.
    let number = |key: &str| {
        let found = weights.value(&format!("{architecture}.{key}"))?;
        found.as_u32().or_else(|| found.as_array()?.iter().next()?.as_u32())
    };
    let heads = number("attention.head_count").unwrap_or_default();
    ModelFacts {
        architecture,
        layers: number("block_count").unwrap_or_default(),
        heads,
        kv_heads: number("attention.head_count_kv").unwrap_or(heads),
        experts: number("expert_count").unwrap_or_default(),
    }
}

/// Names the tensor that cannot be made.
fn refuse(name: &str, source: QuantError) -> QuantizeError {
    QuantizeError::Tensor { name: name.to_owned(), source }
}

impl Planned<'_> {
    /// Names the tensor that cannot be made.
    pub(super) fn refuse(&self, source: QuantError) -> QuantizeError {
        refuse(self.name, source)
    }
}

impl Plan<'_> {
    /// Tells what a user should know before it is done.
    pub(super) fn warn(&self, quiet: bool) {
        let fell_back: Vec<String> = self
            .tensors
            .iter()
            .filter(|tensor| tensor.fell_back)
            .map(|tensor| format!("{} ({}, rows of {})", tensor.name, tensor.to, tensor.shape.cols()))
            .collect();
        let list = |what: &str, names: &[String]| {
            if let Some(first) = names.first() {
                let more =
                    if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
                output::note(quiet, &format!("warning: {what}: {first}{more}"));
            }
        };
        list("rows are no whole number of blocks, another type takes their place", &fell_back);
        list("no importance weights for", &self.missing);
    }

    /// How many tensors got another type because of their rows.
    pub(super) fn fallbacks(&self) -> usize {
        self.tensors.iter().filter(|tensor| tensor.fell_back).count()
    }
}
