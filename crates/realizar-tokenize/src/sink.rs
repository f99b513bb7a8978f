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
