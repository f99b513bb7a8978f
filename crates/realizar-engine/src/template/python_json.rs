//! JSON as Python's `json.dumps` writes it: what models have seen in training.

use std::collections::BTreeMap;
use std::io;

use minijinja::Value;
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

/// The options of `tojson` that templates use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout<'a> {
    /// Between items, and between a key and its value, where all is on one line.
    pub(crate) separators: (&'a str, &'a str),
    /// Spaces per level, each item on a line of its own; `None` is one line.
    pub(crate) indent: Option<usize>,
    /// Letters outside ASCII as `\uXXXX`.
    pub(crate) ascii: bool,
    /// Objects in the order of their keys.
    pub(crate) sort_keys: bool,
}

/// What Python takes when nothing is said.
pub(crate) const SEPARATORS: (&str, &str) = (", ", ": ");

pub(crate) fn write(value: &Value, layout: Layout<'_>) -> Result<String, serde_json::Error> {
    let mut json = serde_json::to_value(value)?;
    if layout.sort_keys {
        json = sorted(json);
    }
    let mut out = Vec::new();
    match layout.indent {
        Some(width) => {
            let spaces = " ".repeat(width.min(16));
            let formatter = PrettyFormatter::with_indent(spaces.as_bytes());
            json.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))?;
        }
        None => {
            json.serialize(&mut serde_json::Serializer::with_formatter(&mut out, OneLine(layout.separators)))?
        }
    }
    let text = String::from_utf8_lossy(&out);
    Ok(if layout.ascii { escape(&text) } else { text.into_owned() })
}

struct OneLine<'a>((&'a str, &'a str));

impl Formatter for OneLine<'_> {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { self.0.0.as_bytes() })
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { self.0.0.as_bytes() })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(self.0.1.as_bytes())
    }
}

fn sorted(json: serde_json::Value) -> serde_json::Value {
    match json {
        serde_json::Value::Array(items) => items.into_iter().map(sorted).collect(),
        serde_json::Value::Object(fields) => {
            let fields: BTreeMap<_, _> =
                fields.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            fields.into_iter().collect()
        }
        plain => plain,
    }
}

/// Letters outside ASCII occur in strings only, so the whole text can be escaped at once.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii() {
            out.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Layout<'_> = Layout { separators: SEPARATORS, indent: None, ascii: false, sort_keys: false };

    #[test]
    fn as_python_writes_it() {
        let json: serde_json::Value =
            serde_json::from_str(r#"{"b": [1, 2.5, "<é😀>"], "a": {"z": null, "y": true}, "e": []}"#)
                .expect("JSON");
        let value = Value::from(minijinja::value::Serde(&json));
        // Expected texts: json.dumps(value, ...) of Python 3.12.
        for (name, layout, expected) in [
            ("plain", PLAIN, r#"{"b": [1, 2.5, "<é😀>"], "a": {"z": null, "y": true}, "e": []}"#),
            (
                "ascii, sorted",
                Layout { ascii: true, sort_keys: true, ..PLAIN },
                r#"{"a": {"y": true, "z": null}, "b": [1, 2.5, "<\u00e9\ud83d\ude00>"], "e": []}"#,
            ),
            (
                "dense",
                Layout { separators: (",", ":"), ..PLAIN },
                r#"{"b":[1,2.5,"<é😀>"],"a":{"z":null,"y":true},"e":[]}"#,
            ),
            (
                "indented",
                Layout { indent: Some(1), sort_keys: true, ..PLAIN },
                "{\n \"a\": {\n  \"y\": true,\n  \"z\": null\n },\n \"b\": [\n  1,\n  2.5,\n  \"<é😀>\"\n ],\n \"e\": []\n}",
            ),
        ] {
            assert_eq!(write(&value, layout).expect("finite"), expected, "{name}");
        }
    }
}
