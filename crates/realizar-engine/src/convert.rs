//! From one model format to another: a GGUF file, a Hugging Face folder, a safetensors file, an `.apr` file.

mod error;
mod folder;
mod json;
mod keys;
mod probes;
mod tokenizer_json;
mod vocabulary;
mod write;

use std::ffi::OsStr;
use std::path::Path;

use realizar_format::{Format, TensorSource};
use realizar_model::GgufView;

pub use error::ConvertError;
pub use write::{Converted, Progress};

/// A model of any format as a GGUF file would hold it, its tokenizer included.
///
/// # Errors
/// The model cannot be read, or holds something that GGUF has no place for: its name is given.
pub fn gguf_view(source: &dyn TensorSource) -> Result<GgufView<'_>, ConvertError> {
    if let Some(parts) = parts_of(source) {
        return Err(ConvertError::OnePart { parts });
    }
    let has_own =
        ["general.architecture", "tokenizer.ggml.model"].iter().any(|key| source.metadata(key).is_some());
    let mut view = GgufView::new(source)?;
    if !has_own {
        let vocabulary = vocabulary::of(source, &view)?;
        view.add(vocabulary);
    }
    Ok(view)
}

/// Writes a model in the format that the name of `output` asks for: `.gguf`, `.apr`, `.safetensors`, or a folder as
/// Hugging Face lays it out. `progress` is told how many bytes of weights are written, of how many. What was at `output`
/// stays until the new model is complete; a folder must not be there yet, or be empty.
///
/// # Errors
/// The model cannot be read or written, or holds something that the other format has no place for: its name is given, and
/// nothing is left behind.
pub fn convert(
    source: &dyn TensorSource,
    output: &Path,
    progress: Progress<'_>,
) -> Result<Converted, ConvertError> {
    let target = Target::of(output)?;
    if is_same(source, output) {
        return Err(ConvertError::SamePath { path: output.to_owned() });
    }
    let view = gguf_view(source)?;
    let mut converted = match target {
        Target::Gguf => write::gguf(&view, output, progress),
        Target::Apr => write::apr(&view, output, progress),
        Target::File => write::safetensors(&view, output, progress),
        Target::Folder => return folder::write(source, &view, output, progress),
    }?;
    const GENERATION: &str = "generation_config.json";
    if source.companion(GENERATION).is_some() {
        converted.warnings.push(format!(
            "{GENERATION} is not carried over, but for what ends an answer: the rest is advice"
        ));
    }
    Ok(converted)
}

/// Of how many parts a file of safetensors is one: `model-00001-of-00003.safetensors`.
fn parts_of(source: &dyn TensorSource) -> Option<u32> {
    let path = source.path().filter(|_| source.format() == Format::Safetensors)?;
    let (before, count) = path.file_stem()?.to_str()?.rsplit_once("-of-")?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbered = path.is_file() && digits(before.rsplit_once('-')?.1) && digits(count);
    count.parse().ok().filter(|parts| numbered && *parts > 1)
}

/// What is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Gguf,
    Apr,
    File,
    Folder,
}

impl Target {
    fn of(output: &Path) -> Result<Self, ConvertError> {
        const ENDINGS: [(&str, Target); 3] =
            [("gguf", Target::Gguf), ("apr", Target::Apr), ("safetensors", Target::File)];
        let ending = output.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let known = ENDINGS.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known));
        match known {
            _ if output.is_dir() => Ok(Self::Folder),
            Some((_, target)) => Ok(*target),
            // Names of models have points in them, as in `Llama-3.2-1B`: only what is no ending of a file is a folder.
            None if ["bin", "pt", "pth", "onnx", "ggml", "json"].contains(&ending) => {
                Err(ConvertError::UnknownEnding { ending: ending.to_owned() })
            }
            None => Ok(Self::Folder),
        }
    }
}

/// Whether the output would take the place of what is read, or of a part of it.
fn is_same(source: &dyn TensorSource, output: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    let (Some(output), Some(input)) = (real(output), source.path().and_then(real)) else { return false };
    // A file is read together with what lies beside it.
    let folder = if input.is_dir() { Some(&*input) } else { input.parent() };
    let beside = output.is_file() && output.parent() == folder && output.extension() == input_ending(source);
    input == output || folder == Some(&output) || beside
}

/// The ending of the files that the source's weights may lie in, where there may be several.
fn input_ending(source: &dyn TensorSource) -> Option<&'static OsStr> {
    let ending = match source.format() {
        Format::Safetensors => "safetensors",
        Format::Gguf if source.metadata("split.count").is_some() => "gguf",
        _ => return None,
    };
    Some(OsStr::new(ending))
}
