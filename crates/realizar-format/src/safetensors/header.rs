//! The header of a safetensors file.
//!
//! ```text
//! 0 header_len u64 | 8 JSON, header_len bytes | data
//! {"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
//! ```
//!
//! Offsets count from the start of the data. Together the tensors cover all of it: no gap, no overlap.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error::{FormatError, Place};
use crate::escape::Escaped;
use crate::json;
use crate::limits;
use crate::safetensors::element::{self, Element};
use crate::shape::Shape;

/// Where the JSON begins.
pub(crate) const START: u64 = 8;

/// One tensor, checked.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: Box<str>,
    pub(crate) element: &'static Element,
    pub(crate) shape: Shape,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// Everything the header says; tensors in the order of their data.
#[derive(Debug, Clone, Default)]
pub(crate) struct Header {
    pub(crate) metadata: Vec<(Box<str>, Box<str>)>,
    pub(crate) entries: Vec<Entry>,
}

impl Header {
    /// Parses and checks the JSON text for a file with `data_bytes` of data.
    pub(crate) fn parse(text: &str, data_bytes: u64) -> Result<Self, FormatError> {
        // Every tensor has this member, so there is room for all without growing, which would take twice the memory.
        let most = text.matches("\"data_offsets\"").count();
        let fault = Cell::new(None);
        let parsed =
            json::parse_with(text, || Place::new("header", START), Top { text, most, fault: &fault });
        if let Some(fault) = fault.take() {
            return Err(fault);
        }
        let Self { metadata, mut entries } = parsed?;
        check_names("duplicate_key", text, metadata.iter().map(|(key, _)| &**key))?;
        check_names("duplicate_tensor", text, entries.iter().map(|entry| &*entry.name))?;
        entries.sort_unstable_by(|a, b| (a.start, a.end, &a.name).cmp(&(b.start, b.end, &b.name)));
        let mut covered = 0;
        for entry in &entries {
            if entry.start != covered {
                let at = Place::named("data_offsets", locate(text, &entry.name, 0), entry.name.as_bytes());
                let what = if entry.start > covered { "a gap" } else { "an overlap" };
                let found = format!("{what}: data from {}", entry.start);
                return Err(FormatError::invalid(
                    at,
                    found,
                    format!("from {covered}, the end of the tensor before it"),
                ));
            }
            covered = entry.end;
        }
        if covered != data_bytes {
            let at = Place::new("data", START.saturating_add(text.len() as u64));
            return Err(FormatError::invalid(
                at,
                format!("{data_bytes} bytes of data"),
                format!("{covered}"),
            ));
        }
        Ok(Self { metadata, entries })
    }
}

/// Refuses two of one name.
fn check_names<'a>(
    field: &'static str,
    text: &str,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), FormatError> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let twice = names.windows(2).find_map(|pair| pair.first().filter(|first| pair.last() == Some(*first)));
    let Some(name) = twice else { return Ok(()) };
    let at = Place::named(field, locate(text, name, 1), name.as_bytes());
    Err(FormatError::Duplicate { at, first: locate(text, name, 0) })
}

/// The offset in the file of occurrence `nth` of a name; the start of the header for names written with escapes. Used
/// for messages only.
fn locate(text: &str, name: &str, nth: usize) -> u64 {
    let quoted = format!("\"{name}\"");
    let found = text.match_indices(&quoted).nth(nth).map_or(0, |(at, _)| at);
    START.saturating_add(found as u64)
}

/// What the JSON says about a tensor, before any of it is believed.
#[derive(Debug)]
struct RawTensor<'a> {
    dtype: Cow<'a, str>,
    dims: Dims,
    offsets: [u64; 2],
}

impl RawTensor<'_> {
    fn check(&self, name: &str, at: impl Fn(&'static str) -> Place) -> Result<Entry, FormatError> {
        if name.len() as u64 > limits::SAFETENSORS_NAME_BYTES {
            let (found, limit) = (name.len() as u64, limits::SAFETENSORS_NAME_BYTES);
            return Err(FormatError::TooLarge { at: at("tensor_name_len"), found, limit });
        }
        let Some(element) = element::by_name(&self.dtype) else {
            let found = format!("`{}`", Escaped(self.dtype.as_bytes()));
            return Err(FormatError::invalid(at("dtype"), found, "a type of the specification"));
        };
        let dims = self.dims.dims.get(..self.dims.len);
        let Some(dims) = dims else {
            let (found, limit) = (self.dims.len as u64, limits::DIMS as u64);
            return Err(FormatError::TooLarge { at: at("n_dims"), found, limit });
        };
        if let Some(dim) = dims.iter().chain(&self.offsets).find(|number| **number > limits::JSON_INTEGER) {
            let field = if self.offsets.contains(dim) { "data_offsets" } else { "shape" };
            return Err(FormatError::TooLarge { at: at(field), found: *dim, limit: limits::JSON_INTEGER });
        }
        let [start, end] = self.offsets;
        let Some(len) = end.checked_sub(start) else {
            return Err(FormatError::invalid(
                at("data_offsets"),
                format!("[{start}, {end}]"),
                "a start before the end",
            ));
        };
        let overflow = |field| FormatError::Overflow { at: at(field), shape: format!("{dims:?}") };
        let elements = match dims.contains(&0) {
            true => Some(0),
            false => dims.iter().try_fold(1_u64, |product, dim| product.checked_mul(*dim)),
        };
        let elements = elements.ok_or_else(|| overflow("elements"))?;
        let bits = elements.checked_mul(element.bits).ok_or_else(|| overflow("bytes"))?;
        if bits & 7 != 0 {
            let found = format!("{elements} elements of {} bits", element.bits);
            return Err(FormatError::invalid(at("shape"), found, "data that ends at the end of a byte"));
        }
        let bytes = bits >> 3;
        if bytes != len {
            let found = format!("{len} bytes");
            return Err(FormatError::invalid(
                at("data_offsets"),
                found,
                format!("{bytes} for {} {dims:?}", element.dtype),
            ));
        }
        let mut shape = [0_usize; limits::DIMS];
        for (dim, wide) in shape.iter_mut().zip(dims) {
            *dim = usize::try_from(*wide).map_err(|_| overflow("shape"))?;
        }
        let shape = shape.get(..dims.len()).and_then(Shape::new).unwrap_or_else(Shape::scalar);
        Ok(Entry { name: name.into(), element, shape, start, end })
    }
}

/// Dimensions as they come; `len` counts on when there are too many.
#[derive(Debug, Default)]
struct Dims {
    dims: [u64; limits::DIMS],
    len: usize,
}

/// Reads a string, borrowed where it has no escapes.
struct Str;

impl<'de> DeserializeSeed<'de> for Str {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Str {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Says which tensor or key an error of the JSON belongs to.
fn inside<E: serde::de::Error>(name: &str, error: &E) -> E {
    E::custom(format_args!("`{}`: {error}", Escaped(name.as_bytes())))
}

/// The whole header, with at `most` so many tensors. What is wrong with a tensor goes to `fault`, since the errors of
/// the JSON library have no room for it.
struct Top<'t> {
    text: &'t str,
    most: usize,
    fault: &'t Cell<Option<FormatError>>,
}

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Header;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut header = Header::default();
        let most = self.most.min(usize::try_from(limits::TENSOR_COUNT).unwrap_or(usize::MAX));
        header.entries.try_reserve_exact(most).map_err(A::Error::custom)?;
        let mut has_metadata = false;
        while let Some(name) = map.next_key_seed(Str)? {
            if name == "__metadata__" {
                if std::mem::replace(&mut has_metadata, true) {
                    return Err(A::Error::custom("duplicate `__metadata__`"));
                }
                header.metadata = map.next_value_seed(Texts).map_err(|error| inside(&name, &error))?;
                continue;
            }
            if header.entries.len() as u64 >= limits::TENSOR_COUNT {
                return Err(A::Error::custom(format_args!("more than {} tensors", limits::TENSOR_COUNT)));
            }
            let tensor = map.next_value_seed(Tensor(PhantomData)).map_err(|error| inside(&name, &error))?;
            let at = |field| Place::named(field, locate(self.text, &name, 0), name.as_bytes());
            match tensor.check(&name, at) {
                Ok(entry) => header.entries.push(entry),
                Err(fault) => {
                    self.fault.set(Some(fault));
                    return Err(A::Error::custom("a tensor is wrong"));
                }
            }
        }
        Ok(header)
    }
}

/// The map of `__metadata__`: strings to strings.
struct Texts;

impl<'de> DeserializeSeed<'de> for Texts {
    type Value = Vec<(Box<str>, Box<str>)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<(Box<str>, Box<str>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    /// The reference takes `null` for no metadata.
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(key) = map.next_key_seed(Str)? {
            let text = map.next_value_seed(Str).map_err(|error| inside(&key, &error))?;
            texts.push((key.into(), text.into()));
        }
        Ok(texts)
    }
}

/// The object of one tensor. Members that nobody knows are passed over, as the reference implementation does.
struct Tensor<'a>(PhantomData<&'a ()>);

impl<'de> DeserializeSeed<'de> for Tensor<'de> {
    type Value = RawTensor<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Tensor<'de> {
    type Value = RawTensor<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `dtype`, `shape` and `data_offsets`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut dtype, mut dims, mut offsets) = (None, None, None);
        while let Some(field) = map.next_key_seed(Str)? {
            let named = |error: A::Error| inside(&field, &error);
            let repeated = match &*field {
                "dtype" => dtype.replace(map.next_value_seed(Str).map_err(named)?).is_some(),
                "shape" => dims.replace(map.next_value_seed(Numbers).map_err(named)?).is_some(),
                "data_offsets" => offsets.replace(map.next_value::<[u64; 2]>().map_err(named)?).is_some(),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    false
                }
            };
            if repeated {
                return Err(named(A::Error::custom("given twice")));
            }
        }
        let missing = |field| A::Error::missing_field(field);
        Ok(RawTensor {
            dtype: dtype.ok_or_else(|| missing("dtype"))?,
            dims: dims.ok_or_else(|| missing("shape"))?,
            offsets: offsets.ok_or_else(|| missing("data_offsets"))?,
        })
    }
}

/// A list of unsigned integers, without an allocation.
struct Numbers;

impl<'de> DeserializeSeed<'de> for Numbers {
    type Value = Dims;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Dims, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Numbers {
    type Value = Dims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of dimensions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Dims, A::Error> {
        let mut dims = Dims::default();
        while let Some(number) = seq.next_element()? {
            if let Some(dim) = dims.dims.get_mut(dims.len) {
                *dim = number;
            }
            dims.len = dims.len.saturating_add(1);
        }
        Ok(dims)
    }
}
