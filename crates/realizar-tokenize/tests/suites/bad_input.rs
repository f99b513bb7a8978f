//! Files, vocabularies and calls that are wrong: each is refused, or loads with a warning, and never panics.

use proptest::prelude::*;
use realizar_tokenize::{Compat, DecodeOptions, EncodeOptions, GgufVocab, TokenizeError, Tokenizer, Warning};

use crate::support::{Gguf, PLAIN, roots};

const SPECIAL: EncodeOptions = EncodeOptions { add_special: true, parse_special: true };
const SHOWN: DecodeOptions = DecodeOptions { keep_special: true, clean_spaces: true, strip_ends: true };

fn load(vocab: &GgufVocab<'_>) -> Result<Tokenizer, TokenizeError> {
    Tokenizer::from_gguf(vocab, Compat::Original)
}

fn byte_level() -> GgufVocab<'static> {
    GgufVocab {
        model: "gpt2",
        pre: Some("gpt-2"),
        tokens: vec![b"a", b"b", b"ab", b"<|im_end|>", b""],
        merges: vec![b"a b"],
        types: Some(vec![1, 1, 1, 3, 1]),
        ..GgufVocab::default()
    }
}

fn bert() -> GgufVocab<'static> {
    GgufVocab { model: "bert", bos: Some(0), unk: Some(1), sep: Some(2), merges: vec![], ..byte_level() }
}

type Refused = fn(&TokenizeError) -> bool;

#[test]
fn broken_vocabularies_are_refused() {
    let base = byte_level;
    let long: &'static [u8] = vec![b'x'; 70_000].leak();
    let cases: Vec<(&str, GgufVocab<'_>, Refused)> = vec![
        ("no tokens", GgufVocab { tokens: vec![], ..base() }, |e| {
            matches!(e, TokenizeError::EmptyVocabulary)
        }),
        ("short scores", GgufVocab { scores: Some(vec![0.0]), ..base() }, |e| {
            matches!(e, TokenizeError::ShortArray { found: 1, expected: 5, .. })
        }),
        ("short types", GgufVocab { types: Some(vec![]), ..base() }, |e| {
            matches!(e, TokenizeError::ShortArray { .. })
        }),
        ("unknown model", GgufVocab { model: "nope", ..base() }, |e| {
            matches!(e, TokenizeError::UnknownModel { .. })
        }),
        ("bos out of range", GgufVocab { bos: Some(9), add_bos: Some(true), ..base() }, |e| {
            matches!(
                e,
                TokenizeError::SpecialIdOutOfRange { key: "tokenizer.ggml.bos_token_id", id: 9, vocab: 5 }
            )
        }),
        ("eos out of range", GgufVocab { eos: Some(5), ..base() }, |e| {
            e.to_string() == "`tokenizer.ggml.eos_token_id` is 5, the vocabulary has 5 tokens"
        }),
        ("bert's sep out of range", GgufVocab { model: "bert", bos: Some(0), sep: Some(7), ..base() }, |e| {
            matches!(
                e,
                TokenizeError::SpecialIdOutOfRange {
                    key: "tokenizer.ggml.seperator_token_id",
                    id: 7,
                    vocab: 5
                }
            )
        }),
        ("a bos that bert always writes", GgufVocab { bos: Some(9), add_bos: Some(false), ..bert() }, |e| {
            matches!(e, TokenizeError::SpecialIdOutOfRange { key: "tokenizer.ggml.bos_token_id", .. })
        }),
        (
            "unk out of range",
            GgufVocab { model: "llama", add_bos: Some(false), unk: Some(5), ..base() },
            |e| {
                matches!(e, TokenizeError::SpecialIdOutOfRange { key: "tokenizer.ggml.unknown_token_id", .. })
            },
        ),
        ("no merges", GgufVocab { merges: vec![], ..base() }, |e| {
            e.to_string() == "`tokenizer.ggml.merges` is missing"
        }),
        ("no merges of Gemma 4", GgufVocab { model: "gemma4", merges: vec![], ..base() }, |e| {
            matches!(e, TokenizeError::Missing { what: "`tokenizer.ggml.merges`" })
        }),
        ("bos wanted, not there", GgufVocab { add_bos: Some(true), ..base() }, |e| {
            matches!(e, TokenizeError::SpecialIdMissing { .. })
        }),
        ("eos wanted, not there", GgufVocab { add_eos: Some(true), ..base() }, |e| {
            matches!(e, TokenizeError::SpecialIdMissing { .. })
        }),
        ("bad byte", GgufVocab { types: Some(vec![1, 1, 6, 3, 1]), ..base() }, |e| {
            matches!(e, TokenizeError::BadByteToken { id: 2, .. })
        }),
        ("merges of nothing", GgufVocab { merges: vec![b"a b", b"x y", b"z", b" "], ..base() }, |e| {
            matches!(e, TokenizeError::BadMerges { unusable: 3, total: 4, .. })
        }),
        ("long token", GgufVocab { tokens: vec![long; 5], ..base() }, |e| {
            matches!(e, TokenizeError::TooMany { .. })
        }),
        ("bert without unk", GgufVocab { model: "bert", types: None, ..base() }, |e| {
            matches!(e, TokenizeError::SpecialIdMissing { .. })
        }),
        ("bert without bos", GgufVocab { model: "bert", unk: Some(0), sep: Some(1), ..base() }, |e| {
            matches!(e, TokenizeError::SpecialIdMissing { .. })
        }),
        (
            "unigram without unk",
            GgufVocab { model: "t5", tokens: vec![b"a", b"b"], types: None, ..base() },
            |e| matches!(e, TokenizeError::SpecialIdMissing { .. }),
        ),
        ("rwkv without unk", GgufVocab { model: "rwkv", ..base() }, |e| {
            matches!(e, TokenizeError::SpecialIdMissing { .. })
        }),
        ("plamo2 without bytes", GgufVocab { model: "plamo2", ..base() }, |e| {
            matches!(e, TokenizeError::NoToken { byte: 0, .. })
        }),
        (
            "bad character map",
            GgufVocab {
                model: "t5",
                precompiled_charsmap: Some(b"xx"),
                unk: Some(0),
                eos: Some(1),
                ..base()
            },
            |e| matches!(e, TokenizeError::BadCharsMap { .. }),
        ),
    ];
    for (name, vocab, refused) in cases {
        match load(&vocab) {
            Err(error) => assert!(refused(&error), "{name}: {error}"),
            Ok(_) => panic!("{name} was accepted"),
        }
    }
}

#[test]
fn byte_tokens_have_two_hexadecimal_digits() {
    for text in ["<0xZZ>", "<0x-1>", "<0x+1>", "<0x1>", "<0x123>", "<0x1G", "0x10"] {
        let tokens: Vec<&[u8]> = vec![b"a", b"b", text.as_bytes(), b"c", b"d"];
        let vocab = GgufVocab { tokens, types: Some(vec![1, 1, 6, 3, 1]), ..byte_level() };
        let error = load(&vocab).map(|_| ()).unwrap_err();
        let expected = format!("token 2 is marked as a byte but is named `{text}`, expected `<0xHH>`");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn odd_vocabularies_load_with_a_warning() {
    let warned = |vocab: &GgufVocab<'_>, wanted: fn(&Warning) -> bool| {
        let tokenizer = load(vocab).unwrap();
        assert!(tokenizer.warnings().iter().any(wanted), "{:?}", tokenizer.warnings());
        tokenizer
    };
    let tokenizer = warned(
        &GgufVocab { pre: Some("brand-new"), ..byte_level() },
        |warning| matches!(warning, Warning::UnknownPreTokenizer { name } if name == "brand-new"),
    );
    assert!(tokenizer.warnings()[0].to_string().contains("brand-new"));
    warned(&GgufVocab { pre: None, ..byte_level() }, |warning| {
        matches!(warning, Warning::MissingPreTokenizer)
    });
    warned(&byte_level(), |warning| matches!(warning, Warning::MissingBytes { count: 254 }));
    let mut merges: Vec<&[u8]> = vec![b"a b"; 200];
    merges.push(b"x y");
    warned(&GgufVocab { merges, ..byte_level() }, |warning| {
        matches!(warning, Warning::UnusableMerges { count: 1, total: 201, .. })
    });
    let tokens: Vec<&[u8]> = vec![b"a", b"b", b"a", b"<|im_end|>", b"ab"];
    let tokenizer = warned(&GgufVocab { tokens, types: None, ..byte_level() }, |warning| {
        matches!(warning, Warning::DuplicateTokens { count: 1, .. })
    });
    // The lowest id encodes, both decode.
    assert_eq!(tokenizer.encode(b"a", PLAIN).unwrap(), [0]);
    assert_eq!(tokenizer.decode(&[0, 2], SHOWN).unwrap(), b"aa");
    // A token that only its text makes a control token.
    assert!(
        tokenizer.warnings().iter().any(|warning| matches!(warning, Warning::ControlByText { id: 3, .. }))
    );
    assert_eq!(tokenizer.eog_ids(), [3]);
    assert_eq!(tokenizer.eot(), Some(3));
    assert_eq!(tokenizer.encode(b"<|im_end|>", SPECIAL).unwrap(), [3]);
    assert_eq!(tokenizer.token_text(3), b"<|im_end|>");
    assert_eq!(tokenizer.token_id(b"<|im_end|>"), Some(3));
}

#[test]
fn ids_outside_the_vocabulary_that_nothing_needs_are_ignored() {
    let none = u32::MAX;
    let cases: Vec<(&str, GgufVocab<'_>, u32)> = vec![
        ("bos_token_id", GgufVocab { bos: Some(none), ..byte_level() }, none),
        ("eot_token_id", GgufVocab { eot: Some(5), ..byte_level() }, 5),
        ("eom_token_id", GgufVocab { eom: Some(none), ..byte_level() }, none),
        ("unknown_token_id", GgufVocab { unk: Some(5), ..byte_level() }, 5),
        ("seperator_token_id", GgufVocab { sep: Some(6), ..byte_level() }, 6),
        ("padding_token_id", GgufVocab { pad: Some(5), ..byte_level() }, 5),
        ("cls_token_id", GgufVocab { cls: Some(5), ..byte_level() }, 5),
        ("mask_token_id", GgufVocab { mask: Some(5), ..byte_level() }, 5),
        ("padding_token_id", GgufVocab { pad: Some(5), ..bert() }, 5),
        ("cls_token_id", GgufVocab { cls: Some(none), ..bert() }, none),
        ("mask_token_id", GgufVocab { mask: Some(none), ..bert() }, none),
    ];
    for (name, vocab, id) in cases {
        let tokenizer = load(&vocab).unwrap_or_else(|error| panic!("{name}: {error}"));
        let lines: Vec<String> = tokenizer.warnings().iter().map(ToString::to_string).collect();
        let line = format!("`tokenizer.ggml.{name}` is {id}, the vocabulary has 5 tokens: ignored");
        assert!(lines.contains(&line), "{name}: {lines:?}");
    }
    let tokenizer = load(&GgufVocab { bos: Some(none), eot: Some(5), eom: Some(6), ..byte_level() }).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eot()), (None, Some(3)), "as if nothing were given");
    assert_eq!(tokenizer.eog_ids(), [3], "only tokens that there are");
}

#[test]
fn harmony_and_gemma_repairs() {
    let merges: Vec<&[u8]> = vec![b"a a"];
    let mut tokens: Vec<&[u8]> =
        vec![b"a", b"<|end|>", b"<|return|>", b"<|call|>", b"<|channel|>", b"<|fim_pad|>", b"<unused1>"];
    tokens.push(b"aa");
    let types = Some(vec![1, 3, 3, 3, 3, 3, 3, 1]);
    let base = GgufVocab { model: "gpt2", pre: Some("gpt-4o"), merges, ..GgufVocab::default() };
    let vocab = GgufVocab { tokens, types, ..base.clone() };
    let tokenizer = load(&vocab).unwrap();
    assert_eq!(tokenizer.eog_ids(), [2, 3, 5]);
    // Shown though the file says that it is a control token.
    assert_eq!(tokenizer.token_bytes(4, false).unwrap().as_ref(), b"<|channel|>");
    let tokens: Vec<&[u8]> = vec![b"a", b"</s>", b"<|tool_response>", b"aa"];
    assert_eq!(load(&GgufVocab { tokens, ..base }).unwrap().eog_ids(), [2]);
}

#[test]
fn ids_outside_the_vocabulary_are_named() {
    let tokenizer = load(&byte_level()).unwrap();
    assert_eq!(
        tokenizer.decode(&[0, 5], SHOWN),
        Err(TokenizeError::IdOutOfRange { id: 5, index: 1, vocab: 5 })
    );
    assert_eq!(
        tokenizer.token_bytes(u32::MAX, true),
        Err(TokenizeError::IdOutOfRange { id: u32::MAX, index: 0, vocab: 5 })
    );
    assert_eq!(tokenizer.token_text(77), b"");
    assert_eq!(tokenizer.decode(&[4], SHOWN).unwrap(), b"[EMPTY_4]");
    #[cfg(feature = "hf")]
    assert!(tokenizer.encode_pair("a", None, PLAIN, false).unwrap().is_none());
}

#[test]
fn broken_rank_files_are_refused_with_the_line() {
    let all: String = (0..=255u8)
        .map(|byte| {
            use base64::Engine as _;
            format!("{} {byte}\n", base64::prelude::BASE64_STANDARD.encode([byte]))
        })
        .collect();
    let load = |text: &str| Tokenizer::from_tiktoken(text.as_bytes(), "gpt2", &[]).map(|_| ());
    for (name, line) in [
        ("no rank", "YWI="),
        ("rank is no number", "YWI= x"),
        ("high rank", "YWI= 99999999"),
        ("bad base64", "Y?I= 256"),
        ("taken", "YWI= 255"),
        ("empty token", " 256"),
    ] {
        let error = load(&format!("{all}{line}\n")).unwrap_err();
        assert!(matches!(error, TokenizeError::BadRanks { line: 257, .. }), "{name}: {error}");
    }
    assert_eq!(load(""), Err(TokenizeError::EmptyVocabulary));
    assert_eq!(load("YQ== 0"), Err(TokenizeError::NoToken { byte: 0, offset: 0 }));
    assert!(load(&all).is_ok());
    // Of a token that is given twice the last rank counts, as tiktoken's reader has it.
    let twice = format!("{all}YWI= 257\nYWI= 256\nYWJi 258\n");
    let tokenizer = Tokenizer::from_tiktoken(twice.as_bytes(), "gpt2", &[]).unwrap();
    assert_eq!(tokenizer.encode(b"abb", PLAIN).unwrap(), [258]);
    assert_eq!(tokenizer.encode(b"ab", PLAIN).unwrap(), [256]);
    assert_eq!(tokenizer.warnings(), [Warning::RepeatedTokens { count: 1, first: "ab".into() }]);
    let with = |pattern: &str, special: &[(&str, u32)]| {
        Tokenizer::from_tiktoken(all.as_bytes(), pattern, special).map(|_| ())
    };
    let pattern = with("(", &[]);
    assert!(matches!(pattern, Err(TokenizeError::BadPattern { offset: 1, .. })), "{pattern:?}");
    for special in [("x", 3), ("", 300)] {
        let refused = with("gpt2", &[special]);
        assert!(
            matches!(refused, Err(TokenizeError::SpecialIdOutOfRange { .. })),
            "{special:?}: {refused:?}"
        );
    }
    assert!(with(r"\S+", &[("<|x|>", 300)]).is_ok());
    let tokenizer = Tokenizer::from_tiktoken(all.as_bytes(), "o200k", &[("<|endoftext|>", 300)]).unwrap();
    assert_eq!(tokenizer.token_id(b"<|endoftext|>"), Some(300));
    assert_eq!(tokenizer.token_id(b"a"), Some(97));
    assert_eq!(tokenizer.words(b"ab c").unwrap(), [b"ab".to_vec(), b" c".to_vec()]);
    assert_eq!(tokenizer.encode(b"<|endoftext|>\xFF", SPECIAL).unwrap(), [300, 255]);
    let hidden = DecodeOptions { keep_special: false, ..SHOWN };
    assert_eq!(tokenizer.decode(&[97, 300], hidden).unwrap(), b"a");
}

#[test]
fn broken_sentencepiece_files_are_refused_with_the_place() {
    for (name, bytes) in [
        ("cut number", &[0x80][..]),
        ("long number", &[0xFF; 12]),
        ("cut piece", &[0x0A, 5, 1]),
        ("unknown wire type", &[0x0F]),
        ("piece kind", &[0x0A, 2, 0x18, 9]),
        ("piece text", &[0x0A, 3, 0x0A, 1, 0xFF]),
        ("model kind", &[0x12, 2, 0x18, 9]),
    ] {
        let error = Tokenizer::from_sentencepiece(bytes).map(|_| ()).unwrap_err();
        assert!(matches!(error, TokenizeError::BadSentencePiece { .. }), "{name}: {error}");
    }
    assert!(matches!(Tokenizer::from_sentencepiece(&[]), Err(TokenizeError::EmptyVocabulary)));
    // One ordinary piece, fields of every wire type beside it.
    let piece = [0x0A, 3, 0x0A, 1, b'a', 0x21, 0, 0, 0, 0, 0, 0, 0, 0, 0x25, 0, 0, 0, 0];
    assert!(matches!(Tokenizer::from_sentencepiece(&piece), Err(TokenizeError::Missing { .. })));
}

#[test]
fn word_models_of_sentencepiece() {
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8], bytes].concat();
    let piece = |text: &str, kind: u8| field(1, &[field(1, text.as_bytes()), vec![0x18, kind]].concat());
    for suffix in [0u8, 1] {
        let marked =
            |text: &str| if suffix == 1 { format!("{text}\u{2581}") } else { format!("\u{2581}{text}") };
        let trainer = [vec![0x18, 3], vec![0xC0, 1, suffix]].concat();
        let file = [
            piece("<unk>", 2),
            piece("<s>", 3),
            piece("</s>", 3),
            piece(&marked("a"), 1),
            piece(&marked("bc"), 1),
            field(2, &trainer),
        ]
        .concat();
        let tokenizer = Tokenizer::from_sentencepiece(&file).unwrap();
        assert_eq!(tokenizer.encode(b" a  bc a x", PLAIN).unwrap(), [3, 4, 3, 0], "suffix {suffix}");
        assert_eq!(tokenizer.encode(b"a</s>", SPECIAL).unwrap(), [1, 3, 2]);
        assert_eq!(tokenizer.bos(), Some(1));
        assert!(tokenizer.adds_bos());
        assert_eq!(tokenizer.eog_ids(), [2]);
        assert_eq!(tokenizer.words(b"a b").unwrap(), [b"a b".to_vec()]);
        assert_eq!(tokenizer.token_id(b"<unk>"), Some(0));
        assert_eq!(tokenizer.token_text(1), b"<s>");
        assert_eq!(tokenizer.token_bytes(0, false).unwrap().as_ref(), " \u{2047} ".as_bytes());
        assert_eq!(
            tokenizer.decode(&[1, 3, 0], DecodeOptions { keep_special: false, ..SHOWN }).unwrap()[0],
            b'a'
        );
    }
}

fn mutated(bytes: &[u8], changes: &[(usize, u8)], cut: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, value) in changes {
        let at = at % bytes.len();
        bytes[at] = *value;
    }
    bytes.truncate(bytes.len() - cut % bytes.len().min(64));
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6), cut: usize) {
        let root = roots("damage").swap_remove(0).join("tokenizers");
        let read = |name: &str| std::fs::read(root.join(name)).unwrap();
        let text = "aé 漢🙂 <s> 123\n";
        let try_out = |tokenizer: Result<Tokenizer, TokenizeError>| {
            if let Ok(tokenizer) = tokenizer
                && let Ok(ids) = tokenizer.encode_str(text, SPECIAL)
            {
                let _ = tokenizer.decode(&ids, SHOWN);
            }
        };
        #[cfg(feature = "hf")]
        for name in ["bytelevel-llama3", "unigram-bytefallback", "wordpiece-bert-uncased", "trunc-pad"] {
            let bytes = read(&format!("hf/{name}.tokenizer.json"));
            try_out(Tokenizer::from_json(&mutated(&bytes, &changes, cut)));
        }
        for name in ["bpe-bytefallback-identity", "unigram-bytefallback-identity-nodummy"] {
            let bytes = read(&format!("spm/{name}.model"));
            try_out(Tokenizer::from_sentencepiece(&mutated(&bytes, &changes, cut)));
        }
        let ranks = read("tiktoken/small.tiktoken");
        try_out(Tokenizer::from_tiktoken(&mutated(&ranks, &changes, cut), "cl100k", &[]));
    }
}

#[test]
fn tokenizers_are_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let root = roots("threads").swap_remove(0);
    let tokenizer = Gguf::open(&root.join("demo-model/demo-q8_0.gguf")).tokenizer(Compat::Original);
    shared(&tokenizer);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(tokenizer.encode_str("Hello", PLAIN).unwrap(), [378, 284, 1189]));
        }
    });
}
