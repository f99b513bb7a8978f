//! What the routes need of an engine, and nothing more.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use realizar_engine::{
    AnswerOptions, ChatMessage, EncodeOptions, EngineError, Finish, SubmitError, Timings, Token, Usage,
    in_line,
};
use serde_json::{Map, Value};

/// A model that answers requests. [`Served`](crate::Served) is the engine as one; tests bring their own.
///
/// No method may wait for the compute thread.
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// What the model is.
    fn facts(&self) -> &Facts;

    /// Whether it can answer: false once its file was changed under it, or its thread has ended.
    fn works(&self) -> bool {
        true
    }

    /// How busy it is.
    fn load(&self) -> Load;

    /// Text to ids.
    ///
    /// # Errors
    /// The tokenizer cannot encode the text.
    fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<u32>, EngineError>;

    /// The bytes of a token; none for an id that is not in the vocabulary.
    fn piece(&self, id: u32) -> Vec<u8>;

    /// Ids to text; special tokens leave none.
    ///
    /// # Errors
    /// An id that is not in the vocabulary.
    fn decode(&self, ids: &[u32]) -> Result<String, EngineError>;

    /// A conversation as the text that the model was trained on.
    ///
    /// # Errors
    /// No template, or one that refuses this conversation.
    fn render(&self, chat: &Chat) -> Result<String, EngineError>;

    /// A conversation as tokens.
    ///
    /// # Errors
    /// As [`render`](Self::render), or the text cannot be encoded.
    fn render_ids(&self, chat: &Chat) -> Result<Vec<u32>, EngineError>;

    /// Queues a request. It ends when the answer is dropped.
    ///
    /// # Errors
    /// A full queue, a prompt that does not fit, an option that cannot be followed.
    fn submit(&self, job: Job) -> Result<Box<dyn Answer>, SubmitError>;

    /// The vector of a text, of length 1.
    ///
    /// # Errors
    /// The model makes none, or the text is too long for it.
    fn embed(&self, ids: &[u32]) -> Result<Vec<f32>, EngineError>;
}

/// An answer that is being written.
pub trait Answer: Send {
    /// What has come since the last call; never waits.
    fn next(&mut self) -> Next;

    /// While hushed, tokens need not call the job's `wake`, only the end must: the reader looks by itself.
    fn hush(&mut self, _hushed: bool) {}
}

/// The next part of an answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Next {
    /// A token, with the text that it completes.
    Token(Token),
    /// The end.
    Finished {
        /// Why it ended.
        finish: Finish,
        /// What it took.
        usage: Usage,
        /// How long it took.
        timings: Timings,
    },
    /// The end, without an answer.
    Failed(EngineError),
    /// Nothing yet; the job's `wake` is called when there is more.
    Pending,
    /// There was an end before.
    Closed,
}

/// A conversation for the template.
#[derive(Debug, Clone, PartialEq)]
pub struct Chat {
    /// The messages.
    pub messages: Vec<ChatMessage>,
    /// Whether the assistant's turn is opened.
    pub add_generation_prompt: bool,
    /// Further variables.
    pub extra: Map<String, Value>,
}

/// A request for one answer.
pub struct Job {
    /// The prompt.
    pub prompt: Vec<u32>,
    /// How to answer.
    pub options: AnswerOptions,
    /// Whose it is: owners take turns in the queue.
    pub owner: u64,
    /// Who reads it: answers of one request have one reader.
    pub reader: u64,
    /// The time that the whole answer may take.
    pub deadline: Duration,
    /// Called when [`Answer::next`] has something new.
    pub wake: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Job {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let job = &self;
        out.debug_struct("Job").field("prompt", &job.prompt.len()).field("options", &job.options).finish()
    }
}

/// What a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The name under which it is served.
    pub id: String,
    /// The name of its architecture.
    pub architecture: String,
    /// Tokens that a sequence may hold.
    pub context: usize,
    /// Answers that are written together.
    pub places: usize,
    /// Tokens that all sequences together may hold; 0 where nothing is held.
    pub memory: usize,
    /// Number of token ids.
    pub vocab: usize,
    /// Numbers of a vector.
    pub width: usize,
    /// Number of weights.
    pub parameters: u64,
    /// When it was loaded, in seconds of Unix time.
    pub created: u64,
    /// Whether it makes embeddings instead of text.
    pub embeddings: bool,
}

/// How busy a model is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that wait.
    pub queued: usize,
    /// How many may wait.
    pub queue_limit: usize,
    /// Requests that are being answered.
    pub running: usize,
    /// Requests that gave way to others, since their clients did not read.
    pub parked: usize,
    /// Blocks of the key/value memory.
    pub kv_blocks: usize,
    /// Those that no sequence uses.
    pub kv_blocks_free: usize,
    /// Tokens of prompts since the start.
    pub prompt_tokens: u64,
    /// Tokens of answers since the start.
    pub generated_tokens: u64,
    /// Steps since the start.
    pub steps: u64,
}

impl Load {
    /// Whether a further request would be turned away by a model of so many places.
    pub(crate) fn full(&self, places: usize) -> Option<SubmitError> {
        let waiting = in_line(self.queued, self.running + self.parked, places);
        (waiting >= self.queue_limit).then_some(SubmitError::QueueFull {
            waiting,
            limit: self.queue_limit,
            retry_after: Duration::from_secs(1),
        })
    }
}
