//! What the data-driven tests share: a minimal reader of GGUF metadata, suites, and where the data are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use realizar_tokenize::{Compat, EncodeOptions, GgufVocab, Tokenizer};
use serde_json::Value;

/// Text and nothing else.
pub(crate) const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };

/// Where test data lie: the crate's own slice, and all of them, where this checkout lies beside them.
pub(crate) fn roots(suite: &str) -> Vec<PathBuf> {
    let crate_folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let shared = crate_folder.join("../../../shared/data");
    let own = crate_folder.join("tests/data");
    if shared.exists() {
        vec![own, shared]
    } else {
        eprintln!("SKIPPED (no shared/data): {suite}");
        vec![own]
    }
}

/// A metadata value, as far as tokenizers need them.
#[derive(Debug, Clone)]
pub(crate) enum Meta {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(Vec<u8>),
    List(Vec<Meta>),
}

/// The metadata of a GGUF file.
#[derive(Debug, Clone)]
pub(crate) struct Gguf(pub(crate) BTreeMap<String, Meta>);

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(len);
        self.0 = tail;
        head
    }
    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }
    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }
    fn text(&mut self) -> Vec<u8> {
        let len = self.u64() as usize;
        self.take(len).to_vec()
    }
    fn value(&mut self, kind: u32) -> Meta {
        match kind {
            0 => Meta::Int(self.take(1)[0].into()),
            1 => Meta::Int((self.take(1)[0] as i8).into()),
            2 => Meta::Int(u16::from_le_bytes(self.take(2).try_into().unwrap()).into()),
            3 => Meta::Int(i16::from_le_bytes(self.take(2).try_into().unwrap()).into()),
            4 => Meta::Int(self.u32().into()),
            5 => Meta::Int((self.u32() as i32).into()),
            6 => Meta::Float(f32::from_bits(self.u32()).into()),
            7 => Meta::Bool(self.take(1)[0] != 0),
            8 => Meta::Text(self.text()),
            9 => {
                let kind = self.u32();
                let len = self.u64();
                Meta::List((0..len).map(|_| self.value(kind)).collect())
            }
            10 | 11 => Meta::Int(self.u64() as i64),
            12 => Meta::Float(f64::from_bits(self.u64())),
            _ => panic!("kind {kind}"),
        }
    }
}

impl Gguf {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut reader = Reader(bytes);
        assert_eq!(reader.take(4), b"GGUF");
        reader.u32();
        reader.u64();
        let count = reader.u64();
        let mut map = BTreeMap::new();
        for _ in 0..count {
            let key = String::from_utf8(reader.text()).unwrap();
            let kind = reader.u32();
            map.insert(key, reader.value(kind));
        }
        Self(map)
    }

    /// Reads a file; one that ends in `.xz` is unpacked by the `xz` program.
    pub(crate) fn open(path: &std::path::Path) -> Self {
        if path.extension().is_some_and(|end| end == "xz") {
            let out = Command::new("xz").arg("-dc").arg(path).output().expect("the xz program");
            return Self::parse(&out.stdout);
        }
        Self::parse(&std::fs::read(path).unwrap())
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key) {
            Some(Meta::Text(text)) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }
    fn id(&self, key: &str) -> Option<u32> {
        match self.0.get(key) {
            Some(Meta::Int(id)) => u32::try_from(*id).ok(),
            _ => None,
        }
    }
    fn flag(&self, key: &str) -> Option<bool> {
        match self.0.get(key) {
            Some(Meta::Bool(flag)) => Some(*flag),
            _ => None,
        }
    }
    fn list(&self, key: &str) -> Option<&[Meta]> {
        match self.0.get(key) {
            Some(Meta::List(list)) => Some(list),
            _ => None,
        }
    }
    fn texts(&self, key: &str) -> Vec<&[u8]> {
        fn text(meta: &Meta) -> &[u8] {
            if let Meta::Text(text) = meta { text } else { panic!("{meta:?}") }
        }
        self.list(key).unwrap_or(&[]).iter().map(text).collect()
    }

    /// The tokenizer's part. `charsmap` receives the bytes of the character map.
    pub(crate) fn vocab<'a>(&'a self, charsmap: &'a mut Vec<u8>) -> GgufVocab<'a> {
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        let id = |name: &str| self.id(&key(name));
        let flag = |name: &str| self.flag(&key(name));
        if let Some(list) = self.list(&key("precompiled_charsmap")) {
            charsmap.extend(list.iter().map(|meta| match meta {
                Meta::Int(byte) => *byte as u8,
                other => panic!("{other:?}"),
            }));
        }
        GgufVocab {
            model: self.text(&key("model")).unwrap(),
            pre: self.text(&key("pre")),
            tokens: self.texts(&key("tokens")),
            scores: self.list(&key("scores")).map(|list| {
                list.iter()
                    .map(|meta| if let Meta::Float(score) = meta { *score as f32 } else { panic!() })
                    .collect()
            }),
            types: self.list(&key("token_type")).map(|list| {
                list.iter()
                    .map(|meta| if let Meta::Int(kind) = meta { *kind as i32 } else { panic!() })
                    .collect()
            }),
            merges: self.texts(&key("merges")),
            bos: id("bos_token_id"),
            eos: id("eos_token_id"),
            eot: id("eot_token_id"),
            eom: id("eom_token_id"),
            unk: id("unknown_token_id"),
            sep: id("seperator_token_id"),
            pad: id("padding_token_id"),
            cls: id("cls_token_id"),
            mask: id("mask_token_id"),
            add_bos: flag("add_bos_token"),
            add_eos: flag("add_eos_token"),
            add_sep: flag("add_sep_token"),
            add_space_prefix: flag("add_space_prefix"),
            remove_extra_whitespaces: flag("remove_extra_whitespaces"),
            precompiled_charsmap: (!charsmap.is_empty()).then_some(charsmap.as_slice()),
            lowercase: flag("normalizer.lowercase"),
            strip_accents: flag("normalizer.strip_accents"),
            name: self.text("general.name"),
            architecture: self.text("general.architecture"),
        }
    }

    pub(crate) fn tokenizer(&self, compat: Compat) -> Tokenizer {
        let mut charsmap = Vec::new();
        Tokenizer::from_gguf(&self.vocab(&mut charsmap), compat).unwrap()
    }

    pub(crate) fn with_model(mut self, model: &str) -> Self {
        self.0.insert("tokenizer.ggml.model".to_owned(), Meta::Text(model.into()));
        self
    }

    pub(crate) fn with_pre(mut self, pre: Option<&str>) -> Self {
        let key = "tokenizer.ggml.pre".to_owned();
        match pre {
            Some(pre) => self.0.insert(key, Meta::Text(pre.into())),
            None => self.0.remove(&key),
        };
        self
    }
}

/// The lines of a suite.
pub(crate) fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The text of a line: `text`, or the bytes of `b64`.
pub(crate) fn text_of(line: &Value) -> Vec<u8> {
    match line.get("text") {
        Some(text) => text.as_str().unwrap().as_bytes().to_vec(),
        None => base64::prelude::BASE64_STANDARD.decode(line["b64"].as_str().unwrap()).unwrap(),
    }
}

pub(crate) fn ids_of(value: &Value) -> Option<Vec<u32>> {
    Some(value.as_array()?.iter().map(|id| id.as_u64().unwrap() as u32).collect())
}

/// Counts right lines and remembers the first wrong ones.
#[derive(Default)]
pub(crate) struct Score {
    pub(crate) right: usize,
    pub(crate) total: usize,
    pub(crate) wrong: Vec<String>,
}

impl Score {
    pub(crate) fn check<T: PartialEq + std::fmt::Debug>(
        &mut self,
        found: &T,
        expected: &T,
        what: impl FnOnce() -> String,
    ) {
        self.total += 1;
        if found == expected {
            self.right += 1;
        } else if self.wrong.len() < 8 {
            self.wrong.push(format!("{}\n   found    {found:?}\n   expected {expected:?}", what()));
        }
    }

    /// Prints the share and fails below 100 %.
    pub(crate) fn done(self, name: &str) {
        eprintln!("{name}: {} of {}", self.right, self.total);
        assert!(self.total > 0, "{name}: nothing was compared");
        assert!(
            self.right == self.total,
            "{name}: {} of {}\n{}",
            self.right,
            self.total,
            self.wrong.join("\n")
        );
    }
}
