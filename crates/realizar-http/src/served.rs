//! The engine as the routes see it.

use std::time::{SystemTime, UNIX_EPOCH};

use realizar_engine::{
    ChatPrompt, EncodeOptions, Engine, EngineError, Event, Request, SubmitError, Ticket, TryNext,
};

use crate::backend::{Answer, Backend, Chat, Facts, Job, Load, Next};

/// An engine under the name by which clients know its model.
#[derive(Debug)]
pub struct Served {
    engine: Engine,
    facts: Facts,
}

impl Served {
    /// Serves an engine under a name.
    pub fn new(engine: Engine, id: impl Into<String>) -> Self {
        let info = engine.info();
        let facts = Facts {
            id: id.into(),
            architecture: info.architecture.to_owned(),
            context: info.context,
            places: info.sequences,
            memory: info.memory,
            vocab: info.vocab,
            width: info.hidden,
            parameters: info.parameters,
            created: info.created.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            embeddings: info.embeddings,
        };
        Self { engine, facts }
    }

    fn with_prompt<R>(chat: &Chat, then: impl FnOnce(&ChatPrompt<'_>) -> R) -> R {
        let Chat { messages, add_generation_prompt, extra } = chat;
        let add_generation_prompt = *add_generation_prompt;
        then(&ChatPrompt { messages, add_generation_prompt, extra, now: SystemTime::now() })
    }
}

impl Backend for Served {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn works(&self) -> bool {
        self.engine.works()
    }

    fn load(&self) -> Load {
        let stats = self.engine.stats();
        Load {
            queued: stats.queued,
            queue_limit: self.engine.max_queue(),
            running: stats.running,
            parked: stats.parked,
            kv_blocks: stats.kv_blocks_total,
            kv_blocks_free: stats.kv_blocks_free,
            prompt_tokens: stats.prompt_tokens_total,
            generated_tokens: stats.generated_tokens_total,
            steps: stats.steps,
        }
    }

    fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<u32>, EngineError> {
        self.engine.loaded().encode(text, options)
    }

    fn piece(&self, id: u32) -> Vec<u8> {
        self.engine.tokenizer().token_bytes(id, true).unwrap_or_default().into_owned()
    }

    fn decode(&self, ids: &[u32]) -> Result<String, EngineError> {
        let mut stream = self.engine.tokenizer().stream();
        let mut text = String::new();
        for id in ids {
            text.push_str(stream.push(*id)?);
        }
        text.push_str(stream.finish());
        Ok(text)
    }

    fn render(&self, chat: &Chat) -> Result<String, EngineError> {
        Self::with_prompt(chat, |prompt| self.engine.loaded().render(prompt))
    }

    fn render_ids(&self, chat: &Chat) -> Result<Vec<u32>, EngineError> {
        Self::with_prompt(chat, |prompt| self.engine.loaded().render_tokens(prompt, true))
    }

    fn submit(&self, job: Job) -> Result<Box<dyn Answer>, SubmitError> {
        let Job { prompt, options, owner, reader, deadline, wake } = job;
        let request = Request { prompt, options, owner, reader, deadline: Some(deadline), wake: Some(wake) };
        Ok(Box::new(self.engine.submit(request)?))
    }

    fn embed(&self, ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.engine.embed(ids)
    }
}

impl Answer for Ticket {
    fn hush(&mut self, hushed: bool) {
        Ticket::hush(self, hushed);
    }

    fn next(&mut self) -> Next {
        match self.try_next() {
            TryNext::Pending => Next::Pending,
            TryNext::Closed => Next::Closed,
            TryNext::Event(Event::Token(token)) => Next::Token(token),
            TryNext::Event(Event::Finished { finish, usage, timings }) => {
                Next::Finished { finish, usage, timings }
            }
            TryNext::Event(Event::Failed(error)) => Next::Failed(error),
            TryNext::Event(_) => Next::Pending,
        }
    }
}
