//! Files that load but are not as files mostly are, against what the reference libraries answer for them.

use realizar_tokenize::{Compat, EncodeOptions, GgufVocab, TokenizeError, Tokenizer, Warning};

use crate::support::PLAIN;

/// Ids, the same with places, and as many as are counted; a second time from memory.
pub(crate) fn ids(name: &str, tokenizer: &Tokenizer, text: &str, options: EncodeOptions) -> Vec<u32> {
    let found = tokenizer.encode_str(text, options).unwrap();
    for _ in 0..2 {
        let placed = tokenizer.encode_with_offsets(text.as_bytes(), options).unwrap();
        assert_eq!(placed.ids, found, "{name}: `{text}` with places");
        assert_eq!(tokenizer.encode_str(text, options).unwrap(), found, "{name}: `{text}` again");
        assert_eq!(
            tokenizer.count(text.as_bytes(), options).unwrap(),
            found.len(),
            "{name}: `{text}` counted"
        );
    }
    found
}

const NORMAL: u8 = 1;
const UNKNOWN: u8 = 2;
const CONTROL: u8 = 3;
const USER_DEFINED: u8 = 4;
const UNUSED: u8 = 5;
const BYTE: u8 = 6;

/// A unigram model without any normalising.
pub(crate) fn unigram(pieces: &[Piece]) -> Vec<u8> {
    unigram_with(pieces, &[])
}

/// The same with more fields of its trainer, all of them together shorter than 120 bytes.
fn unigram_with(pieces: &[Piece], trainer: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    for (text, score, kind) in pieces {
        let mut piece = vec![0x0A, text.len() as u8];
        piece.extend_from_slice(text.as_bytes());
        piece.push(0x15);
        piece.extend_from_slice(&score.to_le_bytes());
        piece.extend_from_slice(&[0x18, *kind]);
        file.extend_from_slice(&[0x0A, piece.len() as u8]);
        file.extend_from_slice(&piece);
    }
    // The kind of model; no dummy prefix, no squeezing of spaces.
    file.extend_from_slice(&[0x12, 2 + trainer.len() as u8, 0x18, 1]);
    file.extend_from_slice(trainer);
    file.extend_from_slice(&[0x1A, 4, 0x18, 0, 0x20, 0]);
    file
}

const BASE: [Piece; 3] = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)];

/// Text, score, kind.
type Piece = (&'static str, f32, u8);
type Answers = &'static [(&'static str, &'static [u32])];

/// As `sentencepiece` 0.2.3 answers.
#[test]
fn user_defined_pieces_and_absurd_scores() {
    let cases: Vec<(&str, Vec<Piece>, Answers)> = vec![
        (
            "user-defined beside good pieces",
            vec![("a", -0.04, NORMAL), ("b", -0.04, NORMAL), ("ab", -9.0, USER_DEFINED), ("c", -1.0, NORMAL)],
            &[("ab", &[5]), ("aab", &[3, 5]), ("aaaa", &[3, 3, 3, 3]), ("xaax", &[0, 3, 3, 0])],
        ),
        (
            "user-defined beside a better cover",
            vec![("a", 0.06, NORMAL), ("b", 0.06, NORMAL), ("ab", -9.0, USER_DEFINED), ("c", -1.0, NORMAL)],
            &[("ab", &[3, 4]), ("aab", &[3, 3, 4])],
        ),
        (
            "user-defined of four bytes",
            vec![("a", -3.0, NORMAL), ("b", -3.0, NORMAL), ("abab", -9.0, USER_DEFINED), ("c", -1.0, NORMAL)],
            &[("abab", &[5]), ("xababaaaa", &[0, 5, 3, 3, 3, 3])],
        ),
        (
            "sums that are infinite",
            vec![
                ("a", -1.3e38, NORMAL),
                ("b", -1.3e38, NORMAL),
                ("ab", -9.0, USER_DEFINED),
                ("c", -1.0, NORMAL),
            ],
            &[
                ("ab", &[5]),
                ("aaaa", &[3, 3, 3, 3]),
                ("abcabc", &[5, 6, 5, 6]),
                ("xaax", &[0, 3, 3, 0]),
                ("aaaaaaaaac", &[3, 3, 3, 3, 3, 3, 3, 3, 3, 6]),
            ],
        ),
        (
            "sums that are infinite, upwards",
            vec![("a", 3e38, NORMAL), ("b", 3e38, NORMAL), ("ab", -9.0, USER_DEFINED), ("c", -1.0, NORMAL)],
            &[("aab", &[3, 3, 4]), ("xaax", &[0, 3, 3, 0])],
        ),
        (
            "no normal piece",
            vec![("ab", 0.0, USER_DEFINED), ("c", 0.0, USER_DEFINED)],
            &[("xab", &[0]), ("cc", &[4, 4])],
        ),
    ];
    for (name, pieces, answers) in cases {
        let tokenizer = Tokenizer::from_sentencepiece(&unigram(&[&BASE[..], &pieces].concat())).unwrap();
        for (text, expected) in answers {
            assert_eq!(ids(name, &tokenizer, text, PLAIN), *expected, "{name}: `{text}`");
        }
    }
}

#[test]
fn scores_that_are_no_numbers_are_refused() {
    for (score, kind) in [
        (f32::NAN, NORMAL),
        (f32::INFINITY, CONTROL),
        (f32::NEG_INFINITY, NORMAL),
        (f32::NAN, USER_DEFINED),
        (f32::NAN, UNUSED),
    ] {
        let file = unigram(&[&BASE[..], &[("a", -1.0, NORMAL), ("zz", score, kind)]].concat());
        let error = Tokenizer::from_sentencepiece(&file).map(|_| ()).unwrap_err();
        assert!(matches!(error, TokenizeError::BadScore { id: 4, .. }), "{score} of kind {kind}: {error}");
    }
    for (model, score) in
        [("llama", f32::NAN), ("llama", f32::INFINITY), ("t5", f32::NAN), ("t5", f32::NEG_INFINITY)]
    {
        let tokens: Vec<&[u8]> = vec![b"<unk>", b"</s>", b"<0x0A>", b"a"];
        let scores = Some(vec![0.0, 0.0, 0.0, score]);
        let vocab = GgufVocab {
            model,
            tokens,
            scores,
            add_bos: Some(false),
            unk: Some(0),
            eos: Some(1),
            ..GgufVocab::default()
        };
        for compat in [Compat::Original, Compat::LlamaCpp] {
            let error = Tokenizer::from_gguf(&vocab, compat).map(|_| ()).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("token 3 has the score {score}, expected a finite number"),
                "{model}"
            );
        }
    }
}

/// The sum of the scores decides in its last bit between two ways that are equally good, so what an unknown character costs
/// must be right to the last bit too. The answers are those of `sentencepiece` 0.2.3.
#[test]
fn unknown_characters_cost_the_same_to_the_last_bit() {
    let root = crate::support::roots("last bit").swap_remove(0).join("tokenizers/spm");
    let file = std::fs::read(root.join("unigram-bytefallback-identity-nodummy.model")).unwrap();
    let tokenizer = Tokenizer::from_sentencepiece(&file).unwrap();
    let found = ids("last bit", &tokenizer, "havingqM0ff9( \u{8406a}\u{4b78a} may\n\n\n ", PLAIN);
    assert!(found.ends_with(&[262, 347, 287, 286, 403, 262]), "{found:?}");
}

#[test]
fn pieces_of_sentencepiece_have_a_limit() {
    let varint = |mut number: usize| {
        let mut out = Vec::new();
        while number > 0x7F {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
        out
    };
    let field = |content: &[u8]| [&[0x0A], varint(content.len()).as_slice(), content].concat();
    let load = |len: usize| Tokenizer::from_sentencepiece(&field(&field(&vec![b'a'; len]))).map(|_| ());
    let refused = TokenizeError::TooMany { what: "bytes of a piece", found: 65_536, limit: 65_535 };
    assert_eq!(load(65_536), Err(refused));
    assert!(matches!(load(65_535), Err(TokenizeError::Missing { .. })));
}

#[test]
fn half_a_character_is_no_piece_of_plamo() {
    let bytes: Vec<Vec<u8>> = (0..=255u8).map(|byte| format!("<0x{byte:02X}>").into_bytes()).collect();
    let tokens: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).chain([&b"a"[..], b"\xE4\xB8"]).collect();
    let vocab = GgufVocab {
        model: "plamo2",
        types: Some(bytes.iter().map(|_| 6).chain([1, 1]).collect()),
        scores: Some(vec![0.0; tokens.len()]),
        tokens,
        ..GgufVocab::default()
    };
    let tokenizer = Tokenizer::from_gguf(&vocab, Compat::Original).unwrap();
    assert_eq!(tokenizer.encode("a中a".as_bytes(), PLAIN).unwrap(), [256, 0xE4, 0xB8, 0xAD, 256]);
}

#[test]
fn bytes_without_tokens_are_named_where_nothing_stands_for_them() {
    let tokens: Vec<&[u8]> = vec![b"a", b"\xE2\x96\x81"];
    let types = Some(vec![1, 1]);
    let vocab = GgufVocab {
        model: "llama",
        tokens,
        types,
        add_bos: Some(false),
        add_space_prefix: Some(false),
        ..GgufVocab::default()
    };
    // No unknown token, no bytes: llama.cpp takes id 0, whatever that is.
    let error = TokenizeError::NoToken { byte: b'b', offset: 1 };
    let tokenizer = Tokenizer::from_gguf(&vocab, Compat::Original).unwrap();
    assert_eq!(tokenizer.encode(b"ab", PLAIN), Err(error));
    assert!(
        tokenizer.warnings().contains(&Warning::RefusedBytes { count: 255 }),
        "{:?}",
        tokenizer.warnings()
    );
    let theirs = Tokenizer::from_gguf(&vocab, Compat::LlamaCpp).unwrap();
    assert_eq!(theirs.encode(b"ab", PLAIN).unwrap(), [0, 0]);
    let named = GgufVocab { tokens: vec![b"<unk>", b"a"], ..vocab };
    assert_eq!(Tokenizer::from_gguf(&named, Compat::Original).unwrap().encode(b"ab", PLAIN).unwrap(), [1, 0]);
}

#[test]
fn a_beginning_that_is_wanted_and_not_named_is_not_guessed() {
    let vocab = GgufVocab {
        model: "gpt2",
        pre: Some("gpt-2"),
        tokens: std::iter::once(&b"aa"[..]).chain([&b"a"[..]; 11]).collect(),
        merges: vec![b"a a"],
        add_bos: Some(true),
        ..GgufVocab::default()
    };
    let refused = Tokenizer::from_gguf(&vocab, Compat::Original).map(|_| ());
    assert_eq!(refused, Err(TokenizeError::SpecialIdMissing { key: "tokenizer.ggml.add_bos_token" }));
    // llama.cpp takes token 11.
    let theirs = Tokenizer::from_gguf(&vocab, Compat::LlamaCpp).unwrap();
    let options = EncodeOptions { add_special: true, parse_special: false };
    assert_eq!(theirs.encode(b"a", options).unwrap(), [11, 1]);
    let named = GgufVocab { bos: Some(3), ..vocab };
    let ours = Tokenizer::from_gguf(&named, Compat::Original).unwrap();
    assert_eq!(ours.encode(b"a", options).unwrap(), [3, 1]);
}

#[test]
fn rwkv_needs_no_unknown_token_where_each_byte_is_one() {
    let texts: Vec<String> = (0..=255).map(|byte| format!("\\x{byte:02x}")).collect();
    let mut tokens: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let vocab = |tokens: Vec<&'static [u8]>| GgufVocab { model: "rwkv", tokens, ..GgufVocab::default() };
    tokens.push(b"ab");
    let leaked: Vec<&'static [u8]> = tokens.iter().map(|token| &*token.to_vec().leak()).collect();
    let tokenizer = Tokenizer::from_gguf(&vocab(leaked.clone()), Compat::Original).unwrap();
    assert_eq!(tokenizer.encode(b"ab\xFF", PLAIN).unwrap(), [256, 255]);
    let refused = Tokenizer::from_gguf(&vocab(leaked[1..].to_vec()), Compat::Original).map(|_| ());
    assert_eq!(refused, Err(TokenizeError::SpecialIdMissing { key: "tokenizer.ggml.unknown_token_id" }));
}

/// Each of these `sentencepiece` 0.2.3 refuses to load.
#[test]
fn pieces_that_do_not_fit_together_are_refused() {
    let byte_fallback: &[u8] = &[0x98, 2, 1];
    let names: Vec<&'static str> = (0..=254u8).map(|byte| &*format!("<0x{byte:02X}>").leak()).collect();
    let bytes = names.iter().map(|name| (*name, 0.0, BYTE)).collect();
    let cases: Vec<(&str, Vec<Piece>, &[u8], &str)> = vec![
        ("twice", vec![("a", -1.0, NORMAL), ("a", -2.0, NORMAL)], &[], "piece 4 `a`: there is one before it"),
        ("of two kinds", vec![("a", -1.0, NORMAL), ("a", 0.0, USER_DEFINED)], &[], "piece 4 `a`"),
        ("control twice", vec![("</s>", 0.0, CONTROL)], &[], "piece 3 `</s>`: there is one before it"),
        ("two unknown", vec![("<u>", 0.0, UNKNOWN)], &[], "piece 3 `<u>`: it is a second unknown piece"),
        ("empty", vec![("a", -1.0, NORMAL), ("", -1.0, NORMAL)], &[], "piece 4 ``: it is empty"),
        ("bytes unasked for", vec![("<0x41>", 0.0, BYTE)], &[], "piece 3 `<0x41>`: it is a byte"),
        (
            "no byte",
            vec![("<0xZZ>", 0.0, BYTE)],
            byte_fallback,
            "token 3 is marked as a byte but is named `<0xZZ>`",
        ),
        ("no bytes", vec![], byte_fallback, "no piece for byte 0x00"),
        ("not all bytes", bytes, byte_fallback, "no piece for byte 0xff"),
    ];
    for (name, pieces, trainer, expected) in cases {
        let file = unigram_with(&[&BASE[..], &pieces].concat(), trainer);
        let error = Tokenizer::from_sentencepiece(&file).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

/// The numbers are those of the protocol: 40 to 43 are ids, 46 and 47 pieces.
#[test]
fn sentencepiece_says_what_begins_and_ends_a_text() {
    let pieces: Vec<Piece> = vec![
        ("<unk>", 0.0, UNKNOWN),
        ("[CLS]", 0.0, CONTROL),
        ("[SEP]", 0.0, CONTROL),
        ("a", -1.0, NORMAL),
        ("<s>", 0.0, CONTROL),
    ];
    let named = [&[0xF2, 2, 5][..], b"[CLS]", &[0xFA, 2, 5], b"[SEP]"].concat();
    let tokenizer = Tokenizer::from_sentencepiece(&unigram_with(&pieces, &named)).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(1), Some(2)));
    let unnamed = Tokenizer::from_sentencepiece(&unigram(&pieces)).unwrap();
    assert_eq!((unnamed.bos(), unnamed.eos()), (Some(4), None));
    let empty = [0xF2, 2, 0, 0xFA, 2, 0];
    let unnamed = Tokenizer::from_sentencepiece(&unigram_with(&pieces, &empty)).unwrap();
    assert_eq!((unnamed.bos(), unnamed.eos()), (Some(4), None));
    // -1 says that there is none.
    let none = [&[0xC0u8, 2, 4, 0xD8, 2][..], &[0xFF; 9], &[1]].concat();
    assert_eq!(Tokenizer::from_sentencepiece(&unigram_with(&pieces, &none)).unwrap().warnings(), []);
    let ids = [0xC0, 2, 5, 0xC8, 2, 6, 0xD0, 2, 7, 0xD8, 2, 8];
    let tokenizer = Tokenizer::from_sentencepiece(&unigram_with(&pieces, &ids)).unwrap();
    let warnings: Vec<String> = tokenizer.warnings().iter().map(ToString::to_string).collect();
    let expected: Vec<String> = ["unk", "bos", "eos", "pad"]
        .iter()
        .zip(5..)
        .map(|(name, id)| format!("`trainer_spec.{name}_id` is {id}, the vocabulary has 5 tokens: ignored"))
        .collect();
    assert_eq!(warnings, expected);
}

/// A map with one key, `a`, and its replacement.
fn map_of_a(replacement: &[u8]) -> Vec<u8> {
    // The root's children lie from 0 on, `a` is unit 0x61 with a leaf, which is unit 0x61 ^ 0x80.
    let mut units = vec![0u32; 256];
    units[0x61] = 0x80 << 10 | 1 << 8 | 0x61;
    units[0xE1] = 1 << 31;
    let trie: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    [&1024u32.to_le_bytes()[..], &trie, replacement, &[0]].concat()
}

#[test]
fn maps_that_inflate_a_text_are_refused() {
    let load = |map: &[u8], compat| {
        let vocab = GgufVocab {
            model: "t5",
            tokens: vec![b"<unk>", b"</s>", b"x", b"b"],
            scores: Some(vec![0.0, 0.0, -1.0, -1.0]),
            unk: Some(0),
            eos: Some(1),
            add_eos: Some(false),
            add_space_prefix: Some(false),
            precompiled_charsmap: Some(map),
            ..GgufVocab::default()
        };
        Tokenizer::from_gguf(&vocab, compat)
    };
    for compat in [Compat::Original, Compat::LlamaCpp] {
        let tokenizer = load(&map_of_a(&[b'x'; 32]), compat).unwrap();
        assert_eq!(tokenizer.encode(b"ba", PLAIN).unwrap(), [&[3][..], &[2; 32]].concat(), "{compat:?}");
        let error = load(&map_of_a(&[b'x'; 33]), compat).map(|_| ()).unwrap_err().to_string();
        let expected = "a replacement is more than 32 times as long as what it replaces at byte 392";
        assert!(error.ends_with(expected), "{compat:?}: {error}");
    }
}
