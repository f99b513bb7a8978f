//! What is asked for ahead of its use.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

/// Bytes between a place and its use.
const LEAD: usize = 8 << 10;
/// Bytes between a place and the page that is asked for with it. Where a page lies must be looked up in tables that come from
/// memory themselves, one line of them for 32 KiB: far more than `LEAD` covers.
const PAGES: usize = 64 << 10;
const PAGE: usize = 4 << 10;
const LINE: usize = 64;

/// Asks for the weights in the order in which they lie, evenly over the work on those before them.
///
/// Addresses are numbers here: they may lie outside of the weights, as asking harms nothing.
#[derive(Debug)]
pub(in crate::x86::avx512) struct Stream {
    /// Up to here lines have been asked for.
    asked: usize,
    /// Up to here they are to be.
    wanted: usize,
    /// Where the present sixteen rows end.
    end: usize,
    /// Bytes for each step of a row, and for each step of folding.
    row: usize,
    fold: usize,
}

impl Stream {
    /// From the rows at `data` on; the thread has asked for lines up to `asked` before.
    pub(in crate::x86::avx512) fn new(data: &[u8], asked: usize) -> Self {
        let begin = data.as_ptr().addr();
        let goes_on = (begin..begin + 2 * LEAD).contains(&asked);
        let mut stream = Self {
            asked: if goes_on { asked } else { begin },
            wanted: begin + LEAD,
            end: begin,
            row: 0,
            fold: 0,
        };
        if !goes_on {
            for page in (begin..begin + PAGES).step_by(PAGE) {
                ask(page);
            }
        }
        stream.ask_on();
        stream
    }

    /// Up to where lines have been asked for.
    pub(in crate::x86::avx512) fn asked(&self) -> usize {
        self.asked
    }

    /// Begins the next `bytes`: so many steps for each of sixteen rows, and as many of folding.
    pub(super) fn tile(&mut self, bytes: usize, steps: usize) {
        self.wanted = self.end + LEAD;
        self.end += bytes;
        self.fold = bytes / steps / 8;
        self.row = (bytes / steps - self.fold) / 16;
    }

    /// One step of a row.
    #[inline(always)]
    pub(super) fn row(&mut self) {
        self.wanted += self.row;
        self.ask_on();
    }

    /// One step of folding.
    #[inline(always)]
    pub(super) fn fold(&mut self) {
        self.wanted += self.fold;
        self.ask_on();
    }

    #[inline(always)]
    fn ask_on(&mut self) {
        while self.asked < self.wanted {
            ask(self.asked);
            if self.asked % PAGE < LINE {
                ask(self.asked + PAGES);
            }
            self.asked += LINE;
        }
    }
}

#[inline(always)]
fn ask(address: usize) {
    // SAFETY: asking needs no valid address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance::<i8>(address)) };
}
