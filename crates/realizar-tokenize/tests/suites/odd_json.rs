//! Files of `tokenizer.json` that load but are not as files mostly are, against what the reference library answers for them.

use realizar_tokenize::{DecodeOptions, EncodeOptions, TokenizeError, Tokenizer, Warning};
use serde_json::{Value, json};

use crate::odd_files::ids;
use crate::support::PLAIN;

const SHOWN: DecodeOptions = DecodeOptions { keep_special: true, clean_spaces: false, strip_ends: false };

/// Name, template, ids with special tokens, ids without.
type Template<'a> = (&'a str, Vec<&'a Value>, &'a [u32], &'a [u32]);

#[test]
fn templates_may_leave_out_or_repeat_a_text() {
    let special = json!({"SpecialToken": {"id": "</s>", "type_id": 0}});
    let first = json!({"Sequence": {"id": "A", "type_id": 0}});
    // As `tokenizers` 0.23.3: with special tokens, without.
    let cases: Vec<Template<'_>> = vec![
        ("only a special token", vec![&special], &[9], &[]),
        ("nothing", vec![], &[], &[]),
        ("before", vec![&special, &first], &[9, 2], &[2]),
        ("twice", vec![&first, &first], &[2, 2], &[2, 2]),
        ("between", vec![&first, &special, &first], &[2, 9, 2], &[2, 2]),
    ];
    for (name, single, with, without) in cases {
        let file = json!({
            "post_processor": {"type": "TemplateProcessing", "single": single, "pair": [first],
                "special_tokens": {"</s>": {"id": "</s>", "ids": [9], "tokens": ["</s>"]}}},
            "model": {"type": "BPE", "vocab": {"H": 0, "e": 1, "He": 2, "</s>": 9}, "merges": [["H", "e"]]},
        });
        let tokenizer = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
        let options = EncodeOptions { add_special: true, ..PLAIN };
        assert_eq!(ids(name, &tokenizer, "He", options), with, "{name}");
        assert_eq!(ids(name, &tokenizer, "He", PLAIN), without, "{name}, without special tokens");
    }
}

/// What is added up in double precision, too.
#[test]
fn tokenizer_json_with_absurd_scores() {
    let vocab = json!([["<unk>", 0.0], ["a", -1.7e308], ["b", -1.7e308], ["c", -1.0]]);
    let file = json!({"model": {"type": "Unigram", "unk_id": 0, "vocab": vocab}});
    let tokenizer = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
    let found = ids("double", &tokenizer, "aabac", PLAIN);
    assert_eq!(found, [1, 1, 2, 1, 3]);
    assert_eq!(tokenizer.decode(&found, SHOWN).unwrap(), b"a a b a c");
}

#[test]
fn padding_without_end_is_refused() {
    for (name, padding) in [
        ("fixed", json!({"strategy": {"Fixed": 22_222_226}})),
        ("multiple", json!({"strategy": {"Fixed": 4}, "pad_to_multiple_of": 1_u64 << 40})),
    ] {
        let vocab = json!([["<unk>", 0.0], ["a", -1.0]]);
        let file = json!({"padding": padding, "model": {"type": "Unigram", "unk_id": 0, "vocab": vocab}});
        let error = Tokenizer::from_json(file.to_string().as_bytes()).map(|_| ()).unwrap_err();
        assert!(
            matches!(error, TokenizeError::TooMany { what: "tokens of padding", limit: 0x10_0000, .. }),
            "{name}: {error}"
        );
    }
}

/// The longest at each place, found by one walk; a hundred thousand of them take no time.
#[test]
fn many_added_tokens_some_of_which_begin_others() {
    let added =
        |id: usize, content: String| json!({"id": id, "content": content, "special": id.is_multiple_of(2)});
    let begin = (1..=300).map(|len| added(len, "x".repeat(len)));
    let others = (301..100_001).map(|id| added(id, format!("<{id}>")));
    let file = json!({
        "model": {"type": "WordLevel", "vocab": {"<unk>": 0}, "unk_token": "<unk>"},
        "added_tokens": begin.chain(others).collect::<Vec<_>>(),
    });
    let tokenizer = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
    let asked = EncodeOptions { add_special: false, parse_special: true };
    let text = format!("{}<100000>y<1000000>", "x".repeat(750));
    assert_eq!(ids("many", &tokenizer, &text, asked), [300, 300, 150, 100_000, 0]);
    let long = "x".repeat(1 << 20);
    let started = std::time::Instant::now();
    assert_eq!(ids("long", &tokenizer, &long, asked).len(), (1 << 20) / 300 + 1);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn a_word_that_is_no_token_is_named_where_nothing_stands_for_it() {
    let file = json!({"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "?"}});
    let tokenizer = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
    assert_eq!(tokenizer.encode(b"b", PLAIN), Err(TokenizeError::NoToken { byte: b'b', offset: 0 }));
}

/// A file with a model and added tokens.
fn file(kind: &str, vocab: &str, rest: &str, added: &str) -> String {
    format!(r#"{{"added_tokens": [{added}], "model": {{"type": "{kind}", "vocab": {vocab}{rest}}}}}"#)
}

fn added(id: u32, content: &str, flags: &str) -> String {
    format!(r#"{{"id": {id}, "content": "{content}", "normalized": false, "special": true{flags}}}"#)
}

type Answers = &'static [(&'static str, &'static [u32])];

/// Name, file, warnings, text and ids.
type Twice = (&'static str, String, &'static [&'static str], Answers);

fn merges(list: &str) -> String {
    format!(r#", "merges": {list}"#)
}

fn tokens_twice() -> Vec<Twice> {
    vec![
        (
            "two tokens with one id",
            file("BPE", r#"{"a": 0, "b": 0, "c": 1, "ab": 2, "ac": 3}"#, &merges(r#"["a b", "a c"]"#), ""),
            &["1 tokens have the id of another one and are decoded as that (first: `b` has 0, as `a`)"],
            &[("a", &[0]), ("b", &[0]), ("bb", &[2]), ("bc", &[3]), ("abc", &[2, 1])],
        ),
        (
            "a key twice",
            file("BPE", r#"{"a": 0, "a": 1, "b": 2, "b": 2}"#, &merges("[]"), &added(9, "x", "")),
            &[
                "2 tokens are given again further on, and the last counts (first: `a`)",
                "added token `x` has id 2, as in the reference library, not 9 as the file says",
                "1 tokens have the id of another one and are decoded as that (first: `x` has 2, as `b`)",
            ],
            &[("ab", &[1, 2]), ("xb", &[2, 2])],
        ),
        (
            "words with one id",
            file("WordLevel", r#"{"a": 0, "b": 0, "c": 1, "c": 2}"#, r#", "unk_token": "c""#, ""),
            &[
                "1 tokens are given again further on, and the last counts (first: `c`)",
                "1 tokens have the id of another one and are decoded as that (first: `b` has 0, as `a`)",
            ],
            &[("a", &[0]), ("b", &[0]), ("x", &[2])],
        ),
        (
            "parts of words with one id",
            file("WordPiece", r###"{"a": 0, "b": 0, "c": 1, "##b": 1}"###, r#", "unk_token": "c""#, ""),
            &["2 tokens have the id of another one and are decoded as that (first: `b` has 0, as `a`)"],
            &[("b", &[0]), ("ab", &[0, 1])],
        ),
        (
            "pieces twice",
            file(
                "Unigram",
                r#"[["<u>", 0], ["a", -1], ["b", -2], ["a", -3], ["b", -9]]"#,
                r#", "unk_id": 0"#,
                "",
            ),
            &["2 tokens are given again further on, and the last counts (first: `a`)"],
            &[("ab", &[3, 4])],
        ),
    ]
}

fn others_twice() -> Vec<Twice> {
    let letters = r#"{"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5}"#;
    vec![
        (
            "a merge twice",
            file("BPE", letters, &merges(r#"["a b", "b c", "a b"]"#), ""),
            &["1 merges are given more than once (first: `a b`)"],
            &[("abc", &[0, 4])],
        ),
        (
            "a merge between twice",
            file("BPE", letters, &merges(r#"["b c", "a b", "b c"]"#), ""),
            &["1 merges are given more than once (first: `b c`)"],
            &[("abc", &[3, 2])],
        ),
        (
            "an added token twice, then only as a word",
            file(
                "BPE",
                letters,
                &merges("[]"),
                &[added(6, "x", ""), added(6, "x", r#", "single_word": true"#)].join(","),
            ),
            &["1 tokens are given again further on, and the last counts (first: `x`)"],
            &[("x", &[6]), ("axa", &[0, 0])],
        ),
        (
            "an added token twice, first only as a word",
            file(
                "BPE",
                letters,
                &merges("[]"),
                &[added(6, "x", r#", "single_word": true"#), added(6, "x", "")].join(","),
            ),
            &["1 tokens are given again further on, and the last counts (first: `x`)"],
            &[("axa", &[0, 6, 0])],
        ),
        (
            "two added tokens with one id",
            file("BPE", letters, &merges("[]"), &[added(6, "x", ""), added(6, "y", "")].join(",")),
            &["added token `y` has id 7, as in the reference library, not 6 as the file says"],
            &[("xy", &[6, 7])],
        ),
        (
            "an added token with the id of one that comes before it",
            file(
                "WordLevel",
                r#"{"a": 0, "u": 1, "b": 3}"#,
                r#", "unk_token": "u""#,
                &[added(3, "x", ""), added(3, "b", "")].join(","),
            ),
            &["2 tokens have the id of another one and are decoded as that (first: `x` has 3, as `b`)"],
            &[("b", &[3]), ("x", &[1]), ("ab", &[0, 3])],
        ),
        (
            "an added token with a hole's id, and then a token's",
            file(
                "BPE",
                r#"{"a": 0, "b": 3}"#,
                &merges("[]"),
                &[added(2, "x", ""), added(3, "y", "")].join(","),
            ),
            &["1 tokens have the id of another one and are decoded as that (first: `y` has 3, as `b`)"],
            &[("xyb", &[2, 3, 3])],
        ),
        (
            "a part of the file twice",
            file("BPE", letters, &merges(r#"["a b"], "merges": []"#), ""),
            &["1 fields of the file are given again further on, and the last counts (first: `merges`)"],
            &[("ab", &[0, 1])],
        ),
    ]
}

/// As `tokenizers` 0.23.3 answers; it says nothing of any of these.
#[test]
fn what_is_given_twice_is_named_and_encoded_as_the_reference_does() {
    let asked = EncodeOptions { parse_special: true, ..PLAIN };
    for (name, file, expected, answers) in tokens_twice().into_iter().chain(others_twice()) {
        let tokenizer =
            Tokenizer::from_json(file.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let unsaid = |warning: &&Warning| !matches!(warning, Warning::NoUnknownToken);
        let warnings: Vec<String> =
            tokenizer.warnings().iter().filter(unsaid).map(ToString::to_string).collect();
        assert_eq!(warnings, expected, "{name}");
        for (text, expected) in answers {
            assert_eq!(ids(name, &tokenizer, text, asked), *expected, "{name}: `{text}`");
        }
        for id in 0..tokenizer.vocab_len() as u32 {
            assert!(tokenizer.decode(&[id], SHOWN).is_ok(), "{name}: {id}");
        }
    }
}

/// A second entry that says that it is none does not make a control token an ordinary one.
#[test]
fn control_tokens_that_are_given_twice_stay_what_they_are() {
    let special = added(1, "</s>", "");
    let both = format!("{special}, {}", special.replace(r#""special": true"#, r#""special": false"#));
    let file = file("BPE", r#"{"a": 0, "b": 2}"#, r#", "merges": []"#, &both);
    let tokenizer = Tokenizer::from_json(file.as_bytes()).unwrap();
    assert_eq!(ids("typed", &tokenizer, "a</s>b", PLAIN), [0, 2]);
    let asked = EncodeOptions { parse_special: true, ..PLAIN };
    assert_eq!(ids("asked for", &tokenizer, "a</s>b", asked), [0, 2, 2]);
}

/// These the reference library refuses, too.
#[test]
fn fields_that_must_not_be_given_twice_are_named() {
    let whole =
        |rest: &str| format!(r#"{{{rest} "model": {{"type": "BPE", "vocab": {{"a": 0}}, "merges": []}}}}"#);
    for (name, file, expected) in [
        (
            "type",
            file("BPE", r#"{"a": 0}"#, r#", "merges": [], "type": "BPE""#, ""),
            "$.model: `type` is given twice",
        ),
        (
            "added token",
            file("BPE", r#"{"a": 0}"#, r#", "merges": []"#, &added(1, "x", r#", "id": 2"#)),
            "$.added_tokens[0]: `id`",
        ),
        (
            "padding",
            whole(r#""padding": {"strategy": "BatchLongest", "pad_id": 0, "pad_id": 0},"#),
            "$.padding: `pad_id`",
        ),
        (
            "truncation",
            whole(r#""truncation": {"max_length": 1, "max_length": 2},"#),
            "$.truncation: `max_length`",
        ),
        ("normalizer", whole(r#""normalizer": {"type": "NFC", "type": "NFC"},"#), "$.normalizer: `type`"),
    ] {
        let error = Tokenizer::from_json(file.as_bytes()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn ids_that_are_no_tokens_are_named() {
    for (name, file, expected) in [
        (
            "token",
            file("BPE", r#"{"a": 0, "b": 4294967295}"#, r#", "merges": []"#, ""),
            "the id of `b` is 4294967295, ids below 4194304 are allowed",
        ),
        (
            "token beyond 32 bits",
            file("WordLevel", r#"{"a": 18446744073709551615}"#, "", ""),
            "the id of `a` is 18446744073709551615, ids below 4194304 are allowed",
        ),
        (
            "added token",
            file("BPE", r#"{"a": 0}"#, r#", "merges": []"#, &added(4_194_304, "x", "")),
            "the id of `x` is 4194304, ids below 4194304 are allowed",
        ),
    ] {
        let error = Tokenizer::from_json(file.as_bytes()).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, expected, "{name}");
    }
    // The reference library pads with any number.
    let padding = r#""padding": {"strategy": {"Fixed": 3}, "pad_id": 2},"#;
    let file =
        format!(r#"{{{padding} "model": {{"type": "BPE", "vocab": {{"a": 0, "b": 1}}, "merges": []}}}}"#);
    let tokenizer = Tokenizer::from_json(file.as_bytes()).unwrap();
    let warning = Warning::SpecialIdRefused { key: "padding.pad_id", id: 2, vocab: 2 };
    assert!(tokenizer.warnings().contains(&warning), "{:?}", tokenizer.warnings());
    assert_eq!(tokenizer.encode(b"ab", PLAIN).unwrap(), [0, 1]);
    assert_eq!(
        tokenizer.encode_pair("ab", None, PLAIN, true),
        Err(TokenizeError::SpecialIdOutOfRange { key: "padding.pad_id", id: 2, vocab: 2 })
    );
    assert!(tokenizer.encode_pair("ab", None, PLAIN, false).is_ok());
}
