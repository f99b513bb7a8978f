//! Cutting text into the words that a model merges or looks up.

mod names;

use std::ops::Range;

use crate::pattern::{Dialect, Matcher, Pattern, cut};
use crate::{TokenizeError, unicode};

#[cfg(test)]
use names::PRE_TOKENIZERS;
pub(crate) use names::{DEFAULT, Flag, PreTokenizer, find};

/// One cut over the text, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    Pattern(&'static str),
    /// `\s+$`, where `$` is the end of the text, without a search that is quadratic in the white space.
    SpaceAtEnd,
    /// `\s+$`, where `$` is the end of any line.
    SpaceAtLineEnd,
    /// `\d{1,3}(?=(?:\d{3})*\b)`: threes from the right, unless a letter follows.
    DigitGroups,
    /// The empty matches of `(?=(\d{3})+(?!\d))`, with ASCII digits.
    AsciiDigitGroups,
    /// Cuts behind each group of three from the right, and behind what is left of it, only.
    DigitGroupEnds,
}

/// A compiled sequence of passes.
#[derive(Debug, Clone)]
pub(crate) struct Passes {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Pattern(Pattern),
    Digits(Pass),
}

impl Passes {
    pub(crate) fn new(passes: &[Pass], dialect: Dialect) -> Result<Self, TokenizeError> {
        let step = |pass: &Pass| {
            Ok(match pass {
                Pass::Pattern(pattern) => Step::Pattern(Pattern::new(pattern, dialect)?),
                other => Step::Digits(*other),
            })
        };
        Ok(Self { steps: passes.iter().map(step).collect::<Result<_, _>>()? })
    }

    /// One pass that is given as a regular expression.
    pub(crate) fn from_pattern(pattern: Pattern) -> Self {
        Self { steps: vec![Step::Pattern(pattern)] }
    }

    /// Calls `emit` with each word of `text`, from left to right. Words are never empty and together are the text.
    pub(crate) fn split(
        &self,
        text: &[u8],
        emit: &mut dyn FnMut(Range<usize>) -> Result<(), TokenizeError>,
    ) -> Result<(), TokenizeError> {
        let mut matchers: Vec<Matcher> = self.steps.iter().map(|_| Matcher::new()).collect();
        split(&self.steps, &mut matchers, text, 0, emit)
    }
}

/// Recursion is as deep as there are passes.
fn split(
    steps: &[Step],
    matchers: &mut [Matcher],
    text: &[u8],
    base: usize,
    emit: &mut dyn FnMut(Range<usize>) -> Result<(), TokenizeError>,
) -> Result<(), TokenizeError> {
    let ([step, steps @ ..], [matcher, matchers @ ..]) = (steps, matchers) else {
        return if text.is_empty() { Ok(()) } else { emit(base..base + text.len()) };
    };
    let mut result = Ok(());
    let mut each = |range: Range<usize>| {
        if result.is_ok()
            && !range.is_empty()
            && let Some(word) = text.get(range.clone())
        {
            result = split(steps, matchers, word, base + range.start, emit);
        }
    };
    match step {
        Step::Pattern(pattern) => cut(pattern, matcher, text, |range, _| each(range))?,
        Step::Digits(pass) => {
            let mut done = 0;
            digits(*pass, text, &mut |border| {
                each(done..border);
                done = border;
            });
            each(done..text.len());
        }
    }
    result
}

/// Calls `border` with ascending positions at which `pass` cuts `text`.
fn digits(pass: Pass, text: &[u8], border: &mut dyn FnMut(usize)) {
    match pass {
        Pass::Pattern(_) => {}
        Pass::SpaceAtEnd | Pass::SpaceAtLineEnd => {
            let lines = pass == Pass::SpaceAtLineEnd;
            each_run(text, unicode::is_space, |run, _| {
                let space = text.get(run.clone()).unwrap_or(&[]);
                let last = if run.end == text.len() {
                    Some(run.end)
                } else if lines {
                    // The last place in the run before a line feed, not at its beginning.
                    space
                        .iter()
                        .rposition(|byte| *byte == b'\n')
                        .filter(|at| *at > 0)
                        .map(|at| run.start + at)
                } else {
                    None
                };
                if let Some(end) = last {
                    border(run.start);
                    border(end);
                }
            });
        }
        Pass::DigitGroups => {
            each_run(
                text,
                |code| unicode::is(code, unicode::DECIMAL),
                |run, count| {
                    let next = unicode::decode(text, run.end).0;
                    let word = unicode::LETTER | unicode::MARK | unicode::NUMBER | unicode::CONNECTOR;
                    if run.end < text.len() && unicode::is(next, word) {
                        return;
                    }
                    border(run.start);
                    each_third(text, run.clone(), count, border);
                    border(run.end);
                },
            );
        }
        Pass::AsciiDigitGroups => {
            each_run(
                text,
                |code| matches!(code, 0x30..=0x39),
                |run, _| {
                    let first = run.start + run.len() % 3;
                    (first..run.end).step_by(3).for_each(&mut *border);
                },
            );
        }
        Pass::DigitGroupEnds => {
            each_run(
                text,
                |code| unicode::is(code, unicode::NUMBER),
                |run, count| {
                    each_third(text, run.clone(), count, border);
                    border(run.end);
                },
            );
        }
    }
}

/// Calls `border` with the inner positions that cut a run of `count` characters in threes from the right.
fn each_third(text: &[u8], run: Range<usize>, count: usize, border: &mut dyn FnMut(usize)) {
    let inside = text.get(run.clone()).unwrap_or(&[]);
    for (index, (at, _)) in unicode::codes(inside).enumerate() {
        if index > 0 && index % 3 == count % 3 {
            border(run.start + at);
        }
    }
}

/// Calls `emit` with each longest run of characters that `belongs` accepts, and their number.
fn each_run(text: &[u8], belongs: impl Fn(u32) -> bool, mut emit: impl FnMut(Range<usize>, usize)) {
    let (mut start, mut count) = (0, 0);
    for (at, code) in unicode::codes(text) {
        if belongs(code) {
            if count == 0 {
                start = at;
            }
            count += 1;
        } else if count > 0 {
            emit(start..at, count);
            count = 0;
        }
    }
    if count > 0 {
        emit(start..text.len(), count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'a>(passes: &[Pass], text: &'a str) -> Vec<&'a str> {
        let mut out = Vec::new();
        let passes = Passes::new(passes, Dialect::Oniguruma).unwrap();
        passes
            .split(text.as_bytes(), &mut |range| {
                out.push(&text[range]);
                Ok(())
            })
            .unwrap();
        out
    }

    #[test]
    fn hand_written_passes_cut_as_the_patterns_would() {
        let cases: &[(&str, Pass, &str)] = &[
            ("digit groups", Pass::DigitGroups, r"\d{1,3}(?=(?:\d{3})*\b)"),
            ("space at line end", Pass::SpaceAtLineEnd, r"\s+$"),
            ("ascii digit groups", Pass::AsciiDigitGroups, r"(?=([0-9]{3})+(?![0-9]))"),
        ];
        for text in [
            "",
            "1",
            "12",
            "123",
            "1234",
            "a12345 7",
            "12345x 1234",
            "x\u{661}\u{662}\u{663}\u{664}",
            "a  \n b",
            "  ",
            "a \n\n \nb  ",
            "\n",
            "a\n",
            " \n\nx",
            "\n x \n",
            "1234567",
            "12 345 6789",
        ] {
            for (name, pass, pattern) in cases {
                assert_eq!(
                    words(&[*pass], text),
                    words(&[Pass::Pattern(pattern)], text),
                    "{name} on {text:?}"
                );
            }
        }
        assert_eq!(words(&[Pass::SpaceAtEnd], "a \n b \n "), ["a \n b", " \n "]);
        assert_eq!(words(&[Pass::DigitGroupEnds], "ab1234c"), ["ab1", "234", "c"]);
    }

    #[test]
    fn every_row_compiles_in_both_readings() {
        for row in PRE_TOKENIZERS {
            assert!(Passes::new(row.original, Dialect::Oniguruma).is_ok(), "{:?}", row.names);
            assert!(Passes::new(row.llama_cpp, Dialect::Plain).is_ok(), "{:?}", row.names);
        }
    }
}
