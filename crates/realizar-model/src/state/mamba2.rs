//! Mamba 2 (Granite 4, Nemotron H, Falcon H1): a decay per head, keys and queries per group of heads.

use realizar_tensor::{Gate, HeadCols, Rows, ScanInput, ScanRule, ScanSpec, Vector};

use super::Work;
use super::delta_net::by_tap;
use crate::arch::Presence;
use crate::attention::norm_parts;
use crate::binder::Bound;
use crate::error::ModelError;
use crate::facts::{self, FactReader};
use crate::linear::project;
use crate::names;
use crate::weights::{Bind, Linear, NormWeights, cut};

/// Widths of a Mamba 2 layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mamba2Config {
    taps: usize,
    inner: usize,
    size: usize,
    heads: usize,
    groups: usize,
    /// Whether the result is normed.
    norm: Presence,
}

/// Weights of a Mamba 2 layer.
#[derive(Debug)]
pub(crate) struct Mamba2 {
    gate: Linear,
    /// Values, keys, queries.
    xbc: Linear,
    step: Linear,
    convolution: Vector,
    convolution_bias: Option<Vector>,
    step_bias: Vector,
    rates: Vector,
    skip: Vector,
    norm: Option<NormWeights>,
    out: Linear,
}

impl Mamba2Config {
    pub(super) fn read(read: &FactReader<'_>, norm: Presence) -> Result<Self, ModelError> {
        let shape = Self {
            norm,
            taps: read.require_count(facts::CONVOLUTION)?,
            inner: read.require_count(facts::STATE_INNER)?,
            size: read.require_count(facts::STATE_SIZE)?,
            heads: read.require_count(facts::STEP_RANK)?,
            groups: read.count(facts::STATE_GROUPS)?.unwrap_or(1),
        };
        let (inner, heads) = ((facts::STATE_INNER.key, shape.inner), (facts::STEP_RANK.key, shape.heads));
        if !shape.inner.is_multiple_of(shape.heads) {
            return Err(read.disagree(inner, heads, "the first must be a multiple of the second"));
        }
        if !shape.heads.is_multiple_of(shape.groups) {
            let groups = (facts::STATE_GROUPS.key, shape.groups);
            return Err(read.disagree(heads, groups, "the first must be a multiple of the second"));
        }
        Ok(shape)
    }

    fn channels(&self) -> usize {
        self.inner + 2 * self.groups * self.size
    }

    pub(super) fn parts(&self) -> [usize; 2] {
        [self.channels() * (self.taps - 1), self.inner * self.size]
    }

    pub(super) fn widths(&self) -> Vec<usize> {
        let (channels, heads) = (self.channels(), self.heads);
        vec![self.inner, channels, channels, heads, heads, self.inner]
    }
}

impl Mamba2 {
    pub(super) fn run(
        &self,
        shape: &Mamba2Config,
        work: &mut Work<'_>,
        x: &Rows,
        buffers: &mut [Rows],
        out: &mut Rows,
    ) {
        let [gate, xbc, convolved, step, decay, values] = buffers else { return };
        let Mamba2Config { inner, size, heads, groups, .. } = *shape;
        let Work { compute, store, part, spans, eps, .. } = work;
        project(compute, x, [(&self.gate, &mut *gate), (&self.xbc, &mut *xbc), (&self.step, &mut *step)]);
        let bias = self.convolution_bias.as_ref();
        compute.convolve(store, *part, spans, xbc, &self.convolution, bias, true, convolved);
        compute.softplus(step, &self.step_bias);
        compute.decay(step, &self.rates, decay);
        let input = |rows, stride, offset, heads| ScanInput {
            rows,
            cols: HeadCols { stride, offset },
            heads,
            grouped: true,
        };
        let spec = ScanSpec {
            heads,
            key_dim: size,
            value_dim: inner / heads,
            q: input(convolved, size, inner + groups * size, groups),
            k: input(convolved, size, inner, groups),
            v: input(convolved, inner / heads, 0, heads),
            decay: input(decay, 1, 0, heads),
            decay_per_key: false,
            rule: ScanRule::Add { step: Some(input(step, 1, 0, heads)), skip: Some(&self.skip) },
        };
        compute.scan(store, *part + 1, spans, &spec, values);
        compute.gate(Gate::Silu, gate, values);
        if let Some(norm) = &self.norm {
            norm_parts(compute, norm, groups, *eps, gate);
        }
        project(compute, gate, [(&self.out, out)]);
    }
}

impl Bind<'_> {
    pub(super) fn mamba2(&mut self, layer: usize, shape: &Mamba2Config) -> Bound<Mamba2> {
        let hidden = self.config.hidden;
        let Mamba2Config { taps, inner, heads, groups, .. } = *shape;
        let channels = shape.channels();
        let rows = [inner, channels, heads];
        let whole = self.scaled(layer, "ssm_in", Presence::Never, &[rows.iter().sum(), hidden])?;
        let weights = self.binder.table(&names::weight(layer, "ssm_conv1d"), [channels, taps])?;
        let bias = names::bias(layer, "ssm_conv1d");
        let convolution_bias = self.binder.vector_if(Presence::Optional, &bias, &[channels])?;
        let step_bias = self.binder.vector(&names::bias(layer, "ssm_dt"), &[heads])?;
        let rates = self.binder.vector(&names::bare(layer, "ssm_a"), &[heads])?;
        let skip = self.binder.vector(&names::bare(layer, "ssm_d"), &[heads])?;
        let norm =
            self.binder.table_if(shape.norm, &names::weight(layer, "ssm_norm"), [groups, inner / groups])?;
        let out = self.scaled(layer, "ssm_out", Presence::Never, &[hidden, inner])?;
        let built = || {
            let [gate, xbc, step] = cut(&whole?, rows)?;
            Some(Mamba2 {
                gate,
                xbc,
                step,
                convolution: by_tap(weights?.as_slice(), taps),
                convolution_bias: convolution_bias?,
                step_bias: step_bias?,
                rates: rates?,
                skip: skip?,
                norm: norm?.map(NormWeights::rms),
                out: out?,
            })
        };
        Ok(built())
    }
}
