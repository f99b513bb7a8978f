//! Gated delta net (Qwen 3.5, Qwen 3 Next), and Kimi Delta Attention, whose decay has a value per key dimension.

use realizar_tensor::{Gate, HeadCols, Rows, ScanInput, ScanRule, ScanSpec, Vector};

use super::Work;
use crate::arch::Presence;
use crate::attention::norm_parts;
use crate::binder::Bound;
use crate::error::ModelError;
use crate::facts::{self, FactReader};
use crate::linear::project;
use crate::names;
use crate::weights::{Bind, Linear, NormWeights};

/// Widths of a delta net.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeltaConfig {
    taps: usize,
    /// Width of a key head and of a value head.
    dim: usize,
    key_heads: usize,
    heads: usize,
    /// Neighbouring value heads share a key head, else they take turns.
    grouped: bool,
    per_key: bool,
}

/// Weights of a delta net.
#[derive(Debug)]
pub(crate) struct DeltaNet {
    input: Projections,
    /// `[taps][2 keys + values]`.
    convolution: Vector,
    /// Added to what the decay is made of, and its rates.
    step_bias: Vector,
    rates: Vector,
    beta: Linear,
    norm: NormWeights,
    out: Linear,
}

/// Projections of the input.
#[derive(Debug)]
enum Projections {
    /// Queries, keys and values in one; the output's gate; what the decay is made of, per head.
    Whole { qkv: Linear, gate: Linear, step: Linear },
    /// Queries, keys and values; the output's gate and what the decay is made of, by two projections each.
    Parts { qkv: Box<[Linear; 3]>, gate: [Linear; 2], step: [Linear; 2] },
}

impl DeltaConfig {
    pub(super) fn read(read: &FactReader<'_>, grouped: bool) -> Result<Self, ModelError> {
        let shape = Self {
            taps: read.require_count(facts::CONVOLUTION)?,
            dim: read.require_count(facts::STATE_SIZE)?,
            key_heads: read.require_count(facts::STATE_GROUPS)?,
            heads: read.require_count(facts::STEP_RANK)?,
            grouped,
            per_key: false,
        };
        if !shape.heads.is_multiple_of(shape.key_heads) {
            let (heads, groups) =
                ((facts::STEP_RANK.key, shape.heads), (facts::STATE_GROUPS.key, shape.key_heads));
            return Err(read.disagree(heads, groups, "the first must be a multiple of the second"));
        }
        let inner = read.require_count(facts::STATE_INNER)?;
        if inner != shape.heads * shape.dim {
            let (inner, heads) = ((facts::STATE_INNER.key, inner), (facts::STEP_RANK.key, shape.heads));
            return Err(read.disagree(inner, heads, "it must be that many heads of the state's size"));
        }
        Ok(shape)
    }

    pub(super) fn read_per_key(read: &FactReader<'_>) -> Result<Self, ModelError> {
        let layers = read.require_count(facts::LAYERS)?;
        let heads = read.per_layer(facts::HEADS, false, layers)?.and_then(|heads| heads.first().copied());
        let heads = heads.ok_or_else(|| read.missing(facts::HEADS.key))?;
        Ok(Self {
            taps: read.require_count(facts::CONVOLUTION)?,
            dim: read.require_count(facts::KEY_DELTA_DIM)?,
            key_heads: heads,
            heads,
            grouped: true,
            per_key: true,
        })
    }

    fn keys(&self) -> usize {
        self.key_heads * self.dim
    }

    fn values(&self) -> usize {
        self.heads * self.dim
    }

    fn channels(&self) -> usize {
        2 * self.keys() + self.values()
    }

    /// The last inputs of the convolution, and the heads' states.
    pub(super) fn parts(&self) -> [usize; 2] {
        [self.channels() * (self.taps - 1), self.values() * self.dim]
    }

    fn decays(&self) -> usize {
        if self.per_key { self.keys() } else { self.heads }
    }

    pub(super) fn widths(&self) -> Vec<usize> {
        let (values, decays, channels) = (self.values(), self.decays(), self.channels());
        vec![channels, channels, values, decays, decays, self.heads, values, self.dim]
    }
}

impl DeltaNet {
    pub(super) fn run(
        &self,
        shape: &DeltaConfig,
        work: &mut Work<'_>,
        x: &Rows,
        buffers: &mut [Rows],
        out: &mut Rows,
    ) {
        let [qkv, convolved, gate, step, decay, beta, heads, narrow] = buffers else { return };
        let DeltaConfig { dim, key_heads, heads: count, grouped, per_key, .. } = *shape;
        let (keys, channels) = (shape.keys(), shape.channels());
        let Work { compute, store, part, spans, eps, .. } = work;
        match &self.input {
            Projections::Whole { qkv: all, gate: z, step: alpha } => project(
                compute,
                x,
                [(all, &mut *qkv), (z, &mut *gate), (alpha, &mut *step), (&self.beta, &mut *beta)],
            ),
            Projections::Parts { qkv: parts, gate: [into_gate, gates], step: [into_step, steps] } => {
                project(compute, x, [(&self.beta, &mut *beta), (into_gate, &mut *narrow)]);
                project(compute, narrow, [(gates, &mut *gate)]);
                project(compute, x, [(into_step, &mut *narrow)]);
                project(compute, narrow, [(steps, &mut *step)]);
                let cols = |offset| HeadCols { stride: 0, offset };
                for (index, part) in parts.iter().enumerate() {
                    project(compute, x, [(part, &mut *heads)]);
                    qkv.set_width(channels);
                    compute.copy_cols(heads, cols(0), 1, keys, qkv, cols(index * keys));
                }
            }
        }
        compute.convolve(store, *part, spans, qkv, &self.convolution, None, true, convolved);
        let cols = |offset| HeadCols { stride: dim, offset };
        compute.unit_heads(convolved, cols(0), key_heads, dim, (*eps, (dim as f32).sqrt().recip()));
        compute.unit_heads(convolved, cols(keys), key_heads, dim, (*eps, 1.0));
        compute.softplus(step, &self.step_bias);
        compute.decay(step, &self.rates, decay);
        compute.activate(Gate::Sigmoid, beta);
        let input = |rows, stride, offset, heads| ScanInput {
            rows,
            cols: HeadCols { stride, offset },
            heads,
            grouped,
        };
        let one =
            |rows| ScanInput { rows, cols: HeadCols { stride: 1, offset: 0 }, heads: count, grouped: true };
        let spec = ScanSpec {
            heads: count,
            key_dim: dim,
            value_dim: dim,
            q: input(convolved, dim, 0, key_heads),
            k: input(convolved, dim, keys, key_heads),
            v: input(convolved, dim, 2 * keys, count),
            decay: if per_key { input(decay, dim, 0, count) } else { one(decay) },
            decay_per_key: per_key,
            rule: ScanRule::Delta { beta: one(beta) },
        };
        heads.set_width(shape.values());
        compute.scan(store, *part + 1, spans, &spec, heads);
        norm_parts(compute, &self.norm, count, *eps, heads);
        compute.gate(if per_key { Gate::Sigmoid } else { Gate::Silu }, gate, heads);
        project(compute, gate, [(&self.out, out)]);
    }
}

impl Bind<'_> {
    pub(super) fn delta_net(&mut self, layer: usize, shape: &DeltaConfig) -> Bound<DeltaNet> {
        let hidden = self.config.hidden;
        let DeltaConfig { dim, heads, taps, per_key, .. } = *shape;
        let (keys, values, channels) = (shape.keys(), shape.values(), shape.channels());
        let none = Presence::Never;
        let step_bias = self.binder.vector(&names::bias(layer, "ssm_dt"), &[shape.decays()])?;
        let rates = self.binder.vector(&names::bare(layer, "ssm_a"), &[heads])?;
        let norm = self.rms(layer, "ssm_norm", dim)?;
        let output = if per_key { "attn_output" } else { "ssm_out" };
        let out = self.scaled(layer, output, none, &[hidden, values])?;
        let (input, beta, convolution) = if per_key {
            let two = |bind: &mut Self, a: &str, b: &str| -> Bound<[Linear; 2]> {
                let a = bind.scaled(layer, a, none, &[dim, hidden])?;
                let b = bind.scaled(layer, b, none, &[values, dim])?;
                Ok(a.zip(b).map(|(a, b)| [a, b]))
            };
            let gate = two(self, "ssm_g_a", "ssm_g_b")?;
            let step = two(self, "ssm_f_a", "ssm_f_b")?;
            let q = self.scaled(layer, "attn_q", none, &[keys, hidden])?;
            let k = self.scaled(layer, "attn_k", none, &[keys, hidden])?;
            let v = self.scaled(layer, "attn_v", none, &[values, hidden])?;
            let mut taps_of = |name: &str| self.binder.table(&names::weight(layer, name), [keys, taps]);
            let (a, b, c) = (taps_of("ssm_conv1d_q")?, taps_of("ssm_conv1d_k")?, taps_of("ssm_conv1d_v")?);
            let joined = || Some([a?.as_slice(), b?.as_slice(), c?.as_slice()].concat());
            let convolution = joined().map(|weights| by_tap(&weights, taps));
            let beta = self.scaled(layer, "ssm_beta", none, &[heads, hidden])?;
            let parts = || Some(Projections::Parts { qkv: Box::new([q?, k?, v?]), gate: gate?, step: step? });
            (parts(), beta, convolution)
        } else {
            let (qkv, gate) = self.qkv_and_gate(layer, shape)?.unzip();
            let (beta, step) = self.beta_and_step(layer, shape)?.unzip();
            let weights = self.binder.table(&names::weight(layer, "ssm_conv1d"), [channels, taps])?;
            let convolution = weights.map(|weights| by_tap(weights.as_slice(), taps));
            let whole = || Some(Projections::Whole { qkv: qkv?, gate: gate?, step: step? });
            (whole(), beta, convolution)
        };
        let built = || {
            let rates = rates?;
            // A rate per head serves all its key dimensions.
            let each = shape.decays() / heads;
            let spread = rates.as_slice().iter().flat_map(|rate| std::iter::repeat_n(*rate, each));
            Some(DeltaNet {
                input: input?,
                convolution: convolution?,
                step_bias: step_bias?,
                rates: Vector::from_vec(spread.collect()),
                beta: beta?,
                norm: norm?,
                out: out?,
            })
        };
        Ok(built())
    }

    /// Queries, keys and values, and the output's gate: two projections, or one of older files whose rows are, key head by
    /// key head, its query, its key, the values of its value heads and their gates.
    fn qkv_and_gate(&mut self, layer: usize, shape: &DeltaConfig) -> Bound<(Linear, Linear)> {
        let (hidden, none) = (self.config.hidden, Presence::Never);
        let (keys, values, channels) = (shape.keys(), shape.values(), shape.channels());
        if !self.binder.has(&names::weight(layer, "ssm_in")) {
            let qkv = self.scaled(layer, "attn_qkv", none, &[channels, hidden])?;
            let gate = self.scaled(layer, "attn_gate", none, &[values, hidden])?;
            return Ok(qkv.zip(gate));
        }
        let whole = self.scaled(layer, "ssm_in", none, &[2 * (keys + values), hidden])?;
        let (dim, wide) = (shape.dim, values / shape.key_heads);
        let rows = |start: usize, width: usize| {
            let of_head = move |head: usize| head * 2 * (dim + wide) + start;
            (0..shape.key_heads).flat_map(move |head| of_head(head)..of_head(head) + width)
        };
        let picked = |whole: Linear| {
            let pick = |rows: Vec<usize>| {
                Some(Linear { weight: whole.weight.pick_rows(&rows).ok()?, bias: None, scale: whole.scale })
            };
            let qkv = rows(0, dim).chain(rows(dim, dim)).chain(rows(2 * dim, wide));
            pick(qkv.collect()).zip(pick(rows(2 * dim + wide, wide).collect()))
        };
        Ok(whole.and_then(picked))
    }

    /// Two projections, or one whose rows are, key head by key head, the betas of its value heads and their steps.
    fn beta_and_step(&mut self, layer: usize, shape: &DeltaConfig) -> Bound<(Linear, Linear)> {
        let (hidden, heads) = (self.config.hidden, shape.heads);
        if !self.binder.has(&names::weight(layer, "ssm_ba")) {
            let beta = self.scaled(layer, "ssm_beta", Presence::Never, &[heads, hidden])?;
            let step = self.scaled(layer, "ssm_alpha", Presence::Never, &[heads, hidden])?;
            return Ok(beta.zip(step));
        }
        let both = self.scaled(layer, "ssm_ba", Presence::Never, &[2 * heads, hidden])?;
        let each = heads / shape.key_heads;
        let rows = |first: usize| -> Vec<usize> {
            (0..heads).map(|head| head / each * 2 * each + first + head % each).collect()
        };
        let picked = |both: Linear| {
            let pick = |first| {
                Some(Linear {
                    weight: both.weight.pick_rows(&rows(first)).ok()?,
                    bias: None,
                    scale: both.scale,
                })
            };
            pick(0).zip(pick(each))
        };
        Ok(both.and_then(picked))
    }
}

/// Weights of a convolution, a row of taps per channel, as a row of channels per tap.
pub(super) fn by_tap(weights: &[f32], taps: usize) -> Vector {
    let channels = weights.len() / taps;
    Vector::from_vec((0..taps).flat_map(|tap| (0..channels).map(move |c| weights[c * taps + tap])).collect())
}
