//! Scans and convolutions against f64, and the same bits however tokens are cut, on every table and any number of threads.

mod kit;

use kit::compute;
use realizar_tensor::{
    ChannelScanSpec, Compute, HeadCols, Kernels, Rows, ScanInput, ScanRule, ScanSpec, StateSpan, StateStore,
    Vector,
};

/// Numbers between -1 and 1 that look random.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn rows(values: &[f32], width: usize) -> Rows {
    let mut rows = Rows::with_capacity(values.len() / width, width);
    rows.write(values);
    rows
}

/// Runs `step` over pieces of the tokens, which continue one state; gives all outputs.
fn pieces(
    sizes: &[usize],
    tokens: usize,
    piece: usize,
    mut step: impl FnMut(&mut StateStore, &[StateSpan], std::ops::Range<usize>) -> Vec<f32>,
) -> Vec<f32> {
    let Ok(mut store) = StateStore::new(sizes, 2) else { panic!("no states") };
    // The first state is somebody else's: offsets must count.
    let (Some(_), Some(state)) = (store.alloc(), store.alloc()) else { panic!("no state") };
    let mut out = Vec::new();
    for first in (0..tokens).step_by(piece) {
        let part = first..tokens.min(first + piece);
        out.extend(step(&mut store, &[StateSpan { rows: 0..part.len(), state }], part));
    }
    out
}

fn near(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(*found) - expected).abs() < 2e-5, "{what}, {at}: {found} instead of {expected}");
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Add,
    Delta,
    Pair,
}

const TOKENS: usize = 23;
const HEADS: usize = 4;

/// Case, rule, keys, columns, key heads, grouped, decay per key.
type Case = (&'static str, Kind, usize, usize, usize, bool, bool);

const CASES: &[Case] = &[
    ("delta net, wide", Kind::Delta, 16, 128, 2, false, false),
    ("delta net, grouped", Kind::Delta, 12, 32, 2, true, false),
    ("delta net, decay per key", Kind::Delta, 16, 16, 4, true, true),
    ("delta net, ragged", Kind::Delta, 8, 20, 4, true, false),
    ("Mamba 2", Kind::Add, 24, 64, 1, true, false),
    ("Mamba 2, ragged", Kind::Add, 5, 7, 2, true, false),
    ("RWKV 7", Kind::Pair, 64, 64, 4, true, true),
    ("RWKV 7, ragged", Kind::Pair, 6, 6, 4, true, true),
];

/// Inputs of a case: q, k, v, decay, one number per head, and two more of the size of k.
fn inputs(&(_, _, keys, columns, key_heads, _, per_key): &Case) -> [Vec<f32>; 7] {
    let small = |values: Vec<f32>| values.into_iter().map(|x| x * 0.3).collect::<Vec<_>>();
    let share = |values: Vec<f32>| values.into_iter().map(|x| 0.5 + x * 0.45).collect::<Vec<_>>();
    let decays = if per_key { key_heads * keys } else { HEADS };
    [
        small(noise(TOKENS * key_heads * keys, 1)),
        small(noise(TOKENS * key_heads * keys, 2)),
        noise(TOKENS * HEADS * columns, 3),
        share(noise(TOKENS * decays, 4)),
        share(noise(TOKENS * HEADS, 5)),
        small(noise(TOKENS * key_heads * keys, 6)),
        small(noise(TOKENS * key_heads * keys, 7)),
    ]
}

fn expected(case: &Case) -> Vec<f64> {
    let &(_, kind, keys, columns, key_heads, grouped, per_key) = case;
    let [q, k, v, decay, one, read, write] =
        inputs(case).map(|list| list.iter().map(|x| f64::from(*x)).collect::<Vec<_>>());
    let mut out = vec![0.0; TOKENS * HEADS * columns];
    for head in 0..HEADS {
        let own = if grouped { head / (HEADS / key_heads) } else { head % key_heads };
        let at = |token: usize, key: usize| (token * key_heads + own) * keys + key;
        let mut state = vec![0.0; keys * columns];
        for token in 0..TOKENS {
            let decay_of = |key| if per_key { decay[at(token, key)] } else { decay[token * HEADS + head] };
            for column in 0..columns {
                let v = v[(token * HEADS + head) * columns + column];
                let cell = |key: usize| key * columns + column;
                let found: f64 = (0..keys).map(|key| read[at(token, key)] * state[cell(key)]).sum();
                (0..keys).for_each(|key| state[cell(key)] *= decay_of(key));
                let seen: f64 = (0..keys).map(|key| k[at(token, key)] * state[cell(key)]).sum();
                let one = one[token * HEADS + head];
                for key in 0..keys {
                    state[cell(key)] += match kind {
                        Kind::Add => k[at(token, key)] * one * v,
                        Kind::Delta => k[at(token, key)] * one * (v - seen),
                        Kind::Pair => k[at(token, key)] * v + write[at(token, key)] * found,
                    };
                }
                let skip = if kind == Kind::Add { 0.25 * (head + 1) as f64 * v } else { 0.0 };
                out[(token * HEADS + head) * columns + column] =
                    (0..keys).map(|key| q[at(token, key)] * state[cell(key)]).sum::<f64>() + skip;
            }
        }
    }
    out
}

fn scanned(case: &Case, compute: &mut Compute, piece: usize) -> Vec<f32> {
    let &(_, kind, keys, columns, key_heads, grouped, per_key) = case;
    let all = inputs(case);
    let widths = [
        key_heads * keys,
        key_heads * keys,
        HEADS * columns,
        all[3].len() / TOKENS,
        HEADS,
        key_heads * keys,
        key_heads * keys,
    ];
    let skip = Vector::from_vec((1..=HEADS).map(|head| 0.25 * head as f32).collect());
    pieces(&[3, HEADS * keys * columns], TOKENS, piece, |store, spans, part| {
        let part_of = |at: usize| rows(&all[at][part.start * widths[at]..part.end * widths[at]], widths[at]);
        let buffers: [Rows; 7] = std::array::from_fn(part_of);
        let [q, k, v, decay, one, read, write] = &buffers;
        let input =
            |rows, stride, heads| ScanInput { rows, cols: HeadCols { stride, offset: 0 }, heads, grouped };
        let per_head =
            |rows| ScanInput { rows, cols: HeadCols { stride: 1, offset: 0 }, heads: HEADS, grouped: true };
        let spec = ScanSpec {
            heads: HEADS,
            key_dim: keys,
            value_dim: columns,
            q: input(q, keys, key_heads),
            k: input(k, keys, key_heads),
            v: input(v, columns, HEADS),
            decay: if per_key { input(decay, keys, key_heads) } else { per_head(decay) },
            decay_per_key: per_key,
            rule: match kind {
                Kind::Add => ScanRule::Add { step: Some(per_head(one)), skip: Some(&skip) },
                Kind::Delta => ScanRule::Delta { beta: per_head(one) },
                Kind::Pair => ScanRule::Pair {
                    read: input(read, keys, key_heads),
                    write: input(write, keys, key_heads),
                },
            },
        };
        let mut out = Rows::with_capacity(TOKENS, HEADS * columns);
        compute.scan(store, 1, spans, &spec, &mut out);
        out.read().to_vec()
    })
}

#[test]
fn scans_agree_with_f64_however_they_are_cut() {
    for kernels in Kernels::available() {
        for case in CASES {
            let name = format!("{} on {}", case.0, kernels.name());
            let whole = scanned(case, &mut compute(kernels, 1), TOKENS);
            near(&whole, &expected(case), &name);
            for (piece, threads) in [(1, 2), (7, 1), (TOKENS, 3)] {
                let cut = scanned(case, &mut compute(kernels, threads), piece);
                assert!(cut == whole, "{name}: pieces of {piece} on {threads} threads");
            }
        }
    }
}

#[test]
fn convolutions_agree_with_f64_however_they_are_cut() {
    for kernels in Kernels::available() {
        for (channels, taps, biased) in [(5, 2, true), (300, 4, false), (64, 3, true)] {
            let x = noise(TOKENS * channels, 8);
            let weight = noise(taps * channels, 9);
            let bias = biased.then(|| noise(channels, 10));
            let mut right = Vec::new();
            for token in 0..TOKENS {
                for channel in 0..channels {
                    let mut sum = bias.as_ref().map_or(0.0, |bias| f64::from(bias[channel]));
                    for tap in 0..taps {
                        if let Some(from) = (token + tap + 1).checked_sub(taps) {
                            sum += f64::from(weight[tap * channels + channel])
                                * f64::from(x[from * channels + channel]);
                        }
                    }
                    right.push(if biased { sum / (1.0 + (-sum).exp()) } else { sum });
                }
            }
            let (weight, bias) = (Vector::from_vec(weight), bias.map(Vector::from_vec));
            let run = |piece, threads| {
                let mut compute = compute(kernels, threads);
                pieces(&[channels * (taps - 1)], TOKENS, piece, |store, spans, part| {
                    let input = rows(&x[part.start * channels..part.end * channels], channels);
                    let mut out = Rows::with_capacity(TOKENS, channels);
                    compute.convolve(store, 0, spans, &input, &weight, bias.as_ref(), biased, &mut out);
                    out.read().to_vec()
                })
            };
            let whole = run(TOKENS, 1);
            near(&whole, &right, &format!("{channels} channels on {}", kernels.name()));
            for (piece, threads) in [(1, 1), (2, 2), (7, 3)] {
                assert!(run(piece, threads) == whole, "{channels} channels, pieces of {piece}");
            }
        }
    }
}

#[test]
fn scans_of_channels_agree_with_f64_however_they_are_cut() {
    const N: usize = 6;
    for kernels in Kernels::available() {
        for channels in [3, 64, 150] {
            let step: Vec<f32> = noise(TOKENS * channels, 11).iter().map(|x| 0.6 + x * 0.5).collect();
            let x = noise(TOKENS * channels, 12);
            let pairs = noise(TOKENS * 2 * N, 13);
            let rates: Vec<f32> = noise(N * channels, 14).iter().map(|x| -1.1 - x).collect();
            let skip = noise(channels, 15);
            let mut state = vec![0.0f64; N * channels];
            let mut right = Vec::new();
            for token in 0..TOKENS {
                for channel in 0..channels {
                    let (step, x) = (
                        f64::from(step[token * channels + channel]),
                        f64::from(x[token * channels + channel]),
                    );
                    let mut sum = f64::from(skip[channel]) * x;
                    for n in 0..N {
                        let cell = &mut state[n * channels + channel];
                        *cell = *cell * (step * f64::from(rates[n * channels + channel])).exp()
                            + step * x * f64::from(pairs[token * 2 * N + n]);
                        sum += f64::from(pairs[token * 2 * N + N + n]) * *cell;
                    }
                    right.push(sum);
                }
            }
            let (rates, skip) = (Vector::from_vec(rates), Vector::from_vec(skip));
            let run = |piece, threads| {
                let mut compute = compute(kernels, threads);
                pieces(&[N * channels], TOKENS, piece, |store, spans, part| {
                    let of =
                        |list: &[f32], width: usize| rows(&list[part.start * width..part.end * width], width);
                    let (step, x, pairs) = (of(&step, channels), of(&x, channels), of(&pairs, 2 * N));
                    let spec = ChannelScanSpec {
                        n: N,
                        step: &step,
                        x: &x,
                        writes_reads: &pairs,
                        columns: [0, N],
                        rates: &rates,
                        skip: &skip,
                    };
                    let mut out = Rows::with_capacity(TOKENS, channels);
                    compute.scan_channels(store, 0, spans, &spec, &mut out);
                    out.read().to_vec()
                })
            };
            let whole = run(TOKENS, 1);
            near(&whole, &right, &format!("{channels} channels on {}", kernels.name()));
            for (piece, threads) in [(1, 2), (7, 1)] {
                assert!(run(piece, threads) == whole, "{channels} channels, pieces of {piece}");
            }
        }
    }
}
