//! A model in several GGUF files: `NAME-00001-of-00003.gguf` and its siblings, as one source.
//!
//! Each part is a whole GGUF file with `split.no` (from 0) and `split.count`; the first one has all other metadata.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::beside;
use crate::error::{FormatError, Place};
use crate::gguf::reader::Gguf;
use crate::map::Access;
use crate::source::{Format, TensorSource, TensorView};
use crate::value::Value;

const COUNT: &str = "split.count";
const NO: &str = "split.no";
const TENSORS: &str = "split.tensors.count";

/// All parts of a split model.
#[derive(Debug)]
struct SplitGguf {
    parts: Vec<Gguf>,
    path: PathBuf,
}

/// The model that `first` is the only file or the first part of.
pub(crate) fn gather(first: Gguf, path: &Path, access: Access) -> Result<Box<dyn TensorSource>, FormatError> {
    let count = u16_of(&first, COUNT, path)?.unwrap_or(1);
    if count <= 1 {
        return Ok(Box::new(first));
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let no = u16_of(&first, NO, path)?;
    let expect = |gguf: &Gguf, path: &Path, key, field, found: String, expected: String| {
        let at = Place::named(field, gguf.header().key_offset(key), key.as_bytes());
        FormatError::invalid(at, found, expected).in_file(Some(path))
    };
    let Some(stem) = stem(name, no.unwrap_or_default(), count) else {
        let expected = format!("a file name that ends in {}", suffix(no.unwrap_or_default(), count));
        return Err(expect(
            &first,
            path,
            NO,
            "split_name",
            format!("`{}`", crate::escape::Escaped(name.as_bytes())),
            expected,
        ));
    };
    if no != Some(0) {
        let expected = format!("0: open the first part, {stem}{}", suffix(0, count));
        return Err(expect(&first, path, NO, "split_no", shown(no), expected));
    }
    let declared = match first.metadata(TENSORS) {
        None => None,
        Some(_) => Some((&first as &dyn TensorSource).require_u64(TENSORS)?),
    };

    let folder = path.parent().unwrap_or(Path::new(""));
    let mut parts = vec![first];
    for wanted in 1..count {
        let name = format!("{stem}{}", suffix(wanted, count));
        let path = folder.join(&name);
        let part = Gguf::from_file(&path, beside::load(folder, &name, access)?)?;
        for (key, field, wanted) in [(COUNT, "split_count", count), (NO, "split_no", wanted)] {
            let found = u16_of(&part, key, &path)?;
            if found != Some(wanted) {
                return Err(expect(&part, &path, key, field, shown(found), wanted.to_string()));
            }
        }
        parts.push(part);
    }

    let mut names = HashSet::new();
    for part in &parts {
        for record in part.header().records() {
            if !names.insert(record.name) {
                let at = Place::named("duplicate_tensor", record.offset_at, record.name.as_bytes());
                let error =
                    FormatError::invalid(at, "a second tensor of this name", "each tensor in one part");
                return Err(error.in_file(part.path()));
            }
        }
    }
    if let (Some(declared), Some(first)) = (declared, parts.first())
        && declared != names.len() as u64
    {
        let found = format!("{} tensors in all parts", names.len());
        return Err(expect(first, path, TENSORS, "split_tensors_count", found, declared.to_string()));
    }
    Ok(Box::new(SplitGguf { parts, path: path.to_path_buf() }))
}

/// Refuses one part of several: without a path the others cannot be found.
pub(crate) fn refuse_part(gguf: &Gguf) -> Result<(), FormatError> {
    match gguf.metadata(COUNT).and_then(|value| value.as_u32()) {
        None | Some(0 | 1) => Ok(()),
        Some(count) => {
            let at = Place::named("split_count", gguf.header().key_offset(COUNT), COUNT.as_bytes());
            Err(FormatError::invalid(at, count, "1: a model in several files is opened by path"))
        }
    }
}

fn u16_of(gguf: &Gguf, key: &str, path: &Path) -> Result<Option<u16>, FormatError> {
    let Some(value) = gguf.metadata(key) else { return Ok(None) };
    let number = value.as_u32().and_then(|number| u16::try_from(number).ok());
    number.map(Some).ok_or_else(|| {
        let found = format!("{} {value}", value.value_type());
        FormatError::WrongType { key: key.to_owned(), found, expected: "an unsigned 16-bit integer" }
            .in_file(Some(path))
    })
}

fn shown(number: Option<u16>) -> String {
    number.map_or_else(|| "nothing".to_owned(), |number| number.to_string())
}

fn suffix(no: u16, count: u16) -> String {
    format!("-{:05}-of-{count:05}.gguf", u32::from(no).saturating_add(1))
}

/// What stands before the suffix that this part's name must have.
fn stem(name: &str, no: u16, count: u16) -> Option<&str> {
    name.strip_suffix(&suffix(no, count))
}

impl TensorSource for SplitGguf {
    fn format(&self) -> Format {
        Format::Gguf
    }

    fn metadata(&self, key: &str) -> Option<Value<'_>> {
        self.parts.first()?.metadata(key)
    }

    fn metadata_keys(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.parts.first().into_iter().flat_map(|part| part.metadata_keys()))
    }

    fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        self.parts.iter().find_map(|part| part.tensor(name))
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorView<'_>> + '_> {
        Box::new(self.parts.iter().flat_map(|part| part.tensors()))
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }
}
