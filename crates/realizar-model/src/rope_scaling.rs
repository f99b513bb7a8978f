//! Rotation frequencies and how they are stretched for contexts beyond the trained one.

use std::f64::consts::TAU;

use realizar_tensor::PairOrder;

use crate::arch::ArchFacts;
use crate::error::ModelError;
use crate::facts::{self, FactReader};

/// The rotation of queries and keys, as the file states it.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeConfig {
    /// Which dimensions are rotated together.
    pub pairs: PairOrder,
    /// Dimensions of a head that are rotated; even.
    pub dim: usize,
    /// The base: pair `i` turns by `base^(-2i/dim)` per position.
    pub base: f32,
    /// How the frequencies are stretched.
    pub scaling: RopeScaling,
    /// Factor on cosine and sine.
    pub magnitude: f32,
    /// Factor on queries and keys alike that belongs into the attention's scale.
    pub scores_magnitude: f32,
    /// Above this context the long factors of the file hold, up to it the short ones.
    pub original_context: usize,
    /// Whether divisors that stand in the file as tensors are applied.
    pub factors: bool,
}

/// How frequencies are stretched.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "named as in the papers")]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All by the same factor.
    Linear { factor: f32 },
    /// Low frequencies by the factor, high ones not, with a ramp between (arXiv:2309.00071).
    Yarn { factor: f32, fast: f32, slow: f32 },
    /// As Llama 3.1: by wavelength, with a ramp between.
    Llama3 { factor: f32, low: f32, high: f32 },
}

impl RopeConfig {
    pub(crate) fn read(
        read: &FactReader<'_>,
        arch: &ArchFacts,
        pairs: PairOrder,
        head_dim: usize,
        context: usize,
    ) -> Result<Self, ModelError> {
        let dim = read.count(facts::ROTARY_DIM)?.unwrap_or(head_dim);
        if dim > head_dim {
            let (rotated, width) = ((facts::ROTARY_DIM.key, dim), (facts::HEAD_DIM.key, head_dim));
            return Err(read.disagree(rotated, width, "no more dimensions can be rotated than a head has"));
        }
        if !dim.is_multiple_of(2) {
            let expected = "an even number".to_owned();
            return Err(facts::out_of_range(read.key(facts::ROTARY_DIM.key), dim, expected));
        }
        let factor = || Ok::<f32, ModelError>(read.number(facts::ROPE_FACTOR)?.unwrap_or(1.0));
        let scaling = match read.word("rope.scaling.type")?.unwrap_or("none") {
            // What `longrope` means stands in tensors of factors.
            "none" | "default" => RopeScaling::None,
            "longrope" if !read.dialect.is_json() => RopeScaling::None,
            "linear" => RopeScaling::Linear { factor: factor()? },
            "yarn" => RopeScaling::Yarn {
                factor: factor()?,
                fast: read.number(facts::YARN_FAST)?.unwrap_or(32.0),
                slow: read.number(facts::YARN_SLOW)?.unwrap_or(1.0),
            },
            "llama3" => RopeScaling::Llama3 {
                factor: factor()?,
                low: read.number(facts::LOW_FREQ_FACTOR)?.unwrap_or(1.0),
                high: read.number(facts::HIGH_FREQ_FACTOR)?.unwrap_or(4.0),
            },
            other => {
                let shown: String = other.chars().take(64).collect();
                return Err(read.unsupported(format!("`{}` {shown:?}", read.key("rope.scaling.type"))));
            }
        };
        let log_multiplier = match arch.yarn_log_multiplier {
            true => read.number(facts::YARN_LOG_MULTIPLIER)?.filter(|multiplier| *multiplier > 0.0),
            false => None,
        };
        let attention_factor = read.number(facts::ROPE_MAGNITUDE)?.unwrap_or(1.0);
        let (magnitude, scores_magnitude) = match (scaling, log_multiplier) {
            (RopeScaling::Yarn { factor, .. }, Some(multiplier)) => (1.0, 1.0 + multiplier * factor.ln()),
            (RopeScaling::Yarn { factor, .. }, None) => (attention_factor * (1.0 + 0.1 * factor.ln()), 1.0),
            _ => (attention_factor, 1.0),
        };
        Ok(Self {
            pairs,
            dim,
            base: read.number(facts::ROPE_BASE)?.unwrap_or(10_000.0),
            scaling,
            magnitude,
            scores_magnitude,
            original_context: read.count(facts::ORIGINAL_CONTEXT)?.unwrap_or(context),
            factors: true,
        })
    }

    /// The same rotation with another base and nothing stretched.
    pub(crate) fn unscaled(&self, base: f32) -> Self {
        let scaling = RopeScaling::None;
        Self { base, scaling, magnitude: 1.0, scores_magnitude: 1.0, factors: false, ..self.clone() }
    }

    /// Angle per position of every pair. `divisors` come from the file and have `dim / 2` elements, or more.
    ///
    /// Computed in f64: an error in a frequency grows with the position.
    pub(crate) fn frequencies(&self, divisors: Option<&[f32]>) -> Vec<f32> {
        let plain = |pair: usize| f64::from(self.base).powf(-2.0 * pair as f64 / self.dim as f64);
        let divided = |pair: usize| {
            let divisor = divisors.filter(|_| self.factors).and_then(|list| list.get(pair)).copied();
            plain(pair) / f64::from(divisor.unwrap_or(1.0))
        };
        (0..self.dim / 2).map(|pair| self.stretched(pair, divided(pair)) as f32).collect()
    }

    fn stretched(&self, pair: usize, frequency: f64) -> f64 {
        match self.scaling {
            RopeScaling::None => frequency,
            RopeScaling::Linear { factor } => frequency / f64::from(factor),
            RopeScaling::Yarn { factor, fast, slow } => {
                let keep = 1.0 - self.yarn_ramp(pair, fast, slow);
                frequency / f64::from(factor) * (1.0 - keep) + frequency * keep
            }
            RopeScaling::Llama3 { factor, low, high } => {
                let turns = self.original_context as f64 * frequency / TAU;
                let (low, high) = (f64::from(low), f64::from(high));
                let keep = ((turns - low) / (high - low).max(f64::EPSILON)).clamp(0.0, 1.0);
                frequency / f64::from(factor) * (1.0 - keep) + frequency * keep
            }
        }
    }

    /// 0 for pairs that turn often inside the trained context (kept), 1 for those that turn seldom (stretched).
    fn yarn_ramp(&self, pair: usize, fast: f32, slow: f32) -> f64 {
        let dim = self.dim as f64;
        let at_turns = |turns: f32| {
            let wavelengths = self.original_context as f64 / (f64::from(turns) * TAU);
            dim * wavelengths.ln() / (2.0 * f64::from(self.base).ln())
        };
        let low = at_turns(fast).floor().max(0.0);
        let high = at_turns(slow).ceil().min(dim - 1.0);
        ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0)
    }
}
