//! RWKV 7: two branches that both look at the token before, the first of them with a state of a matrix per head.

use realizar_tensor::{Compute, Gate, HeadCols, Rows, ScanInput, ScanRule, ScanSpec, Vector};

use super::Work;
use crate::arch::Presence;
use crate::binder::Bound;
use crate::error::ModelError;
use crate::facts::{self, FactReader};
use crate::linear::project;
use crate::names;
use crate::transformer::apply_norm;
use crate::weights::{Bind, Linear, NormWeights};

/// Widths of an RWKV 7 layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rwkv7Config {
    hidden: usize,
    dim: usize,
    ffn: usize,
    /// Ranks of what the decay, the rate, the values' mix and the gate are made of.
    ranks: [usize; 4],
}

/// A value per column by way of a narrow vector.
#[derive(Debug)]
struct Narrow {
    into: Linear,
    out: Linear,
}

/// Weights of an RWKV 7 layer.
#[derive(Debug)]
pub(crate) struct Rwkv7 {
    /// Shares of the token before: for receptance, decay, key, value, rate, gate.
    shares: [Vector; 6],
    /// Takes the token before out of a state.
    shift: Vector,
    receptance: Linear,
    key: Linear,
    value: Linear,
    decay: Narrow,
    decay_rates: Vector,
    rate: Narrow,
    /// Not in the first layer.
    value_mix: Option<Narrow>,
    gate: Narrow,
    unit_gain: Vector,
    rate_gain: Vector,
    bonus: Vector,
    norm: (Vector, Vector),
    output: Linear,
    before_channels: NormWeights,
    channel_share: Vector,
    channel_key: Linear,
    channel_value: Linear,
}

/// The decay is `exp` of this times a sigmoid: `-exp(-0.5)`.
const DECAY: f32 = -0.606_531;
/// The small number of the norm of heads.
const HEAD_EPS: f32 = 64e-5;
/// The square of the least length of a key.
const UNIT_EPS: f32 = 1e-24;

impl Rwkv7Config {
    pub(super) fn read(read: &FactReader<'_>, hidden: usize) -> Result<Self, ModelError> {
        let dim = read.require_count(facts::WKV_DIM)?;
        // One for each of the two branches; other numbers mean other branches.
        read.count(facts::TOKEN_SHIFTS)?;
        if !hidden.is_multiple_of(dim) {
            let (width, head) = ((facts::HIDDEN.key, hidden), (facts::WKV_DIM.key, dim));
            return Err(read.disagree(width, head, "the first must be a multiple of the second"));
        }
        let ranks = [facts::DECAY_RANK, facts::RATE_RANK, facts::VALUE_RANK, facts::GATE_RANK];
        let [decay, rate, value, gate] = ranks.map(|rank| read.require_count(rank));
        Ok(Self { hidden, dim, ffn: read.require_count(facts::FFN)?, ranks: [decay?, rate?, value?, gate?] })
    }

    /// The last input of the first branch, the heads' states, the last input of the second branch.
    pub(super) fn parts(&self) -> [usize; 3] {
        [self.hidden, self.hidden * self.dim, self.hidden]
    }

    pub(super) fn widths(&self, hidden: usize) -> Vec<usize> {
        let mut widths = vec![hidden; 14];
        widths.push(self.ranks.into_iter().max().unwrap_or(1));
        widths.push(self.ffn);
        widths
    }
}

impl Narrow {
    /// `out(act(into x))`, where `act` may be nothing.
    fn run(
        &self,
        compute: &mut Compute,
        x: &Rows,
        narrow: &mut Rows,
        out: &mut Rows,
        act: fn(&mut Compute, &mut Rows),
    ) {
        project(compute, x, [(&self.into, &mut *narrow)]);
        act(compute, narrow);
        project(compute, narrow, [(&self.out, out)]);
    }
}

fn sigmoid(compute: &mut Compute, x: &mut Rows) {
    compute.activate(Gate::Sigmoid, x);
}

impl Rwkv7 {
    pub(super) fn run(
        &self,
        shape: &Rwkv7Config,
        work: &mut Work<'_>,
        first: bool,
        (x, normed): (&Rows, &Rows),
        buffers: &mut [Rows],
        out: &mut Rows,
    ) {
        let [
            before,
            mixed,
            r,
            w,
            k,
            v,
            rate,
            gate,
            first_v,
            read,
            write,
            heads,
            share,
            stream,
            narrow,
            inner,
        ] = buffers
        else {
            return;
        };
        let Rwkv7Config { hidden, dim, .. } = *shape;
        let count = hidden / dim;
        let Work { compute, store, part, spans, eps, .. } = work;
        let [to_r, to_w, to_k, to_v, to_rate, to_gate] = &self.shares;
        let whole = HeadCols { stride: 0, offset: 0 };
        compute.convolve(store, *part, spans, normed, &self.shift, None, false, before);
        compute.mix(normed, before, to_r, mixed);
        project(compute, mixed, [(&self.receptance, &mut *r)]);
        compute.mix(normed, before, to_w, mixed);
        self.decay.run(compute, mixed, narrow, share, |compute, x| compute.softcap(x, 1.0));
        sigmoid(compute, share);
        compute.decay(share, &self.decay_rates, w);
        compute.mix(normed, before, to_k, mixed);
        project(compute, mixed, [(&self.key, &mut *k)]);
        compute.mix(normed, before, to_v, mixed);
        project(compute, mixed, [(&self.value, &mut *v)]);
        match &self.value_mix {
            Some(mix) if !first => {
                mix.run(compute, mixed, narrow, share, |_, _| {});
                sigmoid(compute, share);
                compute.blend(v, first_v, share);
            }
            _ => compute.copy_cols(v, whole, 1, hidden, first_v, whole),
        }
        compute.mix(normed, before, to_rate, mixed);
        self.rate.run(compute, mixed, narrow, rate, |_, _| {});
        sigmoid(compute, rate);
        compute.mix(normed, before, to_gate, mixed);
        self.gate.run(compute, mixed, narrow, gate, sigmoid);
        // Keys of length 1: what is read, and what is written back.
        compute.scale_columns(k, &self.unit_gain, read);
        compute.unit_heads(read, HeadCols { stride: dim, offset: 0 }, count, dim, (UNIT_EPS, -1.0));
        compute.copy_cols(read, whole, 1, hidden, write, whole);
        compute.multiply(rate, write);
        compute.scale(write, -1.0);
        compute.scale_columns(k, &self.rate_gain, share);
        compute.add(k, -1.0, share);
        compute.scale(share, -1.0);
        // share = k (1 - gain), so that k + (a - 1) gain k = share + a gain k.
        compute.scale_columns(k, &self.rate_gain, mixed);
        compute.multiply(rate, mixed);
        compute.add(mixed, 1.0, share);
        compute.copy_cols(share, whole, 1, hidden, k, whole);
        let input =
            |rows| ScanInput { rows, cols: HeadCols { stride: dim, offset: 0 }, heads: count, grouped: true };
        let spec = ScanSpec {
            heads: count,
            key_dim: dim,
            value_dim: dim,
            q: input(r),
            k: input(k),
            v: input(v),
            decay: input(w),
            decay_per_key: true,
            rule: ScanRule::Pair { read: input(read), write: input(write) },
        };
        compute.scan(store, *part + 1, spans, &spec, heads);
        compute.layer_norm_heads(heads, count, &self.norm.0, Some(&self.norm.1), HEAD_EPS);
        compute.add_weighed_heads([r, k, v], &self.bonus, count, heads);
        compute.multiply(gate, heads);
        project(compute, heads, [(&self.output, &mut *out)]);
        // The second branch sees the stream with the first one.
        compute.copy_cols(x, whole, 1, hidden, stream, whole);
        compute.add(out, 1.0, stream);
        apply_norm(compute, &self.before_channels, *eps, stream, mixed);
        compute.convolve(store, *part + 2, spans, mixed, &self.shift, None, false, before);
        compute.mix(mixed, before, &self.channel_share, share);
        project(compute, share, [(&self.channel_key, &mut *inner)]);
        compute.activate(Gate::Relu2, inner);
        project(compute, inner, [(&self.channel_value, &mut *share)]);
        compute.add(share, 1.0, out);
    }
}

impl Bind<'_> {
    pub(super) fn rwkv7(&mut self, layer: usize, shape: &Rwkv7Config) -> Bound<Rwkv7> {
        let Rwkv7Config { hidden, dim, ffn, ranks: [decay, rate, value, gate], .. } = *shape;
        let fused = self.binder.table(&names::weight(layer, "time_mix_lerp_fused"), [6, hidden])?;
        let mut square = |name: &str| self.linear(layer, name, Presence::Never, &[hidden, hidden]);
        let receptance = square("time_mix_receptance")?;
        let key = square("time_mix_key")?;
        let values = square("time_mix_value")?;
        let output = square("time_mix_output")?;
        let decay = self.narrow(layer, Some("time_mix_w0"), ["time_mix_w1", "time_mix_w2"], decay)?;
        let rate = self.narrow(layer, Some("time_mix_a0"), ["time_mix_a1", "time_mix_a2"], rate)?;
        // Files may have it in the first layer too, where it is not used.
        let mixed_by = ["time_mix_v0", "time_mix_v1", "time_mix_v2"];
        let has_mix = mixed_by.iter().any(|name| self.binder.has(&names::weight(layer, name)));
        let value_mix = match has_mix || layer > 0 {
            true => self.narrow(layer, Some("time_mix_v0"), ["time_mix_v1", "time_mix_v2"], value)?.map(Some),
            false => Some(None),
        };
        let gate = self.narrow(layer, None, ["time_mix_g1", "time_mix_g2"], gate)?;
        let mut list = |name: &str| self.binder.vector(&names::weight(layer, name), &[hidden]);
        let (unit_gain, rate_gain) = (list("time_mix_k_k")?, list("time_mix_k_a")?);
        let (norm, channel_share) = (list("time_mix_ln")?, list("channel_mix_lerp_k")?);
        let bonus = self.binder.table(&names::weight(layer, "time_mix_r_k"), [hidden / dim, dim])?;
        let norm_bias = self.binder.vector(&names::bias(layer, "time_mix_ln"), &[hidden])?;
        let before_channels = self.norm_at(Some(layer), Some("attn_norm_2"))?;
        let channel_key = self.linear(layer, "channel_mix_key", Presence::Never, &[ffn, hidden])?;
        let channel_value = self.linear(layer, "channel_mix_value", Presence::Never, &[hidden, ffn])?;
        let built = || {
            let fused = fused?;
            let share = |at: usize| Vector::from_vec(fused.as_slice()[at * hidden..][..hidden].to_vec());
            Some(Rwkv7 {
                shares: std::array::from_fn(share),
                shift: Vector::from_vec([vec![1.0; hidden], vec![0.0; hidden]].concat()),
                receptance: receptance?,
                key: key?,
                value: values?,
                decay: decay?,
                decay_rates: Vector::from_vec(vec![DECAY; hidden]),
                rate: rate?,
                value_mix: value_mix?,
                gate: gate?,
                unit_gain: unit_gain?,
                rate_gain: rate_gain?,
                bonus: bonus?,
                norm: (norm?, norm_bias?),
                output: output?,
                before_channels: before_channels.flatten()?,
                channel_share: channel_share?,
                channel_key: channel_key?,
                channel_value: channel_value?,
            })
        };
        Ok(built())
    }

    fn narrow(
        &mut self,
        layer: usize,
        bias: Option<&str>,
        [into, out]: [&str; 2],
        rank: usize,
    ) -> Bound<Narrow> {
        let hidden = self.config.hidden;
        let into = self.linear(layer, into, Presence::Never, &[rank, hidden])?;
        let out = self.linear(layer, out, Presence::Never, &[hidden, rank])?;
        let bias = match bias {
            Some(name) => self.binder.vector(&names::weight(layer, name), &[hidden])?.map(Some),
            None => Some(None),
        };
        let built = || Some(Narrow { into: into?, out: Linear { bias: bias?, ..out? } });
        Ok(built())
    }
}
