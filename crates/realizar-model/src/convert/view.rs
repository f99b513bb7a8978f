//! A model of any format as a GGUF file would hold it.

use std::collections::HashSet;
use std::ops::Range;

use realizar_format::{DType, Format, Shape, TensorSource, TensorView, Value};
use realizar_tensor::PairOrder;

use super::change::{Change, HeadOrder};
use super::fact::Fact;
use super::probe::Probe;
use super::tensor::{Maker, NewTensor, Origin, let_go};
use super::{cannot, keys};
use crate::arch::{ArchFacts, Position, Windows};
use crate::config::{self, BlockConfig, Config};
use crate::dialect::Dialect;
use crate::error::ModelError;
use crate::facts::FactReader;
use crate::hf::Counts;
use crate::names;
use crate::rope_scaling::RopeScaling;

const ARCHITECTURE: &str = "general.architecture";

/// A model of any format as a GGUF file would hold it: keys, names and the order of rows are GGUF's. Nothing is in
/// memory but what is asked for; a GGUF file is seen as it is.
#[derive(Debug)]
pub struct GgufView<'a> {
    maker: Maker<'a>,
    metadata: Vec<(String, Entry)>,
    tensors: Vec<NewTensor>,
    warnings: Vec<String>,
}

#[derive(Debug)]
enum Entry {
    /// As the source has it.
    Kept,
    New(Fact),
}

impl<'a> GgufView<'a> {
    /// Looks at a model. The keys of its tokenizer are there if the source has them by GGUF's names.
    ///
    /// # Errors
    ///
    /// The model cannot be read, or holds something that GGUF has no place for: its name is given.
    pub fn new(source: &'a dyn TensorSource) -> Result<Self, ModelError> {
        if source.metadata(ARCHITECTURE).is_some() {
            return Self::of_gguf_keys(source);
        }
        let dialect = config::dialect(source)?;
        let config = Config::read_as(source, dialect)?;
        let read = FactReader::new(source, dialect);
        let mut metadata = general(source, dialect.arch);
        let of_arch = |suffix: &str| format!("{}.{suffix}", dialect.arch.name);
        let numbers = keys::of(&config, &read)?;
        metadata.extend(numbers.into_iter().map(|(suffix, fact)| (of_arch(suffix), fact)));
        // What the configuration says counts, then what the source has by the keys of GGUF.
        let mut known: HashSet<String> = metadata.iter().map(|(key, _)| key.clone()).collect();
        for (key, fact) in carried(source)? {
            if known.insert(key.clone()) {
                metadata.push((key, fact));
            }
        }

        let form = (dialect, Counts::of(&config));
        let (tensors, used) = tensors(source, form, &config)?;
        let warnings = surplus(source, &used)?;
        if let Some(number) = file_type(&tensors)
            && known.insert("general.file_type".to_owned())
        {
            metadata.push(("general.file_type".to_owned(), Fact::count(number)));
        }
        let view = Self {
            maker: Maker::new(source, Some(form)),
            metadata: metadata.into_iter().map(|(key, fact)| (key, Entry::New(fact))).collect(),
            tensors,
            warnings,
        };
        view.check(&config)?;
        Ok(view)
    }

    /// A GGUF file, or a file of another format with the keys and names of GGUF.
    fn of_gguf_keys(source: &'a dyn TensorSource) -> Result<Self, ModelError> {
        let metadata = if source.format() == Format::Gguf {
            let own = source.metadata_keys().filter(|key| !key.starts_with("split."));
            own.map(|key| (key.to_owned(), Entry::Kept)).collect()
        } else {
            carried(source)?.into_iter().map(|(key, fact)| (key, Entry::New(fact))).collect()
        };
        let tensor = |view: TensorView<'_>| NewTensor {
            name: view.name.to_owned(),
            dtype: view.dtype,
            shape: view.shape,
            change: Change::none(view.dtype),
            origin: Origin::View(view.data),
        };
        let tensors = source.tensors().map(tensor).collect();
        Ok(Self { maker: Maker::new(source, None), metadata, tensors, warnings: Vec::new() })
    }

    /// Adds keys that it has not.
    pub fn add(&mut self, keys: Vec<(String, Fact)>) {
        for (key, fact) in keys {
            if self.value(&key).is_none() {
                self.metadata.push((key, Entry::New(fact)));
            }
        }
    }

    /// Keys and values, in their order.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.metadata.iter().filter_map(|(key, entry)| {
            let value = match entry {
                Entry::Kept => self.maker.source.metadata(key)?,
                Entry::New(fact) => fact.value(),
            };
            Some((&**key, value))
        })
    }

    /// The value of a key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Value<'_>> {
        self.metadata().find(|(found, _)| *found == key).map(|(_, value)| value)
    }

    /// The tensors, in their order.
    #[must_use]
    pub fn tensors(&self) -> &[NewTensor] {
        &self.tensors
    }

    /// The bytes of rows `rows` of tensor number `tensor`, of `shape.rows()` that it has. They may be put in `scratch`.
    ///
    /// # Errors
    ///
    /// A tensor that it is made from is missing.
    pub fn rows<'b>(
        &'b self,
        tensor: usize,
        rows: Range<usize>,
        scratch: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], ModelError> {
        match self.tensors.get(tensor) {
            Some(tensor) => self.maker.rows(tensor, rows, scratch),
            None => Ok(&[]),
        }
    }

    /// What of the source is not in the view, and need not be.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(super) fn maker(&self) -> &Maker<'a> {
        &self.maker
    }

    /// The configuration that a reader of the new file will find.
    pub(super) fn config(&self) -> Result<Config, ModelError> {
        let kept: Vec<(&str, Fact)> =
            self.metadata().filter_map(|(key, value)| Some((key, Fact::for_gguf(key, value)?))).collect();
        let probe = Probe {
            format: Format::Gguf,
            entries: kept.iter().map(|(key, fact)| (*key, fact)).collect(),
            tensors: self.tensors.iter().map(|tensor| (&*tensor.name, tensor.shape)).collect(),
        };
        Config::read(&probe)
    }

    /// Nothing of the configuration was lost on the way.
    fn check(&self, config: &Config) -> Result<(), ModelError> {
        let mut again = self.config()?;
        again.arch = config.arch;
        // Classes with a window on every layer have the architecture of those without.
        for (new, old) in again.blocks.iter_mut().zip(&config.blocks) {
            if config.arch.windows == Windows::Every {
                new.windowed = old.windowed;
            }
        }
        for (new, old) in [(&mut again.rope, &config.rope), (&mut again.window_rope, &config.window_rope)] {
            if let Some((new, old)) = new.as_mut().zip(old.as_ref()) {
                new.pairs = old.pairs;
                if matches!(old.scaling, RopeScaling::Llama3 { .. }) && new.scaling == RopeScaling::None {
                    new.scaling = old.scaling;
                }
            }
        }
        same(&again, config)
    }
}

/// Refuses a configuration that came out as another one, with the first number that differs.
pub(super) fn same(new: &Config, old: &Config) -> Result<(), ModelError> {
    if new == old {
        return Ok(());
    }
    let (new, old) = (format!("{new:#?}"), format!("{old:#?}"));
    let differs = old.lines().zip(new.lines()).find(|(old, new)| old != new);
    let (old, new) = differs.map_or(("", ""), |(old, new)| (old.trim(), new.trim()));
    let what = format!("the configuration's `{}`", old.trim_end_matches(','));
    Err(cannot(what, format!("it would be read as `{}`", new.trim_end_matches(','))))
}

/// Keys that tell what a model is called and where it comes from, by the names of `.apr` files.
const GENERAL: &[(&str, &str)] = &[
    ("general.name", "name"),
    ("general.description", "description"),
    ("general.author", "author"),
    ("general.version", "version"),
    ("general.license", "license"),
    ("tokenizer.chat_template", "chat_template"),
];

fn general(source: &dyn TensorSource, arch: &ArchFacts) -> Vec<(String, Fact)> {
    let text = |text: &str| Fact::Text(text.to_owned());
    let mut metadata =
        vec![(ARCHITECTURE.to_owned(), text(arch.name)), ("general.type".to_owned(), text("model"))];
    for (ours, theirs) in GENERAL {
        let found = source.metadata(theirs).and_then(|value| value.as_str());
        if let Some(found) =
            found.filter(|_| source.format() == Format::Apr && source.metadata(ours).is_none())
        {
            metadata.push(((*ours).to_owned(), text(found)));
        }
    }
    metadata
}

/// What GGUF calls the type that most of the weights have.
fn file_type(tensors: &[NewTensor]) -> Option<usize> {
    const NUMBERS: [(DType, usize); 3] = [(DType::F32, 0), (DType::F16, 1), (DType::BF16, 32)];
    let elements = |dtype| -> usize {
        tensors
            .iter()
            .filter(|tensor| tensor.dtype == dtype)
            .filter_map(|tensor| tensor.shape.elements())
            .sum()
    };
    NUMBERS.into_iter().max_by_key(|(dtype, _)| elements(*dtype)).map(|(_, number)| number)
}

/// Members of an `.apr` file's metadata that describe the file, or say again what keys of GGUF say.
pub(super) const APR_OWN: &[&str] = &[
    "model_type",
    "license",
    "data_source",
    "data_license",
    "total_size",
    "param_count",
    "name",
    "description",
    "author",
    "version",
    "source",
    "original_format",
    "created_at",
    "chat_template",
    "chat_format",
    "architecture",
    "hf_architecture",
    "hf_model_type",
    "hidden_size",
    "num_layers",
    "num_heads",
    "num_kv_heads",
    "vocab_size",
    "intermediate_size",
    "max_position_embeddings",
    "rope_theta",
    "rope_type",
    "rms_norm_eps",
    "head_dim",
    "num_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    "tokenizer.vocabulary",
    "tokenizer.merges",
    "tokenizer.scores",
    "tokenizer.model_type",
    "tokenizer.bos_token_id",
    "tokenizer.eos_token_id",
];

/// What begins the keys of a folder's own files.
const FOLDER_OWN: &[&str] = &[
    "config.",
    "generation_config.",
    "tokenizer_config.",
    "special_tokens_map.",
    "pooling.",
    "__metadata__.",
];

/// Keys of GGUF that a file of another format holds beside its own.
fn carried(source: &dyn TensorSource) -> Result<Vec<(String, Fact)>, ModelError> {
    let is_own = |key: &str| match source.format() {
        Format::Apr => {
            APR_OWN.contains(&key)
                || ["quantization.", "sharding.", "special_tokens."].iter().any(|own| key.starts_with(own))
        }
        _ => FOLDER_OWN.iter().any(|own| key.starts_with(own)),
    };
    // What the reader of an `.apr` file takes by other names is carried by those.
    let has_gguf_keys = source.metadata(ARCHITECTURE).is_some();
    let is_wanted = |key: &&str| !is_own(key) && (has_gguf_keys || key.contains('.'));
    source
        .metadata_keys()
        .filter(is_wanted)
        .filter_map(|key| Some((key, source.metadata(key)?)))
        .map(|(key, value)| {
            let fact = Fact::for_gguf(key, value);
            let fact =
                fact.ok_or_else(|| cannot(format!("metadata key `{key}`"), "GGUF has no such list".into()))?;
            Ok((key.to_owned(), fact))
        })
        .collect()
}

/// All tensors by their names in GGUF, and the names of those of the source that they come from.
fn tensors(
    source: &dyn TensorSource,
    form: (Dialect, Counts),
    config: &Config,
) -> Result<(Vec<NewTensor>, HashSet<String>), ModelError> {
    let (dialect, counts) = form;
    let mut tensors = Vec::new();
    let mut used = HashSet::new();
    for name in dialect.candidates(source, config.layers) {
        if !dialect.has(source, &name) {
            continue;
        }
        // The first of a stack tells what all are like.
        let stack = dialect.matrices(source, &name);
        let made = match stack {
            Some(_) => dialect.made_matrix(source, &name, counts, 0),
            None => dialect.made(source, &name, counts),
        };
        let (dtype, shape, origin) = if let Some(made) = made {
            let mut made =
                made.map_err(|missing| ModelError::MissingTensors { names: vec![missing], more: 0 })?;
            let_go(source, &made.used);
            used.extend(made.used);
            if let (Some(stack), Some(first)) = (stack, made.dims.first_mut()) {
                *first = stack;
            }
            let shape = shape_of(&name, &made.dims)?;
            (made.dtype, shape, Origin::Made(name.clone()))
        } else {
            let Some(view) = source.tensor(&dialect.tensor(&name)) else { continue };
            used.insert(view.name.to_owned());
            (view.dtype, view.shape, Origin::View(view.data))
        };
        tensors.push(new_tensor(name, (dtype, shape), origin, dialect, config)?);
    }
    for (name, values) in factors(source, dialect, config) {
        let shape = shape_of(&name, &[values.len()])?;
        let change = Change::none(DType::F32);
        tensors.push(NewTensor { name, dtype: DType::F32, shape, origin: Origin::Floats(values), change });
    }
    Ok((tensors, used))
}

/// Dimensions of a new tensor.
fn shape_of(name: &str, dims: &[usize]) -> Result<Shape, ModelError> {
    let too_many = || ModelError::TensorShape {
        tensor: name.to_owned(),
        expected: "at most 8 dimensions".to_owned(),
        found: format!("{dims:?}"),
    };
    Shape::new(dims).ok_or_else(too_many)
}

fn new_tensor(
    name: String,
    (from, shape): (DType, Shape),
    origin: Origin,
    dialect: Dialect,
    config: &Config,
) -> Result<NewTensor, ModelError> {
    let part =
        name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')).map_or(&*name, |(_, part)| part);
    let is_gain = part.contains("norm") && part.ends_with(".weight");
    let order = match config.arch.position {
        Position::Rope(own) if dialect.pairs(own) != own => head_order(&name, own, &shape, config),
        _ => None,
    };
    let change = Change { from, order, add: if is_gain { dialect.gain_offset() } else { 0.0 } };
    let dtype = if shape.len() < 2 { change.vector_type(from) } else { Some(from) };
    let unmoved = || cannot(format!("tensor `{name}`"), format!("a vector of {from} cannot be changed"));
    Ok(NewTensor { dtype: dtype.ok_or_else(unmoved)?, name, shape, origin, change })
}

/// How the rows of a tensor must be moved so that its heads rotate as `to` says; `None` for tensors that do not rotate,
/// and on layers that do not: there the order would only change in which order attention sums.
pub(super) fn head_order(name: &str, to: PairOrder, shape: &Shape, config: &Config) -> Option<HeadOrder> {
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let layer = layer.parse().ok()?;
    let BlockConfig { heads, kv_heads, head_dim, .. } = *config.blocks.get(layer)?;
    config.layer_rope(layer)?;
    let (stem, _) = part.rsplit_once('.')?;
    let rows = match stem {
        "attn_q" => heads * head_dim,
        "attn_k" => kv_heads * head_dim,
        "attn_qkv" => (heads + kv_heads) * head_dim,
        "attn_q_norm" | "attn_k_norm" => shape.elements()?,
        _ => return None,
    };
    Some(HeadOrder { head_dim, rotated: config.rope.as_ref()?.dim, rows, to })
}

/// Divisors of the rotation's frequencies that a checkpoint's configuration states, by the names of their tensors.
fn factors(source: &dyn TensorSource, dialect: Dialect, config: &Config) -> Vec<(String, Vec<f32>)> {
    let Some(rope) = &config.rope else { return Vec::new() };
    let list = |suffix: &str| {
        let array = source.metadata(&dialect.key(source, suffix))?.as_array()?;
        array.to_f32s().or_else(|| Some(array.to_i32s()?.into_iter().map(|number| number as f32).collect()))
    };
    let found = [
        (names::ROPE_FACTORS, rope.divisors()),
        (names::ROPE_FACTORS_LONG, list("rope.scaling.long_factor")),
        (names::ROPE_FACTORS_SHORT, list("rope.scaling.short_factor")),
    ];
    found.into_iter().filter_map(|(name, values)| Some((name.to_owned(), values?))).collect()
}

/// Ends of the names of tensors that say nothing which is not said elsewhere: numbers that code computes again.
const COMPUTED: &[&str] = &[
    "rotary_emb.inv_freq",
    "attn.bias",
    "attn.masked_bias",
    "attention.bias",
    "attention.masked_bias",
    "position_ids",
];
/// Parts of encoders that serve other uses than vectors.
const OTHER_USES: &[&str] = &["pooler.", "cls."];

/// Refuses tensors that would be lost, and tells of those that may be.
fn surplus(source: &dyn TensorSource, used: &HashSet<String>) -> Result<Vec<String>, ModelError> {
    const SHOWN: usize = 5;
    let mut warnings = Vec::new();
    let mut lost = Vec::new();
    for tensor in source.tensors().filter(|tensor| !used.contains(tensor.name)) {
        if COMPUTED.iter().any(|end| tensor.name.ends_with(end)) {
            warnings.push(format!(
                "`{}` is not carried over: it is computed from the configuration",
                tensor.name
            ));
        } else if OTHER_USES.iter().any(|part| tensor.name.contains(part)) {
            warnings
                .push(format!("`{}` is not carried over: it serves another use of the model", tensor.name));
        } else {
            lost.push(format!("`{}`", tensor.name));
        }
    }
    if lost.is_empty() {
        return Ok(warnings);
    }
    let more = lost.len().saturating_sub(SHOWN);
    let mut what = format!("tensors {}", lost.get(..SHOWN).unwrap_or(&lost).join(", "));
    if more > 0 {
        what.push_str(&format!(" and {more} more"));
    }
    Err(cannot(what, "the architecture has no such tensors".to_owned()))
}
