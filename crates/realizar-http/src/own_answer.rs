//! Answers that the HTTP library gives by itself, to bytes that it cannot read: they have no body, so they get the error
//! object that all other refusals have. It is done in the transport, so it is the same over every server.

use serde_json::json;

/// Begins every answer that the library may give by itself.
const BEGIN: &[u8] = b"HTTP/1.1 4";
const TOO_LARGE: &str = "HTTP/1.1 431 Request Header Fields Too Large\r\n";
const NO_BODY: &str = "content-length: 0\r\n";

/// What of a header is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooLarge {
    /// Its first line.
    Line,
    /// All of it, or the number of its fields.
    Fields,
    /// None of it, but the length that it gives.
    Length,
}

/// Status, code and message.
const MESSAGES: &[(&str, &str, &str)] = &[
    ("414", "uri_too_long", "the path and query are too long"),
    ("431", "headers_too_large", "the header fields are too many or too long"),
    ("", "bad_request", "this is not a request of HTTP/1.1 that can be read"),
];

/// The whole answer for `written`, if that is one of the library's own. Ours all carry a request's id. To the library a
/// request line is a part of the header like any other, and so is the length of a body; what of it was too large, we tell.
pub(crate) fn completed(written: &[u8], what: TooLarge) -> Option<Vec<u8>> {
    let head = written.strip_prefix(BEGIN).and(std::str::from_utf8(written).ok())?;
    let ours = head.contains("x-request-id:") || head.find("\r\n\r\n") != Some(head.len() - 4);
    if ours || !head.contains(NO_BODY) {
        return None;
    }
    let head = match (head.strip_prefix(TOO_LARGE), what) {
        (Some(rest), TooLarge::Line) => format!("HTTP/1.1 414 URI Too Long\r\n{rest}"),
        (Some(rest), TooLarge::Length) => format!("HTTP/1.1 400 Bad Request\r\n{rest}"),
        _ => head.to_owned(),
    };
    let status = head.split(' ').nth(1)?;
    let (_, code, message) = MESSAGES.iter().find(|(known, ..)| status == *known || known.is_empty())?;
    let error = json!({ "message": message, "type": "invalid_request_error", "param": null, "code": code });
    let body = json!({ "error": error }).to_string();
    let length = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    Some((head.replace(NO_BODY, &length) + &body).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::{TooLarge, completed};

    #[test]
    fn only_answers_of_the_library_are_completed() {
        let own =
            "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let whole = String::from_utf8(completed(own.as_bytes(), TooLarge::Fields).unwrap()).unwrap();
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\ncontent-length: {}", body.len())), "{head}");
        assert!(
            head.contains("application/json") && body.contains(r#""code":"headers_too_large""#),
            "{whole}"
        );
        let line = String::from_utf8(completed(own.as_bytes(), TooLarge::Line).unwrap()).unwrap();
        assert!(line.starts_with("HTTP/1.1 414 URI Too Long\r\n") && line.contains("uri_too_long"), "{line}");
        for ours in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\nx-request-id: a\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nab",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nHTTP/1.1",
            "HTTP/1.1 4",
            "4\r\nHTTP/1.1 400",
        ] {
            assert_eq!(completed(ours.as_bytes(), TooLarge::Line), None, "{ours}");
        }
    }
}
