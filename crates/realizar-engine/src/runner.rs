//! What the scheduler needs of a model: sequences, and steps of many sequences at once.

use realizar_model::{ModelError, SeqId, Session, Span, Want};
use realizar_tokenize::TokenId;

use crate::EngineError;

/// A model that runs many sequences. [`Session`] is one; tests bring another that fails on demand.
pub(crate) trait Runner {
    /// Names a sequence.
    type Seq: Copy + std::fmt::Debug;

    /// Opens an empty sequence.
    fn open(&mut self) -> Result<Self::Seq, ModelError>;

    /// Ends a sequence.
    fn close(&mut self, seq: Self::Seq) -> Result<(), ModelError>;

    /// Forgets what lies past `len` tokens; a sequence that is shorter stays as it is.
    fn cut(&mut self, seq: Self::Seq, len: usize) -> Result<(), ModelError>;

    /// Appends tokens to sequences. `rows` gets the scores of each part that wants them, with the part's index.
    fn forward(
        &mut self,
        parts: &[Part<'_, Self::Seq>],
        rows: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), EngineError>;

    /// Free and all blocks of the key/value memory.
    fn blocks(&self) -> (usize, usize);
}

/// Whether a model file that is mapped has shrunk since the process began: what was there reads as zeros now.
pub(crate) fn torn() -> bool {
    realizar_format::torn_pages() > 0
}

/// Tokens for one sequence in a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a, S> {
    pub(crate) seq: S,
    pub(crate) tokens: &'a [TokenId],
    /// Whether the scores after the last of the tokens are wanted.
    pub(crate) wanted: bool,
}

impl Runner for Session {
    type Seq = SeqId;

    fn open(&mut self) -> Result<SeqId, ModelError> {
        Self::open(self)
    }

    fn close(&mut self, seq: SeqId) -> Result<(), ModelError> {
        Self::close(self, seq)
    }

    fn cut(&mut self, seq: SeqId, len: usize) -> Result<(), ModelError> {
        if self.len(seq)? > len { self.truncate(seq, len) } else { Ok(()) }
    }

    fn forward(
        &mut self,
        parts: &[Part<'_, SeqId>],
        rows: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), EngineError> {
        let want = |wanted| if wanted { Want::Last } else { Want::None };
        let spans: Vec<Span<'_>> = parts
            .iter()
            .map(|part| Span { seq: part.seq, tokens: part.tokens, logits: want(part.wanted) })
            .collect();
        let logits = Self::forward(self, &spans)?;
        if torn() {
            return Err(EngineError::Torn);
        }
        let wanted = parts.iter().enumerate().filter(|(_, part)| part.wanted);
        for (row, (index, _)) in wanted.enumerate() {
            rows(index, logits.row(row));
        }
        Ok(())
    }

    fn blocks(&self) -> (usize, usize) {
        (self.free_blocks(), self.total_blocks())
    }
}
