//! A small regular expression engine for pre-tokenizers.
//!
//! It backtracks on a stack of its own, never on the machine's, treats loops that nothing can make shorter as
//! possessive, and counts its steps, so that no text can overflow the stack or run for ever. Matching works on
//! generalised UTF-8 (see [`crate::unicode`]).

pub(crate) mod class;
mod compile;
mod parse;
mod run;

use std::ops::Range;

use crate::TokenizeError;
use class::Class;
use parse::Look;

#[cfg(feature = "hf")]
pub(crate) use parse::word;
pub(crate) use run::Matcher;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    ops: Vec<Op>,
    classes: Vec<Class>,
    /// Where each branch of the outermost choice begins.
    branches: Vec<u32>,
    /// For each first byte, a bit for every branch that may match there.
    first: Box<[u64; 256]>,
    /// The branches that may match nothing.
    nullable: u64,
}

#[derive(Debug, Clone)]
enum Op {
    Class(u32),
    /// Repeats one class; what it may give back goes on the stack.
    Loop {
        class: u32,
        min: u32,
        max: u32,
        greed: parse::Greed,
    },
    Split {
        first: u32,
        second: u32,
    },
    Jump(u32),
    /// The operations up to `end` are a program of their own, here looked at without moving.
    Look {
        look: Look,
        end: u32,
    },
    /// A program of its own, repeated for as long as it matches, never given back.
    Atomic {
        min: u32,
        max: u32,
        end: u32,
    },
    TextStart,
    TextEnd,
    LineStart,
    LineEnd,
    WordBorder {
        wanted: bool,
        class: u32,
    },
    Match,
}

/// How anchors are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `^` and `$` at lines.
    Oniguruma,
    /// `^` and `$` at the ends of the text.
    Plain,
}

impl Pattern {
    pub(crate) fn new(pattern: &str, dialect: Dialect) -> Result<Self, TokenizeError> {
        compile::compile(&parse::parse(pattern, dialect == Dialect::Oniguruma)?, pattern)
    }

    /// Calls `emit` with every match in `text[range]`, which the pattern sees as if it were the whole text.
    #[cfg(test)]
    fn find_all(&self, text: &str) -> Vec<Range<usize>> {
        let mut matcher = Matcher::new();
        let mut out = Vec::new();
        matcher.each_match(self, text.as_bytes(), |range| out.push(range)).unwrap();
        out
    }
}

/// Cuts `text` at the matches: calls `emit` with each match and each stretch between, and whether it is a match.
/// Empty stretches are left out, empty matches are not.
pub(crate) fn cut(
    pattern: &Pattern,
    matcher: &mut Matcher,
    text: &[u8],
    mut emit: impl FnMut(Range<usize>, bool),
) -> Result<(), TokenizeError> {
    let mut done = 0;
    matcher.each_match(pattern, text, |range| {
        if range.start > done {
            emit(done..range.start, false);
        }
        done = range.end;
        emit(range, true);
    })?;
    if done < text.len() {
        emit(done..text.len(), false);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CL100K: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    fn words<'a>(pattern: &str, dialect: Dialect, text: &'a str) -> Vec<&'a str> {
        let pattern = Pattern::new(pattern, dialect).unwrap();
        pattern.find_all(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn patterns_match_as_backtracking_engines_do() {
        let cases: &[(&str, &str, &str, &[&str])] = &[
            (
                "cl100k",
                CL100K,
                "I'LL go 12345  x\n\n y",
                &["I", "'LL", " go", " ", "123", "45", " ", " x", "\n\n", " y"],
            ),
            ("lazy", "a+?b?", "aab", &["a", "ab"]),
            ("possessive", "a++a|a", "aaa", &["a", "a", "a"]),
            ("atomic", "(?>a|ab)c|ab", "abc", &["ab"]),
            ("backtrack into a group", "(?:ab|a)(?:bc|c)", "abc", &["abc"]),
            ("counted group", "(?:ab){2,3}", "abababab", &["ababab"]),
            ("group loop, not last", "(?:ab)*c", "ababc", &["ababc"]),
            ("lazy group", "(?:ab)*?(?:ab)c", "ababc", &["ababc"]),
            ("lazy counted group", "(?:ab){1,2}?c?", "ababc", &["ab", "abc"]),
            ("look behind", "(?<=a)b|(?<!a)c", "abacc", &["b", "c"]),
            ("intersection", r"[\p{L}&&[^a-c]]+", "abcdef", &["def"]),
            ("posix", "[[:digit:]]+|[[:^alpha:]]", "ab12-", &["12", "-"]),
            ("word border", r"\bab\B", "abc ab", &["ab"]),
            ("empty", "(?=b)", "abab", &["", ""]),
            ("named", "(?P<x>a)(?<y>b)", "ab", &["ab"]),
            ("dot", ".", "a\n", &["a"]),
            ("any line break", r"\R", "a\r\nb\u{2028}\n\r", &["\r\n", "\u{2028}", "\n", "\r"]),
            ("long names", r"\p{Uppercase_Letter}|\p{lower case}|\p{LC}", "Aa1ǅ", &["A", "a", "ǅ"]),
            ("more of posix", "[[:blank:]]+|[[:graph:]]|[[:ascii:]]", "a\t b\n", &["a", "\t ", "b", "\n"]),
            ("printable", "[[:print:]]+", "a b\tc", &["a b", "c"]),
            ("a script's later letters are unknown", r"\p{Han}", "\u{323B0}中", &["中"]),
            ("escapes", r"\x61\u0062\x{63}\t\.\-", "abc\t.-", &["abc\t.-"]),
            ("fold", "(?i)straSSe", "STRAſſE", &["STRAſſE"]),
            ("fold in class", "(?i:[a-c])+", "aBCd", &["aBC"]),
            ("brace literal", "a{x", "a{x", &["a{x"]),
            ("first bracket is literal", "[]a]+", "a]", &["a]"]),
            ("script", r"\p{Han}+|\p{^Han}", "中a", &["中", "a"]),
            ("text anchors", r"\Aa|b\z", "aab b", &["a", "b"]),
        ];
        for (name, pattern, text, expected) in cases {
            assert_eq!(words(pattern, Dialect::Plain, text), *expected, "{name}");
        }
        assert_eq!(words("^a|b$", Dialect::Oniguruma, "a\nab\nb"), ["a", "a", "b", "b"]);
        assert_eq!(words(r"\w+|[[:punct:]]", Dialect::Oniguruma, "x²✓·"), ["x²", "✓", "·"]);
        assert_eq!(words(r"\w+|[[:punct:]]", Dialect::Plain, "x²✓·"), ["x", "·"]);
        assert_eq!(words("^a|b$", Dialect::Plain, "a\nab\nb"), ["a", "b"]);
    }

    #[test]
    fn bad_patterns_are_refused_with_the_place() {
        for (pattern, offset) in [
            ("(a", 2),
            ("a)", 1),
            ("[a", 2),
            ("*a", 1),
            (r"\", 1),
            (r"\p{Nope}", 8),
            (r"\q", 2),
            ("(?#x)", 1),
            (r"(a)\1", 4),
            ("[z-a]", 4),
            ("a{5,2}", 6),
            ("a{2000}", 7),
            (r"\xZZ", 4),
            ("[[:no:]]", 3),
            (r"\Z", 1),
            ("(?P<x", 4),
            (r"\p{L", 3),
            (r"\x{12", 2),
            ("[[:a", 3),
            (r"[a-\d]", 4),
            ("(?:a*)*b", 8),
            ("(?<=ab)c", 8),
        ] {
            match Pattern::new(pattern, Dialect::Plain) {
                Err(TokenizeError::BadPattern { offset: found, .. }) => {
                    assert_eq!(found, offset, "{pattern}")
                }
                other => panic!("{pattern}: {other:?}"),
            }
        }
        assert!(Pattern::new(&"(".repeat(100), Dialect::Plain).is_err());
        assert!(Pattern::new(&"[".repeat(100), Dialect::Plain).is_err());
        assert!(Pattern::new("(?:(?:(?:a{900}b?){900}c?){900}d?)x", Dialect::Plain).is_err());
    }

    #[test]
    fn a_catastrophic_pattern_stops() {
        let pattern = Pattern::new("(?:a|aa|aaa)+b", Dialect::Plain).unwrap();
        let result = Matcher::new().each_match(&pattern, "a".repeat(100).as_bytes(), |_| {});
        assert_eq!(result, Err(TokenizeError::PatternTooCostly));
    }
}
