//! What a request is about: the path as it is meant, for the table of routes.

use std::borrow::Cow;

use http::request::Parts;
use http::{Method, Version};

use crate::refusal::Refusal;

/// The path, with its escapes decoded once and nothing else done to it: neither dots nor double slashes are folded.
pub(crate) fn path(head: &Parts) -> Result<Cow<'_, str>, Refusal> {
    let path = head.uri.path();
    let absolute = head.version < Version::HTTP_2 && head.uri.scheme().is_some();
    if head.method == Method::CONNECT || absolute || !path.starts_with('/') {
        return Err(Refusal::Protocol { what: "the target must be a path, this is no proxy" });
    }
    let query = head.uri.query().unwrap_or_default();
    let decoded = decoded(path).filter(|path| !path.chars().any(char::is_control));
    match (decoded, decoded_bytes(query)) {
        (Some(path), Some(_)) => Ok(path),
        _ => Err(Refusal::Protocol { what: "the target has an escape that stands for no text" }),
    }
}

fn decoded(text: &str) -> Option<Cow<'_, str>> {
    match decoded_bytes(text)? {
        Cow::Borrowed(_) => Some(Cow::Borrowed(text)),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// The bytes that a text with escapes stands for; none if one of the escapes is broken.
fn decoded_bytes(text: &str) -> Option<Cow<'_, [u8]>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let digit =
            |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        decoded.push(match byte {
            b'%' => digit(bytes.next())? << 4 | digit(bytes.next())?,
            other => other,
        });
    }
    Some(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::path;

    #[test]
    fn row_119_paths_are_decoded_once_and_nothing_else() {
        for (target, expected) in [
            ("/livez", Some("/livez")),
            ("/livez?%41=%ff", Some("/livez")),
            ("/%6civez", Some("/livez")),
            ("/%256civez", Some("/%6civez")),
            ("/%2e%2e/livez", Some("/../livez")),
            ("//livez", Some("//livez")),
            ("/%C3%a9", Some("/é")),
            ("/v1/models/a%2Fb", Some("/v1/models/a/b")),
            ("/livez%00", None),
            ("/livez%0a", None),
            ("/livez%zz", None),
            ("/livez%4", None),
            ("/livez%", None),
            ("/livez%+4", None),
            ("/livez%ff", None),
            ("/livez?%zz", None),
            ("/livez?a=100%", None),
            ("http://localhost/livez", None),
            ("*", None),
            ("localhost:80", None),
        ] {
            let (head, ()) = Request::get(target).body(()).unwrap().into_parts();
            assert_eq!(path(&head).ok().as_deref(), expected, "{target}");
        }
    }
}
