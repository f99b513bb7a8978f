//! Reading values out of JSON with the path in every error.

use std::borrow::Cow;

use super::tree::{Json, Row};
use crate::TokenizeError;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct At<'a> {
    pub(super) value: &'a Json<'a>,
    pub(super) path: String,
}

impl<'a> At<'a> {
    pub(super) fn root(value: &'a Json<'a>) -> Self {
        Self { value, path: "$".to_owned() }
    }

    pub(super) fn error(&self, what: &str) -> TokenizeError {
        TokenizeError::BadJson { path: self.path.clone(), what: what.to_owned() }
    }

    fn below(&self, key: &str, value: &'a Json<'a>) -> Self {
        Self { value, path: format!("{}.{key}", self.path) }
    }

    /// A field that is there and not null; the last of equal ones.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let Json::Object(fields) = self.value else { return None };
        let (_, value) = fields.iter().rfind(|(name, _)| name == key)?;
        (!matches!(value, Json::Null)).then(|| self.below(key, value))
    }

    /// Refuses fields that are given twice, where the reference does.
    pub(super) fn distinct(&self) -> Result<(), TokenizeError> {
        let Json::Object(fields) = self.value else { return Ok(()) };
        match super::tree::repeated(fields).next() {
            Some(name) => Err(self.error(&format!("`{name}` is given twice"))),
            None => Ok(()),
        }
    }

    pub(super) fn need(&self, key: &str) -> Result<Self, TokenizeError> {
        self.get(key).ok_or_else(|| self.error(&format!("`{key}` is missing")))
    }

    pub(super) fn text(&self) -> Result<&'a str, TokenizeError> {
        let Json::Text(text) = self.value else { return Err(self.error("expected a string")) };
        Ok(text)
    }

    pub(super) fn number(&self) -> Result<u64, TokenizeError> {
        let Json::Whole(number) = self.value else { return Err(self.error("expected a whole number")) };
        Ok(*number)
    }

    pub(super) fn id(&self) -> Result<u32, TokenizeError> {
        u32::try_from(self.number()?).map_err(|_| self.error("expected a number below 2^32"))
    }

    pub(super) fn float(&self) -> Result<f64, TokenizeError> {
        match self.value {
            Json::Whole(number) => Ok(*number as f64),
            Json::Float(number) => Ok(*number),
            _ => Err(self.error("expected a number")),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<Self>, TokenizeError> {
        let Json::List(items) = self.value else { return Err(self.error("expected a list")) };
        let at = |(index, value)| Self { value, path: format!("{}[{index}]", self.path) };
        Ok(items.iter().enumerate().map(at).collect())
    }

    /// The fields of an object.
    pub(super) fn fields(&self) -> Result<&'a [(Cow<'a, str>, Json<'a>)], TokenizeError> {
        let Json::Object(fields) = self.value else { return Err(self.error("expected an object")) };
        Ok(fields)
    }

    /// The rows of one of the long lists, which are kept in short.
    pub(super) fn rows(&self) -> Result<&'a [Row<'a>], TokenizeError> {
        let Json::Rows(rows) = self.value else { return Err(self.error("expected a list")) };
        Ok(rows)
    }

    /// A flag, with what it is where it is not given.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, TokenizeError> {
        match self.get(key) {
            None => Ok(default),
            Some(flag) => match flag.value {
                Json::Bool(flag) => Ok(*flag),
                _ => Err(flag.error("expected true or false")),
            },
        }
    }

    /// Refuses one field if it is given twice.
    pub(super) fn once(&self, key: &str) -> Result<(), TokenizeError> {
        let Json::Object(fields) = self.value else { return Ok(()) };
        match fields.iter().filter(|(name, _)| name == key).count() {
            0 | 1 => Ok(()),
            _ => Err(self.error(&format!("`{key}` is given twice"))),
        }
    }

    pub(super) fn text_of(&self, key: &str, default: &'a str) -> Result<&'a str, TokenizeError> {
        self.get(key).map_or(Ok(default), |text| text.text())
    }

    /// The one character of a field.
    pub(super) fn char_of(&self, key: &str) -> Result<char, TokenizeError> {
        let field = self.need(key)?;
        let mut chars = field.text()?.chars();
        match (chars.next(), chars.next()) {
            (Some(char), None) => Ok(char),
            _ => Err(field.error("expected one character")),
        }
    }

    /// The component's `type`.
    pub(super) fn kind(&self) -> Result<&'a str, TokenizeError> {
        self.once("type")?;
        self.need("type")?.text()
    }

    pub(super) fn unknown(&self, what: &'static str) -> TokenizeError {
        let name = self.kind().unwrap_or("").to_owned();
        TokenizeError::UnknownComponent { what, name, path: self.path.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hf::tree::parse;

    #[test]
    fn errors_name_the_path() {
        let (value, _) = parse(br#"{"a": {"b": [1, "x"], "c": "ab", "t": {"type": "Nope"}}}"#).unwrap();
        let a = At::root(&value).need("a").unwrap();
        let list = a.need("b").unwrap().list().unwrap();
        let errors = [
            a.need("z").map(|_| ()).unwrap_err(),
            list[0].text().map(|_| ()).unwrap_err(),
            list[1].number().map(|_| ()).unwrap_err(),
            list[1].float().map(|_| ()).unwrap_err(),
            a.char_of("c").map(|_| ()).unwrap_err(),
            a.flag("c", true).map(|_| ()).unwrap_err(),
            a.list().map(|_| ()).unwrap_err(),
            list[0].fields().map(|_| ()).unwrap_err(),
            a.need("t").unwrap().unknown("model"),
        ];
        let paths = ["$.a", "$.a.b[0]", "$.a.b[1]", "$.a.b[1]", "$.a.c", "$.a.c", "$.a", "$.a.b[0]", "$.a.t"];
        for (error, path) in errors.iter().zip(paths) {
            assert!(error.to_string().contains(path), "{error}");
        }
    }
}
