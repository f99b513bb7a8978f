//! The members of JSON objects as metadata: nested names are joined by dots, nulls are left out.

use crate::error::{FormatError, Place};
use crate::escape::Escaped;
use crate::json::Json;
use crate::packed::PackedArray;
use crate::value::Value;

/// Bytes of all joined names. Long names around many values would multiply without a bound.
const NAME_BYTES: usize = 16 << 20;

/// Metadata from JSON texts, in their order, found by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    entries: Vec<(String, Fact)>,
    by_name: Vec<u32>,
    name_bytes: usize,
}

#[derive(Debug, Clone)]
enum Fact {
    Scalar(Json),
    Array(PackedArray),
}

impl Facts {
    /// Adds the members of an object, each name behind `prefix`.
    pub(crate) fn add(&mut self, prefix: &str, object: Json) {
        if let Json::Object(members) = object {
            for (name, value) in members {
                self.add_value(prefix, &name, value);
            }
        }
    }

    fn add_value(&mut self, prefix: &str, name: &str, value: Json) {
        self.name_bytes = self.name_bytes.saturating_add(prefix.len()).saturating_add(name.len());
        if self.name_bytes > NAME_BYTES {
            return;
        }
        let name = format!("{prefix}{name}");
        match value {
            Json::Null => {}
            Json::Object(_) => self.add(&format!("{name}."), value),
            Json::List(elements) => {
                let prefix = format!("{name}.");
                for (index, element) in elements.into_iter().enumerate() {
                    self.add_value(&prefix, &index.to_string(), element);
                }
            }
            Json::Packed(array) => self.entries.push((name, Fact::Array(array))),
            scalar => self.entries.push((name, Fact::Scalar(scalar))),
        }
    }

    /// Sorts the names. Two values by one name are refused: which of them would count?
    pub(crate) fn index(mut self, at: impl FnOnce() -> Place) -> Result<Self, FormatError> {
        if self.name_bytes > NAME_BYTES {
            let found = "names that take more with those around them";
            return Err(FormatError::invalid(at(), found, format!("at most {NAME_BYTES} bytes of names")));
        }
        self.by_name = (0..).take(self.entries.len()).collect();
        let mut by_name = std::mem::take(&mut self.by_name);
        by_name.sort_by(|a, b| self.name(*a).cmp(self.name(*b)));
        for pair in by_name.windows(2) {
            if let &[first, second] = pair
                && self.name(first) == self.name(second)
            {
                let found = format!("two values by the name of `{}`", Escaped(self.name(first).as_bytes()));
                return Err(FormatError::invalid(at(), found, "one"));
            }
        }
        self.by_name = by_name;
        Ok(self)
    }

    fn name(&self, entry: u32) -> &str {
        self.entries.get(entry as usize).map_or("", |(name, _)| name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<Value<'_>> {
        let found = self.by_name.binary_search_by(|entry| self.name(*entry).cmp(name)).ok()?;
        match &self.entries.get(*self.by_name.get(found)? as usize)?.1 {
            Fact::Scalar(scalar) => scalar.scalar(),
            Fact::Array(array) => Some(Value::Array(array.as_array())),
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| &**name)
    }
}
