//! Texts that tell tokenizers apart.

use realizar_tokenize::{EncodeOptions, TokenId, Tokenizer};

/// White space, digits, letters of many scripts, marks, cases, contractions, code, symbols.
const TEXTS: &[&str] = &[
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
    "   ",
    "    ",
    "     a      b       c        d         ",
    "a                 b                                  c",
    "\t",
    "\t\t\tx\t y \t",
    "\r\n\r\n \r \n\n\n\n\n",
    " \n \n  \n\n  x",
    "x \n",
    "\u{2028}\u{2029}\u{85} a",
    "\u{1680}\u{180e}\u{feff} b\u{ad}c\u{200c}d\u{2060}e",
    "0 00 000 0000 00000 000000 0000000 00000000 1234567890123 ٣٤٥ ४५६ １２３ ①②",
    "1st 2nd 3x 4.5e-6 0x1F 10:30 2026-11-28 +1 -2 v1.2.3",
    "don't DON'T 'tis rock'n'roll ‘quoted’ “double” `tick` o'clock's",
    "ALLCAPS lowercase CamelCaseWord mixedUPANDdown Iİıi ẞß ǅ",
    "ff ﬃ ™ ℃ ㎏ ㍿ ｱｲｳ ＡＢＣ ﷺ",
    "日本語の文章です。中文，没有空格的句子！한국어문장입니다",
    "𝒜𝓁𝓅𝒽𝒶 𐍈 𠜎𠜱 \u{10ffff} \u{fffd}",
    "👍🏽👨‍👩‍👧‍👦🧑🏿‍🚀🏴󠁧󠁢󠁥󠁮󠁧󠁿❤️‍🔥1️⃣🇫🇷🇯🇵😂😂😂",
    "a\u{300}\u{301}\u{302} \u{300} q\u{323}\u{307} \u{0958} \u{1100}\u{1161}\u{11a8} \u{ac00}\u{11a8}",
    "שָׁלוֹם العَرَبِيَّة हिन्दी தமிழ் ไทย ქართული አማርኛ ᚠᛇᚻ",
    "http://example.com/a?b=c&d=%20#e user@example.org C:\\dir\\file.txt /usr/bin/env",
    "{\"key\": [1, 2.5, null, true], \"text\": \"a\\nb\"}",
    "def f(x):\n\treturn {k: v for k, v in x.items()}  # comment\n\n\n",
    "<|user|> <|im_start|>system\n</s> <s> <unk> [CLS] [SEP] <pad> Ġ Ċ ##ing",
    "~!@#$%^&*()_+`-={}|[]\\:\";'<>?,./ «» ¿¡ § ¶ • – — … ‥ ⁇ ※",
    ",a .b ;c !d ?e :f (g) [h] \"i\" a,b a.b a!b ...x x... ?!?!",
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx y",
];

/// Texts that are not UTF-8: a lone byte, cut sequences, surrogates, an overlong form, a number above all.
const BROKEN: &[&[u8]] =
    &[b"\xff", b"a\x80b \xc3", b"\xe4\xbd \xf0\x9f\x98", b"x\xed\xa0\x80y", b"\xc0\xaf\xf5\x80\x80\x80 z"];

/// Tokens of the vocabulary that are probed by themselves, and control tokens inside text.
const SAMPLE: usize = 6_000;
const CONTROLS: usize = 64;
/// Texts that are put together of tokens.
const MIXED: usize = 400;

/// Which texts the reference of a tokenizer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference {
    /// Special tokens are parsed where they are spelled out.
    Json,
    /// Special tokens are never text.
    Pieces,
}

/// Texts that tell a tokenizer from others. Those that spell out how a vocabulary writes its pieces, U+2581 for a space or
/// `<0x0A>` for a byte, are not among them: there, every format goes its own way.
#[derive(Debug)]
pub(super) struct Probes {
    texts: Vec<String>,
    reference: Reference,
}

/// How one tokenizer differs from another.
#[derive(Debug)]
pub(super) struct Difference {
    /// How many probes were passed before.
    pub(super) passed: usize,
    /// The first that was not.
    pub(super) text: String,
}

impl Probes {
    /// The texts for a vocabulary: its own tokens are among them.
    pub(super) fn of(tokenizer: &Tokenizer, reference: Reference) -> Self {
        let count = tokenizer.vocab_len();
        let ids = |most: usize| (0..count).step_by(count.div_ceil(most).max(1)).map(|id| id as TokenId);
        let bytes = |id: TokenId, control| {
            tokenizer.token_bytes(id, control).map(|bytes| bytes.into_owned()).unwrap_or_default()
        };
        let mut texts: Vec<Vec<u8>> = TEXTS.iter().map(|text| text.as_bytes().to_vec()).collect();
        texts.extend(BROKEN.iter().map(|text| text.to_vec()));
        let controls = (0..count as TokenId).filter(|id| bytes(*id, false).is_empty());
        for text in controls.map(|id| bytes(id, true)).filter(|text| !text.is_empty()).take(CONTROLS) {
            texts.push([b"a ".as_slice(), &text, b"b", &text, b" c ", &text, &text].concat());
            texts.push(text);
        }
        let sample: Vec<Vec<u8>> = ids(SAMPLE).map(|id| bytes(id, true)).collect();
        texts.extend(sample.iter().map(|text| [b"x ".as_slice(), text, b" y"].concat()));
        // Any numbers will do, so long as they are the same next time.
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for _ in 0..MIXED {
            let mut text = Vec::new();
            for _ in 0..8 {
                state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
                let at = (state >> 33) as usize % sample.len().max(1);
                text.extend_from_slice(sample.get(at).map_or(b"".as_slice(), Vec::as_slice));
            }
            texts.push(text);
        }
        texts.extend(sample);
        let spelt =
            |text: &Vec<u8>| text.windows(3).any(|part| part == "\u{2581}".as_bytes() || part == b"<0x");
        texts.retain(|text| !spelt(text));
        // No reference says what a broken text is, only what its replacement is.
        let texts = texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
        Self { texts, reference }
    }

    /// The first text of which the two make different tokens.
    pub(super) fn difference(&self, one: &Tokenizer, other: &Tokenizer) -> Option<Difference> {
        let parse_special = self.reference == Reference::Json;
        let ids = |tokenizer: &Tokenizer, text: &str, add_special| {
            tokenizer.encode(text.as_bytes(), EncodeOptions { add_special, parse_special }).ok()
        };
        let differs =
            |text: &String| [false, true].into_iter().any(|add| ids(one, text, add) != ids(other, text, add));
        let passed = self.texts.iter().position(differs)?;
        let text = self.texts.get(passed).map(|text| text.escape_debug().to_string());
        Some(Difference { passed, text: text.unwrap_or_default() })
    }
}
