//! Running a model: sequences, their cache, and batches of tokens through the transformer.

use std::sync::Arc;

use realizar_tensor::{AttentionSpan, Kernels, KvType, Pool, Slot, StateSpan};

use crate::arch::Role;
use crate::cache::{Cache, MOST_STORES};
use crate::error::ModelError;
use crate::logits::Logits;
use crate::model::Model;
use crate::plan::{MemoryPlan, Sizes};
use crate::sequences::{SeqId, Sequences, Table};
use crate::transformer::{Paging, Pass, Step, Wanted};

/// How a session runs its model.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// The threads.
    pub pool: Arc<Pool>,
    /// The kernels.
    pub kernels: &'static Kernels,
    /// Tokens that a sequence can hold.
    pub context: usize,
    /// How keys and values are stored.
    pub kv: KvType,
    /// Tokens that go through the model at once; longer batches are cut, and more than all sequences can hold mean as
    /// many. Results do not depend on it.
    pub chunk: usize,
    /// Sequences that can be open at once.
    pub max_sequences: usize,
    /// Cache blocks of 64 tokens for all sequences together; `None`: as many as they can need.
    pub kv_blocks: Option<usize>,
    /// Recurrent states that a sequence keeps, of those after every [`Session::CHECKPOINT_TOKENS`]: each costs as much
    /// memory as a sequence's state, and saves [`Session::truncate`] the tokens before it. Results do not depend on it;
    /// nothing to models without such states.
    pub checkpoints: usize,
}

/// Tokens to append to one sequence.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    /// The sequence.
    pub seq: SeqId,
    /// At least one token.
    pub tokens: &'a [u32],
    /// Which of the tokens need logits.
    pub logits: Want,
}

/// Which tokens of a span need logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// None of them.
    None,
    /// The last one.
    Last,
    /// All of them.
    All,
}

/// A model at work: some sequences and the memory for their keys and values.
///
/// What a token gets for an answer depends on its sequence alone: not on the other sequences of a batch, on how a
/// prompt was cut, on threads, or on whether a part was shared by [`Session::fork`].
#[derive(Debug)]
pub struct Session {
    model: Arc<Model>,
    context: usize,
    chunk: usize,
    sequences: Sequences,
    pass: Pass,
    rows: RowLists,
    /// Logits of batches that do not fit into one pass.
    collected: Vec<f32>,
}

/// What the rows of a pass are; kept, so that a step allocates nothing.
#[derive(Debug, Default)]
struct RowLists {
    ids: Vec<u32>,
    positions: Vec<u32>,
    /// Per store of the cache.
    paging: Vec<PagingLists>,
    states: Vec<StateSpan>,
    pieces: Vec<Piece>,
    wanted: Vec<usize>,
}

/// Rows and the blocks of a store.
#[derive(Debug, Default)]
struct PagingLists {
    slots: Vec<Slot>,
    spans: Vec<AttentionSpan<'static>>,
    /// The spans once more, cut where stretches end; positions count from the stretch's begin.
    stretches: Vec<AttentionSpan<'static>>,
}

/// Consecutive tokens of one sequence in a pass.
#[derive(Debug, Clone, Copy)]
struct Piece {
    seq: SeqId,
    first_row: usize,
    rows: usize,
    first_pos: usize,
}

impl Session {
    /// Tokens whose keys and values share a block: what [`Self::free_blocks`] and `kv_blocks` count in.
    pub const BLOCK_TOKENS: usize = realizar_tensor::KV_BLOCK;

    /// Tokens between the places where a recurrent state is kept.
    pub const CHECKPOINT_TOKENS: usize = crate::checkpoints::EVERY;

    /// What a session with these options will need.
    ///
    /// # Errors
    ///
    /// An option is 0 or beyond what the model can do, or the cache is too large to be counted.
    pub fn memory_plan(model: &Model, options: &SessionOptions) -> Result<MemoryPlan, ModelError> {
        Sizes::of(model, options)?.plan(model)
    }

    /// Allocates a session. All memory of a step is taken here.
    ///
    /// # Errors
    ///
    /// As [`Self::memory_plan`], the memory is not there, or the model is an encoder: it says nothing of the next token.
    pub fn new(model: Arc<Model>, options: SessionOptions) -> Result<Self, ModelError> {
        let arch = model.config().arch;
        if arch.role == Role::Encoder {
            let what = "saying the next token (it is an encoder)".to_owned();
            return Err(ModelError::Unsupported { architecture: arch.name, what });
        }
        let sizes = Sizes::of(&model, &options)?;
        sizes.plan(&model)?.try_reserve()?;
        let SessionOptions { pool, kernels, context, .. } = options;
        let (chunk, stores) = (sizes.chunk, sizes.cache.stores());
        let sequences = Sequences::new(&sizes);
        let pass = Pass::new(&model, (pool, kernels), sizes, context)?;
        Ok(Self {
            model,
            context,
            chunk,
            sequences,
            pass,
            rows: RowLists::with_capacity(chunk, stores),
            collected: Vec::new(),
        })
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Opens an empty sequence.
    ///
    /// # Errors
    ///
    /// All sequences of the session are in use.
    pub fn open(&mut self) -> Result<SeqId, ModelError> {
        self.sequences.open()
    }

    /// Ends a sequence and frees what only it held.
    ///
    /// # Errors
    ///
    /// The sequence is not open.
    pub fn close(&mut self, seq: SeqId) -> Result<(), ModelError> {
        self.sequences.close(&mut self.pass.cache, seq)
    }

    /// Tokens of a sequence in the cache.
    ///
    /// # Errors
    ///
    /// The sequence is not open.
    pub fn len(&self, seq: SeqId) -> Result<usize, ModelError> {
        Ok(self.sequences.get(seq)?.len)
    }

    /// Forgets all but the first `len` tokens of a sequence.
    ///
    /// Layers with a window keep only what the next token can see. A sequence can always be emptied, and cut back to
    /// where a [`Self::forward`] of at most a chunk began; farther back it may be refused, and its tokens must be run
    /// again. A model with recurrent states goes back to a state that was kept, or to the beginning, and runs the tokens
    /// from there up to `len` once more, here and now: after a [`Self::forward`] of several tokens those of them that
    /// stay, else [`Self::CHECKPOINT_TOKENS`] at most near the end, and more where states are no longer kept.
    ///
    /// # Errors
    ///
    /// The sequence is not open or shorter, or what the next token would see is gone: then nothing has changed. Or the
    /// tokens that must run again do not fit into the cache, where a fork holds the blocks: then the sequence is shorter.
    pub fn truncate(&mut self, seq: SeqId, len: usize) -> Result<(), ModelError> {
        let again = self.sequences.truncate(&mut self.pass.cache, seq, len)?;
        if !again.is_empty() {
            self.forward(&[Span { seq, tokens: &again, logits: Want::None }])?;
        }
        Ok(())
    }

    /// Opens a sequence with the same tokens. Nothing is copied before one of the two goes on.
    ///
    /// # Errors
    ///
    /// The sequence is not open, or all sequences of the session are in use.
    pub fn fork(&mut self, seq: SeqId) -> Result<SeqId, ModelError> {
        self.sequences.fork(&mut self.pass.cache, seq)
    }

    /// Cache blocks of 64 tokens that no sequence holds.
    #[must_use]
    pub fn free_blocks(&self) -> usize {
        self.pass.cache.full().free_blocks()
    }

    /// Cache blocks in all.
    #[must_use]
    pub fn total_blocks(&self) -> usize {
        self.pass.cache.full().total_blocks()
    }

    /// Appends tokens to sequences and gives the logits that were asked for, in the batch's order.
    ///
    /// A batch that fits into a chunk allocates nothing, unless it wants logits on both sides of a place where a recurrent
    /// state is kept.
    ///
    /// # Errors
    ///
    /// A sequence is not open or named twice, a span is empty or holds a token outside the vocabulary, a context or
    /// the cache overflows. Then nothing has changed.
    pub fn forward(&mut self, batch: &[Span<'_>]) -> Result<Logits<'_>, ModelError> {
        self.check(batch)?;
        for span in batch {
            let sequence = self.sequences.get_mut(span.seq)?;
            sequence.take(&mut self.pass.cache, span.tokens.len());
        }
        let wanted: usize = batch.iter().map(Span::wanted).sum();
        self.collected.clear();
        let (mut at, mut start) = (0, 0);
        while at < batch.len() {
            (at, start) =
                self.rows.fill(batch, (at, start), self.chunk, &mut self.sequences, &mut self.pass.cache)?;
            // Where one pass has all of them, they stay where they are.
            let all = self.rows.wanted.len() == wanted && wanted <= self.pass.buffers.logits.capacity();
            self.run_pass(!all)?;
        }
        let vocab = self.model.config().vocab;
        let data = match (wanted, self.collected.is_empty()) {
            (0, _) => &[],
            (_, true) => self.pass.buffers.logits.read(),
            (_, false) => &self.collected[..],
        };
        Ok(Logits::new(data, vocab))
    }

    /// Runs the rows that were gathered, and counts them as cached.
    fn run_pass(&mut self, collect: bool) -> Result<(), ModelError> {
        let Self { model, sequences, pass, rows, collected, .. } = self;
        let mut paging = [Paging::default(); MOST_STORES];
        let stretch = model.config().arch.stretch.map(|positions| positions as usize);
        let mut lists: [_; MOST_STORES] = std::array::from_fn(|store| match rows.paging.get_mut(store) {
            Some(lists) => {
                (recycled(std::mem::take(&mut lists.spans)), recycled(std::mem::take(&mut lists.stretches)))
            }
            None => (Vec::new(), Vec::new()),
        });
        for piece in &rows.pieces {
            let sequence = sequences.get(piece.seq)?;
            for ((spans, stretches), table) in lists.iter_mut().zip(&sequence.tables) {
                spans.push(piece.span(table));
                if let Some(stretch) = stretch {
                    piece.stretches(table, stretch, stretches);
                }
            }
        }
        for (store, own) in rows.paging.iter().enumerate() {
            let (spans, stretches) = &lists[store];
            paging[store] = Paging { slots: &own.slots, spans, stretches };
        }
        let RowLists { ids, positions, states, .. } = &*rows;
        let wanted = Wanted::Rows(&rows.wanted);
        pass.run(model, Step { ids, positions, paging: &paging, states, wanted });
        for ((spans, stretches), own) in lists.into_iter().zip(&mut rows.paging) {
            own.spans = recycled(spans);
            own.stretches = recycled(stretches);
        }
        for piece in &rows.pieces {
            sequences.get_mut(piece.seq)?.len += piece.rows;
        }
        let (wanted, most) = (rows.wanted.len(), pass.buffers.logits.capacity());
        for first in (0..wanted).step_by(most) {
            pass.logits(model, first..wanted.min(first + most));
            if collect {
                collected.extend_from_slice(pass.buffers.logits.read());
            }
        }
        Ok(())
    }

    /// Everything that can be wrong with a batch.
    fn check(&self, batch: &[Span<'_>]) -> Result<(), ModelError> {
        let vocab = self.model.config().vocab;
        let (mut needed, free) = (0, self.free_blocks());
        for (index, span) in batch.iter().enumerate() {
            let sequence = self.sequences.get(span.seq)?;
            let seq = span.seq.number();
            if batch[..index].iter().any(|other| other.seq == span.seq) {
                return Err(ModelError::SequenceTwice { seq });
            }
            if span.tokens.is_empty() {
                return Err(ModelError::NoTokens { seq });
            }
            if let Some(&token) = span.tokens.iter().find(|token| **token as usize >= vocab) {
                return Err(ModelError::UnknownToken { seq, token, vocab });
            }
            let (len, adding, context) = (sequence.len, span.tokens.len(), self.context);
            if self.pass.cache.states.is_some() && !sequence.states.is_after(len) {
                return Err(ModelError::StateLost { seq, len });
            }
            if adding > context - len {
                return Err(ModelError::ContextFull { seq, len, adding, context });
            }
            needed += sequence.needed(&self.pass.cache, adding);
        }
        if needed > free { Err(ModelError::CacheFull { needed, free }) } else { Ok(()) }
    }
}

impl Span<'_> {
    fn wanted(&self) -> usize {
        match self.logits {
            Want::None => 0,
            Want::Last => 1,
            Want::All => self.tokens.len(),
        }
    }
}

impl Piece {
    fn span<'a>(&self, table: &'a Table) -> AttentionSpan<'a> {
        AttentionSpan {
            rows: self.first_row..self.first_row + self.rows,
            first_pos: self.first_pos as u32,
            blocks: table.until(self.first_pos + self.rows),
        }
    }

    /// The span cut at multiples of `stretch` positions, which are whole blocks; each part sees its stretch alone.
    fn stretches<'a>(&self, table: &'a Table, stretch: usize, out: &mut Vec<AttentionSpan<'a>>) {
        let (mut row, mut pos, end) = (self.first_row, self.first_pos, self.first_pos + self.rows);
        while pos < end {
            let begin = pos / stretch * stretch;
            let rows = (begin + stretch).min(end) - pos;
            out.push(AttentionSpan {
                rows: row..row + rows,
                first_pos: (pos - begin) as u32,
                blocks: &table.until(pos + rows)[begin / Session::BLOCK_TOKENS..],
            });
            (row, pos) = (row + rows, pos + rows);
        }
    }
}

impl PagingLists {
    fn with_capacity(rows: usize) -> Self {
        Self {
            slots: Vec::with_capacity(rows),
            spans: Vec::with_capacity(rows),
            stretches: Vec::with_capacity(rows),
        }
    }
}

impl RowLists {
    fn with_capacity(chunk: usize, stores: usize) -> Self {
        Self {
            ids: Vec::with_capacity(chunk),
            positions: Vec::with_capacity(chunk),
            paging: (0..stores).map(|_| PagingLists::with_capacity(chunk)).collect(),
            states: Vec::with_capacity(chunk),
            pieces: Vec::with_capacity(chunk),
            wanted: Vec::with_capacity(chunk),
        }
    }

    /// Gathers up to `chunk` rows of the batch from a span and a token of it on; gives where to go on.
    fn fill(
        &mut self,
        batch: &[Span<'_>],
        (mut at, mut start): (usize, usize),
        chunk: usize,
        sequences: &mut Sequences,
        cache: &mut Cache,
    ) -> Result<(usize, usize), ModelError> {
        let Self { ids, positions, paging, states, pieces, wanted } = self;
        ids.clear();
        positions.clear();
        paging.iter_mut().for_each(|lists| lists.slots.clear());
        states.clear();
        pieces.clear();
        wanted.clear();
        while let Some(span) = batch.get(at).filter(|_| ids.len() < chunk) {
            let sequence = sequences.get_mut(span.seq)?;
            let left = &span.tokens[start..];
            let room = if cache.states.is_some() { sequence.states.room(sequence.len) } else { usize::MAX };
            let rows = left.len().min(chunk - ids.len()).min(room);
            let (first_row, first_pos) = (ids.len(), sequence.len);
            ids.extend_from_slice(&left[..rows]);
            positions.extend((first_pos..first_pos + rows).map(|pos| pos as u32));
            let tables = sequence.tables.iter_mut().zip(&mut cache.stores).zip(&mut *paging);
            for ((table, store), lists) in tables {
                if let Some(window) = store.window {
                    table.pass(&mut store.kv, (first_pos + 1).saturating_sub(window));
                    table.take(&mut store.kv, first_pos, rows);
                }
                lists.slots.extend((first_pos..first_pos + rows).map(|pos| table.slot(pos)));
            }
            if let Some(store) = &mut cache.states
                && let Some(state) =
                    sequence.states.advance(store, first_pos, &left[..rows], start == 0 && left.len() > 1)
            {
                states.push(StateSpan { rows: first_row..first_row + rows, state });
            }
            pieces.push(Piece { seq: span.seq, first_row, rows, first_pos });
            let ends = rows == left.len();
            match span.logits {
                Want::All => wanted.extend(first_row..first_row + rows),
                Want::Last if ends => wanted.push(first_row + rows - 1),
                Want::Last | Want::None => {}
            }
            if !ends {
                // The rest is of the next pass.
                return Ok((at, start + rows));
            }
            (at, start) = (at + 1, 0);
        }
        Ok((at, start))
    }
}

/// The memory of a list whose elements are gone, for elements of another lifetime.
fn recycled<'a>(mut spans: Vec<AttentionSpan<'_>>) -> Vec<AttentionSpan<'a>> {
    spans.clear();
    // Collecting in place keeps the allocation; a test counts that.
    spans.into_iter().map_while(|_| None).collect()
}
