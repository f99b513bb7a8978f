//! Recurrences over the tokens of a span: a state of `[keys][columns]` that decays, is read and written token by token.
//!
//! Columns do not know each other, so they are the lanes; whatever their number per call, a column goes through the same
//! operations. A state of 64 columns keeps its sums in registers over all keys.

use super::math::{Arith, LANES, exp};
use crate::pool::Tile;

/// Values of every token in rows of `stride`, from `offset` on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) offset: usize,
}

impl<'a> Lane<'a> {
    #[inline(always)]
    fn at(&self, row: usize, len: usize) -> &'a [f32] {
        &self.data[row * self.stride + self.offset..][..len]
    }
}

/// How a state changes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule<'a> {
    /// `s = decay s + k (step v)`.
    Add { step: Option<Lane<'a>>, skip: f32 },
    /// `s = decay s`, then `s = s + k beta (v - k s)`.
    Delta { beta: Lane<'a> },
    /// `s = decay s + k v + write (read s)`, all of the state before.
    Pair { read: Lane<'a>, write: Lane<'a> },
}

/// One head's tokens and some columns of its state; every token gives `out = q s`, and `skip v` where there is a skip.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan<'a> {
    pub(crate) keys: usize,
    pub(crate) q: Lane<'a>,
    pub(crate) k: Lane<'a>,
    pub(crate) v: Lane<'a>,
    pub(crate) decay: Lane<'a>,
    /// A decay per key, else one for all.
    pub(crate) decay_per_key: bool,
    pub(crate) rule: Rule<'a>,
}

/// See [`Kernels::scan`](crate::Kernels). `state` is `[keys][columns]` for the columns of `out`.
#[inline(always)]
pub(crate) fn scan<A: Arith>(task: &Scan<'_>, state: &mut [f32], out: &mut Tile<'_, f32>) {
    let columns = out.cols().len();
    match columns {
        64 => blocks::<A, 4>(task, state, out),
        32 => blocks::<A, 2>(task, state, out),
        16 => blocks::<A, 1>(task, state, out),
        _ => ragged::<A>(task, state, columns, out),
    }
}

/// `V` blocks of 16 columns.
#[inline(always)]
fn blocks<A: Arith, const V: usize>(task: &Scan<'_>, state: &mut [f32], out: &mut Tile<'_, f32>) {
    let width = V * LANES;
    let first = out.rows().start;
    let keys = task.keys;
    let (state, _) = state[..keys * width].as_chunks_mut::<LANES>();
    for row in out.rows() {
        let (q, k) = (task.q.at(row, keys), task.k.at(row, keys));
        let (v, _) = task.v.at(row, width).as_chunks::<LANES>();
        let decay = task.decay.at(row, if task.decay_per_key { keys } else { 1 });
        let decay_of = |key: usize| decay[if task.decay_per_key { key } else { 0 }];
        let mut new = [[0.0; LANES]; V];
        let mut sums = [[0.0; LANES]; V];
        match task.rule {
            Rule::Add { step, skip } => {
                let step = step.map_or(1.0, |step| step.at(row, 1)[0]);
                for j in 0..V {
                    for c in 0..LANES {
                        new[j][c] = step * v[j][c];
                        sums[j][c] = skip * v[j][c];
                    }
                }
                for key in 0..keys {
                    let (decay, k, q) = (decay_of(key), k[key], q[key]);
                    let state = &mut state[key * V..][..V];
                    for j in 0..V {
                        for c in 0..LANES {
                            let s = A::mul_add(k, new[j][c], decay * state[j][c]);
                            state[j][c] = s;
                            sums[j][c] = A::mul_add(q, s, sums[j][c]);
                        }
                    }
                }
            }
            Rule::Delta { beta } => {
                let beta = beta.at(row, 1)[0];
                for key in 0..keys {
                    let factor = k[key] * decay_of(key);
                    let state = &state[key * V..][..V];
                    for j in 0..V {
                        for c in 0..LANES {
                            new[j][c] = A::mul_add(factor, state[j][c], new[j][c]);
                        }
                    }
                }
                for j in 0..V {
                    for c in 0..LANES {
                        new[j][c] = beta * (v[j][c] - new[j][c]);
                    }
                }
                for key in 0..keys {
                    let (decay, k, q) = (decay_of(key), k[key], q[key]);
                    let state = &mut state[key * V..][..V];
                    for j in 0..V {
                        for c in 0..LANES {
                            let s = A::mul_add(k, new[j][c], decay * state[j][c]);
                            state[j][c] = s;
                            sums[j][c] = A::mul_add(q, s, sums[j][c]);
                        }
                    }
                }
            }
            Rule::Pair { read, write } => {
                let (read, write) = (read.at(row, keys), write.at(row, keys));
                for key in 0..keys {
                    let state = &state[key * V..][..V];
                    for j in 0..V {
                        for c in 0..LANES {
                            new[j][c] = A::mul_add(read[key], state[j][c], new[j][c]);
                        }
                    }
                }
                for key in 0..keys {
                    let (decay, k, q, w) = (decay_of(key), k[key], q[key], write[key]);
                    let state = &mut state[key * V..][..V];
                    for j in 0..V {
                        for c in 0..LANES {
                            let s = A::mul_add(k, v[j][c], decay * state[j][c]);
                            let s = A::mul_add(w, new[j][c], s);
                            state[j][c] = s;
                            sums[j][c] = A::mul_add(q, s, sums[j][c]);
                        }
                    }
                }
            }
        }
        let (out, _) = out.row(row - first).as_chunks_mut::<LANES>();
        out.copy_from_slice(&sums);
    }
}

/// Any number of columns, one by one: the same operations.
#[inline(always)]
fn ragged<A: Arith>(task: &Scan<'_>, state: &mut [f32], columns: usize, out: &mut Tile<'_, f32>) {
    let first = out.rows().start;
    let keys = task.keys;
    for row in out.rows() {
        let (q, k, v) = (task.q.at(row, keys), task.k.at(row, keys), task.v.at(row, columns));
        let decay = task.decay.at(row, if task.decay_per_key { keys } else { 1 });
        let decay_of = |key: usize| decay[if task.decay_per_key { key } else { 0 }];
        let out = out.row(row - first);
        for (column, out) in out.iter_mut().enumerate() {
            let at = |key: usize| key * columns + column;
            let sum = |factor: &dyn Fn(usize) -> f32, state: &[f32]| {
                (0..keys).fold(0.0, |sum, key| A::mul_add(factor(key), state[at(key)], sum))
            };
            let (new, mut total, pair) = match task.rule {
                Rule::Add { step, skip } => {
                    (step.map_or(1.0, |step| step.at(row, 1)[0]) * v[column], skip * v[column], None)
                }
                Rule::Delta { beta } => {
                    let found = sum(&|key| k[key] * decay_of(key), state);
                    (beta.at(row, 1)[0] * (v[column] - found), 0.0, None)
                }
                Rule::Pair { read, write } => {
                    let read = read.at(row, keys);
                    (v[column], 0.0, Some((write.at(row, keys), sum(&|key| read[key], state))))
                }
            };
            for key in 0..keys {
                let mut s = A::mul_add(k[key], new, decay_of(key) * state[at(key)]);
                if let Some((write, found)) = pair {
                    s = A::mul_add(write[key], found, s);
                }
                state[at(key)] = s;
                total = A::mul_add(q[key], s, total);
            }
            *out = total;
        }
    }
}

/// Channels that each have a state of `n` numbers of their own (Mamba).
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChannelScan<'a> {
    /// Numbers per channel.
    pub(crate) n: usize,
    /// Step, and input: a value per channel.
    pub(crate) step: Lane<'a>,
    pub(crate) x: Lane<'a>,
    /// What is written and read: `n` values for all channels.
    pub(crate) write: Lane<'a>,
    pub(crate) read: Lane<'a>,
    /// `[n][channels]`: rates of decay; all channels, of which the tile's are meant.
    pub(crate) rates: &'a [f32],
    pub(crate) channels: usize,
    pub(crate) skip: &'a [f32],
}

/// See [`Kernels::scan_channels`](crate::Kernels). `state` is `[n][columns]` for the columns of `out`.
#[inline(always)]
pub(crate) fn scan_channels<A: Arith>(task: &ChannelScan<'_>, state: &mut [f32], out: &mut Tile<'_, f32>) {
    let (first, start, columns) = (out.rows().start, out.cols().start, out.cols().len());
    let skip = &task.skip[start..][..columns];
    for row in out.rows() {
        let (step, x) = (task.step.at(row, columns), task.x.at(row, columns));
        let (write, read) = (task.write.at(row, task.n), task.read.at(row, task.n));
        let out = out.row(row - first);
        for ((out, x), skip) in out.iter_mut().zip(x).zip(skip) {
            *out = skip * x;
        }
        for (n, state) in state.chunks_exact_mut(columns).enumerate() {
            let rates = &task.rates[n * task.channels + start..][..columns];
            let (write, read) = (write[n], read[n]);
            for c in 0..columns {
                let s = A::mul_add(step[c] * x[c], write, state[c] * exp::<A>(step[c] * rates[c]));
                state[c] = s;
                out[c] = A::mul_add(read, s, out[c]);
            }
        }
    }
}

/// A causal convolution of each channel by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Convolve<'a> {
    pub(crate) x: Lane<'a>,
    /// `[taps][channels]`, oldest first.
    pub(crate) weight: &'a [f32],
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) channels: usize,
    pub(crate) taps: usize,
    /// Whether SiLU follows.
    pub(crate) silu: bool,
}

/// See [`Kernels::convolve`](crate::Kernels). `state` holds the last `taps - 1` inputs, oldest first.
#[inline(always)]
pub(crate) fn convolve<A: Arith>(task: &Convolve<'_>, state: &mut [f32], out: &mut Tile<'_, f32>) {
    let (rows, start, columns) = (out.rows(), out.cols().start, out.cols().len());
    let past = task.taps - 1;
    for (index, row) in rows.clone().enumerate() {
        let out = out.row(index);
        match task.bias {
            Some(bias) => out.copy_from_slice(&bias[start..][..columns]),
            None => out.fill(0.0),
        }
        for tap in 0..task.taps {
            let weight = &task.weight[tap * task.channels + start..][..columns];
            // The input `past - tap` tokens ago.
            let input = match (index + tap).checked_sub(past) {
                Some(at) => task.x.at(rows.start + at, columns),
                None => &state[(index + tap) * columns..][..columns],
            };
            for c in 0..columns {
                out[c] = A::mul_add(weight[c], input[c], out[c]);
            }
        }
        if task.silu {
            super::activation::gate::<A>(crate::Gate::Silu, out, None);
        }
        debug_assert!(row >= rows.start);
    }
    let count = rows.len();
    for at in 0..past {
        match (at + count).checked_sub(past) {
            Some(token) => {
                let input = task.x.at(rows.start + token, columns);
                state[at * columns..][..columns].copy_from_slice(input);
            }
            None => state.copy_within((at + count) * columns..(at + count + 1) * columns, at * columns),
        }
    }
}
