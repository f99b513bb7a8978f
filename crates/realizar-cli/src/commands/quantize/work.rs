//! The work itself: stretches of rows go to threads in turn, and come back in order.
//!
//! Each thread has a short queue of results, so that memory stays bounded and nobody waits for a neighbour.

use std::mem;
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use realizar_model::GgufView;
use realizar_quant::{Codec, DType, decode, encode};

use super::error::QuantizeError;
use super::imatrix::Imatrix;
use super::plan::{Plan, Planned};
use crate::error::CliError;

/// Elements of a stretch, if rows are not longer. Large enough that threads seldom meet, small enough for the cache.
const STRETCH: usize = 1 << 18;

/// Results of a thread that may wait.
const QUEUE: usize = 4;

/// From this magnitude on a scale may be too large for half precision.
const LARGE: f32 = 32768.0;

/// What there is to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) weights: &'a GgufView<'a>,
    pub(super) imatrix: Option<&'a Imatrix>,
}

/// The new bytes of a stretch, and how many old ones they stand for.
type Done = Result<(Vec<u8>, u64), CliError>;

/// Makes all tensors on `threads` threads; `write` gets their bytes in order, with the number of bytes they were made
/// from.
pub(super) fn run(
    job: &Job<'_>,
    threads: usize,
    mut write: impl FnMut(&[u8], u64) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let stretches: Vec<(&Planned<'_>, Range<usize>)> = job.plan.tensors.iter().flat_map(stretches).collect();
    let threads = threads.clamp(1, stretches.len().max(1));
    thread::scope(|scope| {
        let mut results = Vec::with_capacity(threads);
        for first in 0..threads {
            let (send, receive) = mpsc::sync_channel(QUEUE);
            let (give_back, used) = mpsc::channel();
            let mine = stretches.iter().skip(first).step_by(threads);
            scope.spawn(move || Worker::new(job, used).work(mine, &send));
            results.push((receive, give_back));
        }
        for (receive, give_back) in results.iter().cycle().take(stretches.len()) {
            // A thread sends as many results as it has stretches, or an error before; else it has panicked.
            let Ok(done) = receive.recv() else { return Ok(()) };
            let (bytes, taken) = done?;
            write(&bytes, taken)?;
            let _ = give_back.send(bytes);
        }
        Ok(())
    })
}

/// The stretches of rows of a tensor.
fn stretches<'a>(tensor: &'a Planned<'a>) -> impl Iterator<Item = (&'a Planned<'a>, Range<usize>)> {
    let empty = tensor.shape.cols() == 0;
    let rows = if empty { 0 } else { tensor.shape.rows() };
    let step = (STRETCH / tensor.shape.cols().max(1)).max(1);
    (0..rows).step_by(step).map(move |first| (tensor, first..rows.min(first + step)))
}

/// The buffers of one thread.
#[derive(Debug)]
struct Worker<'a> {
    job: &'a Job<'a>,
    /// Results that were written.
    used: Receiver<Vec<u8>>,
    source: Vec<u8>,
    floats: Vec<f32>,
    importance: Vec<f32>,
    /// Whose importance is there: entry and expert.
    held: Option<(usize, usize)>,
}

impl<'a> Worker<'a> {
    fn new(job: &'a Job<'a>, used: Receiver<Vec<u8>>) -> Self {
        let (source, floats, importance) = (Vec::new(), Vec::new(), Vec::new());
        Self { job, used, source, floats, importance, held: None }
    }

    fn work<'b>(
        &mut self,
        stretches: impl Iterator<Item = &'b (&'b Planned<'b>, Range<usize>)>,
        send: &SyncSender<Done>,
    ) {
        for (tensor, rows) in stretches {
            let mut out = self.used.try_recv().unwrap_or_default();
            let done = self.make(tensor, rows, &mut out).map(|taken| (out, taken));
            // Nobody listens once something else has failed.
            if send.send(done).is_err() {
                return;
            }
        }
    }

    /// Fills `out` with the new bytes of some rows.
    fn make(
        &mut self,
        tensor: &Planned<'_>,
        rows: &Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<u64, CliError> {
        let mut scratch = mem::take(&mut self.source);
        let bytes = self.job.weights.rows(tensor.index, rows.clone(), &mut scratch)?;
        let taken = bytes.len() as u64;
        out.clear();
        let cols = tensor.shape.cols();
        if Codec::of(tensor.from).is_none() && tensor.from == tensor.to {
            out.extend_from_slice(bytes);
        } else {
            // Rows of any length pass in pieces of whole blocks.
            let piece = |dtype: DType, elems: usize| dtype.row_bytes(elems).unwrap_or_default();
            let step = if tensor.importance.is_some() { cols } else { STRETCH.min(cols * rows.len()) };
            let mut at = rows.start * cols;
            for bytes in bytes.chunks(piece(tensor.from, step).max(1)) {
                let elems = bytes.len() / tensor.from.block_bytes() * tensor.from.block_elems();
                self.decode(tensor, bytes, elems, at)?;
                if tensor.from == tensor.to {
                    out.extend_from_slice(bytes);
                } else {
                    self.encode(tensor, at, out)?;
                }
                at += elems;
            }
        }
        // What was read does not come again: its pages need not stay.
        realizar_format::release_pages(bytes);
        self.source = scratch;
        Ok(taken)
    }

    /// Fills the floats, and refuses those that are none.
    fn decode(
        &mut self,
        tensor: &Planned<'_>,
        bytes: &[u8],
        elems: usize,
        at: usize,
    ) -> Result<(), QuantizeError> {
        self.floats.resize(elems, 0.0);
        decode(tensor.from, bytes, &mut self.floats).map_err(|source| tensor.refuse(source))?;
        match first_not_finite(&self.floats) {
            Some((i, value)) => {
                Err(QuantizeError::NotFinite { name: tensor.name.to_owned(), index: at + i, value })
            }
            None => Ok(()),
        }
    }

    /// Appends the floats in their new type.
    fn encode(&mut self, tensor: &Planned<'_>, at: usize, out: &mut Vec<u8>) -> Result<(), QuantizeError> {
        let (cols, from) = (tensor.shape.cols(), out.len());
        let needed = tensor.to.row_bytes(self.floats.len()).unwrap_or_default();
        out.resize(from + needed, 0);
        let out = &mut out[from..];
        let importance = match (tensor.importance, self.job.imatrix) {
            (Some(entry), Some(imatrix)) => {
                let rows = tensor.shape.len().checked_sub(2).map_or(1, |rows| tensor.shape[rows]);
                let expert = at / cols / rows;
                if self.held != Some((entry, expert)) {
                    imatrix.columns(entry, expert, cols, &mut self.importance);
                    self.held = Some((entry, expert));
                }
                Some(&self.importance[..])
            }
            _ => None,
        };
        encode(tensor.to, &self.floats, importance, out).map_err(|source| tensor.refuse(source))?;
        let large = self.floats.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        if large < LARGE && importance.is_none() {
            return Ok(());
        }
        let mut back = vec![0.0; self.floats.len()];
        decode(tensor.to, out, &mut back).map_err(|source| tensor.refuse(source))?;
        // A scale that overflows gives infinity; a search in which the squares overflow finds nothing but zeros.
        let lost = || self.floats.iter().zip(&back).position(|(x, &y)| x.abs() == large && y == 0.0);
        let spoilt = first_not_finite(&back).map(|(i, _)| self.largest_beside(i, tensor.to));
        match spoilt.or_else(|| lost().filter(|_| large >= LARGE)) {
            Some(i) if self.floats[i].abs() < LARGE => Err(QuantizeError::ImportanceTooLarge {
                name: tensor.name.to_owned(),
                index: at + i,
                dtype: tensor.to,
            }),
            Some(i) => Err(QuantizeError::TooLarge {
                name: tensor.name.to_owned(),
                index: at + i,
                value: self.floats[i],
                dtype: tensor.to,
            }),
            None => Ok(()),
        }
    }

    /// Where the largest weight of the block stands that holds weight `i`: it is the one that made the scale.
    fn largest_beside(&self, i: usize, dtype: DType) -> usize {
        let first = i - i % dtype.block_elems();
        let block = first..self.floats.len().min(first + dtype.block_elems());
        block.max_by(|&a, &b| self.floats[a].abs().total_cmp(&self.floats[b].abs())).unwrap_or(i)
    }
}

/// The first value that is not finite.
fn first_not_finite(values: &[f32]) -> Option<(usize, f32)> {
    // In stretches without an early way out, which become vector code.
    let bad = |stretch: &[f32]| stretch.iter().fold(false, |any, value| any | !value.is_finite());
    let stretch = values.chunks(64).position(bad)?;
    let (i, value) = values.iter().enumerate().skip(64 * stretch).find(|(_, value)| !value.is_finite())?;
    Some((i, *value))
}
