//! A tokenizer of Hugging Face's as the keys of a GGUF file.
//!
//! GGUF has a handful of tokenizer models and, for byte-level ones, names for the ways in which texts are cut. Which of
//! them a `tokenizer.json` is, is found by trying: the one that gives the same ids for every probe is taken, and if there
//! is none, the tokenizer is refused.

use realizar_format::{PackedArray, TensorSource, Value};
use realizar_model::Fact;
use realizar_tokenize::{Compat, EncodeOptions, GgufVocab, TokenId, Tokenizer};
use serde_json::Value as Json;

use super::ConvertError;

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

/// Texts that tell tokenizers apart: white space, digits, letters of many scripts, marks, cases, contractions.
pub(super) const PROBES: &[&str] = &[
    "Hello world",
    " Hello  world   !",
    "hello\n\nworld\r\n\t x \n ",
    "I'm you'll WE'VE they'd It's",
    "3 33 333 3333 33333 3.14159 1,000,000",
    "The Quick brownFox JUMPED over_the lazy-dog; (see [1]) <tag> {x: 'y'} #a @b $5 50% a/b\\c",
    "größe naïve Ærøskøbing ŁÓDŹ İstanbul ﬁ ﬀ",
    "Привет мир, як справи? Καλημέρα κόσμε",
    "你好世界，今天天气怎么样？ こんにちは世界 カタカナ 한국어 테스트",
    "مرحبا بالعالم שלום עולם नमस्ते दुनिया สวัสดีชาวโลก",
    "e\u{301}a\u{308}o\u{302} \u{1e9b}\u{323} Å \u{212b} ½ ² Ⅳ",
    "😀 👩‍👩‍👧 🇩🇪 🏳️‍🌈 \u{200d}\u{fe0f}",
    "\u{a0}non\u{2003}breaking\u{3000}spaces\u{200b}",
    "if (a == b) {\n    return a->c[i++];\n\t}\n// done\n",
    "aaaaaaaaaaaaaaaaaaaaaaaa !!!!!!!!!!!!!!! ............ ==========",
    "",
    " ",
    "  ",
    "\n",
    "\u{0}\u{1}\u{7f}",
];

/// The keys of a model's tokenizer; none if it has no tokenizer.
pub(super) fn of(source: &dyn TensorSource) -> Result<Vec<(String, Fact)>, ConvertError> {
    const FILE: &str = "tokenizer.json";
    let Some(bytes) = source.companion(FILE) else {
        if source.companion("tokenizer.model").is_some() {
            return Err(refused(
                "a folder with a tokenizer.model alone is not read, make a tokenizer.json of it",
            ));
        }
        // It says neither how texts are cut nor, for the most part, which tokens are special.
        if source.metadata("tokenizer.vocabulary").is_some() {
            return Err(refused(
                "`tokenizer.vocabulary` of an .apr file does not say how texts are cut into tokens",
            ));
        }
        return Ok(Vec::new());
    };
    let bad = |source| ConvertError::BadTokenizer { file: FILE, source };
    let original = Tokenizer::from_json(&bytes).map_err(bad)?;
    // It was read as JSON just now.
    let json: Json = serde_json::from_slice(&bytes).map_err(|_| refused("tokenizer.json is not JSON"))?;
    let rows = rows(source);
    let vocabulary = Vocabulary::of(&json, source, &original, rows)?;
    let found = vocabulary.candidates().into_iter().find(|candidate| candidate.agrees(&original));
    let found = found.ok_or_else(|| refused("no tokenizer model of GGUF gives the same tokens"))?;
    Ok(found.keys(template(source)))
}

fn refused(why: &str) -> ConvertError {
    ConvertError::Tokenizer { why: why.to_owned() }
}

/// Rows of the embedding table: the tokens of a GGUF file are as many.
fn rows(source: &dyn TensorSource) -> usize {
    let key = ["config.vocab_size", "config.text_config.vocab_size", "vocab_size"];
    let found = key.iter().find_map(|key| source.metadata(key).and_then(|value| value.as_u32()));
    found.unwrap_or_default() as usize
}

fn template(source: &dyn TensorSource) -> Option<String> {
    if let Some(text) = source.companion("chat_template.jinja") {
        return Some(String::from_utf8_lossy(&text).into_owned());
    }
    let found = source.metadata("tokenizer_config.chat_template")?;
    found.as_str().map(str::to_owned)
}

/// Numbers of kinds of tokens in a GGUF file.
pub(super) mod kind {
    pub(in crate::convert) const NORMAL: i32 = 1;
    pub(in crate::convert) const UNKNOWN: i32 = 2;
    pub(in crate::convert) const CONTROL: i32 = 3;
    pub(in crate::convert) const USER_DEFINED: i32 = 4;
    pub(in crate::convert) const UNUSED: i32 = 5;
    pub(in crate::convert) const BYTE: i32 = 6;
}

/// Keys of special tokens and what a folder calls them.
const SPECIALS: [(&str, &str); 7] = [
    ("bos_token_id", "bos_token"),
    ("eos_token_id", "eos_token"),
    ("unknown_token_id", "unk_token"),
    ("seperator_token_id", "sep_token"),
    ("padding_token_id", "pad_token"),
    ("cls_token_id", "cls_token"),
    ("mask_token_id", "mask_token"),
];

/// A vocabulary, and what is known of it before the first try.
#[derive(Debug, Clone, Default)]
struct Vocabulary {
    model: &'static str,
    pre: &'static str,
    tokens: Vec<String>,
    scores: Vec<f32>,
    types: Vec<i32>,
    merges: Vec<String>,
    specials: [Option<TokenId>; 7],
    add: [Option<bool>; 3],
    space_prefix: Option<bool>,
    lowercase: Option<bool>,
    strip_accents: Option<bool>,
}

impl Vocabulary {
    fn of(
        json: &Json,
        source: &dyn TensorSource,
        original: &Tokenizer,
        rows: usize,
    ) -> Result<Self, ConvertError> {
        let model = &json["model"];
        let mut vocabulary = Self::default();
        let kind = match model["type"].as_str() {
            Some(kind) => kind,
            None if model["merges"].is_array() => "BPE",
            None => "",
        };
        match kind {
            "BPE" if model["byte_fallback"] == true => vocabulary.model = "llama",
            "BPE" => vocabulary.model = "gpt2",
            "WordPiece" => vocabulary.model = "bert",
            other => return Err(refused(&format!("its model is {other:?}, which is not carried to GGUF"))),
        }
        let words = model["vocab"].as_object().ok_or_else(|| refused("its vocabulary is not an object"))?;
        let added = json["added_tokens"].as_array().map(Vec::as_slice).unwrap_or_default();
        let id = |id: &Json| id.as_u64().and_then(|id| usize::try_from(id).ok());
        let ids = words.values().filter_map(id).chain(added.iter().filter_map(|token| id(&token["id"])));
        let count = ids.max().map_or(0, |id| id + 1).max(rows);
        if count > 1 << 24 {
            return Err(refused("an id is above 16777216"));
        }
        vocabulary.tokens = (0..count).map(|id| format!("[PAD{id}]")).collect();
        vocabulary.types = vec![kind::UNUSED; count];
        for (word, number) in words {
            let Some(at) = id(number) else { return Err(refused("an id is no number")) };
            vocabulary.set(at, word, vocabulary.kind_of(word));
        }
        for token in added {
            let (Some(at), Some(word)) = (id(&token["id"]), token["content"].as_str()) else {
                return Err(refused("an added token has no id or no text"));
            };
            let special = if token["special"] == true { kind::CONTROL } else { kind::USER_DEFINED };
            vocabulary.set(at, word, special);
        }
        vocabulary.specials = specials(source, original);
        if let Some(unknown) = model["unk_token"].as_str().and_then(|text| original.token_id(text.as_bytes()))
        {
            vocabulary.specials[2] = Some(unknown);
            if vocabulary.model == "llama"
                && let Some(kind) = vocabulary.types.get_mut(unknown as usize)
            {
                *kind = kind::UNKNOWN;
            }
        }
        vocabulary.read_merges(&model["merges"]);
        if vocabulary.model == "bert" {
            vocabulary.mark_beginnings();
            let normalizer = json["normalizer"].to_string();
            vocabulary.lowercase = Some(normalizer.contains("\"lowercase\":true"));
            let strips = normalizer.contains("\"strip_accents\":true");
            vocabulary.strip_accents = Some(strips || !normalizer.contains("\"strip_accents\":false"));
        }
        vocabulary.add = added_around(original, &vocabulary.specials);
        Ok(vocabulary)
    }

    fn set(&mut self, at: usize, word: &str, kind: i32) {
        if let (Some(token), Some(old)) = (self.tokens.get_mut(at), self.types.get_mut(at)) {
            word.clone_into(token);
            *old = kind;
        }
    }

    fn kind_of(&self, word: &str) -> i32 {
        let hex = word.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
        let is_byte = hex.is_some_and(|hex| hex.len() == 2 && u8::from_str_radix(hex, 16).is_ok());
        if self.model == "llama" && is_byte { kind::BYTE } else { kind::NORMAL }
    }

    /// Merges are strings, or pairs where tokens hold spaces. A vocabulary with scores takes the place of the merge.
    fn read_merges(&mut self, merges: &Json) {
        let pair = |merge: &Json| match merge {
            Json::String(text) => text.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())),
            Json::Array(pair) => {
                Some((pair.first()?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned()))
            }
            _ => None,
        };
        let pairs: Vec<(String, String)> = merges.as_array().into_iter().flatten().filter_map(pair).collect();
        if self.model == "gpt2" {
            self.merges = pairs.into_iter().map(|(a, b)| format!("{a} {b}")).collect();
            return;
        }
        if self.model != "llama" {
            return;
        }
        let ids: std::collections::HashMap<&str, usize> =
            self.tokens.iter().enumerate().map(|(id, token)| (&**token, id)).collect();
        // Tokens that no merge makes are never merged to: they are single characters, bytes and special ones.
        let mut scores = vec![0.0; self.tokens.len()];
        for (rank, (a, b)) in pairs.iter().enumerate().rev() {
            let made = ids.get(&*format!("{a}{b}")).and_then(|id| scores.get_mut(*id));
            if let Some(score) = made {
                *score = -(rank as f32) - 1.0;
            }
        }
        let unmade = -(pairs.len() as f32) - 2.0;
        for (score, kind) in scores.iter_mut().zip(&self.types) {
            if *score == 0.0 && *kind == kind::NORMAL {
                *score = unmade;
            }
        }
        self.scores = scores;
    }

    /// GGUF marks what begins a word, not what goes on.
    fn mark_beginnings(&mut self) {
        for token in &mut self.tokens {
            let is_special = token.starts_with('[') && token.ends_with(']');
            match token.strip_prefix("##") {
                Some(rest) => *token = rest.to_owned(),
                None if is_special => {}
                None => token.insert(0, '\u{2581}'),
            }
        }
    }

    /// What it may be in GGUF.
    fn candidates(&self) -> Vec<Self> {
        match self.model {
            "gpt2" => CUTS.iter().map(|pre| Self { pre, ..self.clone() }).collect(),
            "llama" => [true, false]
                .map(|space| Self { pre: "default", space_prefix: Some(space), ..self.clone() })
                .to_vec(),
            _ => [(None, None), (self.lowercase, self.strip_accents)]
                .map(|(lowercase, strip_accents)| Self {
                    pre: "default",
                    lowercase,
                    strip_accents,
                    ..self.clone()
                })
                .to_vec(),
        }
    }

    /// Whether it gives the original's ids.
    fn agrees(&self, original: &Tokenizer) -> bool {
        let [bos, eos, unk, sep, pad, cls, mask] = self.specials;
        let vocab = GgufVocab {
            model: self.model,
            pre: Some(self.pre),
            tokens: self.tokens.iter().map(String::as_bytes).collect(),
            scores: (!self.scores.is_empty()).then(|| self.scores.clone()),
            types: Some(self.types.clone()),
            merges: self.merges.iter().map(String::as_bytes).collect(),
            bos,
            eos,
            unk,
            sep,
            pad,
            cls,
            mask,
            add_bos: self.add[0],
            add_eos: self.add[1],
            add_sep: self.add[2],
            add_space_prefix: self.space_prefix,
            lowercase: self.lowercase,
            strip_accents: self.strip_accents,
            ..GgufVocab::default()
        };
        let Ok(ours) = Tokenizer::from_gguf(&vocab, Compat::Original) else { return false };
        let ids = |tokenizer: &Tokenizer, text: &str, add_special| {
            tokenizer.encode(text.as_bytes(), EncodeOptions { add_special, parse_special: true }).ok()
        };
        PROBES
            .iter()
            .all(|text| [false, true].iter().all(|add| ids(&ours, text, *add) == ids(original, text, *add)))
    }

    fn keys(self, template: Option<String>) -> Vec<(String, Fact)> {
        let text = |text: &str| Fact::Text(text.to_owned());
        let flag = |flag| Fact::Scalar(Value::Bool(flag));
        let mut keys = vec![("model", text(self.model)), ("pre", text(self.pre))];
        keys.push(("tokens", Fact::List(PackedArray::strings(&self.tokens))));
        if !self.scores.is_empty() {
            keys.push(("scores", Fact::List(PackedArray::f32s(self.scores))));
        }
        keys.push(("token_type", Fact::List(PackedArray::i32s(self.types))));
        if !self.merges.is_empty() {
            keys.push(("merges", Fact::List(PackedArray::strings(&self.merges))));
        }
        for ((key, _), id) in SPECIALS.iter().zip(self.specials) {
            keys.extend(id.map(|id| (*key, Fact::Scalar(Value::U32(id)))));
        }
        let flags = [
            ("add_bos_token", self.add[0]),
            ("add_eos_token", self.add[1]),
            ("add_sep_token", self.add[2]),
            ("add_space_prefix", self.space_prefix),
            ("normalizer.lowercase", self.lowercase),
            ("normalizer.strip_accents", self.strip_accents),
        ];
        keys.extend(flags.into_iter().filter_map(|(key, value)| Some((key, flag(value?)))));
        let mut keys: Vec<(String, Fact)> =
            keys.into_iter().map(|(key, fact)| (format!("tokenizer.ggml.{key}"), fact)).collect();
        keys.extend(template.map(|template| ("tokenizer.chat_template".to_owned(), Fact::Text(template))));
        keys
    }
}

/// Ids of the special tokens, as the files beside the weights name them.
fn specials(source: &dyn TensorSource, original: &Tokenizer) -> [Option<TokenId>; 7] {
    SPECIALS.map(|(ours, theirs)| {
        let named = ["tokenizer_config", "special_tokens_map"]
            .map(|file| [format!("{file}.{theirs}"), format!("{file}.{theirs}.content")]);
        let text =
            named.iter().flatten().find_map(|key| source.metadata(key).and_then(|value| value.as_str()));
        let by_text = text.and_then(|text| original.token_id(text.as_bytes()));
        let by_id = ["config", "generation_config"].iter().find_map(|file| {
            let value = source.metadata(&format!("{file}.{ours}"))?;
            value.as_u32().or_else(|| value.as_array()?.iter().next()?.as_u32())
        });
        by_text.or(by_id)
    })
}

/// Whether texts get a beginning, an end, and for encoders a separator.
fn added_around(original: &Tokenizer, specials: &[Option<TokenId>; 7]) -> [Option<bool>; 3] {
    let ids = |add_special| {
        let options = EncodeOptions { add_special, parse_special: false };
        original.encode(b"a", options).unwrap_or_default()
    };
    let (with, without) = (ids(true), ids(false));
    let more = with.len().saturating_sub(without.len());
    let begins = more > 0 && with.first() != without.first();
    let ends = more > usize::from(begins);
    let ends_by_eos = ends && with.last().copied() == specials[1];
    [Some(begins), Some(ends_by_eos), (ends && !ends_by_eos).then_some(true)]
}
