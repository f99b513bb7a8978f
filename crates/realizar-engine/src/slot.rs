//! One sequence that is being answered: from the scores of a step to a token, its text, and whether that was the last.

use std::sync::Arc;

use realizar_sample::Chain;
use realizar_tokenize::{TokenId, Tokenizer};

use crate::event::{Finish, Token, Usage};
use crate::request::AnswerOptions;
use crate::scores::Scores;
use crate::stop::{Scan, StopMatcher};
use crate::text::TextStream;
use crate::{EngineError, SubmitError};

/// The state of one answer, apart from keys and values.
#[derive(Debug)]
pub(crate) struct Slot {
    chain: Chain,
    /// Prompt and answer so far.
    tokens: Vec<TokenId>,
    prompt_tokens: usize,
    /// How long `tokens` may get.
    limit: usize,
    stop: StopMatcher,
    /// Tokens that end the answer.
    ends: Arc<[TokenId]>,
    scores: Option<Scores>,
}

impl Slot {
    /// Checks a request against the context and prepares its answer.
    pub(crate) fn new(
        prompt: &[TokenId],
        options: &AnswerOptions,
        context: usize,
        ends: &Arc<[TokenId]>,
    ) -> Result<Self, SubmitError> {
        options.validate()?;
        if prompt.is_empty() {
            return Err(SubmitError::EmptyPrompt);
        }
        if prompt.len() >= context {
            return Err(SubmitError::PromptTooLong { tokens: prompt.len(), context });
        }
        let wanted = options.max_tokens.unwrap_or(context);
        let limit = context.min(prompt.len().saturating_add(wanted));
        let mut tokens = Vec::with_capacity(limit);
        tokens.extend_from_slice(prompt);
        Ok(Self {
            chain: Chain::new(&options.sampling).map_err(SubmitError::Sampling)?,
            tokens,
            prompt_tokens: prompt.len(),
            limit,
            stop: StopMatcher::new(&options.stop),
            ends: if options.ignore_eos { Arc::default() } else { Arc::clone(ends) },
            scores: options.logprobs.map(Scores::new),
        })
    }

    /// Prompt and answer so far.
    pub(crate) fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// Tokens of the prompt.
    pub(crate) fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// How many tokens prompt and answer may have together.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Tokens so far.
    pub(crate) fn usage(&self) -> Usage {
        let completion_tokens = self.tokens.len() - self.prompt_tokens;
        Usage { prompt_tokens: self.prompt_tokens, completion_tokens, cached_tokens: 0 }
    }

    /// Picks the token that follows, by the scores of the last one. `stream` is what the answer has said so far.
    pub(crate) fn pick(
        &mut self,
        logits: &[f32],
        tokenizer: &Tokenizer,
        stream: &mut TextStream<'_>,
    ) -> Result<(Token, Option<Finish>), EngineError> {
        let id = self.chain.pick(logits, &self.tokens, self.tokens.len() as u64)?;
        self.tokens.push(id);
        let eos = self.ends.contains(&id);
        let mut text = stream.push(id);
        let full = self.tokens.len() >= self.limit;
        if eos || full {
            text.push_str(stream.finish());
        }
        if let Some(scores) = &mut self.scores {
            scores.add(logits, id, text.len(), tokenizer)?;
        }
        let (text, finish) = match self.stop.push(&text) {
            Scan::Stopped { text, stop } => (text, Some(Finish::Stop(stop))),
            Scan::Text(text) if eos => (text + &self.stop.finish(), Some(Finish::Eos)),
            Scan::Text(text) if full => (text + &self.stop.finish(), Some(Finish::Length)),
            Scan::Text(text) => (text, None),
        };
        let logprobs = self.scores.as_mut().map(|scores| scores.told(text.len(), finish.as_ref()));
        Ok((Token { id, text, logprobs: logprobs.unwrap_or_default() }, finish))
    }
}
