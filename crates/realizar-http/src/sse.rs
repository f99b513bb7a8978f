//! Server-sent events: pieces of an answer as they come, comments while none comes.

use serde::Serialize;
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

/// An event of which all but one text is the same every time: written once, cut where the text goes.
#[derive(Debug)]
pub(crate) struct Mould {
    before: String,
    after: String,
}

impl Mould {
    /// What stands for the text in `event`.
    pub(crate) const TEXT: &str = "\u{1}text\u{1}";

    /// Cuts an event at the last [`TEXT`](Self::TEXT) in it; `None` without one.
    pub(crate) fn of(event: &str) -> Option<Self> {
        let (before, after) = event.rsplit_once(r#""\u0001text\u0001""#)?;
        Some(Self { before: before.to_owned(), after: after.to_owned() })
    }

    /// Appends the event with `text` in it.
    pub(crate) fn fill(&self, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(self.before.as_bytes());
        // Writing to memory cannot fail, and every text can be written.
        let _ = text.serialize(&mut serde_json::Serializer::new(&mut *out));
        out.extend_from_slice(self.after.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{Mould, data};
    use serde_json::json;

    #[test]
    fn a_mould_writes_what_the_whole_event_would_be() {
        let event = |text: &str| data(&json!({ "id": Mould::TEXT, "a": [{ "text": text, "b": null }] }));
        let mould = Mould::of(&event(Mould::TEXT)).unwrap();
        for text in ["", "plain", "\"\\\n\u{1}\u{7f}é😀", "a\u{2028}b"] {
            let mut out = b"before".to_vec();
            mould.fill(text, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("before{}", event(text)));
        }
        assert!(Mould::of("data: {}").is_none());
    }
}
