//! Rotation frequencies and how they are stretched for contexts beyond the trained one.

use std::f64::consts::TAU;

use realizar_tensor::PairOrder;

use crate::arch::{ArchFacts, YarnMultiplier};
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
    Yarn { factor: f32, fast: f32, slow: f32, whole_pairs: bool },
    /// By a larger base, the larger the context beyond the trained one is.
    Dynamic { factor: f32 },
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
        let share = if read.dialect.is_json() { read.number(facts::ROTATED_SHARE)? } else { None };
        let dim = match (read.count(facts::ROTARY_DIM)?, share) {
            (Some(dim), _) => dim,
            (None, share) => (head_dim as f32 * share.unwrap_or(1.0)) as usize,
        };
        read.rotated((facts::ROTARY_DIM, dim), (facts::HEAD_DIM, head_dim))?;
        let factor = || -> Result<f32, ModelError> {
            let found = read.number(facts::ROPE_FACTOR)?;
            Ok(found.or(read.number(facts::OLD_ROPE_FACTOR)?).unwrap_or(1.0))
        };
        // A GGUF file with a factor and without a type means a linear one.
        let untyped = if read.dialect.is_json() { "none" } else { "linear" };
        let listed = read.dialect.has_list(read.source(), "rope.scaling.long_factor")?;
        let scaling = match read.word("rope.scaling.type")?.unwrap_or(untyped) {
            // What `longrope` means stands in tensors of factors.
            "none" | "default" => RopeScaling::None,
            "longrope" if !read.dialect.is_json() => RopeScaling::None,
            "longrope" | "su" if listed => RopeScaling::None,
            "dynamic" if read.dialect.is_json() => RopeScaling::Dynamic { factor: factor()? },
            "linear" => RopeScaling::Linear { factor: factor()? },
            "yarn" => RopeScaling::Yarn {
                factor: factor()?,
                fast: read.number(facts::YARN_FAST)?.unwrap_or(32.0),
                slow: read.number(facts::YARN_SLOW)?.unwrap_or(1.0),
                whole_pairs: !read.dialect.is_json() || read.flag("rope.scaling.truncate")?.unwrap_or(true),
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
        // How much of the ramp counts: all of it.
        let share = match scaling {
            RopeScaling::Yarn { .. } => read.number(facts::YARN_SHARE)?.filter(|share| *share != 1.0),
            _ => None,
        };
        if let Some(share) = share {
            return Err(read.unsupported(format!("`{}` {share}", read.key(facts::YARN_SHARE.key))));
        }
        let log_multiplier = match arch.yarn_log_multiplier {
            YarnMultiplier::Unread => None,
            _ => read.number(facts::YARN_LOG_MULTIPLIER)?.filter(|multiplier| *multiplier > 0.0),
        };
        let original_context = read.count(facts::ORIGINAL_CONTEXT)?;
        let attention_factor = read.number(facts::ROPE_MAGNITUDE)?.unwrap_or(1.0);
        let stated = if read.dialect.is_json() { read.number(facts::WHOLE_MAGNITUDE)? } else { None };
        let divided = yarn_magnitude(read)?;
        let (magnitude, scores_magnitude) = match (scaling, log_multiplier) {
            _ if stated.is_some() => (stated.unwrap_or(1.0), 1.0),
            (RopeScaling::None, _) if listed => {
                (long_magnitude(original_context.unwrap_or(context), context), 1.0)
            }
            (RopeScaling::Yarn { factor, .. }, _) if arch.yarn_log_multiplier == YarnMultiplier::Divides => {
                let whole = attention_factor * (1.0 + 0.1 * factor.ln());
                (whole / (1.0 + log_multiplier.unwrap_or(0.0) * factor.ln()), whole)
            }
            (RopeScaling::Yarn { factor, .. }, Some(multiplier)) => {
                (divided.map_or(1.0, |divided| divided(factor)), 1.0 + multiplier * factor.ln())
            }
            (RopeScaling::Yarn { factor, .. }, None) => {
                let magnitude = divided.map_or_else(|| 1.0 + 0.1 * factor.ln(), |divided| divided(factor));
                (attention_factor * magnitude, 1.0)
            }
            _ => (attention_factor, 1.0),
        };
        Ok(Self {
            pairs,
            dim,
            base: read.number(facts::ROPE_BASE)?.unwrap_or(10_000.0),
            scaling,
            magnitude,
            scores_magnitude,
            original_context: original_context.unwrap_or(context),
            factors: true,
        })
    }

    /// The same rotation with another base and nothing stretched.
    pub(crate) fn unscaled(&self, base: f32) -> Self {
        let scaling = RopeScaling::None;
        Self { base, scaling, magnitude: 1.0, scores_magnitude: 1.0, factors: false, ..self.clone() }
    }

    /// Angle per position of every pair, for sequences of up to `context` tokens. `divisors` come from the file and have
    /// `dim / 2` elements, or more.
    ///
    /// Computed in f64: an error in a frequency grows with the position.
    pub(crate) fn frequencies(&self, divisors: Option<&[f32]>, context: usize) -> Vec<f32> {
        let base = self.base_for(context);
        let plain = |pair: usize| base.powf(-2.0 * pair as f64 / self.dim as f64);
        let divided = |pair: usize| {
            let divisor = divisors.filter(|_| self.factors).and_then(|list| list.get(pair)).copied();
            plain(pair) / f64::from(divisor.unwrap_or(1.0))
        };
        (0..self.dim / 2).map(|pair| self.stretched(pair, divided(pair)) as f32).collect()
    }

    /// The base, which may grow with a context beyond the trained one. It is the context that a session can hold which
    /// counts, not what its sequences hold by now: keys that are cached stay right.
    fn base_for(&self, context: usize) -> f64 {
        let base = f64::from(self.base);
        match self.scaling {
            RopeScaling::Dynamic { factor } if context > self.original_context && self.dim > 2 => {
                let longer = context as f64 / self.original_context as f64;
                let factor = f64::from(factor);
                base * (factor * longer - (factor - 1.0)).powf(self.dim as f64 / (self.dim as f64 - 2.0))
            }
            _ => base,
        }
    }

    /// What the frequencies are divided by, where a GGUF file holds that instead of the scaling's name.
    pub(crate) fn divisors(&self) -> Option<Vec<f32>> {
        let RopeScaling::Llama3 { factor, low, high } = self.scaling else { return None };
        let (low, high) = (f64::from(low), f64::from(high));
        let divisor = |pair: usize| {
            let frequency = f64::from(self.base).powf(-2.0 * pair as f64 / self.dim as f64);
            let turns = self.original_context as f64 * frequency / TAU;
            let keep = ((turns - low) / (high - low).max(f64::EPSILON)).clamp(0.0, 1.0);
            llama3_divisor(f64::from(factor), keep)
        };
        Some((0..self.dim / 2).map(divisor).collect())
    }

    fn stretched(&self, pair: usize, frequency: f64) -> f64 {
        match self.scaling {
            RopeScaling::None | RopeScaling::Dynamic { .. } => frequency,
            RopeScaling::Linear { factor } => frequency / f64::from(factor),
            RopeScaling::Yarn { factor, fast, slow, whole_pairs } => {
                let keep = 1.0 - self.yarn_ramp(pair, (fast, slow), whole_pairs);
                frequency / f64::from(factor) * (1.0 - keep) + frequency * keep
            }
            RopeScaling::Llama3 { factor, low, high } => {
                let turns = self.original_context as f64 * frequency / TAU;
                let (low, high) = (f64::from(low), f64::from(high));
                let keep = ((turns - low) / (high - low).max(f64::EPSILON)).clamp(0.0, 1.0);
                frequency / f64::from(llama3_divisor(f64::from(factor), keep))
            }
        }
    }

    /// 0 for pairs that turn often inside the trained context (kept), 1 for those that turn seldom (stretched).
    fn yarn_ramp(&self, pair: usize, (fast, slow): (f32, f32), whole_pairs: bool) -> f64 {
        let dim = self.dim as f64;
        let at_turns = |turns: f32| {
            let wavelengths = self.original_context as f64 / (f64::from(turns) * TAU);
            dim * wavelengths.ln() / (2.0 * f64::from(self.base).ln())
        };
        let (mut low, mut high) = (at_turns(fast), at_turns(slow));
        if whole_pairs {
            (low, high) = (low.floor(), high.ceil());
        }
        (low, high) = (low.max(0.0), high.min(dim - 1.0));
        ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0)
    }
}

/// What YaRN does to cosine and sine where a checkpoint gives both its factors: the part of it that the scores do not
/// have, by the factor that frequencies are stretched by.
fn yarn_magnitude(read: &FactReader<'_>) -> Result<Option<impl Fn(f32) -> f32 + use<>>, ModelError> {
    if !read.dialect.is_json() {
        return Ok(None);
    }
    let own = read.number(facts::YARN_MAGNITUDE)?.filter(|factor| *factor > 0.0);
    let scores = read.number(facts::YARN_SCORES)?.filter(|factor| *factor > 0.0);
    let of = |share: f32, factor: f32| 1.0 + 0.1 * share * factor.ln();
    Ok(own.zip(scores).map(|(own, scores)| move |factor| of(own, factor) / of(scores, factor)))
}

/// What factors per pair do to cosine and sine, where the checkpoint does not say it (arXiv:2402.13753).
fn long_magnitude(original: usize, context: usize) -> f32 {
    if context <= original || original < 2 {
        return 1.0;
    }
    let (original, context) = (original as f32, context as f32);
    (1.0 + (context / original).ln() / original.ln()).sqrt()
}

/// In f32, as files hold it: so a checkpoint gives the same bits as a file that was made from it.
fn llama3_divisor(factor: f64, keep: f64) -> f32 {
    (((1.0 - keep) / factor + keep).recip()) as f32
}

#[cfg(test)]
mod tests {
    use realizar_tensor::PairOrder;

    use super::{RopeConfig, RopeScaling};

    fn rope(base: f32, scaling: RopeScaling) -> RopeConfig {
        RopeConfig {
            pairs: PairOrder::Halves,
            dim: 8,
            base,
            scaling,
            magnitude: 1.0,
            scores_magnitude: 1.0,
            original_context: 8192,
            factors: true,
        }
    }

    /// Name, scaling, divisors, frequencies.
    type Case = (&'static str, RopeScaling, Option<&'static [f32]>, [f64; 4]);

    /// The base is chosen so that the plain frequencies are 1, 1/10, 1/100, 1/1000.
    #[test]
    fn frequencies_are_stretched() {
        let turns = |frequency: f64| 8192.0 * frequency / std::f64::consts::TAU;
        let llama3 = |frequency: f64| {
            let keep = ((turns(frequency) - 1.0) / 3.0).clamp(0.0, 1.0);
            frequency * (keep + (1.0 - keep) / 8.0)
        };
        let cases: &[Case] = &[
            ("plain", RopeScaling::None, None, [1.0, 0.1, 0.01, 0.001]),
            ("divided", RopeScaling::None, Some(&[1.0, 2.0, 4.0, 8.0, 9.0]), [1.0, 0.05, 0.002_5, 0.000_125]),
            ("linear", RopeScaling::Linear { factor: 4.0 }, None, [0.25, 0.025, 0.002_5, 0.000_25]),
            // The last pair turns 1.3 times in 8192 positions, between the limits of 1 and 4.
            (
                "llama3",
                RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0 },
                None,
                [1.0, 0.1, 0.01, llama3(0.001)],
            ),
            // The ramp runs from floor(3.2) = 3 on: everything before is kept.
            (
                "yarn",
                RopeScaling::Yarn { factor: 4.0, fast: 0.8, slow: 0.5, whole_pairs: true },
                None,
                [1.0, 0.1, 0.01, 0.001],
            ),
            // From floor(0.6) = 0 to ceil(3.1) = 4.
            (
                "yarn, wide ramp",
                RopeScaling::Yarn { factor: 4.0, fast: 900.0, slow: 1.0, whole_pairs: true },
                None,
                [1.0, 0.1 * (0.75 + 0.25 / 4.0), 0.01 * (0.5 + 0.5 / 4.0), 0.001 * (0.25 + 0.75 / 4.0)],
            ),
        ];
        for (name, scaling, divisors, expected) in cases {
            let found = rope(1e4, *scaling).frequencies(*divisors, 8192);
            for (pair, (found, expected)) in found.iter().zip(expected).enumerate() {
                let error = (f64::from(*found) / expected - 1.0).abs();
                assert!(error < 1e-6, "{name}, pair {pair}: {found} instead of {expected}");
            }
        }
        let unscaled = rope(1e4, RopeScaling::Linear { factor: 4.0 }).unscaled(1e4);
        assert_eq!(unscaled.frequencies(Some(&[2.0; 4]), 8192)[0], 1.0);
    }
}
