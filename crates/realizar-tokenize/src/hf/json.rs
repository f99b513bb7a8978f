//! Reading values out of JSON with the path in every error.

use serde_json::Value;

use crate::TokenizeError;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct At<'a> {
    pub(super) value: &'a Value,
    pub(super) path: String,
}

const MAX_FILE: usize = 64 << 20;
const MAX_DEPTH: usize = 64;

/// Parses a file, which may be neither too large nor too deep.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, TokenizeError> {
    if bytes.len() > MAX_FILE {
        return Err(TokenizeError::TooMany {
            what: "bytes of tokenizer.json",
            found: bytes.len(),
            limit: MAX_FILE,
        });
    }
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(TokenizeError::TooMany {
                what: "nested levels of tokenizer.json",
                found: depth,
                limit: MAX_DEPTH,
            });
        }
    }
    serde_json::from_slice(bytes)
        .map_err(|error| TokenizeError::BadJson { path: "$".to_owned(), what: error.to_string() })
}

impl<'a> At<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, path: "$".to_owned() }
    }

    pub(super) fn error(&self, what: &str) -> TokenizeError {
        TokenizeError::BadJson { path: self.path.clone(), what: what.to_owned() }
    }

    fn below(&self, key: &str, value: &'a Value) -> Self {
        Self { value, path: format!("{}.{key}", self.path) }
    }

    /// A field that is there and not null.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        self.value.get(key).filter(|value| !value.is_null()).map(|value| self.below(key, value))
    }

    pub(super) fn need(&self, key: &str) -> Result<Self, TokenizeError> {
        self.get(key).ok_or_else(|| self.error(&format!("`{key}` is missing")))
    }

    pub(super) fn text(&self) -> Result<&'a str, TokenizeError> {
        self.value.as_str().ok_or_else(|| self.error("expected a string"))
    }

    pub(super) fn number(&self) -> Result<u64, TokenizeError> {
        self.value.as_u64().ok_or_else(|| self.error("expected a whole number"))
    }

    pub(super) fn id(&self) -> Result<u32, TokenizeError> {
        u32::try_from(self.number()?).map_err(|_| self.error("expected a number below 2^32"))
    }

    pub(super) fn float(&self) -> Result<f64, TokenizeError> {
        self.value.as_f64().ok_or_else(|| self.error("expected a number"))
    }

    pub(super) fn list(&self) -> Result<Vec<Self>, TokenizeError> {
        let items = self.value.as_array().ok_or_else(|| self.error("expected a list"))?;
        let at = |(index, value)| Self { value, path: format!("{}[{index}]", self.path) };
        Ok(items.iter().enumerate().map(at).collect())
    }

    pub(super) fn object(&self) -> Result<&'a serde_json::Map<String, Value>, TokenizeError> {
        self.value.as_object().ok_or_else(|| self.error("expected an object"))
    }

    /// A flag, with what it is where it is not given.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, TokenizeError> {
        match self.get(key) {
            None => Ok(default),
            Some(flag) => flag.value.as_bool().ok_or_else(|| flag.error("expected true or false")),
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

    #[test]
    fn deep_files_are_refused() {
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
        assert!(parse(br#"{"a": "[[[[\"[["}"#).is_ok());
        assert!(matches!(parse(b"{"), Err(TokenizeError::BadJson { .. })));
    }

    #[test]
    fn errors_name_the_path() {
        let value = parse(br#"{"a": {"b": [1, "x"], "c": "ab", "t": {"type": "Nope"}}}"#).unwrap();
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
            list[0].object().map(|_| ()).unwrap_err(),
            a.need("t").unwrap().unknown("model"),
        ];
        let paths = ["$.a", "$.a.b[0]", "$.a.b[1]", "$.a.b[1]", "$.a.c", "$.a.c", "$.a", "$.a.b[0]", "$.a.t"];
        for (error, path) in errors.iter().zip(paths) {
            assert!(error.to_string().contains(path), "{error}");
        }
    }
}
