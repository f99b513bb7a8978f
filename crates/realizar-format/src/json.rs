//! JSON texts inside and beside model files, with bounds on depth and memory.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::{FormatError, Place};
use crate::escape::Escaped;
use crate::limits;
use crate::packed::PackedArray;
use crate::value::{Value, ValueType};

/// Levels of nesting. Real files have fewer than ten.
const DEPTH: usize = 64;
/// Elements of one packed list: more than any vocabulary has.
const ELEMS: usize = 4_194_304;

/// A JSON value. Lists of scalars of one kind are packed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(Box<str>),
    Packed(PackedArray),
    List(Vec<Json>),
    /// Members in the text's order; no two have the same name.
    Object(Vec<(Box<str>, Json)>),
}

impl Json {
    /// The value of a scalar that metadata can hold.
    pub(crate) fn scalar(&self) -> Option<Value<'_>> {
        Some(match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::I64(value) => Value::I64(*value),
            Self::U64(value) => Value::U64(*value),
            Self::F64(value) => Value::F64(*value),
            Self::Text(text) => Value::from(&**text),
            Self::Null | Self::Packed(_) | Self::List(_) | Self::Object(_) => return None,
        })
    }

    fn from_scalar(value: Value<'_>) -> Option<Self> {
        Some(match value {
            Value::Bool(value) => Self::Bool(value),
            Value::I64(value) => Self::I64(value),
            Value::U64(value) => Self::U64(value),
            Value::F64(value) => Self::F64(value),
            other => Self::Text(other.as_str()?.into()),
        })
    }
}

/// The text of a JSON section that begins at `offset` of its file: UTF-8, and not nested too deeply.
pub(crate) fn text<'a>(bytes: &'a [u8], field: &'static str, offset: u64) -> Result<&'a str, FormatError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = Place::new(field, offset.saturating_add(error.valid_up_to() as u64));
        FormatError::invalid(at, "bytes that are not UTF-8", "UTF-8")
    })?;
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in (0_u64..).zip(bytes) {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            let at = Place::new("json_depth", offset.saturating_add(at));
            return Err(FormatError::TooLarge { at, found: depth as u64, limit: DEPTH as u64 });
        }
    }
    Ok(text)
}

/// Parses a checked text with a visitor of the caller's.
pub(crate) fn parse_with<'a, T>(
    text: &'a str,
    at: impl FnOnce() -> Place,
    seed: impl DeserializeSeed<'a, Value = T>,
) -> Result<T, FormatError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    parsed.map_err(|error| {
        let reason = error.to_string();
        // The position is given by fields of its own.
        let reason = reason.rsplit_once(" at line ").map_or(&*reason, |(reason, _)| reason);
        let reason = Escaped(reason.as_bytes()).to_string();
        FormatError::Json { at: at(), line: error.line(), column: error.column(), reason }
    })
}

/// Parses a JSON object of any content.
pub(crate) fn parse_object(bytes: &[u8], field: &'static str, offset: u64) -> Result<Json, FormatError> {
    parse_object_of(limits::JSON_VALUES, bytes, field, offset)
}

/// As [`parse_object`], with at most so many values that take memory of their own.
pub(crate) fn parse_object_of(
    limit: u32,
    bytes: &[u8],
    field: &'static str,
    offset: u64,
) -> Result<Json, FormatError> {
    let nodes = Cell::new(0);
    let at = || Place::new(field, offset);
    match parse_with(text(bytes, field, offset)?, at, Node { nodes: &nodes, limit })? {
        object @ Json::Object(_) => Ok(object),
        _ => Err(FormatError::invalid(at(), "another JSON value", "an object")),
    }
}

/// The text with `null` for the numbers that Python writes and JSON lacks: `NaN`, `Infinity`, `-Infinity`. Configurations
/// of state-space models have them.
pub(crate) fn without_python_numbers(bytes: &[u8]) -> Cow<'_, [u8]> {
    const NUMBERS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut out = Vec::new();
    let (mut rest, mut copied) = (bytes, bytes);
    let mut in_string = false;
    while let Some((byte, tail)) = rest.split_first() {
        let number = NUMBERS.into_iter().find(|number| !in_string && rest.starts_with(number));
        let step = match (byte, number) {
            (_, Some(number)) => number.len(),
            (b'\\', _) if in_string => 2,
            (b'"', _) => {
                in_string = !in_string;
                1
            }
            _ => 1,
        };
        let after = rest.get(step..).unwrap_or_default();
        if number.is_some() {
            let before = copied.len().saturating_sub(rest.len());
            out.extend_from_slice(copied.get(..before).unwrap_or_default());
            out.extend_from_slice(b"null");
            copied = after;
        }
        rest = if after.len() < tail.len() { after } else { tail };
    }
    if out.is_empty() {
        return Cow::Borrowed(bytes);
    }
    out.extend_from_slice(copied);
    Cow::Owned(out)
}

/// Builds a [`Json`] and counts what it takes.
#[derive(Clone, Copy)]
struct Node<'n> {
    nodes: &'n Cell<u32>,
    limit: u32,
}

impl Node<'_> {
    fn count<E: serde::de::Error>(self, more: u32) -> Result<(), E> {
        self.nodes.set(self.nodes.get().saturating_add(more));
        if self.nodes.get() > self.limit {
            Err(E::custom(format_args!("more than {} values", self.limit)))
        } else {
            Ok(())
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::I64(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::U64(value), Json::I64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::F64(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut list = List::default();
        while let Some(value) = seq.next_element_seed(self)? {
            self.count(list.push(value, self.limit))?;
            if list.packed.as_ref().is_some_and(|packed| packed.as_array().len() > ELEMS) {
                return Err(A::Error::custom(format_args!("a list of more than {ELEMS} values")));
            }
        }
        Ok(list.finish())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            self.count(1)?;
            members.push((name.into(), map.next_value_seed(self)?));
        }
        let mut names: Vec<&str> = members.iter().map(|(name, _): &(Box<str>, Json)| &**name).collect();
        names.sort_unstable();
        if let Some(twice) =
            names.windows(2).find_map(|pair| (pair.first() == pair.last()).then(|| pair.first()))
        {
            let name = twice.copied().unwrap_or_default();
            return Err(A::Error::custom(format_args!("duplicate key `{}`", Escaped(name.as_bytes()))));
        }
        Ok(Json::Object(members))
    }
}

/// A list that stays packed as long as its elements are scalars of one kind.
#[derive(Default)]
struct List {
    packed: Option<PackedArray>,
    others: Vec<Json>,
}

impl List {
    /// Takes an element, and says how many values take memory of their own since the last time.
    /// Where there are more than `limit`, nothing is taken.
    fn push(&mut self, value: Json, limit: u32) -> u32 {
        if self.others.is_empty()
            && let Some(scalar) = value.scalar()
            && self.packed.get_or_insert_with(|| PackedArray::empty(scalar.value_type())).push(scalar)
        {
            return 0;
        }
        let mut taken = 1;
        if let Some(packed) = self.packed.take() {
            taken = u32::try_from(packed.as_array().len()).unwrap_or(u32::MAX).saturating_add(1);
            if taken > limit {
                return taken;
            }
            self.others.extend(packed.as_array().iter().filter_map(Json::from_scalar));
        }
        self.others.push(value);
        taken
    }

    fn finish(self) -> Json {
        if self.others.is_empty() {
            return Json::Packed(self.packed.unwrap_or_else(|| PackedArray::empty(ValueType::String)));
        }
        // Numbers written partly with and partly without a point.
        let numbers: Option<Vec<f64>> = self.others.iter().map(as_float).collect();
        numbers.map_or(Json::List(self.others), |numbers| Json::Packed(PackedArray::f64s(numbers)))
    }
}

fn as_float(value: &Json) -> Option<f64> {
    match *value {
        Json::I64(integer) => Some(integer as f64),
        Json::U64(integer) => Some(integer as f64),
        Json::F64(float) => Some(float),
        _ => None,
    }
}

/// Appends a value as JSON; `false` if JSON has no such value.
pub(crate) fn write_value(out: &mut String, value: Value<'_>) -> bool {
    match value {
        Value::String(text) => match text.as_str() {
            Ok(text) => out.push_str(&quoted(text)),
            Err(_) => return false,
        },
        Value::Array(array) => {
            out.push('[');
            for (index, value) in array.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                if !write_value(out, value) {
                    return false;
                }
            }
            out.push(']');
        }
        Value::F32(float) if !float.is_finite() => return false,
        Value::F64(float) if !float.is_finite() => return false,
        // The shortest digits that give the same f32 back; a point marks it as a float.
        Value::F32(float) => out.push_str(&format!("{float:?}")),
        Value::F64(float) => out.push_str(&format!("{float:?}")),
        other => out.push_str(&other.to_string()),
    }
    true
}

/// A JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
