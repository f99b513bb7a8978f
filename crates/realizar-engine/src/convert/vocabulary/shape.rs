//! The tokenizer models of GGUF, with their switches.

use realizar_format::Value;
use realizar_model::Fact;
use realizar_tokenize::TokenId;

use super::SPECIALS;

/// A tokenizer model of GGUF, and how it is set.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shape {
    pub(super) model: &'static str,
    pre: &'static str,
    space_prefix: Option<bool>,
    squeeze: Option<bool>,
    lowercase: Option<bool>,
    strip_accents: Option<bool>,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.model)?;
        if self.pre == "default" { Ok(()) } else { write!(f, ", {}", self.pre) }
    }
}

/// Names of cuts, the most used first.
const CUTS: &[&str] = &[
    "default",
    "gpt-2",
    "llama-bpe",
    "qwen2",
    "qwen35",
    "gpt-4o",
    "llama4",
    "tekken",
    "deepseek-v3",
    "deepseek-llm",
    "deepseek-coder",
    "falcon",
    "starcoder",
    "refact",
    "command-r",
    "dbrx",
    "smollm",
    "smaug-bpe",
    "olmo",
    "mpt",
    "stablelm2",
    "jais",
    "viking",
    "exaone",
    "exaone4",
    "minerva-7b",
    "megrez",
    "superbpe",
    "trillion",
    "bailingmoe",
    "pixtral",
    "seed-coder",
    "hunyuan",
    "hunyuan-dense",
    "kimi-k2",
    "lfm2",
    "minimax-m2",
    "afmoe",
    "bloom",
    "codeshell",
    "chatglm-bpe",
    "granite-docling",
    "joyai-llm",
    "grok-2",
    "poro-chat",
    "jina-v2-en",
    "roberta-bpe",
];

impl Shape {
    /// Byte-level pieces and merges, by every way of cutting.
    pub(super) fn byte_level() -> Vec<Self> {
        CUTS.iter().map(|pre| Self { model: "gpt2", pre, ..Self::default() }).collect()
    }

    /// Pieces with scores that are merged; one space may be put before a text.
    pub(super) fn scored(space_prefix: bool) -> Self {
        Self { model: "llama", pre: "default", space_prefix: Some(space_prefix), ..Self::default() }
    }

    /// Raw pieces and merges, as Gemma 4 has them.
    pub(super) fn raw_merges() -> Self {
        Self { model: "gemma4", pre: "gemma4", ..Self::default() }
    }

    /// Pieces whose scores add up; `squeeze`: runs of spaces count as one, those at the ends as none.
    pub(super) fn unigram(space_prefix: bool, squeeze: bool) -> Self {
        Self {
            model: "t5",
            pre: "default",
            space_prefix: Some(space_prefix),
            squeeze: Some(squeeze),
            ..Self::default()
        }
    }

    /// The longest piece that fits, word by word.
    pub(super) fn words(lowercase: Option<bool>, strip_accents: Option<bool>) -> Self {
        Self { model: "bert", pre: "default", lowercase, strip_accents, ..Self::default() }
    }

    /// Whether a list belongs to this model: pieces are merged either by scores or by a list of merges.
    pub(super) fn wants(&self, key: &str) -> bool {
        match self.model {
            "gpt2" | "gemma4" => !key.ends_with(".scores"),
            _ => !key.ends_with(".merges"),
        }
    }

    /// The keys that are short.
    pub(super) fn keys(
        &self,
        specials: &[Option<TokenId>; 7],
        add: &[Option<bool>; 3],
    ) -> Vec<(String, Fact)> {
        let text = |text: &str| Fact::Text(text.to_owned());
        let mut keys = vec![("model", text(self.model)), ("pre", text(self.pre))];
        for ((key, _), id) in SPECIALS.iter().zip(specials) {
            keys.extend(id.map(|id| (*key, Fact::Scalar(Value::U32(id)))));
        }
        let flags = [
            ("add_bos_token", add[0]),
            ("add_eos_token", add[1]),
            ("add_sep_token", add[2]),
            ("add_space_prefix", self.space_prefix),
            ("remove_extra_whitespaces", self.squeeze),
            ("normalizer.lowercase", self.lowercase),
            ("normalizer.strip_accents", self.strip_accents),
        ];
        let flags = flags.into_iter().filter_map(|(key, value)| Some((key, Value::Bool(value?))));
        keys.extend(flags.map(|(key, value)| (key, Fact::Scalar(value))));
        keys.into_iter().map(|(key, fact)| (format!("tokenizer.ggml.{key}"), fact)).collect()
    }
}
