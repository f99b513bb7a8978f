//! Typed access to the fields of a body. `null` is absent, unknown fields are not looked at, and a known field with a
//! value that cannot be followed is refused by name.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};

use crate::refusal::Refusal;
use crate::routes::Call;

/// An object of the body, and the path to it for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: &'a str,
    seen: Option<&'a Seen>,
}

/// The fields of a body that were looked at.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<BTreeSet<String>>);

impl Seen {
    /// The fields of `map` that nobody looked at, as far as they can stand in a header: words, and not too many.
    pub(crate) fn others(&self, names: &[String]) -> String {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let word = |name: &&String| {
            (1..=64).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        let others = names.iter().filter(|name| !seen.contains(*name)).filter(word);
        others.take(32).map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

impl<'a> Fields<'a> {
    /// The body itself.
    pub(crate) fn of(call: &'a Call) -> Self {
        Self { map: &call.map, path: "", seen: call.seen.as_deref() }
    }

    /// An object inside, at `path`.
    pub(crate) fn inside<'b>(&self, map: &'b Map<String, Value>, path: &'b str) -> Fields<'b> {
        Fields { map, path, seen: None }
    }

    /// The path to a field.
    pub(crate) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The value of a field, unless it is absent or null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        if let Some(seen) = self.seen {
            seen.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        }
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// The error for a field whose value is wrong.
    pub(crate) fn wrong(&self, name: &str, value: &Value, want: impl Into<String>) -> Refusal {
        Refusal::field(self.path(name), value, want)
    }

    /// The error for a field that must be there.
    pub(crate) fn missing(&self, name: &str) -> Refusal {
        Refusal::Missing { param: self.path(name) }
    }

    pub(crate) fn number(&self, name: &str, range: RangeInclusive<f32>) -> Result<Option<f32>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let (low, high) = (*range.start(), *range.end());
        let inside = |number: &f64| (f64::from(low)..=f64::from(high)).contains(number);
        match value.as_f64().filter(inside) {
            #[expect(clippy::cast_possible_truncation, reason = "inside a range of f32")]
            Some(number) => Ok(Some(number as f32)),
            None => Err(self.wrong(name, value, format!("a number from {low} to {high}"))),
        }
    }

    /// A whole number; `1.0` is one.
    pub(crate) fn integer(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match whole(value).filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(
                name,
                value,
                format!("a whole number from {} to {}", range.start(), range.end()),
            )),
        }
    }

    /// A whole number that counts something.
    pub(crate) fn count(&self, name: &str, range: RangeInclusive<u32>) -> Result<Option<usize>, Refusal> {
        let range = i64::from(*range.start())..=i64::from(*range.end());
        Ok(self.integer(name, range)?.and_then(|number| usize::try_from(number).ok()))
    }

    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(name, value, "true or false"))
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(name, value, "a string"))
    }

    /// A text that names something.
    pub(crate) fn name(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        match self.text(name)? {
            Some(text) if text.chars().any(char::is_control) => {
                Err(self.wrong(name, &Value::from(text), "a string without control characters"))
            }
            text => Ok(text),
        }
    }

    pub(crate) fn list(
        &self,
        name: &str,
        lengths: RangeInclusive<usize>,
    ) -> Result<Option<&'a [Value]>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_array().filter(|list| lengths.contains(&list.len())) {
            Some(list) => Ok(Some(list)),
            None => {
                Err(self.wrong(name, value, format!("a list of {} to {}", lengths.start(), lengths.end())))
            }
        }
    }

    pub(crate) fn object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_object().map(Some).ok_or_else(|| self.wrong(name, value, "an object"))
    }
}

/// The whole number that a JSON number stands for.
#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be whole and inside the range of exact integers"
)]
pub(crate) fn whole(value: &Value) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_i64().or_else(|| {
        value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && number.abs() <= EXACT)
            .map(|number| number as i64)
    })
}
