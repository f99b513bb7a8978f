//! Everything that a request can be refused for, and the one table that turns it into a status and an error object.

use std::time::Duration;

use http::StatusCode;
use realizar_engine::{EngineError, SubmitError};
use serde_json::{Value, json};

/// Outside text is cut to this many characters before it goes into a message.
const QUOTED_CHARS: usize = 64;

/// Why a request gets no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum Refusal {
    #[error("{what}")]
    Protocol { what: &'static str },
    #[error("the path and query have {bytes} bytes, the limit is {limit}")]
    UriTooLong { bytes: usize, limit: usize },
    #[error("the header fields have {bytes} bytes, the limit is {limit}")]
    HeadersTooLarge { bytes: usize, limit: usize },
    #[error("there is no route `{path}`")]
    UnknownPath { path: String },
    #[error("`{path}` is not for {method}, use {allow}")]
    Method { method: String, path: String, allow: &'static str },
    #[error("the API key is missing or wrong")]
    Unauthorized,
    #[error("too many wrong API keys from this address")]
    TooManyFailures,
    #[error("the host `{got}` is not a name of this server, `--allow-host` adds one")]
    Host { got: String },
    #[error("pages of `{got}` may not call this server, `--allow-origin` lets one in")]
    Origin { got: String },
    #[error("the content type is `{got}`, it must be application/json")]
    ContentType { got: String },
    #[error("the content encoding is `{got}`, only identity is read")]
    ContentEncoding { got: String },
    #[error("the expectation `{got}` cannot be met")]
    Expectation { got: String },
    #[error("the body has more than {limit} bytes")]
    BodyTooLarge { limit: usize },
    #[error("the body came too slowly")]
    BodyTimeout,
    #[error("the body broke off")]
    BodyBroken,
    #[error("the body is not JSON: {message} at byte {offset}")]
    Json { message: String, offset: usize, param: Option<String> },
    #[error("the body must be a JSON object")]
    NotAnObject,
    #[error("`{param}` is missing")]
    Missing { param: String },
    #[error("`{param}` is {got}, it must be {want}")]
    Field { param: String, got: String, want: String },
    #[error("`{param}` is not supported: {what}")]
    Unsupported { param: String, what: &'static str },
    #[error("the model `{name}` does not exist")]
    ModelNotFound { name: String },
    #[error("the prompt has {tokens} tokens, the context holds {context}")]
    ContextLength { param: String, tokens: usize, context: usize },
    #[error("the chat template refuses this conversation: {message}")]
    Conversation { message: String },
    #[error("the chat template needs more than it may: {message}")]
    TemplateLimit { message: String },
    #[error("{message}")]
    NoTemplate { message: String },
    #[error("this model makes text, not embeddings")]
    NoEmbeddings,
    #[error("this model makes embeddings, not text")]
    NoText { param: String },
    #[error("{waiting} requests are waiting, the limit is {limit}")]
    QueueFull { waiting: usize, limit: usize, retry_after: Duration },
    #[error("this key has {limit} requests under way already")]
    KeyBusy { limit: usize },
    #[error("there is no memory left for this request, all of them may hold {limit} bytes")]
    Memory { limit: usize },
    #[error("the request waited for {} s, there is no room for it", limit.as_secs())]
    QueueTime { limit: Duration },
    #[error("no token came within {} s", limit.as_secs())]
    FirstTokenTime { limit: Duration },
    #[error("the model's file was changed while it was in use")]
    Torn,
    #[error("{message}")]
    Rejected { message: String },
    #[error("the server is shutting down")]
    Draining,
    #[error("the answer failed: {message}")]
    Generation { message: String },
    #[error("the answer took too long")]
    Deadline,
    #[error("internal error")]
    Internal,
}

/// How a refusal looks from outside: status, type and code of the error object.
struct Row(StatusCode, &'static str, &'static str);

const INVALID: &str = "invalid_request_error";
const SERVER: &str = "server_error";

impl Refusal {
    /// A field with a value that cannot be followed.
    pub(crate) fn field(param: impl Into<String>, got: &Value, want: impl Into<String>) -> Self {
        Self::Field { param: param.into(), got: quote(got), want: want.into() }
    }

    #[rustfmt::skip]
    fn row(&self) -> Row {
        match self {
            Self::Protocol { .. }        => Row(StatusCode::BAD_REQUEST, INVALID, "bad_request"),
            Self::UriTooLong { .. }      => Row(StatusCode::URI_TOO_LONG, INVALID, "uri_too_long"),
            Self::HeadersTooLarge { .. } => Row(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, INVALID, "headers_too_large"),
            Self::UnknownPath { .. }     => Row(StatusCode::NOT_FOUND, INVALID, "unknown_route"),
            Self::Method { .. }          => Row(StatusCode::METHOD_NOT_ALLOWED, INVALID, "method_not_allowed"),
            Self::Unauthorized           => Row(StatusCode::UNAUTHORIZED, "authentication_error", "invalid_api_key"),
            Self::TooManyFailures        => Row(StatusCode::TOO_MANY_REQUESTS, "authentication_error", "too_many_failures"),
            Self::Host { .. }            => Row(StatusCode::FORBIDDEN, "permission_error", "host_not_allowed"),
            Self::Origin { .. }          => Row(StatusCode::FORBIDDEN, "permission_error", "origin_not_allowed"),
            Self::ContentType { .. }     => Row(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID, "content_type"),
            Self::ContentEncoding { .. } => Row(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID, "content_encoding"),
            Self::Expectation { .. }     => Row(StatusCode::EXPECTATION_FAILED, INVALID, "expectation_failed"),
            Self::BodyTooLarge { .. }    => Row(StatusCode::PAYLOAD_TOO_LARGE, INVALID, "body_too_large"),
            Self::BodyTimeout            => Row(StatusCode::REQUEST_TIMEOUT, INVALID, "body_timeout"),
            Self::BodyBroken             => Row(StatusCode::BAD_REQUEST, INVALID, "body_broken"),
            Self::Json { .. } | Self::NotAnObject => Row(StatusCode::BAD_REQUEST, INVALID, "invalid_json"),
            Self::Missing { .. }         => Row(StatusCode::BAD_REQUEST, INVALID, "missing_field"),
            Self::Field { .. }           => Row(StatusCode::BAD_REQUEST, INVALID, "invalid_value"),
            Self::Unsupported { .. }     => Row(StatusCode::BAD_REQUEST, INVALID, "unsupported"),
            Self::ModelNotFound { .. }   => Row(StatusCode::NOT_FOUND, INVALID, "model_not_found"),
            Self::ContextLength { .. }   => Row(StatusCode::BAD_REQUEST, INVALID, "context_length_exceeded"),
            Self::Conversation { .. }    => Row(StatusCode::BAD_REQUEST, INVALID, "template_refused"),
            Self::NoTemplate { .. }      => Row(StatusCode::BAD_REQUEST, INVALID, "no_chat_template"),
            Self::TemplateLimit { .. }   => Row(StatusCode::INTERNAL_SERVER_ERROR, SERVER, "template_limit"),
            Self::NoText { .. }          => Row(StatusCode::BAD_REQUEST, INVALID, "no_text"),
            Self::NoEmbeddings           => Row(StatusCode::BAD_REQUEST, INVALID, "no_embeddings"),
            Self::QueueFull { .. }       => Row(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "queue_full"),
            Self::KeyBusy { .. }         => Row(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "key_busy"),
            Self::Memory { .. }          => Row(StatusCode::SERVICE_UNAVAILABLE, "unavailable_error", "memory_full"),
            Self::QueueTime { .. }       => Row(StatusCode::SERVICE_UNAVAILABLE, "unavailable_error", "queue_timeout"),
            Self::FirstTokenTime { .. }  => Row(StatusCode::SERVICE_UNAVAILABLE, "unavailable_error", "first_token_timeout"),
            Self::Torn                   => Row(StatusCode::INTERNAL_SERVER_ERROR, SERVER, "model_changed"),
            Self::Rejected { .. }        => Row(StatusCode::BAD_REQUEST, INVALID, "rejected"),
            Self::Draining               => Row(StatusCode::SERVICE_UNAVAILABLE, "unavailable_error", "draining"),
            Self::Generation { .. }      => Row(StatusCode::INTERNAL_SERVER_ERROR, SERVER, "generation_failed"),
            Self::Deadline               => Row(StatusCode::SERVICE_UNAVAILABLE, "unavailable_error", "deadline"),
            Self::Internal               => Row(StatusCode::INTERNAL_SERVER_ERROR, SERVER, "internal"),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.row().0
    }

    /// A word for programs that never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.row().2
    }

    /// The field of the body that was wrong.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Missing { param }
            | Self::Field { param, .. }
            | Self::Unsupported { param, .. }
            | Self::ContextLength { param, .. }
            | Self::NoText { param } => Some(param),
            Self::NoEmbeddings => Some("input"),
            Self::Conversation { .. } | Self::NoTemplate { .. } => Some("messages"),
            Self::Json { param, .. } => param.as_deref(),
            Self::ModelNotFound { .. } => Some("model"),
            _ => None,
        }
    }

    /// The same, of a prompt that came in this field.
    pub(crate) fn of(mut self, field: &str) -> Self {
        if let Self::ContextLength { param, .. } | Self::NoText { param } | Self::Field { param, .. } =
            &mut self
        {
            field.clone_into(param);
        }
        self
    }

    /// When to try again, for `Retry-After`.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::QueueFull { retry_after, .. } => Some(*retry_after),
            Self::TooManyFailures | Self::KeyBusy { .. } | Self::Memory { .. } | Self::Deadline => {
                Some(Duration::from_secs(1))
            }
            Self::Draining | Self::QueueTime { .. } | Self::FirstTokenTime { .. } => {
                Some(Duration::from_secs(5))
            }
            _ => None,
        }
    }

    /// Whether the connection can carry no further request, since its bytes are out of step.
    pub(crate) fn closes(&self) -> bool {
        matches!(
            self,
            Self::Protocol { .. }
                | Self::BodyTooLarge { .. }
                | Self::BodyTimeout
                | Self::Memory { .. }
                | Self::BodyBroken
                | Self::HeadersTooLarge { .. }
                | Self::UriTooLong { .. }
                | Self::Expectation { .. }
                | Self::Draining
        )
    }

    /// The error object of the OpenAI interface.
    pub(crate) fn to_openai(&self) -> Value {
        let Row(_, kind, code) = self.row();
        let mut error =
            json!({ "message": self.to_string(), "type": kind, "param": self.param(), "code": code });
        if let Self::ContextLength { tokens, context, .. } = self {
            error["n_prompt_tokens"] = json!(tokens);
            error["n_ctx"] = json!(context);
        }
        json!({ "error": error })
    }

    /// The error object of the native routes.
    pub(crate) fn to_native(&self) -> Value {
        json!({ "error": self.to_string(), "code": self.code(), "param": self.param() })
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::TemplateRefused { message } => Self::Conversation { message: cut(&message, 512) },
            EngineError::TemplateLimit { .. } | EngineError::TemplateSize { .. } => {
                Self::TemplateLimit { message: error.to_string() }
            }
            EngineError::Submit(error) => error.into(),
            EngineError::NoEmbeddings { .. } => Self::NoEmbeddings,
            EngineError::QueueTime { limit } => Self::QueueTime { limit },
            EngineError::FirstTokenTime { limit } => Self::FirstTokenTime { limit },
            EngineError::Torn => Self::Torn,
            EngineError::NoTemplate | EngineError::BrokenTemplate { .. } => {
                Self::NoTemplate { message: error.to_string() }
            }
            other => Self::Generation { message: cut(&other.to_string(), 512) },
        }
    }
}

impl From<SubmitError> for Refusal {
    fn from(error: SubmitError) -> Self {
        let param = "prompt".to_owned();
        match error {
            SubmitError::QueueFull { waiting, limit, retry_after } => {
                Self::QueueFull { waiting, limit, retry_after }
            }
            SubmitError::PromptTooLong { tokens, context } => Self::ContextLength { param, tokens, context },
            SubmitError::EmptyPrompt => {
                let (got, want) = ("without any token".to_owned(), "a text of at least one token".to_owned());
                Self::Field { param, got, want }
            }
            SubmitError::Draining => Self::Draining,
            SubmitError::NoText { .. } => Self::NoText { param },
            other => Self::Rejected { message: cut(&other.to_string(), 512) },
        }
    }
}

/// A value of the body for a message: short, and with nothing in it that a terminal would obey.
pub(crate) fn quote(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::String(text) => format!("\"{}\"", cut(&text.escape_debug().to_string(), QUOTED_CHARS)),
        other => cut(&other.to_string(), QUOTED_CHARS),
    }
}

/// The first characters of an outside text, without control characters.
pub(crate) fn cut(text: &str, chars: usize) -> String {
    let clean = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut short: String = text.chars().take(chars).map(clean).collect();
    if text.chars().nth(chars).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Refusal;
    use realizar_engine::{EngineError, SubmitError};

    const TIME: Duration = Duration::from_secs(120);

    #[test]
    fn what_the_engine_refuses_is_told_by_whose_fault_it_is() {
        let submit = |error| Refusal::from(EngineError::Submit(error));
        let cases = [
            (submit(SubmitError::EmptyPrompt), 400, "invalid_value", Some("prompt")),
            (submit(SubmitError::NoTokens), 400, "rejected", None),
            (submit(SubmitError::Draining), 503, "draining", None),
            (
                submit(SubmitError::PromptTooLong { tokens: 9, context: 8 }),
                400,
                "context_length_exceeded",
                Some("prompt"),
            ),
            (submit(SubmitError::NoText { architecture: "bert" }), 400, "no_text", Some("prompt")),
            (
                submit(SubmitError::NoText { architecture: "bert" }).of("messages"),
                400,
                "no_text",
                Some("messages"),
            ),
            (submit(SubmitError::EmptyPrompt).of("messages"), 400, "invalid_value", Some("messages")),
            (submit(SubmitError::Draining).of("messages"), 503, "draining", None),
            (EngineError::NoEmbeddings { architecture: "llama" }.into(), 400, "no_embeddings", Some("input")),
            (EngineError::NoTemplate.into(), 400, "no_chat_template", Some("messages")),
            (EngineError::Stopped.into(), 500, "generation_failed", None),
            (EngineError::Torn.into(), 500, "model_changed", None),
            (EngineError::QueueTime { limit: TIME }.into(), 503, "queue_timeout", None),
            (EngineError::FirstTokenTime { limit: TIME }.into(), 503, "first_token_timeout", None),
        ];
        for (refusal, status, code, param) in cases {
            assert_eq!(
                (refusal.status().as_u16(), refusal.code(), refusal.param()),
                (status, code, param),
                "{refusal}"
            );
        }
    }
}
