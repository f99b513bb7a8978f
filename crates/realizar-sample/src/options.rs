//! What a caller can ask of the chain, and the range of each value.

use crate::SampleError;

/// Settings of a [`Chain`](crate::Chain).
///
/// There is no `Default`: defaults are decisions of a product. [`SampleOptions::greedy`] is the neutral element, in
/// which every sampler is off.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleOptions {
    /// Divides the scores before the draw; 0 picks the highest score (the first one among equals).
    pub temperature: f32,
    /// Dynamic temperature: the temperature moves by up to this much around `temperature`, with the entropy. 0 is off.
    pub dynatemp_range: f32,
    /// How the normalised entropy maps to the dynamic temperature: `entropy ^ exponent`.
    pub dynatemp_exponent: f32,
    /// Keep the `top_k` highest scores; 0 is off.
    pub top_k: u32,
    /// Keep the smallest set of tokens whose probabilities sum to at least this; 1 is off.
    pub top_p: f32,
    /// Keep tokens at least this probable relative to the best one; 0 is off.
    pub min_p: f32,
    /// Locally typical sampling: keep tokens whose surprise is nearest to the entropy, up to this mass; 1 is off.
    pub typical_p: f32,
    /// Keep scores within this many standard deviations of the best; 0 is off.
    pub top_n_sigma: f32,
    /// XTC: how likely a step removes all but the least probable of the tokens over `xtc_threshold`; 0 is off.
    pub xtc_probability: f32,
    /// XTC: the probability over which a token is a top choice; over 0.5 there is never more than one, so it is off.
    pub xtc_threshold: f32,
    /// Divides positive and multiplies negative scores of recent tokens; 1 is off.
    pub repeat_penalty: f32,
    /// How many of the latest tokens the three penalties look at; `usize::MAX` is all, 0 is off.
    pub repeat_last_n: usize,
    /// Subtracted from a recent token's score for each time that it occurred; 0 is off.
    pub frequency_penalty: f32,
    /// Subtracted once from the score of every recent token; 0 is off.
    pub presence_penalty: f32,
    /// Added to the scores of single tokens; minus infinity excludes one.
    pub logit_bias: Vec<(u32, f32)>,
    /// Key of the random numbers.
    pub seed: u64,
    /// Which of several answers to the same request this is (0 for a single one): each has random numbers of its own.
    pub choice: u32,
}

impl SampleOptions {
    /// Temperature 0 and every other sampler off: the first of the highest scores.
    #[must_use]
    pub fn greedy() -> Self {
        Self {
            temperature: 0.0,
            dynatemp_range: 0.0,
            dynatemp_exponent: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            typical_p: 1.0,
            top_n_sigma: 0.0,
            xtc_probability: 0.0,
            xtc_threshold: 1.0,
            repeat_penalty: 1.0,
            repeat_last_n: 0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: 0,
            choice: 0,
        }
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// The first field that is out of range, with its value and the range.
    pub fn validate(&self) -> Result<(), SampleError> {
        for rule in RULES {
            let value = (rule.value)(self);
            if !(value >= rule.low && value <= rule.high) {
                return Err(SampleError::OutOfRange {
                    field: rule.field,
                    value: f64::from(value),
                    range: rule.range,
                });
            }
        }
        match self.logit_bias.iter().find(|(_, bias)| bias.is_nan() || *bias == f32::INFINITY) {
            Some(&(id, value)) => Err(SampleError::Bias { id, value }),
            None => Ok(()),
        }
    }
}

/// One numeric option: its name, where it is, and the values it may have (NaN never passes).
struct Rule {
    field: &'static str,
    value: fn(&SampleOptions) -> f32,
    low: f32,
    high: f32,
    range: &'static str,
}

const SHARE: &str = "a number from 0 to 1";
const SIGNED: &str = "a number from -100 to 100";

#[rustfmt::skip]
const RULES: &[Rule] = &[
    Rule { field: "temperature",       value: |o| o.temperature,       low: 0.0,    high: 100.0, range: "a number from 0 to 100" },
    Rule { field: "dynatemp_range",    value: |o| o.dynatemp_range,    low: 0.0,    high: 100.0, range: "a number from 0 to 100" },
    Rule { field: "dynatemp_exponent", value: |o| o.dynatemp_exponent, low: 0.0,    high: 100.0, range: "a number from 0 to 100" },
    Rule { field: "top_p",             value: |o| o.top_p,             low: 0.0,    high: 1.0,   range: SHARE },
    Rule { field: "min_p",             value: |o| o.min_p,             low: 0.0,    high: 1.0,   range: SHARE },
    Rule { field: "typical_p",         value: |o| o.typical_p,         low: 0.0,    high: 1.0,   range: SHARE },
    Rule { field: "top_n_sigma",       value: |o| o.top_n_sigma,       low: 0.0,    high: 100.0, range: "a number from 0 to 100" },
    Rule { field: "xtc_probability",   value: |o| o.xtc_probability,   low: 0.0,    high: 1.0,   range: SHARE },
    Rule { field: "xtc_threshold",     value: |o| o.xtc_threshold,     low: 0.0,    high: 1.0,   range: SHARE },
    Rule { field: "repeat_penalty",    value: |o| o.repeat_penalty,    low: 0.01,   high: 100.0, range: "a number from 0.01 to 100" },
    Rule { field: "frequency_penalty", value: |o| o.frequency_penalty, low: -100.0, high: 100.0, range: SIGNED },
    Rule { field: "presence_penalty",  value: |o| o.presence_penalty,  low: -100.0, high: 100.0, range: SIGNED },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Field, how to break it, a value that is refused, one that passes at the edge.
    type Case = (&'static str, fn(&mut SampleOptions, f32), &'static [f32], &'static [f32]);

    const CASES: &[Case] = &[
        ("temperature", |o, v| o.temperature = v, &[-0.1, 101.0], &[0.0, 100.0]),
        ("dynatemp_range", |o, v| o.dynatemp_range = v, &[-0.1], &[0.0, 5.0]),
        ("dynatemp_exponent", |o, v| o.dynatemp_exponent = v, &[-0.1], &[0.0, 5.0]),
        ("top_p", |o, v| o.top_p = v, &[-0.1, 1.1], &[0.0, 1.0]),
        ("min_p", |o, v| o.min_p = v, &[-0.1, 1.1], &[0.0, 1.0]),
        ("typical_p", |o, v| o.typical_p = v, &[-0.1, 1.1], &[0.0, 1.0]),
        ("top_n_sigma", |o, v| o.top_n_sigma = v, &[-1.0], &[0.0, 3.0]),
        ("xtc_probability", |o, v| o.xtc_probability = v, &[-0.1, 1.1], &[0.0, 1.0]),
        ("xtc_threshold", |o, v| o.xtc_threshold = v, &[-0.1, 1.1], &[0.0, 1.0]),
        ("repeat_penalty", |o, v| o.repeat_penalty = v, &[0.0, -1.0, 101.0], &[0.01, 1.3]),
        ("frequency_penalty", |o, v| o.frequency_penalty = v, &[-101.0, 101.0], &[-2.0, 2.0]),
        ("presence_penalty", |o, v| o.presence_penalty = v, &[-101.0, 101.0], &[-2.0, 2.0]),
    ];

    #[test]
    fn each_field_refuses_what_is_out_of_range() {
        assert_eq!(CASES.len(), RULES.len(), "every rule has a case");
        for &(name, set, bad, good) in CASES {
            for &value in bad.iter().chain(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]) {
                let mut options = SampleOptions::greedy();
                set(&mut options, value);
                match options.validate() {
                    Err(SampleError::OutOfRange { field, value: found, range }) => {
                        assert_eq!(field, name);
                        assert!(
                            found == f64::from(value) || found.is_nan() && value.is_nan(),
                            "{name}: {found}"
                        );
                        assert!(!range.is_empty(), "{name}");
                    }
                    other => panic!("{name} = {value}: {other:?}"),
                }
            }
            for &value in good {
                let mut options = SampleOptions::greedy();
                set(&mut options, value);
                assert_eq!(options.validate(), Ok(()), "{name} = {value}");
            }
        }
    }

    #[test]
    fn the_message_names_field_value_and_range() {
        let options = SampleOptions { temperature: f32::NAN, ..SampleOptions::greedy() };
        let message = options.validate().map_err(|error| error.to_string());
        assert_eq!(message, Err("temperature is NaN, it must be a number from 0 to 100".to_owned()));
    }

    #[test]
    fn a_bias_may_exclude_but_not_force_by_infinity() {
        let with = |bias| SampleOptions { logit_bias: vec![(3, 0.5), (4, bias)], ..SampleOptions::greedy() };
        assert_eq!(with(f32::NEG_INFINITY).validate(), Ok(()));
        assert_eq!(with(f32::INFINITY).validate(), Err(SampleError::Bias { id: 4, value: f32::INFINITY }));
        assert!(matches!(with(f32::NAN).validate(), Err(SampleError::Bias { id: 4, .. })));
    }
}
