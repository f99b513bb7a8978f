//! Why a model cannot be quantised as asked.

use realizar_quant::{DType, QuantError};

/// What is wrong with the source, the importance weights or the request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QuantizeError {
    #[error("OUT is `{}`, a file that is being read: choose another name", path.escape_debug())]
    SameFile { path: String },
    #[error(transparent)]
    Plan(QuantError),
    #[error("tensor `{}`", name.escape_debug())]
    Tensor { name: String, source: QuantError },
    #[error("tensor `{}` is {dtype} already: quantising it again costs quality, --allow-requantize does it all the same", name.escape_debug())]
    Requantize { name: String, dtype: DType },
    #[error("tensor `{}` is {dtype}, whose blocks do not end where rows do: it cannot be quantised again", name.escape_debug())]
    NoRows { name: String, dtype: DType },
    #[error("tensor `{}` is worthless as {dtype} without importance weights: give --imatrix FILE{}", name.escape_debug(), if *others { " that has them" } else { "" })]
    NeedsImportance { name: String, dtype: DType, others: bool },
    #[error("tensor `{}`: element {index} is {value}, which is no weight: the source is damaged", name.escape_debug())]
    NotFinite { name: String, index: usize, value: f32 },
    #[error("tensor `{}`: element {index} is {value}, too large for {dtype}", name.escape_debug())]
    TooLarge { name: String, index: usize, value: f32, dtype: DType },
    #[error("tensor `{}`: the importance weights around element {index} are too large for {dtype}", name.escape_debug())]
    ImportanceTooLarge { name: String, index: usize, dtype: DType },
    #[error("`{}` has {found} importance weights for tensor `{}`, which needs {needed}: they are of another model", file.escape_debug(), name.escape_debug())]
    ImportanceLength { file: String, name: String, found: usize, needed: usize },
    #[error("`{}` is no file of importance weights: {what}", file.escape_debug())]
    Imatrix { file: String, what: String },
}
