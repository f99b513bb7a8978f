//! Files with something wrong in their metadata: the error names the key, what is there and what was expected.
#![expect(clippy::expect_used, reason = "a test that cannot go on should say why")]

use std::error::Error;
use std::path::{Path, PathBuf};

use realizar_engine::{Loaded, tokenizer};
use realizar_format::{Edit, Gguf, GgufWriter, PackedArray, Value, edit_metadata};
use realizar_tokenize::{Compat, Tokenizer};

/// The causes of an error behind its own message, as the command line prints them.
fn line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !line.ends_with(&message) {
            line.push_str(": ");
            line.push_str(&message);
        }
        cause = error.source();
    }
    line
}

/// A vocabulary of three pieces, one of its keys replaced or left out.
fn vocabulary(key: &str, value: Option<&PackedArray>) -> Result<Tokenizer, String> {
    let good = [
        ("tokens", PackedArray::strings(["a", "b", "ab"])),
        ("scores", PackedArray::f32s([0.0, 0.0, -1.0])),
        ("token_type", PackedArray::i32s([1, 1, 1])),
        ("merges", PackedArray::strings(["a b"])),
        ("precompiled_charsmap", PackedArray::i32s([0, 0, 0, 0])),
    ];
    let mut writer = GgufWriter::new();
    writer.metadata("tokenizer.ggml.model", Value::from("gpt2")).expect("a key");
    for (name, good) in &good {
        if let Some(array) = if *name == key { value } else { Some(good) } {
            let key = format!("tokenizer.ggml.{name}");
            writer.metadata(&key, Value::Array(array.as_array())).expect("a key");
        }
    }
    let bytes = writer.begin(Vec::new()).and_then(|data| data.finish()).expect("a file");
    let source = Gguf::parse(bytes.into()).expect("a file that was just written");
    tokenizer(&source, Compat::Original).map_err(|error| line(&error))
}

#[test]
fn arrays_of_the_wrong_type_are_refused() {
    let (ints, texts) = (PackedArray::i32s([1, 2, 3]), PackedArray::strings(["x", "y", "z"]));
    let floats = PackedArray::f32s([1.0, 2.0, 3.0]);
    let wide = PackedArray::u32s([1, 1, u32::MAX]);
    let cases = [
        ("tokens", &ints, "array [i32; 3], expected an array of strings"),
        ("merges", &ints, "array [i32; 3], expected an array of strings"),
        ("scores", &ints, "array [i32; 3], expected an array of floats"),
        ("scores", &texts, "array [string; 3], expected an array of floats"),
        ("token_type", &texts, "array [string; 3], expected an array of integers"),
        ("token_type", &floats, "array [f32; 3], expected an array of integers"),
        ("token_type", &wide, "array [u32; 3], expected an array of integers"),
        ("precompiled_charsmap", &floats, "array [f32; 3], expected an array of bytes"),
    ];
    for (name, value, wanted) in cases {
        let error = vocabulary(name, Some(value)).expect_err(name);
        assert_eq!(error, format!("metadata key `tokenizer.ggml.{name}`: found {wanted}"));
    }
}

#[test]
fn arrays_that_are_not_there_stay_absent() {
    for name in ["scores", "token_type", "precompiled_charsmap"] {
        let made = vocabulary(name, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(made.vocab_len(), 3, "{name}");
    }
    for (name, wanted) in
        [("tokens", "the vocabulary has no tokens"), ("merges", "`tokenizer.ggml.merges` is missing")]
    {
        let error = vocabulary(name, None).expect_err(name);
        assert_eq!(error, format!("cannot make a tokenizer of the model in memory: {wanted}"));
    }
}

/// Writes the tiny model with one key changed.
fn edited(name: &str, key: &str, value: Value<'_>) -> PathBuf {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/llama-gqa.gguf");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    edit_metadata(&model, &path, &[Edit::Set(key, value)]).expect("an edited file");
    path
}

#[test]
fn an_error_names_its_file_once() {
    let ints = PackedArray::i32s([1, 2, 3]);
    let cases = [
        ("once-model.gguf", "llama.block_count", Value::from("two")),
        ("once-range.gguf", "llama.block_count", Value::U32(0)),
        ("once-scores.gguf", "tokenizer.ggml.scores", Value::Array(ints.as_array())),
        ("once-bos.gguf", "tokenizer.ggml.eos_token_id", Value::U32(u32::MAX)),
    ];
    for (name, key, value) in cases {
        let path = edited(name, key, value);
        let source = realizar_format::open(&path).expect("a file");
        let error = Loaded::new(source.as_ref(), Compat::Original).expect_err(name);
        let line = line(&error);
        assert_eq!(line.matches(name).count(), 1, "{line}");
        assert!(line.contains(key), "{name}: {line}");
    }
}

#[test]
fn generation_config_names_further_ends() {
    let cases = [
        ("ends-none.gguf", "x.y", Value::U32(5), &[2][..]),
        ("ends-one.gguf", "generation_config.eos_token_id", Value::U32(5), &[2, 5]),
        ("ends-config.gguf", "config.eos_token_id", Value::I32(6), &[2, 6]),
        ("ends-outside.gguf", "generation_config.eos_token_id", Value::U32(272), &[2]),
        ("ends-negative.gguf", "generation_config.eos_token_id", Value::I32(-1), &[2]),
    ];
    for (name, key, value, expected) in cases {
        let source = realizar_format::open(edited(name, key, value)).expect("a file");
        let loaded = Loaded::new(source.as_ref(), Compat::Original).expect(name);
        assert_eq!(&**loaded.ends(), expected, "{name}");
    }
    let list = PackedArray::i32s([7, 5, 7, 9999]);
    let path = edited("ends-list.gguf", "generation_config.eos_token_id", Value::Array(list.as_array()));
    let source = realizar_format::open(path).expect("a file");
    let loaded = Loaded::new(source.as_ref(), Compat::Original).expect("a model");
    assert_eq!(&**loaded.ends(), [2, 5, 7]);
}
