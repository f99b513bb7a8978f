//! From an opened model file to everything that an answer needs.

use std::sync::Arc;

use realizar_format::{FormatError, TensorSource, Value};
use realizar_model::{Model, ModelError};
use realizar_tokenize::{Compat, EncodeOptions, TokenId, Tokenizer};

use crate::spelled::Plain;
use crate::template::{ChatMessage, ChatPrompt, ChatTemplate};
use crate::{EngineError, vocab};

/// A model with its tokenizer and its chat template. Cheap to clone; the weights stay in the mapped file.
#[derive(Debug, Clone)]
pub struct Loaded {
    model: Arc<Model>,
    tokenizer: Arc<Tokenizer>,
    template: TemplateState,
    name: String,
    /// Tokens after which an answer is over.
    ends: Arc<[TokenId]>,
    /// How templates write the tokens that begin and end a text.
    bos: String,
    eos: String,
}

/// A template that does not compile is no reason to refuse a model, but chat with it is refused.
#[derive(Debug, Clone)]
enum TemplateState {
    Missing,
    Broken(Arc<EngineError>),
    Ready(Arc<ChatTemplate>),
}

impl Loaded {
    /// Binds the weights, makes the tokenizer and compiles the chat template.
    ///
    /// # Errors
    /// A model or a vocabulary that is refused, with the file's name where there is one.
    pub fn new(source: &dyn TensorSource, compat: Compat) -> Result<Self, EngineError> {
        let model = Model::load(source).map_err(|error| {
            let error = without_path(error, source);
            EngineError::Load { file: file_name(source), source: Box::new(error) }
        })?;
        let tokenizer = vocab::tokenizer(source, compat)?;
        let of_path =
            source.path().and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned());
        let name = source
            .get_str("general.name")?
            .map(str::to_owned)
            .or(of_path)
            .unwrap_or_else(|| "model".to_owned());
        let bos = special_text(source, &tokenizer, tokenizer.bos(), "bos_token");
        let eos = special_text(source, &tokenizer, tokenizer.eos(), "eos_token");
        let ends = ends(source, &tokenizer);
        let (model, tokenizer) = (Arc::new(model), Arc::new(tokenizer));
        let mut loaded = Self { model, tokenizer, template: TemplateState::Missing, name, ends, bos, eos };
        if let Some(text) = template_text(source)? {
            loaded.template = match loaded.compile(&text) {
                Ok(template) => TemplateState::Ready(Arc::new(template)),
                Err(error) => TemplateState::Broken(Arc::new(error)),
            };
        }
        Ok(loaded)
    }

    /// The same with another chat template.
    ///
    /// # Errors
    /// The template does not compile.
    pub fn with_template(mut self, source: &str) -> Result<Self, EngineError> {
        self.template = TemplateState::Ready(Arc::new(self.compile(source)?));
        Ok(self)
    }

    /// The same with a built-in chat template.
    ///
    /// # Errors
    /// No template has this name.
    pub fn with_named_template(mut self, name: &str) -> Result<Self, EngineError> {
        let template = ChatTemplate::named(name, &self.bos, &self.eos)?;
        self.template = TemplateState::Ready(Arc::new(template));
        Ok(self)
    }

    fn compile(&self, source: &str) -> Result<ChatTemplate, EngineError> {
        ChatTemplate::compile(source, &self.bos, &self.eos)
    }

    /// The weights and their configuration.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// The name that the file gives the model.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tokens after which an answer is over: those by which the vocabulary ends a text or a turn, and those that the
    /// `generation_config.json` beside the weights names.
    #[must_use]
    pub fn ends(&self) -> &Arc<[TokenId]> {
        &self.ends
    }

    /// Whether the file has a chat template, compiled or not.
    #[must_use]
    pub fn has_template(&self) -> bool {
        !matches!(self.template, TemplateState::Missing)
    }

    /// The chat template.
    ///
    /// # Errors
    /// [`EngineError::NoTemplate`] when there is none, [`EngineError::BrokenTemplate`] when the file's does not compile:
    /// no other one is put in its place.
    pub fn template(&self) -> Result<&ChatTemplate, EngineError> {
        match &self.template {
            TemplateState::Missing => Err(EngineError::NoTemplate),
            TemplateState::Broken(error) => Err(EngineError::BrokenTemplate { source: Arc::clone(error) }),
            TemplateState::Ready(template) => Ok(template),
        }
    }

    /// What was noticed while loading, a line each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let model = self.model.warnings().iter().map(ToString::to_string);
        model.chain(self.tokenizer.warnings().iter().map(ToString::to_string)).collect()
    }

    /// Writes a short conversation, to tell before the first request what stands in the way of all of them.
    ///
    /// # Errors
    /// The template cannot be used, or needs more than it may. One that is missing, or that rejects the conversation, is
    /// none.
    pub fn try_template(&self) -> Result<(), EngineError> {
        let (messages, extra) = ([ChatMessage::new("user", "Hello")], serde_json::Map::new());
        let now = std::time::SystemTime::now();
        let prompt = ChatPrompt { messages: &messages, add_generation_prompt: true, extra: &extra, now };
        match self.render(&prompt) {
            Err(EngineError::NoTemplate | EngineError::TemplateRefused { .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A prompt as it stands; special tokens that are written out in it count as such.
    ///
    /// # Errors
    /// The tokenizer cannot encode the text.
    pub fn tokenize(&self, text: &str, add_special: bool) -> Result<Vec<TokenId>, EngineError> {
        self.encode(text, EncodeOptions { add_special, parse_special: true })
    }

    /// A text as tokens.
    ///
    /// # Errors
    /// The tokenizer cannot encode the text.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<TokenId>, EngineError> {
        Ok(self.tokenizer.encode(text.as_bytes(), options)?)
    }

    /// A conversation through the chat template, as text.
    ///
    /// # Errors
    /// No template, or one that refuses or fails.
    pub fn render(&self, prompt: &ChatPrompt<'_>) -> Result<String, EngineError> {
        self.template()?.render(prompt)
    }

    /// A conversation through the chat template, as tokens. The token that begins a text is added where `add_special` says
    /// so and the template did not write it. Control tokens that are spelled out in the conversation stay text: only the
    /// template writes them. Roles are the caller's to check, since templates build tokens of them.
    ///
    /// # Errors
    /// No template, or one that refuses or fails.
    pub fn render_tokens(
        &self,
        prompt: &ChatPrompt<'_>,
        add_special: bool,
    ) -> Result<Vec<TokenId>, EngineError> {
        let template = self.template()?;
        if let Some(Plain { messages, extra, spelled }) =
            Plain::of(prompt, template.source(), &self.tokenizer)?
        {
            let text = template.render(&ChatPrompt { messages: &messages, extra: &extra, ..*prompt })?;
            let has_bos = !self.bos.is_empty() && text.starts_with(&self.bos);
            return Ok(spelled.encode(&text, add_special && !has_bos, &self.tokenizer)?);
        }
        let text = template.render(prompt)?;
        let has_bos = !self.bos.is_empty() && text.starts_with(&self.bos);
        self.tokenize(&text, add_special && !has_bos)
    }
}

/// The error without the path of the source, which the message around it names.
fn without_path(error: ModelError, source: &dyn TensorSource) -> ModelError {
    match error {
        ModelError::Format(FormatError::InFile { path, error }) if Some(path.as_path()) == source.path() => {
            ModelError::Format(*error)
        }
        other => other,
    }
}

/// The text of a special token: of the vocabulary, or as the files beside the weights name it.
fn special_text(source: &dyn TensorSource, tokenizer: &Tokenizer, id: Option<TokenId>, key: &str) -> String {
    if let Some(bytes) = id.and_then(|id| tokenizer.token_bytes(id, true).ok()) {
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    let keys = ["tokenizer_config", "special_tokens_map"]
        .map(|file| [format!("{file}.{key}"), format!("{file}.{key}.content")]);
    let found = keys.iter().flatten().find_map(|key| source.get_str(key).ok().flatten());
    found.unwrap_or_default().to_owned()
}

/// Where a file with the keys of GGUF lists what ends an answer besides what other programs know.
pub(crate) const ENDS: &str = "tokenizer.ggml.eos_token_ids";

/// What ends an answer, see [`Loaded::ends`]. Ids that are not in the vocabulary end nothing.
pub(crate) fn ends(source: &dyn TensorSource, tokenizer: &Tokenizer) -> Arc<[TokenId]> {
    let mut ends = tokenizer.eog_ids().to_vec();
    let named = ["generation_config.eos_token_id", "config.eos_token_id"];
    let named = named.iter().find_map(|key| source.metadata(key));
    let mut ids: Vec<Value<'_>> = Vec::new();
    for found in [named, source.metadata(ENDS)].into_iter().flatten() {
        match found {
            Value::Array(list) => ids.extend(list.iter()),
            id => ids.push(id),
        }
    }
    let known = |id: &TokenId| (*id as usize) < tokenizer.vocab_len();
    ends.extend(ids.iter().filter_map(Value::as_u32).filter(known));
    ends.sort_unstable();
    ends.dedup();
    ends.into()
}

/// The text of the chat template, wherever the format keeps it.
fn template_text(source: &dyn TensorSource) -> Result<Option<String>, EngineError> {
    if let Some(text) = source.companion("chat_template.jinja") {
        return Ok(Some(String::from_utf8_lossy(&text).into_owned()));
    }
    let in_metadata = match source.get_str("tokenizer.chat_template")? {
        Some(text) => Some(text),
        // A list of named templates is not a text; its models carry a file as well.
        None => source.get_str("tokenizer_config.chat_template").ok().flatten(),
    };
    Ok(in_metadata.map(str::to_owned))
}

/// How a file is called in errors.
pub(crate) fn file_name(source: &dyn TensorSource) -> String {
    source.path().map_or_else(|| "the model in memory".to_owned(), |path| format!("`{}`", path.display()))
}
