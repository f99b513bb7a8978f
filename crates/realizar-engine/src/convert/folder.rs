//! A model folder as Hugging Face lays it out.

use std::fs;
use std::path::{Path, PathBuf};

use realizar_format::{SafetensorsWriter, TensorSource};
use realizar_model::{Checkpoint, GgufView, ModelError, NewTensor};
use serde_json::{Map, Value as Json};

use super::write::{self, Converted, Progress, Put};
use super::{ConvertError, json, tokenizer_json};

const WEIGHTS: &str = "model.safetensors";
/// Objects inside `config.json`.
const NESTED: &[&str] = &["rope_scaling"];
/// Files of a folder that belong to the tokenizer or to generation: they are copied as they are.
const COPIED: &[&str] = &[
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
];

/// A folder under construction, which is removed unless it is put in place.
struct NewFolder {
    temporary: PathBuf,
    target: PathBuf,
    placed: bool,
}

impl NewFolder {
    fn create(target: &Path) -> Result<Self, ConvertError> {
        let fail = |action, path: &Path, source| ConvertError::Io { action, path: path.to_owned(), source };
        // A folder that is there may be named by a dot, or by a link.
        let real = target.canonicalize();
        let target = real.as_deref().unwrap_or(target);
        match fs::read_dir(target).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return Err(ConvertError::FolderTaken { path: target.to_owned() }),
            Err(_) if target.symlink_metadata().is_err() => {}
            Err(source) => return Err(fail("open", target, source)),
        }
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let temporary = target.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        fs::create_dir(&temporary).map_err(|source| fail("create", &temporary, source))?;
        Ok(Self { temporary, target: target.to_owned(), placed: false })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ConvertError> {
        let path = self.temporary.join(name);
        fs::write(&path, bytes).map_err(|source| ConvertError::Io { action: "write", path, source })
    }

    fn place(mut self) -> Result<(), ConvertError> {
        let fail = |source| ConvertError::Io { action: "write", path: self.target.clone(), source };
        if self.target.is_dir() {
            fs::remove_dir(&self.target).map_err(fail)?;
        }
        fs::rename(&self.temporary, &self.target).map_err(fail)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_dir_all(&self.temporary);
        }
    }
}

/// Writes the folder: by the names of the architecture's checkpoints where those can hold all of the model, else by
/// GGUF's names and keys.
pub(super) fn write(
    source: &dyn TensorSource,
    view: &GgufView<'_>,
    output: &Path,
    progress: Progress<'_>,
) -> Result<Converted, ConvertError> {
    let folder = NewFolder::create(output)?;
    let mut warnings = view.warnings().to_vec();
    let (layout, tensors, bytes) = match Checkpoint::of(view) {
        Ok(checkpoint) => {
            folder.write("config.json", &config(&checkpoint)?)?;
            folder.write("gguf.json", &keys(view, &["general.architecture"])?)?;
            let mut read = |tensor, rows, scratch: &mut Vec<u8>, put: Put<'_>| {
                put(checkpoint.rows(tensor, rows, scratch)?)
            };
            let bytes = weights(&folder, &checkpoint.tensors, &mut read, progress)?;
            ("names of the architecture's checkpoints", checkpoint.tensors.len(), bytes)
        }
        Err(why @ ModelError::Convert { .. }) => {
            warnings.push(format!("{why}: the folder has GGUF's names and keys"));
            folder.write("config.json", b"{}\n")?;
            folder.write("gguf.json", &keys(view, &[])?)?;
            let mut read =
                |tensor, rows, scratch: &mut Vec<u8>, put: Put<'_>| put(view.rows(tensor, rows, scratch)?);
            let bytes = weights(&folder, view.tensors(), &mut read, progress)?;
            ("keys and names of GGUF", view.tensors().len(), bytes)
        }
        Err(error) => return Err(error.into()),
    };
    for name in COPIED {
        if let Some(bytes) = source.companion(name) {
            folder.write(name, &bytes)?;
        }
    }
    if source.companion("tokenizer_config.json").is_none()
        && let Some(text) = tokenizer_config(view)
    {
        folder.write("tokenizer_config.json", text.as_bytes())?;
    }
    if source.companion("tokenizer.json").is_none() && tokenizer_json::is_there(view) {
        match tokenizer_json::of(view) {
            Ok(text) => folder.write("tokenizer.json", text.as_bytes())?,
            Err(why) => {
                warnings.push(format!("no tokenizer.json is written, the vocabulary is in gguf.json: {why}"));
            }
        }
    }
    folder.place()?;
    Ok(Converted { tensors, bytes, layout, warnings })
}

fn weights(
    folder: &NewFolder,
    tensors: &[NewTensor],
    read: write::Read<'_>,
    progress: Progress<'_>,
) -> Result<u64, ConvertError> {
    let mut writer = SafetensorsWriter::new();
    writer.metadata("format", "pt")?;
    for tensor in tensors {
        writer.tensor(&tensor.name, tensor.dtype, tensor.shape)?;
    }
    write::tensors(tensors, read, writer.create(folder.temporary.join(WEIGHTS))?, progress)
}

fn config(checkpoint: &Checkpoint<'_>) -> Result<Vec<u8>, ConvertError> {
    let mut object = Map::new();
    for (key, fact) in &checkpoint.config {
        json::insert(&mut object, key, NESTED, json::value(key, fact.value())?);
    }
    Ok(pretty(object))
}

/// GGUF's keys but for those in `without`.
fn keys(view: &GgufView<'_>, without: &[&str]) -> Result<Vec<u8>, ConvertError> {
    let mut object = Map::new();
    for (key, value) in view.metadata().filter(|(key, _)| !without.contains(key)) {
        object.insert(key.to_owned(), json::value(key, value)?);
    }
    let mut text = Json::Object(object).to_string().into_bytes();
    text.push(b'\n');
    Ok(text)
}

/// What other readers want to know of the tokenizer beside its vocabulary.
fn tokenizer_config(view: &GgufView<'_>) -> Option<String> {
    let tokens = view.value("tokenizer.ggml.tokens")?.as_array()?;
    let mut object = Map::new();
    for (theirs, ours) in [
        ("bos_token", "bos_token_id"),
        ("eos_token", "eos_token_id"),
        ("unk_token", "unknown_token_id"),
        ("pad_token", "padding_token_id"),
    ] {
        let id = view.value(&format!("tokenizer.ggml.{ours}")).and_then(|id| id.as_u32());
        let token = id.and_then(|id| tokens.iter().nth(id as usize)).and_then(|token| token.as_str());
        if let Some(token) = token {
            object.insert(theirs.to_owned(), token.into());
        }
    }
    if let Some(template) = write::text(view, "tokenizer.chat_template") {
        object.insert("chat_template".to_owned(), template.into());
    }
    (!object.is_empty()).then(|| String::from_utf8_lossy(&pretty(object)).into_owned())
}

fn pretty(object: Map<String, Json>) -> Vec<u8> {
    format!("{:#}\n", Json::Object(object)).into_bytes()
}
