//! One answer at a time, on the caller's thread: what a command line tool or a test needs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use realizar_model::{SeqId, Session, SessionOptions, Span, Want};
use realizar_tokenize::{TokenId, Tokenizer};

use crate::event::{Finish, Timings, Token, Usage};
use crate::request::AnswerOptions;
use crate::runner::torn;
use crate::slot::Slot;
use crate::text::TextStream;
use crate::{EngineError, Loaded};

/// A model with memory for one sequence.
#[derive(Debug)]
pub struct Solo {
    loaded: Loaded,
    session: Session,
    context: usize,
}

impl Solo {
    /// Takes the memory.
    ///
    /// # Errors
    /// An option that the model cannot follow, or no memory.
    pub fn new(loaded: Loaded, options: SessionOptions) -> Result<Self, EngineError> {
        let context = options.context;
        let session = Session::new(Arc::clone(loaded.model()), options)?;
        Ok(Self { loaded, session, context })
    }

    /// The model.
    #[must_use]
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Prepares an answer; the model runs when the first token is asked for.
    ///
    /// # Errors
    /// A bad option, or a prompt that is empty or does not fit.
    pub fn answer(&mut self, prompt: &[TokenId], options: &AnswerOptions) -> Result<Answer<'_>, EngineError> {
        let slot = Slot::new(prompt, options, self.context, self.loaded.ends())?;
        let seq = self.session.open()?;
        let tokenizer = self.loaded.tokenizer();
        let session = &mut self.session;
        let text = TextStream::after(prompt, tokenizer);
        Ok(Answer { session, tokenizer, seq, slot, text, fed: 0, finish: None, timings: Timings::default() })
    }
}

/// An answer that is being written, token by token.
///
/// Its sequence is closed when it goes out of scope, finished or not.
#[derive(Debug)]
pub struct Answer<'a> {
    session: &'a mut Session,
    tokenizer: &'a Tokenizer,
    seq: SeqId,
    slot: Slot,
    text: TextStream<'a>,
    /// Tokens that the model has seen.
    fed: usize,
    finish: Option<Finish>,
    timings: Timings,
}

/// What is to be said of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Why it ended; `None` when it has not.
    pub finish: Option<Finish>,
    /// How many tokens it took.
    pub usage: Usage,
    /// Where the time went.
    pub timings: Timings,
}

impl Answer<'_> {
    /// The next token; `None` after the last one.
    ///
    /// # Errors
    /// The model cannot go on: scores that are no numbers, no memory for more keys and values, a file that shrank.
    pub fn next_token(&mut self) -> Result<Option<Token>, EngineError> {
        if self.finish.is_some() {
            return Ok(None);
        }
        let started = Instant::now();
        let tokens = &self.slot.tokens()[self.fed..];
        let fed = self.fed + tokens.len();
        let logits = self.session.forward(&[Span { seq: self.seq, tokens, logits: Want::Last }])?;
        if torn() {
            return Err(EngineError::Torn);
        }
        let (token, finish) = self.slot.pick(logits.row(0), self.tokenizer, &mut self.text)?;
        let first = self.fed == 0;
        self.fed = fed;
        self.finish = finish;
        let time: &mut Duration = if first { &mut self.timings.prefill } else { &mut self.timings.decode };
        *time += started.elapsed();
        Ok(Some(token))
    }

    /// What is to be said so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary { finish: self.finish.clone(), usage: self.slot.usage(), timings: self.timings }
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        // The sequence was opened by `Solo::answer` and is closed nowhere else, so this cannot fail.
        let _ = self.session.close(self.seq);
    }
}
