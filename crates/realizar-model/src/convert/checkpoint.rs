//! A model as a Hugging Face folder holds it.

use std::collections::HashMap;
use std::ops::Range;

use realizar_format::{Format, PackedArray, Value};

use super::change::Change;
use super::fact::Fact;
use super::probe::Probe;
use super::tensor::{NewTensor, Origin};
use super::view::{GgufView, head_order, same};
use super::{cannot, keys};
use crate::arch::{Position, Windows};
use crate::config::Config;
use crate::dialect::{self, Dialect};
use crate::error::ModelError;
use crate::facts::FactReader;
use crate::hf::{FAMILIES, Family};
use crate::names;
use crate::rope_scaling::RopeScaling;

/// A model by the names of its family's checkpoints.
#[derive(Debug)]
pub struct Checkpoint<'a> {
    view: &'a GgufView<'a>,
    /// Members of `config.json`; nested ones are joined by dots.
    pub config: Vec<(String, Fact)>,
    /// The tensors.
    pub tensors: Vec<NewTensor>,
}

impl<'a> Checkpoint<'a> {
    /// The model by the names of a family that can hold it.
    ///
    /// # Errors
    ///
    /// There is no such family, or its form would lose something.
    pub fn of(view: &'a GgufView<'a>) -> Result<Self, ModelError> {
        let config = view.config()?;
        let name = config.arch.name;
        let mut why =
            cannot(format!("architecture `{name}`"), "no class of checkpoints is known for it".to_owned());
        for (tried, family) in FAMILIES.iter().filter(|family| family.facts.name == name).enumerate() {
            match Self::by(view, &config, family) {
                Ok(checkpoint) => return Ok(checkpoint),
                // The family that stands first is the one that most models are of.
                Err(error) if tried == 0 => why = error,
                Err(_) => {}
            }
        }
        Err(why)
    }

    /// The bytes of rows of a tensor; see [`GgufView::rows`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn rows<'b>(
        &'b self,
        tensor: usize,
        rows: Range<usize>,
        scratch: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], ModelError> {
        match self.tensors.get(tensor) {
            Some(tensor) => self.view.maker().rows(tensor, rows, scratch),
            None => Ok(&[]),
        }
    }

    fn by(view: &'a GgufView<'a>, config: &Config, family: &'static Family) -> Result<Self, ModelError> {
        let stem = family.stems.first().copied().unwrap_or_default();
        let tied = !view.tensors().iter().any(|tensor| tensor.name == names::OUTPUT);
        let divided = llama3(view, config);
        let is_divided = divided.is_some();
        let mut members = members(view, config, family, divided)?;
        members.push(("tie_word_embeddings".to_owned(), Fact::Scalar(Value::Bool(tied))));
        let mut tensors = Vec::new();
        for tensor in view.tensors() {
            if is_divided && tensor.name == names::ROPE_FACTORS {
                continue;
            }
            tensors.push(renamed(tensor, family, stem, config)?);
        }
        let checkpoint = Self { view, config: members, tensors };
        checkpoint.check(config)?;
        Ok(checkpoint)
    }

    /// A reader of the folder will find the same configuration.
    fn check(&self, config: &Config) -> Result<(), ModelError> {
        let keyed: Vec<(String, &Fact)> =
            self.config.iter().map(|(key, fact)| (format!("config.{key}"), fact)).collect();
        let probe = Probe {
            format: Format::Safetensors,
            entries: keyed.iter().map(|(key, fact)| (&**key, *fact)).collect(),
            tensors: self.tensors.iter().map(|tensor| (&*tensor.name, tensor.shape)).collect(),
        };
        let mut again = Config::read(&probe)?;
        again.arch = config.arch;
        // Classes with a window on every layer have the architecture of those without.
        for (new, old) in again.blocks.iter_mut().zip(&config.blocks) {
            if config.arch.windows == Windows::Every {
                new.windowed = old.windowed;
            }
        }
        for (new, old) in [(&mut again.rope, &config.rope), (&mut again.window_rope, &config.window_rope)] {
            let Some((new, old)) = new.as_mut().zip(old.as_ref()) else { continue };
            new.pairs = old.pairs;
            // The divisors are compared by themselves, and what is scaled by 1 is not scaled.
            let divided = matches!(new.scaling, RopeScaling::Llama3 { .. });
            if scales_nothing(old.scaling) && (divided || new.scaling == RopeScaling::None) {
                (new.scaling, new.original_context) = (old.scaling, old.original_context);
            }
        }
        same(&again, config)
    }
}

/// Whether frequencies stay as they are, but for what stands in tensors.
fn scales_nothing(scaling: RopeScaling) -> bool {
    matches!(scaling, RopeScaling::None | RopeScaling::Linear { factor: 1.0 })
}

/// What `config.json` says; `divided`: how it says the scaling that GGUF keeps as a tensor.
fn members(
    view: &GgufView<'_>,
    config: &Config,
    family: &'static Family,
    divided: Option<Vec<(String, Fact)>>,
) -> Result<Vec<(String, Fact)>, ModelError> {
    let text = |text: &str| Fact::Text(text.to_owned());
    let mut members = vec![
        ("architectures".to_owned(), Fact::List(PackedArray::strings(family.classes.first()))),
        ("model_type".to_owned(), text(family.model_types.first().copied().unwrap_or(config.arch.name))),
    ];
    if let Some(activation) = family.activations.first() {
        members.push(("hidden_act".to_owned(), text(activation)));
    }
    let kept: Vec<(&str, Fact)> =
        view.metadata().filter_map(|(key, value)| Some((key, Fact::for_gguf(key, value)?))).collect();
    let probe = Probe {
        format: Format::Gguf,
        entries: kept.iter().map(|(key, fact)| (*key, fact)).collect(),
        tensors: HashMap::new(),
    };
    let read = FactReader::new(&probe, Dialect::of(&probe)?);
    let unscaled =
        config.rope.as_ref().is_some_and(|rope| scales_nothing(rope.scaling) && rope.magnitude == 1.0);
    let head_dim = config.blocks.first().map_or(1, |block| block.head_dim);
    let whole = Fact::count(head_dim);
    for (suffix, fact) in keys::of(config, &read)? {
        // What is so anyway is said by saying nothing.
        let is_scaling = suffix.starts_with("rope.scaling.") && (unscaled || fact == text("none"));
        let is_whole = ["rope.dimension_count", "attention.value_length"].contains(&suffix) && fact == whole;
        if is_scaling || is_whole && config.latent.is_none() {
            continue;
        }
        if let ("rope.dimension_count", None, Some(rope)) = (suffix, config.latent, &config.rope) {
            let share = rope.dim as f32 / head_dim as f32;
            members.push((dialect::json_key("partial_rotary_factor"), Fact::number(share)));
            continue;
        }
        let key = dialect::json_key(suffix);
        if !members.iter().any(|(known, _)| *known == key) {
            members.push((key, fact));
        }
    }
    // Both or none: what the scores do not have of YaRN's factor, the rotation has.
    if let Some((_, shares)) = members.iter().find(|(key, _)| key == "rope_scaling.mscale_all_dim") {
        members.push(("rope_scaling.mscale".to_owned(), shares.clone()));
    }
    members.extend(divided.into_iter().flatten());
    let ids =
        [("bos_token_id", "tokenizer.ggml.bos_token_id"), ("eos_token_id", "tokenizer.ggml.eos_token_id")];
    for (theirs, ours) in ids {
        if let Some(id) = view.value(ours).and_then(|value| value.as_u32()) {
            members.push((theirs.to_owned(), Fact::Scalar(Value::U32(id))));
        }
    }
    Ok(members)
}

/// Llama 3.1's way to say what GGUF keeps as a tensor of divisors, if it is exactly that.
fn llama3(view: &GgufView<'_>, config: &Config) -> Option<Vec<(String, Fact)>> {
    let rope = config.rope.as_ref()?;
    let index = view.tensors().iter().position(|tensor| tensor.name == names::ROPE_FACTORS)?;
    let mut scratch = Vec::new();
    let bytes = view.rows(index, 0..1, &mut scratch).ok()?;
    let divisors: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
    // The published models: these two, by 8 or by 32.
    for (factor, original) in [(8.0, 8192), (32.0, 8192)] {
        let scaling = RopeScaling::Llama3 { factor, low: 1.0, high: 4.0 };
        let theirs = crate::rope_scaling::RopeConfig { scaling, original_context: original, ..rope.clone() };
        if theirs.divisors().as_deref() == Some(&divisors[..]) && scales_nothing(rope.scaling) {
            let number = |key: &str, number: f32| (format!("rope_scaling.{key}"), Fact::number(number));
            return Some(vec![
                ("rope_scaling.rope_type".to_owned(), Fact::Text("llama3".to_owned())),
                ("rope_scaling.original_max_position_embeddings".to_owned(), Fact::count(original)),
                number("factor", factor),
                number("low_freq_factor", 1.0),
                number("high_freq_factor", 4.0),
            ]);
        }
    }
    None
}

/// A tensor by its name in the family's checkpoints, in their order of rows.
fn renamed(
    tensor: &NewTensor,
    family: &'static Family,
    stem: &str,
    config: &Config,
) -> Result<NewTensor, ModelError> {
    let lost = |why: &str| {
        cannot(
            format!("tensor `{}`", tensor.name),
            format!("checkpoints of {} {why}", family.classes.join(", ")),
        )
    };
    if family.form(stem, &tensor.name).is_some() {
        return Err(lost("have it in another form"));
    }
    let name = family.tensor(stem, &tensor.name);
    if name == tensor.name {
        return Err(lost("have no such tensor"));
    }
    let part = tensor
        .name
        .strip_prefix("blk.")
        .and_then(|rest| rest.split_once('.'))
        .map_or(&*tensor.name, |(_, part)| part);
    let order = match config.arch.position {
        Position::Rope(own) if family.pairs != own => {
            head_order(&tensor.name, family.pairs, &tensor.shape, config)
        }
        _ => None,
    };
    let is_gain = part.contains("norm") && part.ends_with(".weight") && family.gain_offset != 0.0;
    // What was changed on the way to GGUF is changed back.
    let before = tensor.change;
    let change = Change {
        from: before.from,
        order: match (before.order, order) {
            (Some(_), Some(_)) => None,
            (one, other) => one.or(other),
        },
        add: before.add - if is_gain { family.gain_offset } else { 0.0 },
    };
    if change.add != 0.0 && !gain_survives(tensor, family.gain_offset) {
        return Err(lost("have it less 1, which would round"));
    }
    let moved = change.add != 0.0 || change.order.is_some() || change.from != tensor.dtype;
    let dtype =
        if tensor.is_vector() && moved { change.vector_type(tensor.dtype) } else { Some(tensor.dtype) };
    let dtype = dtype.ok_or_else(|| lost("have its elements in another order"))?;
    Ok(NewTensor { name, dtype, shape: tensor.shape, origin: tensor.origin.clone(), change })
}

/// Whether the gain is the same after the offset was taken away and added again.
fn gain_survives(tensor: &NewTensor, offset: f32) -> bool {
    let Origin::View(data) = &tensor.origin else { return false };
    let values = Change::none(tensor.dtype).vector(data);
    !values.is_empty() && values.iter().all(|value| (value - offset) + offset == *value)
}
