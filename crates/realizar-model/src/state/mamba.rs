//! Mamba (and Jamba, which norms what steps, keys and queries are made of): every channel has numbers of its own.

use realizar_tensor::{ChannelScanSpec, Gate, HeadCols, Rows, Vector};

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

/// Widths of a Mamba layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MambaConfig {
    taps: usize,
    inner: usize,
    size: usize,
    rank: usize,
    /// Norms without gains on what steps, keys and queries are made of.
    normed: bool,
}

/// Weights of a Mamba layer.
#[derive(Debug)]
pub(crate) struct Mamba {
    x: Linear,
    gate: Linear,
    convolution: Vector,
    convolution_bias: Option<Vector>,
    /// Makes `[rank | size | size]`: what steps are made of, keys, queries.
    parts: Linear,
    /// Norms of those.
    norms: Option<[NormWeights; 3]>,
    step: Linear,
    step_bias: Vector,
    /// `[size][inner]`.
    rates: Vector,
    skip: Vector,
    out: Linear,
}

impl MambaConfig {
    pub(super) fn read(read: &FactReader<'_>) -> Result<Self, ModelError> {
        Ok(Self {
            taps: read.require_count(facts::CONVOLUTION)?,
            inner: read.require_count(facts::STATE_INNER)?,
            size: read.require_count(facts::STATE_SIZE)?,
            rank: read.require_count(facts::STEP_RANK)?,
            normed: read.flag("ssm.dt_b_c_rms")?.unwrap_or(false),
        })
    }

    pub(super) fn parts(&self) -> [usize; 2] {
        [self.inner * (self.taps - 1), self.inner * self.size]
    }

    pub(super) fn widths(&self) -> Vec<usize> {
        let Self { inner, size, rank, .. } = *self;
        vec![inner, inner, inner, rank + 2 * size, rank, size, size, 2 * size, inner, inner]
    }
}

impl Mamba {
    pub(super) fn run(
        &self,
        shape: &MambaConfig,
        work: &mut Work<'_>,
        u: &Rows,
        buffers: &mut [Rows],
        out: &mut Rows,
    ) {
        let [x, gate, convolved, parts, rank, key, query, pair, step, values] = buffers else { return };
        let MambaConfig { size, rank: wide, .. } = *shape;
        let Work { compute, store, part, spans, eps, .. } = work;
        project(compute, u, [(&self.x, &mut *x), (&self.gate, &mut *gate)]);
        let bias = self.convolution_bias.as_ref();
        compute.convolve(store, *part, spans, x, &self.convolution, bias, true, convolved);
        project(compute, convolved, [(&self.parts, &mut *parts)]);
        let cols = |offset| HeadCols { stride: 0, offset };
        compute.copy_cols(parts, cols(0), 1, wide, rank, cols(0));
        compute.copy_cols(parts, cols(wide), 1, size, key, cols(0));
        compute.copy_cols(parts, cols(wide + size), 1, size, query, cols(0));
        if let Some([steps, keys, queries]) = &self.norms {
            norm_parts(compute, steps, 1, *eps, rank);
            norm_parts(compute, keys, 1, *eps, key);
            norm_parts(compute, queries, 1, *eps, query);
        }
        compute.copy_cols(key, cols(0), 1, size, pair, cols(0));
        compute.copy_cols(query, cols(0), 1, size, pair, cols(size));
        project(compute, rank, [(&self.step, &mut *step)]);
        compute.softplus(step, &self.step_bias);
        let spec = ChannelScanSpec {
            n: size,
            step,
            x: convolved,
            writes_reads: pair,
            columns: [0, size],
            rates: &self.rates,
            skip: &self.skip,
        };
        compute.scan_channels(store, *part + 1, spans, &spec, values);
        compute.gate(Gate::Silu, gate, values);
        project(compute, gate, [(&self.out, out)]);
    }
}

impl Bind<'_> {
    pub(super) fn mamba(&mut self, layer: usize, shape: &MambaConfig) -> Bound<Mamba> {
        let hidden = self.config.hidden;
        let MambaConfig { taps, inner, size, rank, normed } = *shape;
        let none = Presence::Never;
        let whole = self.scaled(layer, "ssm_in", none, &[2 * inner, hidden])?;
        let weights = self.binder.table(&names::weight(layer, "ssm_conv1d"), [inner, taps])?;
        let bias = names::bias(layer, "ssm_conv1d");
        let convolution_bias = self.binder.vector_if(Presence::Always, &bias, &[inner])?;
        let parts = self.scaled(layer, "ssm_x", none, &[rank + 2 * size, inner])?;
        let part = |name| names::weight(layer, name);
        let normed_by = ["ssm_dt_norm", "ssm_b_norm", "ssm_c_norm"];
        let norms = if normed_by.iter().any(|name| self.binder.has(&part(name))) {
            let steps = self.rms(layer, "ssm_dt_norm", rank)?;
            let keys = self.rms(layer, "ssm_b_norm", size)?;
            let queries = self.rms(layer, "ssm_c_norm", size)?;
            steps.zip(keys).zip(queries).map(|((steps, keys), queries)| Some([steps, keys, queries]))
        } else {
            let plain = [rank, size, size].map(NormWeights::weightless);
            Some(Some(plain).filter(|_| normed))
        };
        let step = self.scaled(layer, "ssm_dt", none, &[inner, rank])?;
        let step_bias = self.binder.vector(&names::bias(layer, "ssm_dt"), &[inner])?;
        let rates = self.binder.table(&names::bare(layer, "ssm_a"), [inner, size])?;
        let skip = self.binder.vector(&names::bare(layer, "ssm_d"), &[inner])?;
        let out = self.scaled(layer, "ssm_out", none, &[hidden, inner])?;
        let built = || {
            let [x, gate] = cut(&whole?, [inner, inner])?;
            Some(Mamba {
                x,
                gate,
                convolution: by_tap(weights?.as_slice(), taps),
                convolution_bias: convolution_bias?,
                parts: parts?,
                norms: norms?,
                step: step?,
                step_bias: step_bias?,
                rates: by_tap(rates?.as_slice(), size),
                skip: skip?,
                out: out?,
            })
        };
        Ok(built())
    }
}
