//! A model folder as Hugging Face lays it out: `config.json` and its like beside one or many safetensors files.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::beside;
use crate::error::{FormatError, Place};
use crate::escape::Escaped;
use crate::facts::Facts;
use crate::json::{self, Json};
use crate::limits;
use crate::map::Access;
use crate::safetensors::Safetensors;
use crate::source::{Format, TensorSource, TensorView};
use crate::value::Value;

const CONFIG: &str = "config.json";
const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Metadata by the keys of GGUF, for what no other file of a folder has a place for.
const GGUF: &str = "gguf.json";

/// A file beside the weights: its name, its largest size, and the prefix of its members in the metadata, if they are
/// shown there.
const COMPANIONS: &[(&str, u64, Option<&str>)] = &[
    (CONFIG, limits::CONFIG_BYTES, Some("config.")),
    ("generation_config.json", limits::CONFIG_BYTES, Some("generation_config.")),
    ("tokenizer_config.json", limits::CONFIG_BYTES, Some("tokenizer_config.")),
    ("special_tokens_map.json", limits::CONFIG_BYTES, Some("special_tokens_map.")),
    ("1_Pooling/config.json", limits::CONFIG_BYTES, Some("pooling.")),
    ("added_tokens.json", limits::CONFIG_BYTES, None),
    ("tokenizer.json", limits::LARGE_JSON_BYTES, None),
    ("tokenizer.model", limits::LARGE_JSON_BYTES, None),
    ("vocab.json", limits::LARGE_JSON_BYTES, None),
    ("vocab.txt", limits::LARGE_JSON_BYTES, None),
    ("merges.txt", limits::LARGE_JSON_BYTES, None),
    ("chat_template.jinja", limits::CONFIG_BYTES, None),
    (GGUF, limits::LARGE_JSON_BYTES, Some("")),
];

/// A model folder. `config.json` and the other small JSON files are metadata: `hidden_size` of the first is
/// `config.hidden_size`, nested names are joined by dots; the first shard's own metadata is `__metadata__.`. The members
/// of `gguf.json` keep their names: converters put there what a folder has no other place for. The texts themselves are
/// [`TensorSource::companion`]s.
#[derive(Debug)]
pub struct HfFolder {
    shards: Vec<Safetensors>,
    facts: Facts,
    companions: BTreeMap<&'static str, Bytes>,
    warnings: Vec<String>,
    path: Option<PathBuf>,
}

impl HfFolder {
    /// Opens a folder and checks everything in it that belongs to the model.
    ///
    /// # Errors
    ///
    /// There is no `model.safetensors` and no index of shards, or something that is there is not valid.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FormatError> {
        Self::open_with(path.as_ref(), Access::Map)
    }

    pub(crate) fn open_with(path: &Path, access: Access) -> Result<Self, FormatError> {
        let shards = if beside::exists(path, INDEX) {
            sharded(path, access)?
        } else if beside::exists(path, WHOLE) {
            vec![shard(path, WHOLE, access)?]
        } else {
            let found = "a folder without model.safetensors and without model.safetensors.index.json";
            return Err(FormatError::NotAFile { path: path.to_path_buf(), found });
        };
        Self::with_companions(shards, path, path, access)
    }

    /// One file of weights that the user named, in a folder that says more about it.
    pub(crate) fn around(
        file: Safetensors,
        path: &Path,
        access: Access,
    ) -> Result<Box<dyn TensorSource>, FormatError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        if !has_own_keys(&file) && beside::exists(folder, CONFIG) {
            return Ok(Box::new(Self::with_companions(vec![file], folder, path, access)?));
        }
        Self::alone(file).map_err(|error| error.in_file(Some(path)))
    }

    /// One file of weights; its own metadata may hold the text of a `gguf.json`, which then counts as one beside it.
    pub(crate) fn alone(file: Safetensors) -> Result<Box<dyn TensorSource>, FormatError> {
        if !has_own_keys(&file) {
            return Ok(Box::new(file));
        }
        let at = || Place::named("__metadata__", 8, GGUF.as_bytes());
        let text = file.metadata(GGUF).and_then(|value| value.as_str()).unwrap_or_default();
        let mut facts = Facts::default();
        facts.add("", json::parse_object(text.as_bytes(), GGUF, 0)?);
        let path = file.path().map(Path::to_path_buf);
        let facts = facts.index(at)?;
        Ok(Box::new(Self {
            shards: vec![file],
            facts,
            companions: BTreeMap::new(),
            warnings: Vec::new(),
            path,
        }))
    }

    fn with_companions(
        shards: Vec<Safetensors>,
        folder: &Path,
        path: &Path,
        access: Access,
    ) -> Result<Self, FormatError> {
        let mut facts = Facts::default();
        let mut companions = BTreeMap::new();
        for (name, limit, prefix) in COMPANIONS {
            if !beside::exists(folder, name) {
                continue;
            }
            let bytes = beside::load_small(folder, name, *limit, access)?;
            if let Some(prefix) = prefix {
                let object = json::parse_object(&json::without_python_numbers(&bytes), "json", 0);
                let object = object.map_err(|error| error.in_file(Some(&folder.join(name))))?;
                facts.add(prefix, object);
            }
            companions.insert(*name, bytes);
        }
        if let Some(first) = shards.first() {
            let text = |key| first.metadata(key).and_then(|value| value.as_str()).unwrap_or_default();
            let texts = first.metadata_keys().map(|key| (key.into(), Json::Text(text(key).into())));
            facts.add("__metadata__.", Json::Object(texts.collect()));
        }
        let facts = facts.index(|| Place::new("json", 0)).map_err(|error| error.in_file(Some(folder)))?;
        let path = Some(path.to_path_buf());
        let mut source = Self { shards, facts, companions, warnings: Vec::new(), path };
        source.warn(folder);
        Ok(source)
    }

    /// Names what lies in the folder and is never read or run.
    fn warn(&mut self, path: &Path) {
        if self.facts.names().any(|name| name.starts_with("config.auto_map")) {
            self.warnings.push("config.json names code of its own (auto_map), which is never run".to_owned());
        }
        for name in ["pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack"]
        {
            if beside::exists(path, name) {
                self.warnings.push(format!("{name} is not read"));
            }
        }
    }
}

/// Whether a file of weights says by itself what a folder would say.
fn has_own_keys(file: &Safetensors) -> bool {
    file.metadata(GGUF).is_some()
}

fn shard(folder: &Path, name: &str, access: Access) -> Result<Safetensors, FormatError> {
    Safetensors::from_file(&folder.join(name), beside::load(folder, name, access)?)
}

/// Opens all shards, and holds the index against what they have.
fn sharded(folder: &Path, access: Access) -> Result<Vec<Safetensors>, FormatError> {
    let index_path = folder.join(INDEX);
    let in_index = |error: FormatError| error.in_file(Some(&index_path));
    let bytes = beside::load_small(folder, INDEX, limits::LARGE_JSON_BYTES, access)?;
    let map = weight_map(&bytes).map_err(in_index)?;
    let at = |tensor: &str| Place::named("weight_map", 0, tensor.as_bytes());

    let mut shards = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for (tensor, name) in &map {
        if !beside::is_plain(name) || !name.ends_with(".safetensors") {
            let found = format!("`{}`", Escaped(name.as_bytes()));
            let expected = "the name of a .safetensors file in the same folder";
            return Err(in_index(FormatError::invalid(at(tensor), found, expected)));
        }
        names.push(name);
    }
    names.sort_unstable();
    names.dedup();
    if names.len() > limits::SHARDS {
        let (found, limit) = (names.len() as u64, limits::SHARDS as u64);
        return Err(in_index(FormatError::TooLarge { at: Place::new("shards", 0), found, limit }));
    }
    for name in &names {
        shards.push(shard(folder, name, access)?);
    }

    let mut wanted: HashMap<&str, &str> = map.iter().map(|(tensor, name)| (&**tensor, &**name)).collect();
    for (name, shard) in names.iter().zip(&shards) {
        for tensor in shard.tensors() {
            match wanted.remove(tensor.name) {
                Some(listed) if listed == *name => {}
                Some(listed) => {
                    let found = format!("`{}`", Escaped(listed.as_bytes()));
                    let expected = format!("`{name}`, which has this tensor");
                    return Err(in_index(FormatError::invalid(at(tensor.name), found, expected)));
                }
                None => {
                    let found = format!("no entry for a tensor of `{name}`, or one in another file as well");
                    return Err(in_index(FormatError::invalid(at(tensor.name), found, "each tensor once")));
                }
            }
        }
    }
    if let Some((tensor, name)) = wanted.into_iter().min() {
        let found = format!("`{}`, which lacks this tensor", Escaped(name.as_bytes()));
        return Err(in_index(FormatError::invalid(at(tensor), found, "a file that has it")));
    }
    Ok(shards)
}

/// Names of tensors and the files they are in.
type WeightMap = Vec<(Box<str>, Box<str>)>;

/// The map of the index.
fn weight_map(bytes: &[u8]) -> Result<WeightMap, FormatError> {
    let parsed = json::parse_object_of(limits::INDEX_VALUES, bytes, "index", 0)?;
    let Json::Object(members) = parsed else { return Ok(Vec::new()) };
    let map = members.into_iter().find(|(name, _)| &**name == "weight_map").map(|(_, map)| map);
    let Some(Json::Object(map)) = map else {
        let at = Place::new("weight_map", 0);
        return Err(FormatError::invalid(at, "no object of that name", "an object of tensors and files"));
    };
    // Files that are there would not be looked at.
    if map.is_empty() {
        let at = Place::new("weight_map", 0);
        return Err(FormatError::invalid(at, "no tensors", "an object of tensors and files"));
    }
    map.into_iter()
        .map(|(tensor, file)| match file {
            Json::Text(file) => Ok((tensor, file)),
            _ => {
                let at = Place::named("weight_map", 0, tensor.as_bytes());
                Err(FormatError::invalid(at, "another JSON value", "the name of a file"))
            }
        })
        .collect()
}

impl TensorSource for HfFolder {
    fn format(&self) -> Format {
        Format::Safetensors
    }

    fn metadata(&self, key: &str) -> Option<Value<'_>> {
        self.facts.get(key)
    }

    fn metadata_keys(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.facts.names())
    }

    fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        self.shards.iter().find_map(|shard| shard.tensor(name))
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorView<'_>> + '_> {
        Box::new(self.shards.iter().flat_map(|shard| shard.tensors()))
    }

    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn companion(&self, name: &str) -> Option<Bytes> {
        self.companions.get(name).cloned()
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
