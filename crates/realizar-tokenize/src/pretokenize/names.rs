//! Every name that `tokenizer.ggml.pre` may have, and what it stands for.
//!
//! The patterns of the originals come from their published tokenizers. llama.cpp's rewritings are kept where they
//! cut otherwise (it folds the letters' sub-classes, reads all wide white space as one ASCII character in patterns
//! without categories, and so on), so that its ids can be had exactly.

use super::Pass::{self, Pattern};

/// What one pre-tokenizer name stands for.
#[derive(Debug)]
pub(crate) struct PreTokenizer {
    pub(crate) names: &'static [&'static str],
    /// The passes as the original makes them; each cuts what the one before left.
    pub(crate) original: &'static [Pass],
    /// The same as llama.cpp makes them.
    pub(crate) llama_cpp: &'static [Pass],
    pub(crate) flags: &'static [Flag],
}

/// What a name implies besides the cutting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    /// A word that is a token as a whole is not merged from its parts.
    IgnoreMerges,
    AddBos,
    AddSep,
    /// Text from llama.cpp's detokenizer keeps its spaces before punctuation.
    KeepSpaces,
    /// Spaces become U+2581 and tokens are raw text, not GPT-2's byte alphabet.
    EscapeSpaces,
    /// `<mask>` swallows the white space on its left.
    MaskStripsLeft,
    /// No BOS unless the file names one.
    NoDefaultBos,
    /// The original normalises to NFC.
    Nfc,
    /// A run of newlines that is a token is not merged from its parts.
    WholeNewlines,
}

use Flag::{
    AddBos, AddSep, EscapeSpaces, IgnoreMerges, KeepSpaces, MaskStripsLeft, Nfc, NoDefaultBos, WholeNewlines,
};

const DIGIT: Pass = Pattern(r"\p{N}");
const DIGITS_3: Pass = Pattern(r"\p{N}{1,3}");
const GPT2: Pass = Pattern(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+");
const FALCON_PUNCTUATION: Pass = Pattern(r"[\p{P}\$\+<=>\^~\|`]+");
const DEFAULT_PUNCTUATION: Pass = Pattern(r"[\p{P}\$\+<=>\^~\|]+");
const THREE_DIGITS: Pass = Pattern("[0-9][0-9][0-9]");
const LINES: Pass = Pattern(r"[^\n]+|[\n]+");
const BLOOM: Pass = Pattern(" ?[^(\\s|.,!?\u{2026}\u{3002}\u{ff0c}\u{3001}\u{964}\u{6d4}\u{60c})]+");
const HAN_KANA: Pass = Pattern("[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+");
const DEEPSEEK_HAN: Pass = Pattern("[\u{4e00}-\u{9fa5}\u{800}-\u{4e00}\u{ac00}-\u{d7ff}]+");
/// The range holds white space, which llama.cpp replaces before it matches.
const DEEPSEEK_HAN_NO_SPACE: Pass = Pattern("[\u{4e00}-\u{9fa5}\u{800}-\u{4e00}\u{ac00}-\u{d7ff}&&[^\\s]]+");
const NEWLINE: Pass = Pattern("[\r\n]");

const LLAMA3: Pass = Pattern(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const LLAMA3_ASCII: Pass = Pattern(
    r"'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const MINICPM5: Pass = Pattern(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const MINICPM5_ASCII: Pass = Pattern(
    r"'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const QWEN2: Pass = Pattern(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const QWEN2_ASCII: Pass = Pattern(
    r"'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const QWEN35: Pass = Pattern(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const QWEN35_ASCII: Pass = Pattern(
    r"'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const UFAKZEKA: Pass =
    Pattern(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+");
const SEED_CODER: Pass = Pattern(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const SEED_CODER_ASCII: Pass = Pattern(
    r"'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const BAILINGMOE: Pass = Pattern(
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
);
const BAILINGMOE_ASCII: Pass = Pattern(
    r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
);
const EXAONE_MOE: Pass = Pattern(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",
);
const EXAONE_MOE_ASCII: Pass = Pattern(
    r"'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",
);
const JAIS2: Pass = Pattern(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}",
);
const JAIS2_ASCII: Pass = Pattern(
    r"'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}",
);
const GPT4O: Pass = Pattern(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const GPT4O_FOLDED: Pass = Pattern(
    r"[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]*[\p{L}&&[^A-Z]]+(?:'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))?|[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]+[\p{L}&&[^A-Z]]*(?:'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const GRANITE_FOLDED: Pass = Pattern(
    r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}&&[^a-z]]*[\p{L}\p{M}&&[^A-Z]]+(?:'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))?|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}&&[^a-z]]+[\p{L}\p{M}&&[^A-Z]]*(?:'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const TINY_AYA_FOLDED: Pass = Pattern(
    r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+(?:'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const TEKKEN: Pass = Pattern(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const TEKKEN_FOLDED: Pass = Pattern(
    r"[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]*[\p{L}&&[^A-Z]]+|[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]+[\p{L}&&[^A-Z]]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const YOUTU_SCRIPTS: Pass = Pattern(
    "[\u{ac00}-\u{d7a3}\u{3131}-\u{318e}]+|[\u{ff01}\u{2026}\u{201c}\u{201d}\u{2018}\u{2019}\u{2014}\u{ff1a}\u{ff1b}\u{ff0c}\u{3001}-\u{303f}\u{fe30}-\u{fe4f}]+|[\u{3105}-\u{312f}]+|[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+",
);
const YOUTU: Pass = Pattern(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const YOUTU_FOLDED: Pass = Pattern(
    r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+(?:'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const KIMI_K2: Pass = Pattern(
    r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const KIMI_K2_FOLDED: Pass = Pattern(
    "[\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{20000}-\u{2a6df}\u{2a700}-\u{2ebef}\u{f900}-\u{faff}\u{2f800}-\u{2fa1f}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}&&[^\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{20000}-\u{2a6df}\u{2a700}-\u{2ebef}\u{f900}-\u{faff}\u{2f800}-\u{2fa1f}]]+(?:'(?:[sS]|[tT]|[mM]|[dD]|[rR][eE]|[vV][eE]|[lL][lL]))?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
);
const DEEPSEEK_V3: Pass = Pattern(
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
);
const SPARK2_5: Pass = Pattern(
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+|[\r\n]|\\s+(?!\\S)|\\s+",
);
const AFMOE_SCRIPTS: Pass = Pattern(
    "[\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{8c48}-\u{faff}\u{3040}-\u{309f}\u{30a0}-\u{30ff}\u{ff65}-\u{ff9f}\u{2f00}-\u{2fdf}\u{e40}-\u{e7f}\u{e80}-\u{eff}\u{1780}-\u{17ff}\u{1000}-\u{109f}\u{aa60}-\u{aa7f}\u{a9e0}-\u{a9ff}\u{ac00}-\u{d7af}\u{1100}-\u{11ff}]+",
);
const DEEPSEEK_LETTERS: Pass = Pattern(
    "\\s?[A-Za-z\u{b5}\u{c0}-\u{d6}\u{d8}-\u{f6}\u{f8}-\u{1ba}\u{1bc}-\u{1bf}\u{1c4}-\u{293}\u{295}-\u{2af}\u{370}-\u{373}\u{376}\u{377}\u{37b}-\u{37d}\u{37f}\u{386}\u{388}-\u{38a}\u{38c}\u{38e}-\u{3a1}\u{3a3}-\u{3f5}\u{3f7}-\u{481}\u{48a}-\u{52f}\u{531}-\u{556}\u{10a0}-\u{10c5}\u{13a0}-\u{13f5}\u{13f8}-\u{13fd}\u{1c90}-\u{1cba}\u{1cbd}-\u{1cbf}\u{1d00}-\u{1d2b}\u{1d6b}-\u{1d77}\u{1d79}-\u{1d9a}\u{1e00}-\u{1f15}\u{1f18}-\u{1f1d}\u{1f20}-\u{1f45}\u{1f48}-\u{1f4d}\u{1f50}-\u{1f57}\u{1f59}\u{1f5b}\u{1f5d}\u{1f5f}-\u{1f7d}\u{1f80}-\u{1fb4}\u{1fb6}-\u{1fbc}\u{1fbe}\u{1fc2}-\u{1fc4}\u{1fc6}-\u{1fcc}\u{1fd0}-\u{1fd3}\u{1fd6}-\u{1fdb}\u{1fe0}-\u{1fec}\u{1ff2}-\u{1ff4}\u{1ff6}-\u{1ffc}\u{2102}\u{2107}\u{210a}-\u{2113}\u{2115}\u{2119}-\u{211d}\u{2124}\u{2126}\u{2128}\u{212a}-\u{212d}\u{212f}-\u{2134}\u{2139}\u{213c}-\u{213f}\u{2145}-\u{2149}\u{214e}\u{2183}\u{2184}\u{2c00}-\u{2c7b}\u{2c7e}-\u{2ce4}\u{2ceb}-\u{2cee}\u{2cf2}\u{2cf3}\u{a640}-\u{a66d}\u{a680}-\u{a69b}\u{a722}-\u{a76f}\u{a771}-\u{a787}\u{a78b}-\u{a78e}\u{ab70}-\u{abbf}\u{fb00}-\u{fb06}\u{fb13}-\u{fb17}\u{ff21}-\u{ff3a}\u{ff41}-\u{ff5a}\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}]+",
);
const DEEPSEEK_PUNCTUATION: Pass =
    Pattern("\\s?[!-/:-~\u{ff01}-\u{ff0f}\u{ff1a}-\u{ff5e}\u{2018}-\u{201f}\u{3000}-\u{3002}]+");
/// U+3000 is white space, which llama.cpp replaces before it matches.
const DEEPSEEK_PUNCTUATION_ASCII: Pass =
    Pattern("\\s?[!-/:-~\u{ff01}-\u{ff0f}\u{ff1a}-\u{ff5e}\u{2018}-\u{201f}\u{3001}-\u{3002}]+");

const fn row(
    names: &'static [&'static str],
    passes: &'static [Pass],
    flags: &'static [Flag],
) -> PreTokenizer {
    PreTokenizer { names, original: passes, llama_cpp: passes, flags }
}

const fn both(
    names: &'static [&'static str],
    original: &'static [Pass],
    llama_cpp: &'static [Pass],
    flags: &'static [Flag],
) -> PreTokenizer {
    PreTokenizer { names, original, llama_cpp, flags }
}

/// What an unknown name is treated as.
pub(crate) static DEFAULT: PreTokenizer =
    row(&["default"], &[DEFAULT_PUNCTUATION, GPT2, Pattern(r"\p{N}+"), THREE_DIGITS], &[]);

/// The table.
pub(crate) static PRE_TOKENIZERS: &[PreTokenizer] = &[
    row(&["default"], &[DEFAULT_PUNCTUATION, GPT2, Pattern(r"\p{N}+"), THREE_DIGITS], &[]),
    both(&["minicpm5"], &[DIGITS_3, MINICPM5], &[DIGITS_3, MINICPM5_ASCII], &[IgnoreMerges]),
    both(
        &[
            "llama3",
            "llama-v3",
            "llama-bpe",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
            "jina-v5-nano",
        ],
        &[LLAMA3],
        &[LLAMA3_ASCII],
        &[IgnoreMerges, AddBos],
    ),
    both(
        &["deepseek-llm"],
        &[
            NEWLINE,
            DEEPSEEK_LETTERS,
            DEEPSEEK_PUNCTUATION,
            Pass::SpaceAtLineEnd,
            DEEPSEEK_HAN,
            Pattern(r"\p{N}+"),
        ],
        &[
            NEWLINE,
            DEEPSEEK_LETTERS,
            DEEPSEEK_PUNCTUATION_ASCII,
            Pass::SpaceAtEnd,
            DEEPSEEK_HAN_NO_SPACE,
            Pattern(r"\p{N}+"),
        ],
        &[KeepSpaces],
    ),
    both(
        &["deepseek-coder"],
        &[NEWLINE, Pattern(r"\s?\p{L}+"), Pattern(r"\s?\p{P}+"), DEEPSEEK_HAN, DIGIT],
        &[NEWLINE, Pattern(r"\s?\p{L}+"), Pattern(r"\s?\p{P}+"), DEEPSEEK_HAN_NO_SPACE, DIGIT],
        &[KeepSpaces],
    ),
    row(
        &["deepseek-v3", "hunyuan-dense", "hy_v4", "joyai-llm"],
        &[DIGITS_3, HAN_KANA, DEEPSEEK_V3],
        &[KeepSpaces],
    ),
    row(&["spark2_5"], &[DIGITS_3, HAN_KANA, SPARK2_5, DIGIT], &[KeepSpaces]),
    both(&["youtu"], &[YOUTU_SCRIPTS, YOUTU], &[YOUTU_SCRIPTS, YOUTU_FOLDED], &[IgnoreMerges, KeepSpaces]),
    row(&["falcon"], &[FALCON_PUNCTUATION, GPT2, THREE_DIGITS], &[]),
    row(&["mpt"], &[GPT2], &[Nfc]),
    row(
        &[
            "gpt-2",
            "phi-2",
            "jina-es",
            "jina-de",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "exaone4",
            "olmo",
            "jais",
        ],
        &[GPT2],
        &[],
    ),
    row(&["jina-v2-es", "jina-v2-de"], &[GPT2], &[MaskStripsLeft]),
    row(&["jina-v1-en", "roberta-bpe"], &[GPT2], &[AddSep]),
    row(&["jina-v2-code"], &[GPT2], &[AddSep, MaskStripsLeft]),
    row(&["trillion", "granite-docling"], &[GPT2], &[KeepSpaces]),
    both(&["jais-2"], &[JAIS2], &[JAIS2_ASCII], &[]),
    row(&["gemma4", "granite-embed-multi-311m"], &[LINES], &[AddBos, EscapeSpaces, WholeNewlines]),
    row(&["sarvam-moe"], &[LINES], &[EscapeSpaces, KeepSpaces]),
    row(&["whitespace"], &[Pattern(r"\S+")], &[]),
    row(&["starcoder", "refact", "codeshell", "exaone", "minerva-7b", "mellum2"], &[DIGIT, GPT2], &[]),
    row(&["command-r"], &[DIGIT, GPT2], &[KeepSpaces, Nfc]),
    row(&["smollm"], &[DIGIT, GPT2], &[KeepSpaces]),
    both(&["qwen2"], &[QWEN2], &[QWEN2_ASCII], &[KeepSpaces, Nfc]),
    both(
        &["deepseek-r1-qwen", "kormo", "f2llmv2", "hunyuan", "grok-2", "solar-open"],
        &[QWEN2],
        &[QWEN2_ASCII],
        &[KeepSpaces],
    ),
    both(&["stablelm2", "megrez"], &[QWEN2], &[QWEN2_ASCII], &[]),
    both(&["qwen35"], &[QWEN35], &[QWEN35_ASCII], &[KeepSpaces, Nfc]),
    both(&["dbrx", "smaug-bpe"], &[LLAMA3], &[LLAMA3_ASCII], &[]),
    row(&["poro-chat"], &[BLOOM], &[KeepSpaces]),
    row(&["bloom", "gpt3-finnish"], &[BLOOM], &[]),
    row(&["viking"], &[BLOOM, DIGIT], &[KeepSpaces]),
    both(&["chatglm-bpe"], &[LLAMA3], &[LLAMA3_ASCII], &[NoDefaultBos]),
    both(&["glm4", "glm5"], &[LLAMA3], &[LLAMA3_ASCII], &[NoDefaultBos, IgnoreMerges]),
    both(&["tekken"], &[TEKKEN], &[TEKKEN_FOLDED], &[IgnoreMerges, AddBos, KeepSpaces]),
    both(&["exaone-moe"], &[EXAONE_MOE], &[EXAONE_MOE_ASCII], &[]),
    row(
        &["chameleon"],
        &[
            Pattern("<sentinel:[0-9]+>"),
            Pattern("IMGIMG[A-I]{1,4}Z"),
            Pattern("[\t\n]|    |  "),
            DIGIT,
            Pattern(r"[\p{P}!-/:-@\[-`{-~]"),
            GPT2,
        ],
        &[AddBos, KeepSpaces],
    ),
    both(&["gpt-4o", "llama4", "kanana2", "talkie"], &[GPT4O], &[GPT4O_FOLDED], &[KeepSpaces]),
    both(&["granite-embed-multi-97m"], &[GPT4O], &[GRANITE_FOLDED], &[IgnoreMerges, KeepSpaces]),
    both(&["minimax-m2"], &[GPT4O], &[GPT4O_FOLDED], &[KeepSpaces]),
    both(
        &["tiny_aya", "cohere2moe"],
        &[Pass::DigitGroups, GPT4O],
        &[Pass::DigitGroupEnds, TINY_AYA_FOLDED],
        &[KeepSpaces],
    ),
    row(&["superbpe"], &[Pattern(r"\p{N}+"), Pass::AsciiDigitGroups], &[KeepSpaces]),
    both(&["bailingmoe", "bailingmoe2", "llada-moe"], &[BAILINGMOE], &[BAILINGMOE_ASCII], &[KeepSpaces]),
    both(&["seed-coder"], &[SEED_CODER], &[SEED_CODER_ASCII], &[KeepSpaces]),
    both(&["kimi-k2"], &[KIMI_K2], &[KIMI_K2_FOLDED], &[KeepSpaces]),
    row(&["ufakzeka"], &[UFAKZEKA], &[KeepSpaces]),
    row(&["afmoe"], &[Pass::DigitGroupEnds, AFMOE_SCRIPTS, DEEPSEEK_V3], &[KeepSpaces]),
    both(&["laguna"], &[LINES, QWEN2], &[LINES, QWEN2_ASCII], &[KeepSpaces]),
];

/// The row of a name.
pub(crate) fn find(name: &str) -> Option<&'static PreTokenizer> {
    PRE_TOKENIZERS.iter().find(|row| row.names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once() {
        let mut names: Vec<&str> = PRE_TOKENIZERS.iter().flat_map(|row| row.names).copied().collect();
        assert_eq!(names.len(), 91);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 91);
    }
}
