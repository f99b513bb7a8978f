//! Which cache blocks hold which sequence. Sequences share blocks after a fork, and copy one before they write to it.

use realizar_tensor::{BlockId, KV_BLOCK, KvStore, Slot};

use crate::error::ModelError;

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
    /// Blocks of the positions from 0 on. Room for the whole context is reserved.
    pub(crate) blocks: Vec<BlockId>,
    /// Tokens in the cache.
    pub(crate) len: usize,
}

/// All sequences of a session.
#[derive(Debug)]
pub(crate) struct Sequences {
    places: Vec<(u64, Option<Sequence>)>,
    context: usize,
}

impl SeqId {
    /// A small number that tells open sequences apart; for messages.
    pub(crate) fn number(self) -> usize {
        self.index
    }
}

impl Sequence {
    /// Cache blocks that `adding` more tokens need from the store, counting a block that must be copied.
    pub(crate) fn blocks_needed(&self, kv: &KvStore, adding: usize) -> usize {
        let new = (self.len + adding).div_ceil(KV_BLOCK) - self.len.div_ceil(KV_BLOCK);
        new + usize::from(self.shared_tail(kv))
    }

    /// Whether the next token goes into a block that another sequence holds as well.
    fn shared_tail(&self, kv: &KvStore) -> bool {
        let partial = !self.len.is_multiple_of(KV_BLOCK);
        partial && self.blocks.last().is_some_and(|block| kv.holders(*block) > 1)
    }

    /// Takes the blocks for `adding` more tokens; the store has as many as [`Self::blocks_needed`] said.
    pub(crate) fn take_blocks(&mut self, kv: &mut KvStore, adding: usize) {
        if self.shared_tail(kv)
            && let Some(tail) = self.blocks.last_mut()
            && let Some(copy) = kv.copy_block(*tail)
        {
            kv.release(std::mem::replace(tail, copy));
        }
        while self.blocks.len() * KV_BLOCK < self.len + adding {
            let Some(block) = kv.alloc() else { return };
            self.blocks.push(block);
        }
    }

    /// Where the key and value of a position go.
    pub(crate) fn slot(&self, pos: usize) -> Slot {
        Slot { block: self.blocks[pos / KV_BLOCK], offset: (pos % KV_BLOCK) as u32 }
    }

    fn cut(&mut self, kv: &mut KvStore, len: usize) {
        for block in self.blocks.drain(len.div_ceil(KV_BLOCK)..) {
            kv.release(block);
        }
        self.len = len;
    }
}

impl Sequences {
    pub(crate) fn new(max_sequences: usize, context: usize) -> Self {
        Self { places: (0..max_sequences).map(|_| (0, None)).collect(), context }
    }

    pub(crate) fn open(&mut self) -> Result<SeqId, ModelError> {
        let limit = self.places.len();
        let free = self.places.iter_mut().enumerate().find(|(_, (_, sequence))| sequence.is_none());
        let (index, (generation, place)) = free.ok_or(ModelError::TooManySequences { limit })?;
        *place = Some(Sequence { blocks: Vec::with_capacity(self.context.div_ceil(KV_BLOCK)), len: 0 });
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

    pub(crate) fn close(&mut self, kv: &mut KvStore, id: SeqId) -> Result<(), ModelError> {
        self.get_mut(id)?.cut(kv, 0);
        self.places[id.index].1 = None;
        Ok(())
    }

    pub(crate) fn truncate(&mut self, kv: &mut KvStore, id: SeqId, wanted: usize) -> Result<(), ModelError> {
        let sequence = self.get_mut(id)?;
        if wanted > sequence.len {
            return Err(ModelError::Truncate { seq: id.index, len: sequence.len, wanted });
        }
        sequence.cut(kv, wanted);
        Ok(())
    }

    pub(crate) fn fork(&mut self, kv: &mut KvStore, id: SeqId) -> Result<SeqId, ModelError> {
        self.get(id)?;
        let copy = self.open()?;
        let source = self.get(id)?;
        let len = source.len;
        let blocks = source.blocks.clone();
        let sequence = self.get_mut(copy)?;
        for block in blocks {
            kv.retain(block);
            sequence.blocks.push(block);
        }
        sequence.len = len;
        Ok(copy)
    }
}
