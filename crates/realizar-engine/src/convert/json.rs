//! Metadata as JSON.

use realizar_format::Value;
use serde_json::{Map, Number, Value as Json};

use super::ConvertError;

/// A metadata value as JSON that gives the same value back.
pub(super) fn value(key: &str, value: Value<'_>) -> Result<Json, ConvertError> {
    let cannot = |why| ConvertError::Metadata { key: key.to_owned(), why };
    if let Some(integer) = value.as_i128() {
        let number = i64::try_from(integer).map(Number::from).or(u64::try_from(integer).map(Number::from));
        return number.map(Json::Number).map_err(|_| cannot("the number is too large"));
    }
    Ok(match value {
        Value::Bool(flag) => Json::Bool(flag),
        Value::String(text) => Json::String(text.as_str().map_err(|_| cannot("it is not UTF-8"))?.to_owned()),
        Value::Array(array) => {
            Json::Array(array.iter().map(|item| self::value(key, item)).collect::<Result<_, _>>()?)
        }
        // The shortest digits that give the same f32 back.
        Value::F32(float) => {
            let digits: f64 = format!("{float:?}").parse().unwrap_or(f64::NAN);
            Json::Number(Number::from_f64(digits).ok_or_else(|| cannot("JSON has no such number"))?)
        }
        Value::F64(float) => {
            Json::Number(Number::from_f64(float).ok_or_else(|| cannot("JSON has no such number"))?)
        }
        _ => return Err(cannot("JSON has no such value")),
    })
}

/// Puts a member into an object; a point in the name leads into an object below, for names that begin with `nested`.
pub(super) fn insert(object: &mut Map<String, Json>, key: &str, nested: &[&str], member: Json) {
    match key.split_once('.') {
        Some((outer, inner)) if nested.contains(&outer) => {
            let below = object.entry(outer).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(below) = below {
                insert(below, inner, &[], member);
            }
        }
        _ => {
            object.insert(key.to_owned(), member);
        }
    }
}
