//! How tokens are picked: the flags of `run` and `chat`.

use clap::Args;
use realizar_sample::{SampleError, SampleOptions};

use crate::error::CliError;

/// How tokens are picked.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct SamplingArgs {
    /// How freely tokens are picked; 0 always takes the best
    #[arg(long, value_name = "T", default_value = "0.8")]
    temp: f32,
    /// Keep this many of the best tokens; 0 keeps all
    #[arg(long, value_name = "K", default_value = "40")]
    top_k: u32,
    /// Keep the best tokens up to this share of probability
    #[arg(long, value_name = "P", default_value = "0.95")]
    top_p: f32,
    /// Keep tokens at least this probable relative to the best
    #[arg(long, value_name = "P", default_value = "0.05")]
    min_p: f32,
    /// Keep the most typical tokens up to this share of probability
    #[arg(long, value_name = "P", default_value = "1")]
    typical_p: f32,
    /// Keep scores within this many standard deviations of the best; 0 keeps all
    #[arg(long, value_name = "N", default_value = "0")]
    top_n_sigma: f32,
    /// How likely a step removes the top choices but the last
    #[arg(long, value_name = "P", default_value = "0")]
    xtc_probability: f32,
    /// What makes a top choice
    #[arg(long, value_name = "P", default_value = "0.1")]
    xtc_threshold: f32,
    /// How far the temperature moves with the model's doubt
    #[arg(long, value_name = "R", default_value = "0")]
    dynatemp_range: f32,
    /// How the temperature follows the doubt
    #[arg(long, value_name = "E", default_value = "1")]
    dynatemp_exponent: f32,
    /// Lower the scores of recent tokens by this factor; 1 does nothing
    #[arg(long, value_name = "F", default_value = "1")]
    repeat_penalty: f32,
    /// How many recent tokens the penalties look at
    #[arg(long, value_name = "N", default_value = "64")]
    repeat_last_n: usize,
    /// Lower a recent token's score for each time it came
    #[arg(long, value_name = "F", default_value = "0")]
    frequency_penalty: f32,
    /// Lower a recent token's score once
    #[arg(long, value_name = "F", default_value = "0")]
    presence_penalty: f32,
}

impl SamplingArgs {
    /// The options, checked.
    pub(crate) fn to_options(&self, seed: u64) -> Result<SampleOptions, CliError> {
        let options = SampleOptions {
            temperature: self.temp,
            dynatemp_range: self.dynatemp_range,
            dynatemp_exponent: self.dynatemp_exponent,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            typical_p: self.typical_p,
            top_n_sigma: self.top_n_sigma,
            xtc_probability: self.xtc_probability,
            xtc_threshold: self.xtc_threshold,
            repeat_penalty: self.repeat_penalty,
            repeat_last_n: self.repeat_last_n,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            logit_bias: Vec::new(),
            seed,
            choice: 0,
        };
        options.validate().map_err(usage)?;
        Ok(options)
    }
}

/// Names the flag instead of the field.
fn usage(error: SampleError) -> CliError {
    match error {
        SampleError::OutOfRange { field, value, range } => {
            let flag = if field == "temperature" { "temp".to_owned() } else { field.replace('_', "-") };
            CliError::Usage(format!("--{flag} is {value}, it must be {range}"))
        }
        other => CliError::Sample(other),
    }
}
