//! What is asked for ahead of its use.

use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T2, _mm_prefetch};

use super::super::rows::LANES;
use crate::matrix::Weights;

/// Bytes between a place and its use.
const LEAD: usize = 16 << 10;
/// Bytes between a place and the page that is asked for with it. Where a page lies must be looked up in tables that come from
/// memory themselves, one line of them for 32 KiB: more than `LEAD` covers.
const PAGES: usize = 64 << 10;
const PAGE: usize = 4 << 10;
const LINE: usize = 64;

/// Asks for weights in the order in which they lie, evenly over the work on those before them.
///
/// Addresses are numbers here: they may lie outside of the weights, as asking harms nothing.
#[derive(Debug)]
pub(in crate::x86::avx512) struct Stream {
    /// Lines before this address have been asked for.
    asked: usize,
    /// Lines before this address are to be.
    wanted: usize,
    /// Bytes to ask for with each unit of a row, in whole lines, and what is left of sixteen of them when these are folded.
    unit: usize,
    fold: usize,
}

impl Stream {
    /// From the first of `weights` on, whose rows are so many units; the rows that this thread has multiplied before end at
    /// address `last`.
    pub(in crate::x86::avx512) fn new(weights: &Weights<'_>, units: usize, last: usize) -> Self {
        let begin = weights.data.as_ptr().addr();
        if begin != last {
            (begin..begin + PAGES).step_by(PAGE).for_each(ask_page);
            (begin..begin + LEAD).step_by(LINE).for_each(ask);
        }
        let bytes = weights.row_bytes / units;
        let unit = bytes.saturating_sub(1) / LINE * LINE;
        Self { asked: begin + LEAD, wanted: begin + LEAD, unit, fold: (bytes - unit) * LANES }
    }

    /// Begins sixteen rows.
    pub(super) fn tile(&mut self, first: &[u8]) {
        let begin = first.as_ptr().addr() + LEAD;
        (self.asked, self.wanted) = (begin, begin);
    }

    /// One unit of a row.
    #[inline(always)]
    pub(super) fn unit(&mut self) {
        self.ask_on(self.unit);
    }

    /// One unit of all rows is folded.
    #[inline(always)]
    pub(super) fn fold(&mut self) {
        self.ask_on(self.fold);
    }

    /// A loop, and not a known count that would be unrolled: four requests at once are 10 % slower than four with a branch after
    /// each.
    #[inline(always)]
    fn ask_on(&mut self, bytes: usize) {
        self.wanted += bytes;
        while self.asked < self.wanted {
            ask(self.asked);
            self.asked += LINE;
        }
    }
}

/// Asks for the pages that will be used some time after `data`: each once, as a second time would wait for the first.
#[inline(always)]
pub(super) fn pages_after(data: &[u8]) {
    let far = data.as_ptr().addr() + PAGES;
    let mut page = far.next_multiple_of(PAGE);
    while page < far + data.len() {
        ask_page(page);
        page += PAGE;
    }
}

/// The hint matters: with the nearest level, the thread waits until the page is known.
#[inline(always)]
fn ask_page(address: usize) {
    // SAFETY: asking needs no valid address.
    unsafe { _mm_prefetch::<_MM_HINT_T2>(std::ptr::without_provenance::<i8>(address)) };
}

#[inline(always)]
fn ask(address: usize) {
    // SAFETY: asking needs no valid address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance::<i8>(address)) };
}
