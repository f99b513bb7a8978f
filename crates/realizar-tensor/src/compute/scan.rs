//! Recurrent layers: scans over the tokens of each span, and short convolutions.
//!
//! A tile is a span and some columns of one head's state. Its tokens are run in order, whatever the chunk they came in;
//! heads and columns are independent and run on all threads.

use super::{Compute, HeadCols};
use crate::pool::{Cuts, Grid};
use crate::scalar::scan::{ChannelScan, Convolve, Lane, Rule, Scan};
use crate::state::{StateSpan, StateStore};
use crate::{Rows, Vector};

/// Columns of a state that are run together, at most.
const COLUMNS: usize = 64;
/// Channels of a convolution that are run together.
const CHANNELS: usize = 256;

/// Where the heads of a scan find one of their inputs.
#[derive(Debug, Clone, Copy)]
pub struct ScanInput<'a> {
    /// A row per token.
    pub rows: &'a Rows,
    /// Columns of the heads that there are.
    pub cols: HeadCols,
    /// Heads that there are; the scan's heads share them.
    pub heads: usize,
    /// Neighbouring heads of the scan share one, else they take turns.
    pub grouped: bool,
}

/// How a state changes with a token.
#[derive(Debug, Clone, Copy)]
pub enum ScanRule<'a> {
    /// `s = decay s + k (step v)`, and `skip v` is added to the result.
    Add {
        /// A value per head.
        step: Option<ScanInput<'a>>,
        /// A value per head.
        skip: Option<&'a Vector>,
    },
    /// `s = decay s`, then `s = s + k beta (v - k s)`.
    Delta {
        /// A value per head.
        beta: ScanInput<'a>,
    },
    /// `s = decay s + k v + write (read s)`.
    Pair {
        /// As many values per head as keys.
        read: ScanInput<'a>,
        /// As many values per head as keys.
        write: ScanInput<'a>,
    },
}

/// A scan: `heads` states of `[key_dim][value_dim]`, each token reads `out = q s` after it has written.
#[derive(Debug, Clone, Copy)]
pub struct ScanSpec<'a> {
    /// Heads, each with a state.
    pub heads: usize,
    /// Rows of a state.
    pub key_dim: usize,
    /// Columns of a state.
    pub value_dim: usize,
    /// What reads.
    pub q: ScanInput<'a>,
    /// Where is written.
    pub k: ScanInput<'a>,
    /// What is written.
    pub v: ScanInput<'a>,
    /// Factor on the state.
    pub decay: ScanInput<'a>,
    /// A decay per row of the state, else one for all.
    pub decay_per_key: bool,
    /// How the state changes.
    pub rule: ScanRule<'a>,
}

/// A scan of channels that have `n` numbers each (Mamba).
#[derive(Debug, Clone, Copy)]
pub struct ChannelScanSpec<'a> {
    /// Numbers per channel.
    pub n: usize,
    /// Step of every channel.
    pub step: &'a Rows,
    /// Input of every channel.
    pub x: &'a Rows,
    /// Holds what is written and what is read: `n` values each, from these columns on.
    pub writes_reads: &'a Rows,
    /// The first column of what is written, and of what is read.
    pub columns: [usize; 2],
    /// `[n][channels]`: logarithms of the decay per step.
    pub rates: &'a Vector,
    /// Factor of the input on the result, per channel.
    pub skip: &'a Vector,
}

/// Borders of spans and rows of their states.
#[derive(Debug, Default)]
pub(super) struct Bands {
    cuts: Vec<usize>,
    states: Vec<usize>,
}

impl Bands {
    fn fill(&mut self, spans: &[StateSpan], rows: usize) {
        self.cuts.clear();
        self.states.clear();
        self.cuts.push(0);
        for span in spans {
            assert_eq!(span.rows.start, self.cuts[self.cuts.len() - 1], "spans side by side");
            self.cuts.push(span.rows.end);
            self.states.push(span.state.row());
        }
        assert_eq!(self.cuts[self.cuts.len() - 1], rows, "rows of all spans");
    }
}

impl<'a> ScanInput<'a> {
    /// The values of one head of the scan.
    fn lane(&self, head: usize, heads: usize, len: usize) -> Lane<'a> {
        let own = if self.grouped { head / (heads / self.heads) } else { head % self.heads };
        let offset = own * self.cols.stride + self.cols.offset;
        assert!(offset + len <= self.rows.width(), "head {own} of {len} values at {:?}", self.cols);
        Lane { data: self.rows.read(), stride: self.rows.width(), offset }
    }

    fn check(&self, spec: &ScanSpec<'_>, rows: usize) {
        assert!(
            self.heads > 0 && spec.heads.is_multiple_of(self.heads),
            "{} heads on {}",
            spec.heads,
            self.heads
        );
        assert_eq!(self.rows.rows(), rows, "a row per token");
    }
}

/// Columns of a state per tile.
fn column_block(dim: usize) -> usize {
    (1..=COLUMNS.min(dim)).rev().find(|block| dim.is_multiple_of(*block)).unwrap_or(1)
}

impl Compute {
    /// Runs the tokens of every span through its state, which is part `part` of `store`.
    ///
    /// # Panics
    /// When shapes do not fit, or the spans are not all rows in order, each with a state that nobody else holds.
    pub fn scan(
        &mut self,
        store: &mut StateStore,
        part: usize,
        spans: &[StateSpan],
        spec: &ScanSpec<'_>,
        out: &mut Rows,
    ) {
        let ScanSpec { heads, key_dim, value_dim, .. } = *spec;
        let rows = spec.v.rows.rows();
        for input in [spec.q, spec.k, spec.v, spec.decay] {
            input.check(spec, rows);
        }
        let (state, size) = store.part(part, spans);
        assert_eq!(size, heads * key_dim * value_dim, "numbers of a state");
        assert_eq!(out.width(), heads * value_dim, "width of the output");
        out.set_rows(rows);
        let mut bands = std::mem::take(&mut self.bands);
        bands.fill(spans, rows);
        let block = column_block(value_dim);
        let kernels = self.kernels;
        let width = out.width();
        let first = Grid::new(state, size, Cuts::Every(1), key_dim * block);
        let second = Grid::new(out.values_mut(), width, Cuts::At(&bands.cuts), block);
        self.pool.run_pairs(first, &bands.states, second, &mut self.scratch, |_, mut state, mut tile| {
            let head = tile.cols().start / value_dim;
            let column = tile.cols().start % value_dim;
            let v = spec.v.lane(head, heads, value_dim);
            let rule = match &spec.rule {
                ScanRule::Add { step, skip } => Rule::Add {
                    step: step.as_ref().map(|step| step.lane(head, heads, 1)),
                    skip: skip.map_or(0.0, |skip| skip.as_slice()[head]),
                },
                ScanRule::Delta { beta } => Rule::Delta { beta: beta.lane(head, heads, 1) },
                ScanRule::Pair { read, write } => Rule::Pair {
                    read: read.lane(head, heads, key_dim),
                    write: write.lane(head, heads, key_dim),
                },
            };
            let task = Scan {
                keys: key_dim,
                q: spec.q.lane(head, heads, key_dim),
                k: spec.k.lane(head, heads, key_dim),
                v: Lane { offset: v.offset + column, ..v },
                decay: spec.decay.lane(head, heads, if spec.decay_per_key { key_dim } else { 1 }),
                decay_per_key: spec.decay_per_key,
                rule,
            };
            (kernels.scan)(&task, state.row(0), &mut tile);
        });
        self.bands = bands;
    }

    /// As [`Self::scan`] for channels with numbers of their own.
    ///
    /// # Panics
    /// As [`Self::scan`].
    pub fn scan_channels(
        &mut self,
        store: &mut StateStore,
        part: usize,
        spans: &[StateSpan],
        spec: &ChannelScanSpec<'_>,
        out: &mut Rows,
    ) {
        let ChannelScanSpec { n, step, x, writes_reads, .. } = *spec;
        let (rows, channels) = (x.rows(), x.width());
        let (state, size) = store.part(part, spans);
        assert_eq!(size, channels * n, "numbers of a state");
        assert_eq!((step.rows(), step.width(), writes_reads.rows()), (rows, channels, rows), "inputs");
        assert_eq!((spec.rates.len(), spec.skip.len(), out.width()), (size, channels, channels), "channels");
        assert!(spec.columns.iter().all(|first| first + n <= writes_reads.width()), "{:?}", spec.columns);
        out.set_rows(rows);
        let mut bands = std::mem::take(&mut self.bands);
        bands.fill(spans, rows);
        let kernels = self.kernels;
        let first = Grid::new(state, size, Cuts::Every(1), n * COLUMNS);
        let second = Grid::new(out.values_mut(), channels, Cuts::At(&bands.cuts), COLUMNS);
        self.pool.run_pairs(first, &bands.states, second, &mut self.scratch, |_, mut state, mut tile| {
            let offset = tile.cols().start;
            let stride = writes_reads.width();
            let task = ChannelScan {
                n,
                step: Lane { data: step.read(), stride: channels, offset },
                x: Lane { data: x.read(), stride: channels, offset },
                write: Lane { data: writes_reads.read(), stride, offset: spec.columns[0] },
                read: Lane { data: writes_reads.read(), stride, offset: spec.columns[1] },
                rates: spec.rates.as_slice(),
                channels,
                skip: spec.skip.as_slice(),
            };
            (kernels.scan_channels)(&task, state.row(0), &mut tile);
        });
        self.bands = bands;
    }

    /// `out[t][c] = bias[c] + sum over j of weight[j][c] x[t - taps + 1 + j][c]`, where tokens before the span come from its
    /// state; `weight` is `[taps][channels]`, and SiLU may follow.
    ///
    /// # Panics
    /// As [`Self::scan`].
    #[expect(
        clippy::too_many_arguments,
        reason = "a state, its rows, and the two parameters of a convolution"
    )]
    pub fn convolve(
        &mut self,
        store: &mut StateStore,
        part: usize,
        spans: &[StateSpan],
        x: &Rows,
        weight: &Vector,
        bias: Option<&Vector>,
        silu: bool,
        out: &mut Rows,
    ) {
        let (rows, channels) = (x.rows(), x.width());
        assert!(weight.len().is_multiple_of(channels), "{} weights for {channels} channels", weight.len());
        let taps = weight.len() / channels;
        let (state, size) = store.part(part, spans);
        assert!(taps > 1 && size == channels * (taps - 1), "numbers of a state: {size}");
        assert!(bias.is_none_or(|bias| bias.len() == channels), "a bias for {channels} channels");
        assert_eq!(out.width(), channels, "width of the output");
        out.set_rows(rows);
        let mut bands = std::mem::take(&mut self.bands);
        bands.fill(spans, rows);
        let kernels = self.kernels;
        let first = Grid::new(state, size, Cuts::Every(1), CHANNELS * (taps - 1));
        let second = Grid::new(out.values_mut(), channels, Cuts::At(&bands.cuts), CHANNELS);
        self.pool.run_pairs(first, &bands.states, second, &mut self.scratch, |_, mut state, mut tile| {
            let task = Convolve {
                x: Lane { data: x.read(), stride: channels, offset: tile.cols().start },
                weight: weight.as_slice(),
                bias: bias.map(Vector::as_slice),
                channels,
                taps,
                silu,
            };
            (kernels.convolve)(&task, state.row(0), &mut tile);
        });
        self.bands = bands;
    }
}
