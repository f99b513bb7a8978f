//! Many answers at once: a handle that any thread may use.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use realizar_model::{Encoder, EncoderOptions, Pooling, Role, Session, SessionOptions};
use realizar_tokenize::{TokenId, Tokenizer};

use crate::channel::{Ticket, Wake, channel};
use crate::queue::{Job, Mode, Queue};
use crate::request::AnswerOptions;
use crate::runner::torn;
use crate::scheduler::{BLOCK_TOKENS, Limits, Scheduler, deadline};
use crate::slot::Slot;
use crate::stats::{Counters, Stats};
use crate::{EngineError, Loaded, SubmitError};

/// A prompt of so many tokens goes through the model at once: in pieces it would take up to twice as long.
const SHORT_PROMPT: usize = 256;

/// How an engine works.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The model's memory; `max_sequences` answers are written together.
    pub session: SessionOptions,
    /// Requests that may wait; more are turned away.
    pub max_queue: usize,
    /// Prompt tokens per step, so that a long prompt does not hold up the answers that are being written.
    pub step_tokens: usize,
    /// Events that a caller may leave unread; its answer then waits, and only its own.
    pub max_events: usize,
    /// How long requests may take.
    pub times: Times,
}

/// How long requests may take; [`Times::default`] sets no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// In the queue, until the prompt is begun.
    pub queue: Option<Duration>,
    /// From the request to the first token.
    pub first_token: Option<Duration>,
    /// The whole answer, where the request does not say.
    pub answer: Option<Duration>,
    /// While events wait that nobody takes, until the answer gives its place up to others who wait. It goes on, with the
    /// same tokens, when half of its events are taken.
    pub stalled: Option<Duration>,
}

/// One request.
#[derive(Clone)]
pub struct Request {
    /// The prompt.
    pub prompt: Vec<TokenId>,
    /// How to answer.
    pub options: AnswerOptions,
    /// Whose it is, as a number that the caller chooses: owners take turns in the queue.
    pub owner: u64,
    /// Who reads its events, as a number that the caller chooses: of a reader that does not keep up, further answers are begun
    /// after those of others.
    pub reader: u64,
    /// The time that the whole answer may take, waiting included.
    pub deadline: Option<Duration>,
    /// Called after each event; must not block.
    pub wake: Option<Wake>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Prompts are private: only their length is shown.
        let prompt = self.prompt.len();
        f.debug_struct("Request")
            .field("prompt_tokens", &prompt)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// What the model of an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// The name that its file gives it.
    pub id: String,
    /// The name of its architecture.
    pub architecture: &'static str,
    /// Tokens that a prompt and its answer may have together.
    pub context: usize,
    /// Answers that are written together.
    pub sequences: usize,
    /// Tokens that all sequences together may hold; 0 for a model that holds none.
    pub memory: usize,
    /// Number of token ids.
    pub vocab: usize,
    /// Numbers by which it knows a token, and of an embedding.
    pub hidden: usize,
    /// Number of weights.
    pub parameters: u64,
    /// When it was loaded.
    pub created: SystemTime,
    /// Whether it has a chat template.
    pub template: bool,
    /// Whether it makes embeddings instead of text.
    pub embeddings: bool,
}

/// A model that serves many requests. Cheap to clone; when the last clone is dropped, everything ends.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    loaded: Loaded,
    info: ModelInfo,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    max_events: usize,
    sequences: usize,
    times: Times,
    thread: Mutex<Option<JoinHandle<()>>>,
    encoder: Option<Mutex<Encoder>>,
}

impl Engine {
    /// Takes the memory and starts the thread that computes.
    ///
    /// # Errors
    /// An option that the model cannot follow, or no memory.
    pub fn start(loaded: Loaded, options: EngineOptions) -> Result<Self, EngineError> {
        let EngineOptions { session, max_queue, step_tokens, max_events, times } = options;
        for (option, value) in
            [("max_queue", max_queue), ("step_tokens", step_tokens), ("max_events", max_events)]
        {
            if value == 0 {
                return Err(EngineError::Option { option });
            }
        }
        let model = Arc::clone(loaded.model());
        let config = model.config();
        let embeddings = config.arch.role == Role::Encoder;
        let blocks = session.kv_blocks.unwrap_or(usize::MAX).saturating_mul(BLOCK_TOKENS);
        let all = session.context.div_ceil(BLOCK_TOKENS).saturating_mul(session.max_sequences);
        let all = session.kv_blocks.unwrap_or(all).saturating_mul(BLOCK_TOKENS);
        let info = ModelInfo {
            id: loaded.name().to_owned(),
            architecture: config.arch.name,
            context: session.context.min(blocks),
            sequences: session.max_sequences,
            memory: if embeddings { 0 } else { all },
            vocab: config.vocab,
            hidden: config.hidden,
            parameters: model.parameters(),
            created: SystemTime::now(),
            template: loaded.has_template(),
            embeddings,
        };
        let sequences = session.max_sequences;
        let queue = Arc::new(Queue::new(max_queue, sequences));
        let counters = Arc::new(Counters::default());
        let mut inner = Inner {
            loaded,
            info,
            queue: Arc::clone(&queue),
            counters: Arc::clone(&counters),
            max_events,
            sequences,
            times,
            thread: Mutex::new(None),
            encoder: None,
        };
        if embeddings {
            let SessionOptions { pool, kernels, context, .. } = session;
            let encoder = Encoder::new(model, EncoderOptions { pool, kernels, max_tokens: context })?;
            inner.encoder = Some(Mutex::new(encoder));
        } else {
            let limits = Limits { sequences, prompt_tokens: step_tokens, short_prompt: SHORT_PROMPT, times };
            let runner = Session::new(model, session)?;
            let scheduler =
                Scheduler::new(runner, Arc::clone(inner.loaded.tokenizer()), queue, counters, limits);
            let thread = std::thread::Builder::new()
                .name("realizar-engine".to_owned())
                .spawn(move || scheduler.serve());
            inner.thread = Mutex::new(Some(thread.map_err(EngineError::Thread)?));
        }
        Ok(Self(Arc::new(inner)))
    }

    /// What the model is.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        &self.0.info
    }

    /// The model, its tokenizer and its chat template.
    #[must_use]
    pub fn loaded(&self) -> &Loaded {
        &self.0.loaded
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        self.0.loaded.tokenizer()
    }

    /// Queues a request.
    ///
    /// # Errors
    /// A full queue, an engine that takes nothing new, a prompt that does not fit, an option that cannot be followed.
    pub fn submit(&self, request: Request) -> Result<Ticket, SubmitError> {
        let inner = &*self.0;
        if inner.encoder.is_some() {
            return Err(SubmitError::NoText { architecture: inner.info.architecture });
        }
        let Request { prompt, options, owner, reader, deadline: time, wake } = request;
        let vocab = inner.info.vocab;
        if let Some(&token) = prompt.iter().find(|&&token| token as usize >= vocab) {
            return Err(SubmitError::UnknownToken { token, vocab });
        }
        if let Some(&(id, _)) = options.sampling.logit_bias.iter().find(|(id, _)| *id as usize >= vocab) {
            return Err(SubmitError::Sampling(realizar_sample::SampleError::BiasToken { id, vocab }));
        }
        let slot = Slot::new(&prompt, &options, inner.info.context, inner.loaded.ends())?;
        let queue = Arc::clone(&inner.queue);
        let (sink, ticket) = channel(inner.max_events, wake, Arc::new(move || queue.ring()));
        let submitted = Instant::now();
        let deadline = deadline(submitted, time.or(inner.times.answer));
        let job = Job { slot, sink, owner, reader, submitted, deadline };
        inner.queue.push(job, |waiting| inner.counters.retry_after(waiting, inner.sequences))?;
        Ok(ticket)
    }

    /// The vector of a text, of length 1, as the model's file says that tokens are joined.
    ///
    /// # Errors
    /// A model that makes none, or a text that is empty or too long for it.
    pub fn embed(&self, tokens: &[TokenId]) -> Result<Vec<f32>, EngineError> {
        let architecture = self.0.info.architecture;
        let encoder = self.0.encoder.as_ref().ok_or(EngineError::NoEmbeddings { architecture })?;
        let pooling = match self.0.loaded.model().config().pooling {
            None | Some(Pooling::None) => Pooling::Mean,
            Some(pooling) => pooling,
        };
        let mut encoder = encoder.lock().unwrap_or_else(PoisonError::into_inner);
        let vector = encoder.encode(tokens, pooling, true)?;
        if torn() { Err(EngineError::Torn) } else { Ok(vector) }
    }

    /// Whether it can still answer: false once the model's file was changed under it, or its thread has ended.
    #[must_use]
    pub fn works(&self) -> bool {
        !torn() && self.0.queue.lock().mode != Mode::Stopped
    }

    /// How busy it is. Never waits for a step.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let queued = self.0.queue.lock().waiting.len();
        self.0.counters.read(queued)
    }

    /// How many requests may wait.
    #[must_use]
    pub fn max_queue(&self) -> usize {
        self.0.queue.limit()
    }

    /// Takes nothing new, and answers what it has.
    pub fn drain(&self) {
        self.0.queue.set_mode(Mode::Draining);
    }

    /// Waits until no request is left; false when `timeout` came first.
    #[must_use]
    pub fn wait_idle(&self, timeout: Duration) -> bool {
        self.0.queue.wait_idle(timeout)
    }

    /// Ends every request within one step, and the thread.
    pub fn shutdown(&self) {
        self.0.stop();
    }
}

impl Inner {
    fn stop(&self) {
        self.queue.set_mode(Mode::Stopped);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // It catches the panics of its steps, so there is nothing to hear of.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
