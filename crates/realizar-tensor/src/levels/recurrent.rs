//! Scans and convolutions.

use super::{hold, noise, rows, vector};
use crate::{
    ChannelScanSpec, Compute, HeadCols, Rows, ScanInput, ScanRule, ScanSpec, StateSpan, StateStore, Vector,
};

const TOKENS: usize = 9;
const HEADS: usize = 3;

/// Runs `step` over the tokens and a fresh state of so many numbers.
fn with_state(
    size: usize,
    width: usize,
    step: impl FnOnce(&mut StateStore, &[StateSpan], &mut Rows),
) -> Vec<f32> {
    let mut store = StateStore::new(&[size], 1).unwrap();
    let state = store.alloc().unwrap();
    let mut out = Rows::with_capacity(TOKENS, width);
    step(&mut store, &[StateSpan { rows: 0..TOKENS, state }], &mut out);
    out.read().to_vec()
}

fn input(rows: &Rows, stride: usize) -> ScanInput<'_> {
    ScanInput { rows, cols: HeadCols { stride, offset: 0 }, heads: HEADS, grouped: true }
}

#[test]
fn scans_are_the_plain_loops() {
    // Keys, columns, a decay per key.
    for (keys, columns, per_key) in [(16, 128, false), (12, 32, true), (5, 7, false), (6, 6, true)] {
        // Small keys and decays below one: states that do not grow.
        let part = |width: usize, seed, (factor, offset): (f32, f32)| {
            let values = noise(TOKENS * width, seed);
            let mut rows = Rows::with_capacity(TOKENS, width);
            rows.write(&values.iter().map(|x| x * factor + offset).collect::<Vec<_>>());
            rows
        };
        let wide = |seed| part(HEADS * keys, seed, (0.3, 0.0));
        let (q, k, read, write) = (wide(31), wide(32), wide(33), wide(34));
        let (v, one) = (rows(TOKENS, HEADS * columns, 35), rows(TOKENS, HEADS, 36));
        let decay = part(if per_key { HEADS * keys } else { HEADS }, 37, (0.45, 0.5));
        let skip = vector(HEADS, 38);
        let rules = [
            ("add", ScanRule::Add { step: Some(input(&one, 1)), skip: Some(&skip) }),
            ("delta", ScanRule::Delta { beta: input(&one, 1) }),
            ("pair", ScanRule::Pair { read: input(&read, keys), write: input(&write, keys) }),
        ];
        for (name, rule) in rules {
            let spec = ScanSpec {
                heads: HEADS,
                key_dim: keys,
                value_dim: columns,
                q: input(&q, keys),
                k: input(&k, keys),
                v: input(&v, columns),
                decay: input(&decay, if per_key { keys } else { 1 }),
                decay_per_key: per_key,
                rule,
            };
            hold(&format!("{name}, {keys} x {columns}"), |compute| {
                with_state(HEADS * keys * columns, HEADS * columns, |store, spans, out| {
                    compute.scan(store, 0, spans, &spec, out);
                })
            });
        }
    }
}

#[test]
fn scans_of_channels_are_the_plain_loops() {
    const N: usize = 6;
    for channels in [3, 64, 150] {
        let (step, x, pairs) =
            (rows(TOKENS, channels, 39), rows(TOKENS, channels, 40), rows(TOKENS, 2 * N, 41));
        let rates = Vector::from_vec(noise(N * channels, 42).iter().map(|x| -1.1 - x).collect());
        let skip = vector(channels, 43);
        let spec = ChannelScanSpec {
            n: N,
            step: &step,
            x: &x,
            writes_reads: &pairs,
            columns: [0, N],
            rates: &rates,
            skip: &skip,
        };
        hold(&format!("{channels} channels"), |compute| {
            with_state(N * channels, channels, |store, spans, out| {
                compute.scan_channels(store, 0, spans, &spec, out);
            })
        });
    }
}

#[test]
fn convolutions_are_the_plain_loops() {
    for (channels, taps, silu) in [(5, 2, true), (300, 4, false), (64, 3, true)] {
        let (x, weight, bias) =
            (rows(TOKENS, channels, 44), vector(taps * channels, 45), vector(channels, 46));
        for bias in [None, Some(&bias)] {
            hold(&format!("{taps} taps of {channels} channels"), |compute: &mut Compute| {
                with_state(channels * (taps - 1), channels, |store, spans, out| {
                    compute.convolve(store, 0, spans, &x, &weight, bias, silu, out);
                })
            });
        }
    }
}
