//! A tree of JSON values that borrow from the file, made for vocabularies: no map, no copy of a text without escapes,
//! and the long lists of a model without an allocation for each row.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::TokenizeError;

const MAX_FILE: usize = 64 << 20;
const MAX_DEPTH: usize = 64;
/// Fields whose lists are kept as [`Row`]s.
const ROW_FIELDS: [&str; 2] = ["merges", "vocab"];

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Whole(u64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
    Rows(Vec<Row<'a>>),
}

/// A row of a list of merges or pieces.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Row<'a> {
    Text(Cow<'a, str>),
    Pair(Cow<'a, str>, Cow<'a, str>),
    Scored(Cow<'a, str>, f64),
    /// An object with the fields `token_bytes` and `rank`.
    Ranked(Cow<'a, str>, u64),
    Other,
}

/// What is noticed on the way.
#[derive(Default)]
struct Notes {
    too_deep: Cell<bool>,
    repeated: RefCell<Vec<String>>,
}

/// Fields that are given again further on, in the order of their names.
pub(super) fn repeated<'f>(fields: &'f [(Cow<'_, str>, Json<'_>)]) -> impl Iterator<Item = &'f str> {
    let mut names: Vec<&str> = fields.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    let mut before = None;
    names.into_iter().filter(move |name| before.replace(*name) == Some(*name))
}

/// Parses a file, which may be neither too large nor too deep. With the value come names of fields that are given twice,
/// those of a vocabulary left out.
pub(super) fn parse(bytes: &[u8]) -> Result<(Json<'_>, Vec<String>), TokenizeError> {
    let too_many = |what, found, limit| Err(TokenizeError::TooMany { what, found, limit });
    if bytes.len() > MAX_FILE {
        return too_many("bytes of tokenizer.json", bytes.len(), MAX_FILE);
    }
    let notes = Notes::default();
    let text = std::str::from_utf8(bytes).map_err(|error| TokenizeError::BadJson {
        path: "$".to_owned(),
        what: format!("no UTF-8 at byte {}", error.valid_up_to()),
    })?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Place { depth: 0, rows: false, notes: &notes }.deserialize(&mut reader);
    match value.and_then(|value| reader.end().map(|()| value)) {
        Ok(value) => Ok((value, notes.repeated.into_inner())),
        Err(_) if notes.too_deep.get() => {
            too_many("nested levels of tokenizer.json", MAX_DEPTH + 1, MAX_DEPTH)
        }
        Err(error) => Err(TokenizeError::BadJson { path: "$".to_owned(), what: error.to_string() }),
    }
}

/// Where a value is read.
#[derive(Clone, Copy)]
struct Place<'c> {
    depth: usize,
    rows: bool,
    notes: &'c Notes,
}

impl Place<'_> {
    fn below<E: Error>(self, rows: bool) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            self.notes.too_deep.set(true);
            return Err(E::custom("nested too deep"));
        }
        Ok(Self { depth: self.depth + 1, rows, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Json<'de>, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Json<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Whole(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Float(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let place = self.below(false)?;
        if self.rows {
            let mut rows = Vec::new();
            while let Some(row) = items.next_element_seed(RowPlace(place))? {
                rows.push(row);
            }
            return Ok(Json::Rows(rows));
        }
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(place)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json<'de>, A::Error> {
        let mut object = Vec::new();
        while let Some(key) = fields.next_key_seed(Text)? {
            let place = self.below(ROW_FIELDS.contains(&&*key))?;
            object.push((key, fields.next_value_seed(place)?));
        }
        if !self.rows {
            self.notes.repeated.borrow_mut().extend(repeated(&object).map(str::to_owned));
        }
        Ok(Json::Object(object))
    }
}

/// A text.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Where a row is read.
struct RowPlace<'c>(Place<'c>);

impl<'de> DeserializeSeed<'de> for RowPlace<'_> {
    type Value = Row<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Row<'de>, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowPlace<'_> {
    type Value = Row<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(out)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Row<'de>, E> {
        Ok(Row::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Row<'de>, E> {
        Ok(Row::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Row<'de>, A::Error> {
        let place = self.0.below(false)?;
        let (first, second) = (items.next_element_seed(place)?, items.next_element_seed(place)?);
        let mut more = false;
        while items.next_element_seed(place)?.is_some() {
            more = true;
        }
        Ok(match (first, second) {
            (Some(Json::Text(left)), Some(Json::Text(right))) if !more => Row::Pair(left, right),
            (Some(Json::Text(text)), Some(Json::Whole(score))) if !more => Row::Scored(text, score as f64),
            (Some(Json::Text(text)), Some(Json::Float(score))) if !more => Row::Scored(text, score),
            _ => Row::Other,
        })
    }

    fn visit_unit<E: Error>(self) -> Result<Row<'de>, E> {
        Ok(Row::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Row<'de>, E> {
        Ok(Row::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Row<'de>, E> {
        Ok(Row::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Row<'de>, E> {
        Ok(Row::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Row<'de>, E> {
        Ok(Row::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Row<'de>, A::Error> {
        let place = self.0.below(false)?;
        let (mut bytes, mut rank) = (None, None);
        while let Some(key) = fields.next_key_seed(Text)? {
            match (&*key, fields.next_value_seed(place)?) {
                ("token_bytes", Json::Text(text)) => bytes = Some(text),
                ("rank", Json::Whole(number)) => rank = Some(number),
                _ => {}
            }
        }
        Ok(bytes.zip(rank).map_or(Row::Other, |(bytes, rank)| Row::Ranked(bytes, rank)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_files_are_refused() {
        for deep in ["[".repeat(100_000), r#"{"vocab":["#.repeat(100_000), r#"{"merges":[{"a":"#.repeat(1000)]
        {
            assert!(matches!(parse(deep.as_bytes()), Err(TokenizeError::TooMany { .. })), "{}", &deep[..12]);
        }
        assert!(parse(br#"{"a": "[[[[\"[["}"#).is_ok());
        for bad in [&b"{"[..], b"", b"{} x", b"{1: 2}", b"\"\xFF\"", b"[1,]"] {
            assert!(matches!(parse(bad), Err(TokenizeError::BadJson { .. })), "{bad:?}");
        }
    }

    #[test]
    fn every_kind_of_value_is_kept() {
        let text = |text: &'static str| Json::Text(Cow::Borrowed(text));
        for (json, expected) in [
            ("null", Json::Null),
            ("true", Json::Bool(true)),
            ("7", Json::Whole(7)),
            ("-7", Json::Float(-7.0)),
            ("1.5", Json::Float(1.5)),
            (r#""a\u0062""#, text("ab")),
            (r#"["a"]"#, Json::List(vec![text("a")])),
            (r#"{"\u0061": 1}"#, Json::Object(vec![("a".into(), Json::Whole(1))])),
        ] {
            assert_eq!(parse(json.as_bytes()).unwrap().0, expected, "{json}");
        }
        let rows = r#"{"vocab": ["a", "\u0061", ["a", "b"], ["a", -1.5], ["a", 2], ["a"], ["a", "b", "c"],
            null, true, 1, -1, 1.5, {"a": 1}, [1, 2], {"rank": 7, "x": {}, "token_bytes": "YQ=="}]}"#;
        let Json::Object(fields) = parse(rows.as_bytes()).unwrap().0 else { panic!() };
        let mut expected = vec![
            Row::Text("a".into()),
            Row::Text("a".into()),
            Row::Pair("a".into(), "b".into()),
            Row::Scored("a".into(), -1.5),
            Row::Scored("a".into(), 2.0),
        ];
        expected.resize(14, Row::Other);
        expected.push(Row::Ranked("YQ==".into(), 7));
        assert_eq!(fields[0].1, Json::Rows(expected));
    }
}
