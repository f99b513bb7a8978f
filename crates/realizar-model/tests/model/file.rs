//! Model files that tests change or make: metadata and tensors in memory, written as GGUF and parsed again.

use bytes::Bytes;
use realizar_format::{TensorSource, Value};
use realizar_quant::{DType, decode};

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fact {
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Text(String),
    U32s(Vec<u32>),
    F32s(Vec<f32>),
    Bools(Vec<bool>),
    Texts(Vec<String>),
}

/// A tensor, dimensions outermost first.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dims: Vec<usize>,
    pub(crate) dtype: DType,
    pub(crate) data: Vec<u8>,
}

/// A model file in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct ModelFile {
    pub(crate) facts: Vec<(String, Fact)>,
    pub(crate) tensors: Vec<Tensor>,
}

impl ModelFile {
    /// All tensors and the numbers, words and truth values of the metadata.
    pub(crate) fn of(source: &dyn TensorSource) -> Self {
        let fact = |key: &str| {
            let fact = match source.metadata(key)? {
                Value::U32(number) => Fact::U32(number),
                Value::I32(number) => Fact::I32(number),
                Value::F32(number) => Fact::F32(number),
                Value::Bool(truth) => Fact::Bool(truth),
                Value::String(text) => Fact::Text(text.as_str().unwrap().to_owned()),
                Value::Array(list) => numbers(list)?,
                _ => return None,
            };
            Some((key.to_owned(), fact))
        };
        let tensors = source.tensors().map(|view| Tensor {
            name: view.name.to_owned(),
            dims: view.shape.to_vec(),
            dtype: view.dtype,
            data: view.data.to_vec(),
        });
        Self { facts: source.metadata_keys().filter_map(fact).collect(), tensors: tensors.collect() }
    }

    pub(crate) fn open(path: &std::path::Path) -> Self {
        Self::of(&*realizar_format::open(path).unwrap())
    }

    pub(crate) fn set(&mut self, key: &str, fact: Fact) -> &mut Self {
        self.remove(key);
        self.facts.push((key.to_owned(), fact));
        self
    }

    pub(crate) fn remove(&mut self, key: &str) -> &mut Self {
        self.facts.retain(|(name, _)| name != key);
        self
    }

    /// A whole number of the metadata.
    pub(crate) fn number(&self, key: &str) -> usize {
        let fact = self.facts.iter().find(|(name, _)| name == key);
        let Some((_, Fact::U32(number))) = fact else { panic!("no number `{key}`") };
        *number as usize
    }

    pub(crate) fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).unwrap_or_else(|| panic!("no {name}"))
    }

    pub(crate) fn drop_tensor(&mut self, name: &str) -> &mut Self {
        self.tensors.retain(|tensor| tensor.name != name);
        self
    }

    /// Decodes every tensor of `from` to f32.
    pub(crate) fn widen(&mut self, from: DType) -> &mut Self {
        for tensor in self.tensors.iter_mut().filter(|tensor| tensor.dtype == from) {
            let mut values = vec![0.0; tensor.dims.iter().product()];
            decode(from, &tensor.data, &mut values).unwrap();
            tensor.data = values.iter().flat_map(|value: &f32| value.to_le_bytes()).collect();
            tensor.dtype = DType::F32;
        }
        self
    }

    /// Rounds the f32 matrices to BF16, to the nearest, ties to even.
    pub(crate) fn round_matrices(&mut self) -> &mut Self {
        for tensor in
            self.tensors.iter_mut().filter(|tensor| tensor.dtype == DType::F32 && tensor.dims.len() == 2)
        {
            let round = |four: &[u8]| {
                let bits = u32::from_le_bytes(four.try_into().unwrap());
                ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
            };
            tensor.data = tensor.data.chunks_exact(4).flat_map(|four| round(four).to_le_bytes()).collect();
            tensor.dtype = DType::BF16;
        }
        self
    }

    /// The file, parsed.
    pub(crate) fn source(&self) -> Box<dyn TensorSource> {
        realizar_format::parse(Bytes::from(self.to_bytes())).unwrap()
    }

    /// The file as GGUF.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        const ALIGN: usize = 32;
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.facts.len() as u64).to_le_bytes());
        for (key, fact) in &self.facts {
            text(&mut out, key);
            value(&mut out, fact);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            text(&mut out, &tensor.name);
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            for dim in tensor.dims.iter().rev() {
                out.extend((*dim as u64).to_le_bytes());
            }
            out.extend(tensor.dtype.ggml_id().unwrap().to_le_bytes());
            out.extend((offset as u64).to_le_bytes());
            offset += tensor.data.len().next_multiple_of(ALIGN);
        }
        out.resize(out.len().next_multiple_of(ALIGN), 0);
        for tensor in &self.tensors {
            out.extend(&tensor.data);
            out.resize(out.len().next_multiple_of(ALIGN), 0);
        }
        out
    }
}

/// A list of numbers or truth values; `None` for anything else.
fn numbers(list: realizar_format::Array<'_>) -> Option<Fact> {
    let values: Vec<Value<'_>> = list.iter().collect();
    let whole = || values.iter().map(Value::as_u32).collect::<Option<Vec<_>>>().map(Fact::U32s);
    let float = || values.iter().map(Value::as_f32).collect::<Option<Vec<_>>>().map(Fact::F32s);
    let truth = || values.iter().map(Value::as_bool).collect::<Option<Vec<_>>>().map(Fact::Bools);
    whole().or_else(float).or_else(truth)
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn value(out: &mut Vec<u8>, fact: &Fact) {
    let mut tagged = |tag: u32, bytes: &[u8]| {
        out.extend(tag.to_le_bytes());
        out.extend(bytes);
    };
    match fact {
        Fact::U32(number) => tagged(4, &number.to_le_bytes()),
        Fact::I32(number) => tagged(5, &number.to_le_bytes()),
        Fact::F32(number) => tagged(6, &number.to_le_bytes()),
        Fact::Bool(truth) => tagged(7, &[u8::from(*truth)]),
        Fact::Text(word) => {
            tagged(8, &[]);
            text(out, word);
        }
        Fact::U32s(list) => {
            tagged(9, &4u32.to_le_bytes());
            out.extend((list.len() as u64).to_le_bytes());
            out.extend(list.iter().flat_map(|number| number.to_le_bytes()));
        }
        Fact::F32s(list) => {
            tagged(9, &6u32.to_le_bytes());
            out.extend((list.len() as u64).to_le_bytes());
            out.extend(list.iter().flat_map(|number| number.to_le_bytes()));
        }
        Fact::Bools(list) => {
            tagged(9, &7u32.to_le_bytes());
            out.extend((list.len() as u64).to_le_bytes());
            out.extend(list.iter().map(|truth| u8::from(*truth)));
        }
        Fact::Texts(list) => {
            tagged(9, &8u32.to_le_bytes());
            out.extend((list.len() as u64).to_le_bytes());
            for word in list {
                text(out, word);
            }
        }
    }
}
