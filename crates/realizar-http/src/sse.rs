//! Server-sent events: pieces of an answer as they come, comments while none comes.

use serde_json::Value;

/// Ends a stream of the OpenAI interface that came to its end.
pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// A comment, which clients drop and proxies count as life.
pub(crate) const COMMENT: &str = ":\n\n";

/// An event without a name. JSON has no line breaks of its own, so one line holds it.
pub(crate) fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// An event with a name.
pub(crate) fn event(name: &str, value: &Value) -> String {
    format!("event: {name}\ndata: {value}\n\n")
}
