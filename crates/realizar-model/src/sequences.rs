//! Which cache blocks and states hold which sequence. Sequences share blocks after a fork, and copy one before they write to it.

use realizar_tensor::{BlockId, KV_BLOCK, KvStore, Slot};

use crate::cache::Cache;
use crate::checkpoints::States;
use crate::error::ModelError;
use crate::plan::Sizes;

/// Names a sequence of a [`crate::Session`], until it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeqId {
    index: usize,
    /// Counts the sequences that had this index before, so that a closed one is not mistaken for the next.
    generation: u64,
}

/// The tokens of one sequence that are in the cache.
#[derive(Debug)]
pub(crate) struct Sequence {
    /// Blocks, per store.
    pub(crate) tables: Vec<Table>,
    /// Recurrent states, where the model has them.
    pub(crate) states: States,
    /// Tokens in the cache.
    pub(crate) len: usize,
}

/// Blocks of a sequence in one store, by position.
#[derive(Debug)]
pub(crate) struct Table {
    /// Blocks of the positions from 0 on, the first `passed` of them given back. Room for the whole context is reserved.
    blocks: Vec<BlockId>,
    /// Blocks before every window.
    passed: usize,
}

/// All sequences of a session.
#[derive(Debug)]
pub(crate) struct Sequences {
    places: Vec<(u64, Option<Sequence>)>,
    stores: usize,
    context: usize,
    /// States that each keeps of what came before, where the model has any.
    checkpoints: Option<usize>,
}

impl SeqId {
    /// A small number that tells open sequences apart; for messages.
    pub(crate) fn number(self) -> usize {
        self.index
    }
}

impl Table {
    fn new(context: usize) -> Self {
        Self { blocks: Vec::with_capacity(context.div_ceil(KV_BLOCK)), passed: 0 }
    }

    /// Blocks that `adding` tokens after `len` need from the store, counting a block that must be copied.
    pub(crate) fn needed(&self, kv: &KvStore, len: usize, adding: usize) -> usize {
        let new = (len + adding).div_ceil(KV_BLOCK) - len.div_ceil(KV_BLOCK);
        new + usize::from(self.shared_tail(kv, len))
    }

    /// Whether the next token goes into a block that another sequence holds as well.
    fn shared_tail(&self, kv: &KvStore, len: usize) -> bool {
        let partial = !len.is_multiple_of(KV_BLOCK);
        partial && self.blocks.last().is_some_and(|block| kv.holders(*block) > 1)
    }

    /// Takes the blocks for `adding` tokens after `len`; the store has as many as [`Self::needed`] said.
    pub(crate) fn take(&mut self, kv: &mut KvStore, len: usize, adding: usize) {
        if self.shared_tail(kv, len)
            && let Some(tail) = self.blocks.last_mut()
            && let Some(copy) = kv.copy_block(*tail)
        {
            kv.release(std::mem::replace(tail, copy));
        }
        while self.blocks.len() * KV_BLOCK < len + adding {
            let Some(block) = kv.alloc() else { return };
            self.blocks.push(block);
        }
    }

    /// Gives back the blocks that lie wholly before position `first`.
    pub(crate) fn pass(&mut self, kv: &mut KvStore, first: usize) {
        let passed = (first / KV_BLOCK).clamp(self.passed, self.blocks.len());
        for block in &self.blocks[self.passed..passed] {
            kv.release(*block);
        }
        self.passed = passed;
    }

    /// The blocks of the positions before `end`.
    pub(crate) fn until(&self, end: usize) -> &[BlockId] {
        &self.blocks[..end.div_ceil(KV_BLOCK)]
    }

    /// Where the key and value of a position go.
    pub(crate) fn slot(&self, pos: usize) -> Slot {
        Slot { block: self.blocks[pos / KV_BLOCK], offset: (pos % KV_BLOCK) as u32 }
    }

    /// Gives back the blocks behind position `len`.
    fn cut(&mut self, kv: &mut KvStore, len: usize) {
        let keep = len.div_ceil(KV_BLOCK).min(self.blocks.len());
        for block in self.blocks.drain(keep..).skip(self.passed.saturating_sub(keep)) {
            kv.release(block);
        }
        self.passed = self.passed.min(keep);
    }

    /// Holds the same blocks as another.
    fn share(&mut self, kv: &mut KvStore, other: &Self) {
        other.blocks[other.passed..].iter().for_each(|block| kv.retain(*block));
        self.blocks.extend_from_slice(&other.blocks);
        self.passed = other.passed;
    }
}

impl Sequence {
    fn new(stores: usize, context: usize, checkpoints: Option<usize>) -> Self {
        let states = checkpoints.map_or(States::default(), |most| States::new(most, context));
        Self { tables: (0..stores).map(|_| Table::new(context)).collect(), states, len: 0 }
    }

    /// Blocks that `adding` tokens need from each store of layers that see everything.
    pub(crate) fn needed(&self, cache: &Cache, adding: usize) -> usize {
        self.tables[0].needed(cache.full(), self.len, adding)
    }

    /// Takes them.
    pub(crate) fn take(&mut self, cache: &mut Cache, adding: usize) {
        for (table, store) in self.tables.iter_mut().zip(&mut cache.stores) {
            if store.window.is_none() {
                table.take(&mut store.kv, self.len, adding);
            }
        }
    }

    fn cut(&mut self, cache: &mut Cache, len: usize) {
        for (table, store) in self.tables.iter_mut().zip(&mut cache.stores) {
            table.cut(&mut store.kv, len);
        }
        self.len = len;
    }

    /// Whether everything that the token at `len` sees is still there.
    fn sees_all(&self, cache: &Cache, len: usize) -> bool {
        self.tables.iter().zip(&cache.stores).all(|(table, store)| {
            let seen = store.window.map_or(len, |window| len.saturating_sub(window - 1));
            seen >= table.passed * KV_BLOCK
        })
    }
}

impl Sequences {
    /// What is noted of a sequence that is not open.
    pub(crate) const BYTES_PER_SEQUENCE: usize = size_of::<(u64, Option<Sequence>)>();

    pub(crate) fn new(sizes: &Sizes) -> Self {
        let places = (0..sizes.sequences).map(|_| (0, None)).collect();
        let Sizes { context, checkpoints, .. } = *sizes;
        Self { places, stores: sizes.cache.stores(), context, checkpoints }
    }

    pub(crate) fn open(&mut self) -> Result<SeqId, ModelError> {
        let limit = self.places.len();
        let free = self.places.iter_mut().enumerate().find(|(_, (_, sequence))| sequence.is_none());
        let (index, (generation, place)) = free.ok_or(ModelError::TooManySequences { limit })?;
        *place = Some(Sequence::new(self.stores, self.context, self.checkpoints));
        *generation += 1;
        Ok(SeqId { index, generation: *generation })
    }

    pub(crate) fn get(&self, id: SeqId) -> Result<&Sequence, ModelError> {
        let place = self.places.get(id.index).filter(|(generation, _)| *generation == id.generation);
        place.and_then(|(_, sequence)| sequence.as_ref()).ok_or(ModelError::UnknownSequence { seq: id.index })
    }

    pub(crate) fn get_mut(&mut self, id: SeqId) -> Result<&mut Sequence, ModelError> {
        let place = self.places.get_mut(id.index).filter(|(generation, _)| *generation == id.generation);
        place.and_then(|(_, sequence)| sequence.as_mut()).ok_or(ModelError::UnknownSequence { seq: id.index })
    }

    pub(crate) fn close(&mut self, cache: &mut Cache, id: SeqId) -> Result<(), ModelError> {
        let sequence = self.get_mut(id)?;
        sequence.cut(cache, 0);
        if let Some(store) = &mut cache.states {
            sequence.states.clear(store);
        }
        self.places[id.index].1 = None;
        Ok(())
    }

    /// Cuts a sequence. Gives its tokens from the state that is left up to `wanted`: they must run again.
    pub(crate) fn truncate(
        &mut self,
        cache: &mut Cache,
        id: SeqId,
        wanted: usize,
    ) -> Result<Vec<u32>, ModelError> {
        let sequence = self.get_mut(id)?;
        let len = sequence.len;
        let start = if cache.states.is_some() { sequence.states.last_until(wanted, len) } else { wanted };
        // From the beginning on everything is made anew.
        if wanted > len || (start > 0 && !sequence.sees_all(cache, start)) {
            return Err(ModelError::Truncate { seq: id.index, len, wanted });
        }
        sequence.cut(cache, start);
        let Some(store) = &mut cache.states else { return Ok(Vec::new()) };
        Ok(sequence.states.go_back(store, start, len, wanted))
    }

    pub(crate) fn fork(&mut self, cache: &mut Cache, id: SeqId) -> Result<SeqId, ModelError> {
        self.get(id)?;
        let copy = self.open()?;
        let mut sequence = Sequence::new(self.stores, self.context, self.checkpoints);
        let source = self.get(id)?;
        for ((table, other), store) in sequence.tables.iter_mut().zip(&source.tables).zip(&mut cache.stores) {
            table.share(&mut store.kv, other);
        }
        if let Some(store) = &mut cache.states {
            sequence.states.share(store, &source.states);
        }
        sequence.len = source.len;
        *self.get_mut(copy)? = sequence;
        Ok(copy)
    }
}
