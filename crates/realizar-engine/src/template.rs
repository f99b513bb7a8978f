//! Chat templates: the model's own Jinja text, rendered in a sandbox.
//!
//! A template comes out of a model file, so it is hostile input: its work, its depth and its output are bounded, and it
//! sees nothing but the messages and what the caller hands in. The dialect is that of Hugging Face's
//! `apply_chat_template` (blocks trimmed, loop controls, Python's string methods, `raise_exception`, `strftime_now`,
//! `{% generation %}`).

mod date;
mod dialect;
mod named;
mod python_json;

use std::time::SystemTime;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, ErrorKind};

use crate::EngineError;

/// Work that one rendering may do. The published templates write chats of 400 messages with 20 tools within it.
const FUEL: u64 = 1_000_000;
/// Nesting of calls and blocks. The published templates go down a few levels.
const RECURSION: usize = 64;
/// The longest template that is compiled. The largest published ones have about 30 KB.
const MAX_TEMPLATE_BYTES: usize = 1 << 20;
/// The longest prompt that a template may write.
const MAX_OUTPUT_BYTES: usize = 32 << 20;
const NAME: &str = "chat";

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatMessage {
    /// `system`, `user`, `assistant`, `tool`, or what else the template knows.
    pub role: String,
    /// The text.
    pub content: String,
    /// Further fields that the template may read, such as `tool_calls`, `name` or `reasoning_content`.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl ChatMessage {
    /// A message with text only.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into(), extra: serde_json::Map::new() }
    }

    fn to_value(&self) -> Value {
        let extra = self.extra.iter().map(|(key, value)| (key.clone(), Value::from(Serde(value))));
        let fields = [("role", &self.role), ("content", &self.content)];
        // The two fields come last, so that `extra` cannot replace them.
        Value::from_pairs(extra.chain(fields.map(|(key, text)| (key.to_owned(), Value::from(text.as_str())))))
    }
}

/// What a template is rendered with.
#[derive(Debug, Clone, Copy)]
pub struct ChatPrompt<'a> {
    /// The conversation so far.
    pub messages: &'a [ChatMessage],
    /// Whether the prompt ends with the opening of the assistant's turn.
    pub add_generation_prompt: bool,
    /// Variables for the template, verbatim (`tools`, `enable_thinking`, ...).
    pub extra: &'a serde_json::Map<String, serde_json::Value>,
    /// What `strftime_now` tells, in UTC.
    pub now: SystemTime,
}

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// Compiles a template. `bos` and `eos` are the texts of the special tokens that it may write.
    ///
    /// # Errors
    /// [`EngineError::Template`] with the line, when the text is not a template or is too long.
    pub fn compile(source: &str, bos: &str, eos: &str) -> Result<Self, EngineError> {
        if source.len() > MAX_TEMPLATE_BYTES {
            return Err(EngineError::TemplateSize { bytes: source.len(), limit: MAX_TEMPLATE_BYTES });
        }
        let mut environment = Environment::new();
        let syntax =
            SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(describe)?;
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_function("raise_exception", raise_exception);
        dialect::install(&mut environment);
        environment
            .add_template_owned(NAME, dialect::without_marks(source).into_owned())
            .map_err(describe)?;
        Ok(Self { environment, source: source.to_owned(), bos: bos.to_owned(), eos: eos.to_owned() })
    }

    /// A built-in template by name; [`ChatTemplate::names`] lists them.
    ///
    /// # Errors
    /// [`EngineError::TemplateName`] for a name that is not in the list.
    pub fn named(name: &str, bos: &str, eos: &str) -> Result<Self, EngineError> {
        match named::TEMPLATES.iter().find(|(known, _)| *known == name) {
            Some((_, source)) => Self::compile(source, bos, eos),
            None => Err(EngineError::TemplateName { name: name.to_owned(), known: Self::names().collect() }),
        }
    }

    /// Names of the built-in templates.
    pub fn names() -> impl Iterator<Item = &'static str> {
        named::TEMPLATES.iter().map(|(name, _)| *name)
    }

    /// The template's text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Writes the prompt.
    ///
    /// # Errors
    /// [`EngineError::TemplateRefused`] with the template's own message when it rejects the conversation,
    /// [`EngineError::Template`] when it fails or passes a limit.
    pub fn render(&self, prompt: &ChatPrompt<'_>) -> Result<String, EngineError> {
        let now = prompt.now;
        let fixed = [
            ("messages", prompt.messages.iter().map(ChatMessage::to_value).collect::<Value>()),
            ("add_generation_prompt", Value::from(prompt.add_generation_prompt)),
            ("bos_token", Value::from(self.bos.as_str())),
            ("eos_token", Value::from(self.eos.as_str())),
            ("strftime_now", Value::from_function(move |format: &str| date::strftime(format, now))),
        ];
        let extra = prompt.extra.iter().map(|(key, value)| (key.clone(), Value::from(Serde(value))));
        let context = Value::from_pairs(extra.chain(fixed.map(|(key, value)| (key.to_owned(), value))));
        let text = self.environment.get_template(NAME).and_then(|t| t.render(context)).map_err(describe)?;
        // Fuel bounds what the engine allocates (64 bytes each); this is the bound of what goes on to the tokenizer.
        if text.len() > MAX_OUTPUT_BYTES {
            return Err(EngineError::TemplateSize { bytes: text.len(), limit: MAX_OUTPUT_BYTES });
        }
        Ok(text)
    }
}

/// What `raise_exception` leaves in the chain of errors, to tell a refusal from a failure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, "the template raised an exception")
        .with_source(Refusal(message)))
}

fn describe(error: Error) -> EngineError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = source {
        if let Some(Refusal(message)) = cause.downcast_ref() {
            return EngineError::TemplateRefused { message: message.clone() };
        }
        source = cause.source();
    }
    let message = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    let line = error.line();
    if error.kind() == ErrorKind::OutOfFuel || message.contains("recursion limit") {
        return EngineError::TemplateLimit { line, message };
    }
    EngineError::Template { line, message }
}

#[cfg(test)]
mod tests;
