//! Recipes: which type each tensor of a model gets when the model is quantised to `Q4_K_M`, `IQ3_XS`, ...
//!
//! The choices equal llama-quantize's, so that a file made here equals one made there. They depend on nothing but
//! names, shapes and a few facts of the model, which makes a plan before any weight is read.

use crate::dtype::DType;
use crate::error::QuantError;
use table::{
    ALIASES, FALLBACKS, KEPT, KEPT_NAMES, KEPT_OF, NEEDS_IMPORTANCE, Q8_0_OF, RECIPES, SEVENTY_BILLION,
    WIDE_HEADS,
};

mod table;

/// A named mix of types.
#[derive(Debug)]
pub struct Recipe {
    /// As users know it.
    pub name: &'static str,
    /// The number of `general.file_type` in a GGUF file.
    pub file_type: u32,
    /// The type of everything that no rule names.
    pub base: DType,
    rules: &'static [Rule],
    very_low: bool,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    part: Part,
    when: &'static [If],
    dtype: DType,
}

/// The kinds of tensors that rules tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Output,
    Embedding,
    Query,
    Key,
    /// Also a fused product that contains the values.
    Value,
    AttentionOutput,
    Gate,
    Up,
    Down,
    Other,
}

/// A condition of a rule. The index of a value tensor counts those tensors, that of a feed-forward tensor is its
/// layer.
#[derive(Clone, Copy, Debug)]
enum If {
    /// The index is below a number.
    Below(u32),
    /// The index is in the first n-th of the layers.
    First(u32),
    /// The first and last eighth of the layers and every third between.
    MoreBits,
    /// Neither the first nor the last eighth.
    Middle,
    /// At least four query heads share one value head.
    SharedHeads,
    SharedHeadsOrExperts,
    EightExperts,
    /// Importance weights are there, or not.
    Importance(bool),
    /// The architecture is one of those with a wide head, or is not.
    WideHead(bool),
}

/// What a plan must know of the model.
#[derive(Clone, Copy, Debug)]
pub struct ModelFacts<'a> {
    /// `general.architecture`.
    pub architecture: &'a str,
    /// Blocks of the model, those for speculation included.
    pub layers: u32,
    /// Query heads of the first layer.
    pub heads: u32,
    /// Key/value heads of the first layer.
    pub kv_heads: u32,
    /// Experts of a mixture; 0 or 1 for a dense model.
    pub experts: u32,
}

/// What a plan must know of a tensor.
#[derive(Clone, Copy, Debug)]
pub struct TensorFacts<'a> {
    /// The name in a GGUF file.
    pub name: &'a str,
    /// Outermost dimension first.
    pub shape: &'a [usize],
    /// The type it has.
    pub dtype: DType,
    /// A type that the user asked for by name.
    pub wanted: Option<DType>,
}

impl TensorFacts<'_> {
    /// By what llama-quantize sorts the tensors of a file: their layers, then their names.
    pub fn order(name: &str) -> (Option<u32>, &str) {
        (layer(name), name)
    }
}

/// What the user asked for beyond the recipe.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions {
    /// Importance weights are at hand.
    pub importance: bool,
    /// The base type for every tensor that may change.
    pub pure: bool,
    /// Leave the output matrix as it is.
    pub keep_output: bool,
    /// Another type for the output matrix.
    pub output: Option<DType>,
    /// Another type for the token embeddings.
    pub embedding: Option<DType>,
}

/// What becomes of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its new type.
    pub dtype: DType,
    /// The row length did not suit the type of the recipe.
    pub fell_back: bool,
    /// The result would be garbage without importance weights.
    pub needs_importance: bool,
}

impl Recipe {
    /// Every recipe, fewest bits first.
    pub const ALL: &[Recipe] = RECIPES;

    /// The recipe of this name, in any case; `Q3_K`, `Q4_K` and `Q5_K` stand for their medium ones.
    ///
    /// # Errors
    /// When there is none; the error lists the known names.
    pub fn named(name: &str) -> Result<&'static Recipe, QuantError> {
        let alias = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name));
        let full = alias.map_or(name, |&(_, full)| full);
        RECIPES
            .iter()
            .find(|recipe| recipe.name.eq_ignore_ascii_case(full))
            .ok_or_else(|| QuantError::UnknownRecipe { name: name.to_owned() })
    }

    /// The type of every tensor, in the order given. All tensors of the model must be there: some choices depend on
    /// how many came before, and on whether the output matrix is a tensor of its own.
    ///
    /// # Errors
    /// When a tensor's row length suits neither its type nor another.
    pub fn plan(
        &self,
        model: &ModelFacts<'_>,
        options: &PlanOptions,
        tensors: &[TensorFacts<'_>],
    ) -> Result<Vec<Choice>, QuantError> {
        let mut plan = Plan {
            recipe: self,
            model,
            options,
            tied: !tensors.iter().any(|tensor| tensor.name == "output.weight"),
            values: tensors.iter().filter(|tensor| part(tensor.name) == Part::Value).count() as u32,
            seen: [0; 4],
        };
        let mut order: Vec<usize> = (0..tensors.len()).collect();
        order.sort_by_key(|&i| TensorFacts::order(tensors[i].name));
        let mut choices: Vec<Choice> = tensors
            .iter()
            .map(|tensor| Choice { dtype: tensor.dtype, fell_back: false, needs_importance: false })
            .collect();
        for i in order {
            choices[i] = plan.choose(&tensors[i])?;
        }
        Ok(choices)
    }
}

/// The number after `blk.`.
fn layer(name: &str) -> Option<u32> {
    let rest = name.strip_prefix("blk.")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn part(name: &str) -> Part {
    let has = |fragment: &str| name.contains(fragment);
    match name {
        "output.weight" => Part::Output,
        "token_embd.weight" | "per_layer_token_embd.weight" => Part::Embedding,
        _ if has("attn_qkv.weight") || has("attn_kv_b.weight") || has("attn_v.weight") => Part::Value,
        _ if has("attn_k.weight") => Part::Key,
        _ if has("attn_q.weight") => Part::Query,
        _ if has("attn_output.weight") => Part::AttentionOutput,
        _ if has("ffn_up") => Part::Up,
        _ if has("ffn_gate") => Part::Gate,
        _ if has("ffn_down") => Part::Down,
        _ => Part::Other,
    }
}

/// A plan being made: tensors come in order of their layers.
#[derive(Debug)]
struct Plan<'a> {
    recipe: &'a Recipe,
    model: &'a ModelFacts<'a>,
    options: &'a PlanOptions,
    /// The embeddings are the output matrix too.
    tied: bool,
    /// How many tensors hold values.
    values: u32,
    /// How many values, gates, ups and downs came before.
    seen: [u32; 4],
}

impl Plan<'_> {
    fn choose(&mut self, tensor: &TensorFacts<'_>) -> Result<Choice, QuantError> {
        let part = part(tensor.name);
        let kept = Choice { dtype: tensor.dtype, fell_back: false, needs_importance: false };
        if !may_change(tensor)
            || self.listed(KEPT_OF, tensor.name)
            || self.options.keep_output && part == Part::Output
        {
            return Ok(kept);
        }
        // A large table beside the embeddings; it follows them unless the user named it.
        let named = tensor.name == "per_layer_token_embd.weight" && tensor.wanted.is_some();
        let asked = match part {
            Part::Embedding if !named => self.options.embedding,
            Part::Output => self.options.output,
            _ => None,
        };
        let (dtype, fell_back) = match asked {
            Some(dtype) => (dtype, false),
            None if self.recipe.base.block_elems() == 1 => (self.recipe.base, false),
            None => {
                let dtype = match tensor.wanted {
                    Some(wanted) => wanted,
                    None if self.options.pure => self.recipe.base,
                    None => self.by_rules(part, tensor),
                };
                fitting(dtype, tensor)?
            }
        };
        let always_fine = matches!(part, Part::Output | Part::Embedding);
        let needs_importance = !always_fine
            && (NEEDS_IMPORTANCE.contains(&dtype) || dtype == DType::Q2_K && self.recipe.name == "Q2_K_S");
        Ok(Choice { dtype, fell_back, needs_importance })
    }

    fn by_rules(&mut self, part: Part, tensor: &TensorFacts<'_>) -> DType {
        let base = self.recipe.base;
        if self.listed(Q8_0_OF, tensor.name) {
            return DType::Q8_0;
        }
        if part == Part::Output || self.tied && part == Part::Embedding {
            return self.output(tensor);
        }
        if self.recipe.name == "MXFP4_MOE" {
            let experts = matches!(part, Part::Gate | Part::Up | Part::Down)
                || self.model.architecture != "bailingmoe3";
            let stacked = tensor.shape.len() > 2 && tensor.shape[tensor.shape.len() - 3] > 1;
            return if stacked && experts { DType::MXFP4 } else { DType::Q8_0 };
        }
        let index = self.index(part, tensor);
        let chosen = self.rule(part, index).unwrap_or(base);
        match (part, self.recipe.very_low) {
            (Part::Key, true) if self.model.experts == 8 => DType::Q4_K,
            // Small beside what eight experts take.
            (Part::Key | Part::Value, false) if self.model.experts == 8 => DType::Q8_0,
            (Part::Value, false) if self.seventy() && matches!(chosen, DType::Q3_K | DType::Q4_K) => {
                DType::Q5_K
            }
            _ => chosen,
        }
    }

    /// Whether a table names the tensor for this architecture.
    fn listed(&self, table: &[(&str, &[&str])], name: &str) -> bool {
        let ours = table.iter().filter(|(architecture, _)| *architecture == self.model.architecture);
        ours.flat_map(|(_, fragments)| *fragments).any(|fragment| name.contains(fragment))
    }

    /// The type of the output matrix.
    fn output(&self, tensor: &TensorFacts<'_>) -> DType {
        let base = self.recipe.base;
        let cols = tensor.shape.last().copied().unwrap_or_default();
        match self.options.output {
            Some(dtype) => dtype,
            None if matches!(base, DType::Q8_0 | DType::MXFP4)
                || WIDE_HEADS.contains(&self.model.architecture)
                || !cols.is_multiple_of(base.block_elems()) =>
            {
                DType::Q8_0
            }
            None => self.rule(Part::Output, 0).unwrap_or(DType::Q6_K),
        }
    }

    /// The index that conditions look at; counts the tensor.
    fn index(&mut self, part: Part, tensor: &TensorFacts<'_>) -> u32 {
        let counter = match part {
            Part::Value => 0,
            Part::Gate => 1,
            Part::Up => 2,
            Part::Down => 3,
            _ => return 0,
        };
        let count = self.seen[counter];
        self.seen[counter] += 1;
        // Experts lie scattered, so that counting says nothing of the layer.
        match layer(tensor.name) {
            Some(layer) if part != Part::Value && self.model.experts > 1 && !self.recipe.very_low => layer,
            _ => count,
        }
    }

    fn rule(&self, part: Part, index: u32) -> Option<DType> {
        let of = if part == Part::Value { self.values } else { self.model.layers };
        let fits =
            |rule: &&Rule| rule.part == part && rule.when.iter().all(|&when| self.holds(when, index, of));
        self.recipe.rules.iter().find(fits).map(|rule| rule.dtype)
    }

    /// Whether a condition holds for tensor `index` of `of`.
    fn holds(&self, when: If, index: u32, of: u32) -> bool {
        let shared = self.model.heads.checked_div(self.model.kv_heads).is_some_and(|heads| heads >= 4);
        let eighth = of / 8;
        match when {
            If::Below(limit) => index < limit,
            If::First(part) => index < of / part,
            If::MoreBits => index < eighth || index >= 7 * of / 8 || (index - eighth) % 3 == 2,
            If::Middle => index >= eighth && index < 7 * of / 8,
            If::SharedHeads => shared,
            If::SharedHeadsOrExperts => shared || self.model.experts >= 4,
            If::EightExperts => self.model.experts == 8,
            If::Importance(there) => self.options.importance == there,
            If::WideHead(is) => WIDE_HEADS.contains(&self.model.architecture) == is,
        }
    }

    fn seventy(&self) -> bool {
        let model = self.model;
        SEVENTY_BILLION.iter().any(|&(architecture, layers, may_not_share)| {
            (architecture, layers) == (model.architecture, model.layers)
                && (!may_not_share || model.heads != model.kv_heads)
        })
    }
}

/// Whether the tensor is a matrix of weights that can stand rounding.
fn may_change(tensor: &TensorFacts<'_>) -> bool {
    let outer = tensor.shape.len().saturating_sub(1);
    tensor.shape[..outer].iter().any(|&size| size > 1)
        && tensor.name.ends_with("weight")
        && !KEPT_NAMES.contains(&tensor.name)
        && !KEPT.iter().any(|fragment| tensor.name.contains(fragment))
}

/// The type, or the one that takes its place where the row is no whole number of blocks; whether it does.
fn fitting(dtype: DType, tensor: &TensorFacts<'_>) -> Result<(DType, bool), QuantError> {
    let cols = tensor.shape.last().copied().unwrap_or_default();
    let suits = |dtype: DType| cols.is_multiple_of(dtype.block_elems());
    if suits(dtype) {
        return Ok((dtype, false));
    }
    match FALLBACKS.iter().find(|(from, _)| *from == dtype) {
        Some(&(_, other)) if suits(other) => Ok((other, true)),
        None if dtype.block_elems() > 32 => {
            Err(QuantError::NoFallback { tensor: tensor.name.to_owned(), dtype, elems: cols })
        }
        _ => Ok((DType::F16, true)),
    }
}
