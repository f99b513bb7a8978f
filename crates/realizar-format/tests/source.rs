//! What a source of our own may leave out, and small things that every source shares.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::Path;

use realizar_format::{
    Format, FormatError, GgufWriter, NewFile, PackedArray, Shape, TensorSource, TensorView, Value, ValueType,
    parse,
};

/// A source that has metadata and nothing else.
#[derive(Debug)]
struct Facts;

impl TensorSource for Facts {
    fn format(&self) -> Format {
        Format::Gguf
    }

    fn metadata(&self, key: &str) -> Option<Value<'_>> {
        (key == "answer").then_some(Value::U8(42))
    }

    fn metadata_keys(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(["answer"].into_iter())
    }

    fn tensor(&self, _: &str) -> Option<TensorView<'_>> {
        None
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorView<'_>> + '_> {
        Box::new(std::iter::empty())
    }

    fn path(&self) -> Option<&Path> {
        Some(Path::new("facts"))
    }
}

#[test]
fn a_source_needs_few_methods() {
    let source: &dyn TensorSource = &Facts;
    assert_eq!(source.require_u32("answer").unwrap(), 42);
    assert!(source.companion("tokenizer.json").is_none() && source.warnings().is_empty());
    let error = source.require_str("answer").unwrap_err();
    assert_eq!(error.to_string(), "facts: metadata key `answer`: found u8 42, expected a UTF-8 string");
    assert!(
        error.place().is_none()
            && error.path().is_some()
            && matches!(error.root(), FormatError::WrongType { .. })
    );
}

#[test]
fn names_are_short() {
    let formats = [Format::Gguf, Format::Safetensors, Format::Apr].map(|format| format.to_string());
    assert_eq!(formats, ["GGUF", "safetensors", ".apr"]);
    assert_eq!(format!("{:?} {}", Shape::new(&[2, 3]).unwrap(), ValueType::F64), "[2, 3] f64");
    let text = Value::from("a\n");
    assert_eq!(
        (format!("{:?}", text.as_text().unwrap()), text.to_string()),
        ("\"a\\u{a}\"".into(), "\"a\\u{a}\"".into())
    );
}

#[test]
fn arrays_compare_by_their_elements() {
    let (one, two) = (PackedArray::i32s([1, 2]), PackedArray::i32s([1, 3]));
    assert_ne!(one.as_array(), two.as_array());
    assert_ne!(one.as_array(), PackedArray::i32s([1]).as_array());
    assert_ne!(one.as_array(), PackedArray::u32s([1, 2]).as_array());
    assert_eq!(one.as_array(), one.clone().as_array());
    assert_eq!(one.as_array().to_f32s(), None);
    assert_eq!(PackedArray::bools([true]).as_array().to_u32s(), None);
}

#[test]
fn writing_nothing_writes_nothing() {
    let mut data = GgufWriter::new().begin(Vec::new()).unwrap();
    data.write(&[]).unwrap();
    assert!(data.write(&[1]).is_err());
    assert_eq!(parse(data.finish().unwrap().into()).unwrap().tensors().count(), 0);
}

#[test]
fn a_file_that_is_dropped_was_never_there() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let mut file = NewFile::create(folder.path().join("a")).unwrap();
    file.write_all(b"a").unwrap();
    file.flush().unwrap();
    drop(file);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
