//! What can be wrong with the bytes, rows and names given to this crate.

use crate::dtype::DType;
use crate::recipe::Recipe;

/// Why a row could not be decoded or encoded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum QuantError {
    #[error("unknown type `{name}`, known are {}", list_types())]
    UnknownType { name: String },
    #[error("unknown recipe `{name}`, known are {}", list_recipes())]
    UnknownRecipe { name: String },
    #[error("a row of {elems} elements is no whole number of {dtype} blocks of {}", dtype.block_elems())]
    RowLength { dtype: DType, elems: usize },
    #[error("tensor `{tensor}`: a row of {elems} elements is no whole number of {dtype} blocks of {}, and no other type takes its place", dtype.block_elems())]
    NoFallback { tensor: String, dtype: DType, elems: usize },
    #[error("{elems} elements of {dtype} take {needed} bytes, found {found}")]
    ByteLength { dtype: DType, elems: usize, needed: usize, found: usize },
    #[error("{dtype} elements are not weights: no conversion to or from f32")]
    NotWeights { dtype: DType },
    #[error("no encoder for {dtype}")]
    NoEncoder { dtype: DType },
    #[error("{dtype} cannot be made without importance weights")]
    ImportanceNeeded { dtype: DType },
    #[error("a row of {elems} elements needs as many importance weights, found {found}")]
    ImportanceLength { elems: usize, found: usize },
    #[error("importance weight {index} is {value}: must be finite and not negative")]
    Importance { index: usize, value: f32 },
    #[error("element {index} is {value}: {dtype} stores finite values only")]
    NotFinite { dtype: DType, index: usize, value: f32 },
}

fn list_types() -> String {
    DType::ALL.map(DType::name).join(", ")
}

fn list_recipes() -> String {
    Recipe::ALL.iter().map(|recipe| recipe.name).collect::<Vec<_>>().join(", ")
}
