//! A short convolution between two gates (LFM2).

use realizar_tensor::{Rows, Vector};

use super::Work;
use super::delta_net::by_tap;
use crate::arch::Presence;
use crate::binder::Bound;
use crate::error::ModelError;
use crate::facts::{self, FactReader};
use crate::linear::project;
use crate::names;
use crate::weights::{Bind, Linear, cut};

/// Widths of a short convolution.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ShortConfig {
    taps: usize,
    hidden: usize,
}

/// Weights of a short convolution.
#[derive(Debug)]
pub(crate) struct ShortConvolution {
    /// The gate before, the gate behind, and what is convolved.
    input: Box<[Linear; 3]>,
    convolution: Vector,
    out: Linear,
}

impl ShortConfig {
    pub(super) fn read(read: &FactReader<'_>, hidden: usize) -> Result<Self, ModelError> {
        Ok(Self { taps: read.require_count(facts::SHORT_CONVOLUTION)?, hidden })
    }

    pub(super) fn parts(&self) -> [usize; 1] {
        [self.hidden * (self.taps - 1)]
    }
}

impl ShortConvolution {
    /// Buffers as wide as the stream.
    pub(super) const BUFFERS: usize = 4;

    pub(super) fn run(&self, work: &mut Work<'_>, x: &Rows, buffers: &mut [Rows], out: &mut Rows) {
        let [before, behind, inner, convolved] = buffers else { return };
        let Work { compute, store, part, spans, .. } = work;
        let [b, c, x_in] = &*self.input;
        project(compute, x, [(b, &mut *before), (c, &mut *behind), (x_in, &mut *inner)]);
        compute.multiply(before, inner);
        compute.convolve(store, *part, spans, inner, &self.convolution, None, false, convolved);
        compute.multiply(behind, convolved);
        project(compute, convolved, [(&self.out, out)]);
    }
}

impl Bind<'_> {
    pub(super) fn short_convolution(&mut self, layer: usize, shape: &ShortConfig) -> Bound<ShortConvolution> {
        let ShortConfig { taps, hidden } = *shape;
        let none = Presence::Never;
        let whole = self.scaled(layer, "shortconv.in_proj", none, &[3 * hidden, hidden])?;
        let weights = self.binder.table(&names::weight(layer, "shortconv.conv"), [hidden, taps])?;
        let out = self.scaled(layer, "shortconv.out_proj", none, &[hidden, hidden])?;
        let built = || {
            Some(ShortConvolution {
                input: Box::new(cut(&whole?, [hidden; 3])?),
                convolution: by_tap(weights?.as_slice(), taps),
                out: out?,
            })
        };
        Ok(built())
    }
}
