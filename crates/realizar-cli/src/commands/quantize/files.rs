//! Which files are read, so that none of them is written over.

use std::path::{Path, PathBuf};
use std::{fs, io};

use realizar_format::{Format, TensorSource};

use super::error::QuantizeError;

/// The files behind IN: itself, its parts, or what lies in the folder. The built-in model has none.
pub(super) fn of_source(input: &Path, source: &dyn TensorSource) -> Vec<PathBuf> {
    if source.path().is_none() {
        return Vec::new();
    }
    if input.is_dir() {
        return listed(input, |name| name.ends_with(".safetensors"));
    }
    let parts = source.get_u32("split.count").ok().flatten().unwrap_or(1);
    match input.file_name().and_then(|name| name.to_str()).and_then(|name| name.rsplit_once("-of-")) {
        // `NAME-00001-of-00003.gguf` and its like, which differ in the number.
        Some((start, end)) if parts > 1 && start.len() > 6 => {
            let stem = start.get(..start.len() - 5).unwrap_or(start);
            let folder = input.parent().filter(|folder| !folder.as_os_str().is_empty());
            let end = format!("-of-{end}");
            listed(folder.unwrap_or(Path::new(".")), |name| name.starts_with(stem) && name.ends_with(&end))
        }
        _ => vec![input.to_owned()],
    }
}

/// What OUT must not be: the files of the source, and what lies beside them and may belong to them, such as `config.json`
/// beside one shard. A GGUF file is all that its model is.
pub(super) fn kept(input: &Path, source: &dyn TensorSource, source_files: &[PathBuf]) -> Vec<PathBuf> {
    if input.is_dir() {
        return listed(input, |_| true);
    }
    let mut files = source_files.to_vec();
    if source.path().is_some() && source.format() != Format::Gguf {
        let folder = input.parent().filter(|folder| !folder.as_os_str().is_empty());
        files.extend(listed(folder.unwrap_or(Path::new(".")), |name| !name.ends_with(".gguf")));
    }
    files
}

fn listed(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter(|entry| entry.file_name().to_str().is_some_and(&wanted));
    names.map(|entry| entry.path()).collect()
}

/// Bytes of all these files; `None` without any.
pub(super) fn bytes(files: &[PathBuf]) -> Option<u64> {
    let sizes = files.iter().filter_map(|file| Some(file.metadata().ok()?.len()));
    (!files.is_empty()).then(|| sizes.sum())
}

/// Refuses an output that is one of the inputs, by whatever name or link.
pub(super) fn refuse_same(
    output: &Path,
    inputs: &[PathBuf],
    imatrix: Option<&Path>,
) -> Result<(), QuantizeError> {
    let inputs = inputs.iter().map(PathBuf::as_path).chain(imatrix);
    // An output that does not exist yet is none of them.
    let same = inputs.filter_map(|input| same(output, input).ok()).any(|same| same);
    let path = output.to_string_lossy().into_owned();
    if same { Err(QuantizeError::SameFile { path }) } else { Ok(()) }
}

#[cfg(unix)]
fn same(a: &Path, b: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (a, b) = (a.metadata()?, b.metadata()?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

#[cfg(not(unix))]
fn same(a: &Path, b: &Path) -> io::Result<bool> {
    Ok(a.canonicalize()? == b.canonicalize()?)
}
