//! Where encoded tokens go.

use crate::TokenId;

/// Takes tokens in order. A token stands for bytes `start..end` of the text that the model saw.
pub(crate) trait Sink {
    fn token(&mut self, id: TokenId, start: usize, end: usize);
}

/// Only the ids.
impl Sink for Vec<TokenId> {
    fn token(&mut self, id: TokenId, _start: usize, _end: usize) {
        self.push(id);
    }
}

/// Only the ids, in a list that grows by as little as a text allows: most of what encoding takes is this list.
#[derive(Debug)]
pub(crate) struct Ids {
    pub(crate) ids: Vec<TokenId>,
    step: usize,
}

impl Ids {
    /// For a text of so many bytes.
    pub(crate) fn of(bytes: usize) -> Self {
        let step = bytes / 16 + 16;
        Self { ids: Vec::with_capacity(step), step }
    }
}

impl Sink for Ids {
    #[inline]
    fn token(&mut self, id: TokenId, _start: usize, _end: usize) {
        if self.ids.len() == self.ids.capacity() {
            self.ids.reserve_exact(self.step);
        }
        self.ids.push(id);
    }
}

/// Only their number.
#[derive(Debug, Default)]
pub(crate) struct Count(pub(crate) usize);

impl Sink for Count {
    fn token(&mut self, _id: TokenId, _start: usize, _end: usize) {
        self.0 += 1;
    }
}

/// Ids and places.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    pub(crate) ids: Vec<TokenId>,
    pub(crate) offsets: Vec<(usize, usize)>,
}

impl Sink for Placed {
    fn token(&mut self, id: TokenId, start: usize, end: usize) {
        self.ids.push(id);
        self.offsets.push((start, end));
    }
}
