//! `--tensor-type REGEX=TYPE`: types by name.

use realizar_quant::DType;
use regex::{Regex, RegexBuilder};

/// Bytes that a pattern, and what it is compiled to, may take.
const PATTERN_BYTES: usize = 8 << 10;
const AUTOMATON_BYTES: usize = 10 << 20;

/// A type for the tensors whose name matches.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pattern: Regex,
    dtype: DType,
}

impl Wanted {
    /// Reads `REGEX=TYPE`. Case does not matter, as in llama-quantize.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some((pattern, name)) = text.rsplit_once('=').filter(|(pattern, _)| !pattern.is_empty()) else {
            return Err("it must be REGEX=TYPE, such as attn_v=q8_0".to_owned());
        };
        if pattern.len() > PATTERN_BYTES {
            return Err(format!("the pattern has {} bytes, at most {PATTERN_BYTES} are read", pattern.len()));
        }
        let dtype = super::makeable(name)?;
        let pattern = RegexBuilder::new(pattern).case_insensitive(true).size_limit(AUTOMATON_BYTES).build();
        let pattern = pattern.map_err(|error| error.to_string())?;
        Ok(Self { pattern, dtype })
    }

    /// The type of the first that matches `name`.
    pub(super) fn of(list: &[Self], name: &str) -> Option<DType> {
        list.iter().find(|wanted| wanted.pattern.is_match(name)).map(|wanted| wanted.dtype)
    }
}
