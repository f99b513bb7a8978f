//! Checkpoints as Hugging Face folders have them: names of classes, tensors and numbers, per family.

mod encoders;
pub(crate) mod families;
mod forms;
mod gguf_only;
mod implied;
mod one_matrix;

use std::cell::OnceCell;

use realizar_format::{FormatError, TensorSource};
use realizar_tensor::PairOrder;

use crate::arch::ArchFacts;
use crate::error::ModelError;
use crate::facts::out_of_range;
use crate::names;

pub(crate) use families::FAMILIES;
pub(crate) use forms::{Counts, Form, MadeTensor};
pub(crate) use gguf_only::architecture_of;

/// Checkpoints that name their tensors alike and compute alike.
#[derive(Debug)]
pub(crate) struct Family {
    /// Values of `architectures` in `config.json`.
    pub(crate) classes: &'static [&'static str],
    /// What else such models are called: `model_type` of `config.json`, or what an `.apr` file says.
    pub(crate) model_types: &'static [&'static str],
    /// The architecture.
    pub(crate) facts: &'static ArchFacts,
    /// What all names but the head's may begin with; the head's name begins with what stands [outside](outside) of it.
    pub(crate) stems: &'static [&'static str],
    /// GGUF's name and the family's, for tensors of the whole model; behind the stem, except for the head.
    globals: &'static [(&'static str, &'static str)],
    /// What stands before the number of a layer.
    layers: &'static str,
    /// GGUF's name and the family's, for parts of a layer.
    parts: &'static [(&'static str, &'static str)],
    /// Tensors that the checkpoint has in another form: GGUF's name, and how it is made.
    forms: &'static [(&'static str, Form)],
    /// Which dimensions of a head rotate together in these checkpoints.
    pub(crate) pairs: PairOrder,
    /// Added to the gains of the norms.
    pub(crate) gain_offset: f32,
    /// What the activation may be called.
    pub(crate) activations: &'static [&'static str],
    /// Numbers that are said in another way than by one key, or that the class implies: GGUF's key and the number.
    pub(crate) implied: fn(&Numbers<'_>, &str) -> Option<f64>,
    /// Truth values that must be so where they are given, else the checkpoint computes something else.
    pub(crate) only: &'static [(&'static str, bool)],
}

/// Numbers of a checkpoint's configuration.
#[derive(Debug)]
pub(crate) struct Numbers<'a> {
    source: &'a dyn TensorSource,
    /// What stands before every key.
    prefix: &'static str,
    /// The first value that is of another type than was asked for.
    wrong: OnceCell<ModelError>,
}

impl<'a> Numbers<'a> {
    /// What a class implies of GGUF's key, by these numbers.
    pub(crate) fn implied(
        source: &'a dyn TensorSource,
        prefix: &'static str,
        family: &Family,
        suffix: &str,
    ) -> Result<Option<f64>, ModelError> {
        let numbers = Self { source, prefix, wrong: OnceCell::new() };
        let implied = (family.implied)(&numbers, suffix);
        match numbers.wrong.into_inner() {
            None => Ok(implied),
            Some(wrong) => Err(wrong),
        }
    }

    /// Whether there is such a key; its value is read elsewhere.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.source.metadata(&self.key(key)).is_some()
    }

    /// A count.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        const MOST: u32 = 1 << 28;
        let key = self.key(key);
        let found = self.right(self.source.get_u32(&key))?;
        if found > MOST {
            return self.refuse(out_of_range(key, found, format!("0..={MOST}")));
        }
        Some(f64::from(found))
    }

    /// A number that need not be whole.
    pub(crate) fn factor(&self, key: &str) -> Option<f64> {
        let key = self.key(key);
        let whole = self.source.metadata(&key)?.as_i128().map(|whole| whole as f64);
        whole.or_else(|| self.right(self.source.get_f32(&key)).map(f64::from))
    }

    /// One of some words.
    pub(crate) fn word(&self, key: &str, words: &[&str]) -> Option<&'a str> {
        let key = self.key(key);
        let found = self.right(self.source.get_str(&key))?;
        if words.contains(&found) {
            return Some(found);
        }
        let shown: String = found.chars().take(64).collect();
        self.refuse(out_of_range(key, format!("{shown:?}"), words.join(" or ")))
    }

    /// A truth value; one that is not there is not true.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.right(self.source.get_bool(&self.key(key))) == Some(true)
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// What was read; where it is of another type, that is kept for the error.
    fn right<T>(&self, read: Result<Option<T>, FormatError>) -> Option<T> {
        read.unwrap_or_else(|wrong| self.refuse(wrong.into()))
    }

    /// Nothing: the first error counts.
    fn refuse<T>(&self, wrong: ModelError) -> Option<T> {
        let _ = self.wrong.set(wrong);
        None
    }
}

impl Family {
    /// The stem by which the file has its embedding.
    pub(crate) fn stem(&self, source: &dyn TensorSource) -> Option<&'static str> {
        let has = |stem: &str| source.tensor(&self.global(stem, names::TOKEN_EMBEDDING)).is_some();
        self.stems.iter().copied().find(|stem| has(stem))
    }

    /// A tensor of the whole model.
    fn global(&self, stem: &str, name: &str) -> String {
        let (ours, kind) = name.rsplit_once('.').unwrap_or((name, "weight"));
        match self.globals.iter().find(|(gguf, _)| *gguf == ours) {
            Some((_, theirs)) => match theirs.strip_prefix('/') {
                Some(whole) => format!("{}{whole}.{kind}", outside(stem)),
                None => format!("{stem}{theirs}.{kind}"),
            },
            // It has no such tensor: the name that we know it by stands for it.
            None => name.to_owned(),
        }
    }

    /// Any tensor.
    pub(crate) fn tensor(&self, stem: &str, name: &str) -> String {
        let Some((layer, part)) = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
            return self.global(stem, name);
        };
        let (ours, kind) = part.rsplit_once('.').unwrap_or((part, "weight"));
        match self.parts.iter().find(|(gguf, _)| *gguf == ours) {
            Some((_, theirs)) => format!("{stem}{}{layer}.{theirs}.{kind}", self.layers),
            None => name.to_owned(),
        }
    }

    /// What GGUF calls the tensors that such checkpoints may have, in a model of so many layers.
    pub(crate) fn candidates(&self, layers: usize) -> Vec<String> {
        let of = |prefix: &str, list: &[(&str, &str)]| -> Vec<String> {
            let forms: Vec<String> = self.forms.iter().map(|(ours, _)| format!("{prefix}{ours}")).collect();
            let plain = list
                .iter()
                .flat_map(|(ours, _)| ["weight", "bias"].map(|kind| format!("{prefix}{ours}.{kind}")));
            plain.filter(|name| !forms.contains(name)).chain(forms.iter().cloned()).collect()
        };
        let mut names = of("", self.globals);
        for layer in 0..layers {
            names.extend(of(&format!("blk.{layer}."), self.parts));
        }
        names
    }

    /// How a tensor is made that the checkpoint has in another form, and what the names of its parts begin with.
    pub(crate) fn form(&self, stem: &str, name: &str) -> Option<(&'static Form, String)> {
        let (layer, part) = match name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
            Some((layer, part)) => (Some(layer), part),
            None => (None, name),
        };
        let (_, form) = self.forms.iter().find(|(ours, _)| *ours == part)?;
        Some((form, layer.map_or(stem.to_owned(), |layer| format!("{stem}{}{layer}.", self.layers))))
    }
}

/// What the name of a head begins with: where the language part is a model of its own inside a larger one, its head
/// stands beside that part's body.
fn outside(stem: &str) -> &str {
    stem.strip_suffix("model.").filter(|outside| outside.ends_with('.')).unwrap_or_default()
}
