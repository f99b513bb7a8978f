//! A model whose answers are written down, so that transcripts, failures and silences are exact.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use realizar_engine::{
    AnswerOptions, EncodeOptions, EngineError, Finish, SubmitError, Timings, Token, TokenLogprob, TopLogprob,
    Usage,
};
use realizar_http::{Answer, Backend, Chat, Facts, Job, Load, Next};

/// Begins a text.
pub(crate) const BOS: u32 = 256;
pub(crate) const VOCAB: usize = 300;
pub(crate) const CONTEXT: usize = 256;
pub(crate) const QUEUE: usize = 8;
/// The tokens of a text whose vector is not computed before it is let go on.
pub(crate) const STUCK: &[u32] = &[7];

/// What the prompt asks for, by the words in it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Script {
    /// `Hel` `lo` ` w` (half a letter) `ö` and the end.
    Hello,
    /// One letter after the other.
    Forever,
    /// Nothing, ever.
    Silent,
    /// One token, then a failure.
    Fail,
    /// One token, then a panic.
    Panic,
    /// The end of its time.
    Late,
}

#[derive(Debug)]
pub(crate) struct Scripted {
    facts: Facts,
    pub(crate) live: Arc<AtomicUsize>,
    pub(crate) queued: Arc<AtomicUsize>,
    /// Lets a tokenizer go on that is stuck, and a vector.
    pub(crate) released: Arc<AtomicBool>,
    /// Vectors that were begun.
    pub(crate) embedded: Arc<AtomicUsize>,
    /// The options of the latest request.
    pub(crate) seen: Arc<Mutex<Option<AnswerOptions>>>,
}

impl Scripted {
    pub(crate) fn new() -> Self {
        let facts = Facts {
            id: "scripted".to_owned(),
            architecture: "none".to_owned(),
            context: CONTEXT,
            places: 128,
            memory: 4 * CONTEXT,
            vocab: VOCAB,
            width: 3,
            parameters: 7,
            created: 1_700_000_000,
            embeddings: false,
        };
        Self {
            facts,
            live: Arc::default(),
            queued: Arc::default(),
            released: Arc::default(),
            embedded: Arc::default(),
            seen: Arc::default(),
        }
    }

    pub(crate) fn encoder() -> Self {
        let mut model = Self::new();
        model.facts.embeddings = true;
        model
    }
}

impl Backend for Scripted {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn load(&self) -> Load {
        let queued = self.queued.load(Ordering::SeqCst);
        Load { queued, queue_limit: QUEUE, running: self.live.load(Ordering::SeqCst), ..Load::default() }
    }

    fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<u32>, EngineError> {
        assert!(!text.contains("crash the tokenizer"), "asked to");
        while text.starts_with("stuck") && !self.released.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let ids = options.add_special.then_some(BOS).into_iter().chain(text.bytes().map(u32::from));
        // Its one special token is written `^`.
        let special = |id| if options.parse_special && id == u32::from(b'^') { BOS } else { id };
        Ok(ids.map(special).collect())
    }

    fn piece(&self, id: u32) -> Vec<u8> {
        u8::try_from(id).ok().into_iter().collect()
    }

    fn decode(&self, ids: &[u32]) -> Result<String, EngineError> {
        let bytes: Vec<u8> = ids.iter().filter_map(|id| u8::try_from(*id).ok()).collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn render(&self, chat: &Chat) -> Result<String, EngineError> {
        if chat.extra.contains_key("refuse") {
            return Err(EngineError::TemplateRefused { message: "roles must\nalternate".to_owned() });
        }
        if chat.extra.contains_key("bomb") {
            return Err(EngineError::TemplateLimit { line: Some(1), message: "too deep".to_owned() });
        }
        let turns = chat.messages.iter().map(|message| {
            let extra = if message.extra.is_empty() { String::new() } else { format!("{:?}", message.extra) };
            format!("<{}>{}{extra}", message.role, message.content)
        });
        let open = if chat.add_generation_prompt { "<assistant>" } else { "" };
        Ok(turns.collect::<String>() + open)
    }

    fn render_ids(&self, chat: &Chat) -> Result<Vec<u32>, EngineError> {
        self.encode(&self.render(chat)?, EncodeOptions { add_special: true, parse_special: true })
    }

    fn submit(&self, job: Job) -> Result<Box<dyn Answer>, SubmitError> {
        if job.prompt.is_empty() {
            return Err(SubmitError::EmptyPrompt);
        }
        if job.prompt.len() >= CONTEXT {
            return Err(SubmitError::PromptTooLong { tokens: job.prompt.len(), context: CONTEXT });
        }
        let text = self.decode(&job.prompt).unwrap();
        let scripts = [
            ("forever", Script::Forever),
            ("silent", Script::Silent),
            ("fail", Script::Fail),
            ("panic", Script::Panic),
            ("late", Script::Late),
        ];
        let script = scripts.iter().find(|(word, _)| text.contains(word)).map_or(Script::Hello, |row| row.1);
        *self.seen.lock().unwrap() = Some(job.options.clone());
        self.live.fetch_add(1, Ordering::SeqCst);
        let live = Arc::clone(&self.live);
        Ok(Box::new(Written {
            script,
            prompt: job.prompt.len(),
            options: job.options,
            at: 0,
            live,
            ended: false,
        }))
    }

    fn embed(&self, ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.embedded.fetch_add(1, Ordering::SeqCst);
        while ids == STUCK && !self.released.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(vec![1.0, f32::from(u16::try_from(ids.len()).unwrap()), -0.5])
    }
}

struct Written {
    script: Script,
    prompt: usize,
    options: AnswerOptions,
    at: usize,
    live: Arc<AtomicUsize>,
    ended: bool,
}

impl Drop for Written {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::SeqCst);
    }
}

const HELLO: &[(u32, &str, &[u8])] =
    &[(1, "Hel", b"Hel"), (2, "lo", b"lo"), (3, " w", b" w\xc3"), (4, "ö", b"\xb6")];

impl Written {
    fn token(&self, id: u32, text: &str, bytes: &[u8]) -> Next {
        let logprobs = self.options.logprobs.map(|top| {
            let top = (0..top).map(|rank| TopLogprob {
                id: id + u32::try_from(rank).unwrap(),
                bytes: if rank == 0 { bytes.to_vec() } else { format!("t{rank}").into_bytes() },
                logprob: if rank == 2 {
                    f64::NEG_INFINITY
                } else {
                    -0.5 - f64::from(u8::try_from(rank).unwrap())
                },
            });
            TokenLogprob { id, logprob: -0.5, bytes: bytes.to_vec(), top: top.collect() }
        });
        Next::Token(Token { id, text: text.to_owned(), logprobs: logprobs.into_iter().collect() })
    }

    fn finished(&mut self, finish: Finish) -> Next {
        self.ended = true;
        let usage = Usage { prompt_tokens: self.prompt, completion_tokens: self.at, cached_tokens: 1 };
        let time = Duration::from_millis(1);
        Next::Finished { finish, usage, timings: Timings { queued: time, prefill: time, decode: time } }
    }
}

impl Answer for Written {
    fn next(&mut self) -> Next {
        if self.ended {
            return Next::Closed;
        }
        let at = self.at;
        let full = self.options.max_tokens.is_some_and(|most| at >= most);
        match self.script {
            Script::Silent => Next::Pending,
            Script::Late if at == 0 => self.finished(Finish::Deadline),
            _ if full => self.finished(Finish::Length),
            Script::Forever => {
                self.at += 1;
                self.token(97, "a", b"a")
            }
            Script::Fail if at == 1 => {
                self.ended = true;
                Next::Failed(EngineError::Template { line: None, message: "broken".to_owned() })
            }
            Script::Panic if at == 1 => panic!("asked to"),
            _ => match HELLO.get(at) {
                Some((id, text, bytes)) => {
                    self.at += 1;
                    self.token(*id, text, bytes)
                }
                None => self.finished(Finish::Eos),
            },
        }
    }
}
