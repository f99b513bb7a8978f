//! One sequence that is being answered: from the scores of a step to a token, its text, and whether that was the last.

use std::sync::Arc;

use realizar_sample::{Chain, LogNormalizer, top_logprobs};
use realizar_tokenize::{TokenId, Tokenizer};

use crate::event::{Finish, Token, TokenLogprob, TopLogprob, Usage};
use crate::request::AnswerOptions;
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
    text: TextStream,
    stop: StopMatcher,
    /// Tokens that end the answer.
    ends: Arc<[TokenId]>,
    logprobs: Option<usize>,
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
            text: TextStream::after(prompt),
            stop: StopMatcher::new(&options.stop),
            ends: if options.ignore_eos { Arc::default() } else { Arc::clone(ends) },
            logprobs: options.logprobs,
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

    /// Picks the token that follows, by the scores of the last one.
    pub(crate) fn pick(
        &mut self,
        logits: &[f32],
        tokenizer: &Tokenizer,
    ) -> Result<(Token, Option<Finish>), EngineError> {
        let id = self.chain.pick(logits, &self.tokens, self.tokens.len() as u64)?;
        let logprob = self.logprobs.map(|top| logprob(logits, id, top, tokenizer)).transpose()?;
        self.tokens.push(id);
        let eos = self.ends.contains(&id);
        let mut text = self.text.push(id, tokenizer);
        let full = self.tokens.len() >= self.limit;
        if eos || full {
            text.push_str(&self.text.finish(tokenizer));
        }
        let (mut text, mut finish) = match self.stop.push(&text) {
            Scan::Stopped { text, stop } => {
                return Ok((Token { id, text, logprob }, Some(Finish::Stop(stop))));
            }
            Scan::Text(text) => (text, None),
        };
        if eos {
            finish = Some(Finish::Eos);
        } else if full {
            finish = Some(Finish::Length);
        }
        if finish.is_some() {
            text.push_str(&self.stop.finish());
        }
        Ok((Token { id, text, logprob }, finish))
    }
}

fn logprob(
    logits: &[f32],
    id: TokenId,
    top: usize,
    tokenizer: &Tokenizer,
) -> Result<TokenLogprob, EngineError> {
    let normalizer = LogNormalizer::of(logits)?;
    let bytes = |id| tokenizer.token_bytes(id, true).unwrap_or_default().into_owned();
    let best = top_logprobs(logits, top)?;
    Ok(TokenLogprob {
        logprob: normalizer.logprob(logits[id as usize]),
        bytes: bytes(id),
        top: best
            .into_iter()
            .map(|t| TopLogprob { id: t.id, bytes: bytes(t.id), logprob: t.logprob })
            .collect(),
    })
}
