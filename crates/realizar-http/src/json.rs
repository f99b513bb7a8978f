//! Reading a body as JSON, stricter than JSON itself: no key twice, bounded depth and size, errors with offset and path.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::refusal::{Refusal, cut};

/// How many values a body may hold, objects, lists and keys included. The depth ends at 128, where the parser ends it.
pub(crate) const MAX_VALUES: usize = 1 << 20;

/// What a value takes, beside its text: it has 72 bytes, the list around it grows by doubling, and while it does the one
/// of half the size is there too.
const VALUE: usize = 216;
/// What an object takes for its first fields, and for each one: four of them have room at once.
const OBJECT: usize = 512;
const FIELD: usize = 112;
/// Memory is asked for in pieces.
const PIECE: usize = 16 << 10;

/// Parses a whole body. `room` is asked before its values take so many bytes in all.
pub(crate) fn parse(
    body: &[u8],
    room: &mut dyn FnMut(usize) -> Result<(), Refusal>,
) -> Result<Map<String, Value>, Refusal> {
    let walk = Walk {
        values: Cell::new(0),
        bytes: Cell::new(0),
        granted: Cell::new(PIECE),
        steps: RefCell::default(),
        room: RefCell::new(room),
        refused: RefCell::default(),
    };
    let mut parser = serde_json::Deserializer::from_slice(body);
    let value = Strict(&walk).deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    match value {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Refusal::NotAnObject),
        Err(error) => {
            if let Some(refusal) = walk.refused.take() {
                return Err(refusal);
            }
            let text = error.to_string();
            let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
            let param = walk.path();
            Err(Refusal::Json { message: cut(message, 160), offset: offset(body, &error), param })
        }
    }
}

/// The parser counts lines and columns; one long line is what clients send.
fn offset(body: &[u8], error: &serde_json::Error) -> usize {
    let before = body.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    before.map(<[u8]>::len).sum::<usize>() + error.column()
}

/// Where the parser is, and how much it has read.
struct Walk<'a> {
    values: Cell<usize>,
    /// What the values take, and how much of it is granted.
    bytes: Cell<usize>,
    granted: Cell<usize>,
    steps: RefCell<Vec<Step>>,
    room: RefCell<&'a mut dyn FnMut(usize) -> Result<(), Refusal>>,
    refused: RefCell<Option<Refusal>>,
}

#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl Walk<'_> {
    fn count<E: Error>(&self) -> Result<(), E> {
        self.values.set(self.values.get() + 1);
        if self.values.get() > MAX_VALUES {
            return Err(E::custom(format_args!("more than {MAX_VALUES} values")));
        }
        Ok(())
    }

    /// Before so many bytes are taken.
    fn take<E: Error>(&self, bytes: usize) -> Result<(), E> {
        self.bytes.set(self.bytes.get().saturating_add(bytes));
        if self.bytes.get() <= self.granted.get() {
            return Ok(());
        }
        self.granted.set(self.bytes.get().saturating_add(PIECE));
        let mut room = self.room.borrow_mut();
        (*room)(self.granted.get()).map_err(|refusal| {
            self.refused.replace(Some(refusal));
            E::custom("no memory")
        })
    }

    fn enter(&self, step: Step) {
        self.steps.borrow_mut().push(step);
    }

    /// Only after success: at an error the path stays, and tells where.
    fn leave(&self) {
        self.steps.borrow_mut().pop();
    }

    fn path(&self) -> Option<String> {
        let mut path = String::new();
        for step in self.steps.borrow().iter().take(16) {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(&cut(key, 64)),
                Step::Key(key) => path.push_str(&format!(".{}", cut(key, 64))),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        (!path.is_empty()).then_some(path)
    }
}

#[derive(Clone, Copy)]
struct Strict<'a, 'b>(&'a Walk<'b>);

impl<'de> DeserializeSeed<'de> for Strict<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Value, D::Error> {
        self.0.count()?;
        self.0.take(VALUE)?;
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_, '_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.0.take(text.len())?;
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        loop {
            self.0.enter(Step::Index(values.len()));
            let value = list.next_element_seed(self)?;
            self.0.leave();
            match value {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        self.0.take(OBJECT)?;
        while let Some(key) = object.next_key::<String>()? {
            self.0.count()?;
            self.0.take(FIELD + key.len())?;
            self.0.enter(Step::Key(key.clone()));
            if map.contains_key(&key) {
                return Err(A::Error::custom("the key comes twice"));
            }
            let value = object.next_value_seed(self)?;
            self.0.leave();
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::MAX_VALUES;
    use crate::refusal::Refusal;

    fn parse(body: &[u8]) -> Result<super::Map<String, super::Value>, Refusal> {
        super::parse(body, &mut |_| Ok(()))
    }

    /// Name, body, offset, words of the message, path.
    type Case = (&'static str, &'static [u8], usize, &'static str, Option<&'static str>);

    const BAD: &[Case] = &[
        ("empty", b"", 0, "EOF", None),
        ("truncated", br#"{"a": [1, 2"#, 11, "EOF", Some("a[2]")),
        ("byte-order mark", b"\xef\xbb\xbf{}", 1, "expected value", None),
        ("comment", b"{/* x */}", 2, "key must be a string", None),
        ("two values", b"{} {}", 4, "trailing characters", None),
        ("key twice", br#"{"a": {"b": 1, "b": 2}}"#, 18, "the key comes twice", Some("a.b")),
        ("overflow", br#"{"a": 1e999}"#, 11, "number out of range", Some("a")),
        ("NaN", br#"{"a": NaN}"#, 7, "expected value", Some("a")),
        ("lone surrogate", br#"{"a": "\ud800"}"#, 14, "unexpected end of hex escape", Some("a")),
        ("invalid UTF-8", b"{\"a\": \"\xff\"}", 8, "invalid unicode code point", Some("a")),
        ("second line", b"{\n\"a\": x}", 8, "expected value", Some("a")),
        ("leading zero", br#"{"a": 01}"#, 8, "invalid number", Some("a")),
    ];

    #[test]
    fn bad_text_is_refused_with_offset_and_path() {
        for (name, body, at, words, path) in BAD {
            match parse(body) {
                Err(Refusal::Json { message, offset, param }) => {
                    assert!(message.contains(words), "{name}: {message}");
                    assert_eq!((offset, param.as_deref()), (*at, *path), "{name}: {message}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(120).as_bytes()).is_ok());
        for depth in [128, 3_000, 100_000] {
            let error = parse(nested(depth).as_bytes()).unwrap_err().to_string();
            assert!(error.contains("recursion limit"), "{depth}: {error}");
        }
        let many = |values: usize| format!("{{\"a\":[{}0]}}", "0,".repeat(values));
        assert!(parse(many(MAX_VALUES - 4).as_bytes()).is_ok());
        let error = parse(many(MAX_VALUES).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("more than 1048576 values"), "{error}");
    }

    #[test]
    fn only_objects_are_bodies() {
        for body in ["1", "null", "true", "-1.5", "\"x\"", "[]"] {
            assert!(matches!(parse(body.as_bytes()), Err(Refusal::NotAnObject)), "{body}");
        }
        assert!(parse(b" {} ").unwrap().is_empty());
    }

    #[test]
    fn row_159_values_ask_for_their_memory_before_they_take_it() {
        // Objects of three letters take hundreds of bytes each, numbers of one letter tens, and a text its own.
        for (name, body, least, most) in [
            ("objects", format!("{{\"a\":[{}0]}}", "{\"\":0},".repeat(1000)), 600_000, 1_200_000),
            ("numbers", format!("{{\"a\":[{}0]}}", "0,".repeat(1000)), 200_000, 300_000),
            ("a text", format!("{{\"a\":\"{}\"}}", "x".repeat(100_000)), 100_000, 140_000),
        ] {
            let mut asked = 0;
            let parsed = super::parse(body.as_bytes(), &mut |bytes| {
                asked = bytes;
                Ok(())
            });
            assert!(parsed.is_ok() && (least..most).contains(&asked), "{name}: {asked}");
            let refused = super::parse(body.as_bytes(), &mut |bytes| {
                if bytes > least / 2 { Err(Refusal::Memory { limit: 7 }) } else { Ok(()) }
            });
            assert!(matches!(refused, Err(Refusal::Memory { limit: 7 })), "{name}: {refused:?}");
        }
    }

    #[test]
    fn row_134_a_body_of_sixteen_mebibytes_is_parsed_in_half_a_second() {
        let numbers = format!("{{\"a\":[{}0]}}", "123456789012345,".repeat((1 << 20) - 8));
        let text = format!("{{\"a\":\"{}\"}}", "\\n".repeat(8 << 20));
        for (name, body) in [("numbers", numbers), ("a text", text)] {
            assert!(body.len() > 15 << 20, "{name}: {}", body.len());
            let once = || {
                let began = std::time::Instant::now();
                assert!(parse(body.as_bytes()).is_ok(), "{name}");
                began.elapsed()
            };
            // The best of a few: a busy machine slows some of them down.
            let best = (0..5).map(|_| once()).min().unwrap();
            assert!(best <= std::time::Duration::from_millis(500), "{name}: {best:?}");
        }
    }
}
