//! NFC, NFD, NFKC and NFKD with the change counts that offsets need.
//!
//! Each output character comes with the number of input characters that it stands for, minus one: 0 replaces one,
//! +1 was inserted, -n swallowed n more. That is the bookkeeping of the Hugging Face library, whose offsets we
//! reproduce.

use std::ops::Range;

#[cfg(feature = "hf")]
use unicode_normalization_alignments::char::is_combining_mark;
use unicode_normalization_alignments::char::{
    canonical_combining_class, compose, decompose_canonical, decompose_compatible,
};
use unicode_normalization_alignments::{IsNormalized, is_nfc_quick, is_nfd_quick};
#[cfg(any(test, feature = "hf"))]
use unicode_normalization_alignments::{is_nfkc_quick, is_nfkd_quick};

/// Which normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Nfc,
    Nfd,
    #[cfg(any(test, feature = "hf"))]
    Nfkc,
    #[cfg(any(test, feature = "hf"))]
    Nfkd,
}

impl Form {
    fn composes(self) -> bool {
        match self {
            Self::Nfc => true,
            Self::Nfd => false,
            #[cfg(any(test, feature = "hf"))]
            Self::Nfkc => true,
            #[cfg(any(test, feature = "hf"))]
            Self::Nfkd => false,
        }
    }
}

/// Whether the characters are surely in the form; of a single one, that nothing before it changes it.
fn is_settled(chars: impl Iterator<Item = char>, form: Form) -> bool {
    let quick = match form {
        Form::Nfc => is_nfc_quick(chars),
        Form::Nfd => is_nfd_quick(chars),
        #[cfg(any(test, feature = "hf"))]
        Form::Nfkc => is_nfkc_quick(chars),
        #[cfg(any(test, feature = "hf"))]
        Form::Nfkd => is_nfkd_quick(chars),
    };
    quick == IsNormalized::Yes
}

/// Whether `StripAccents` removes the character.
#[cfg(feature = "hf")]
pub(crate) fn is_mark(char: char) -> bool {
    is_combining_mark(char)
}

/// A starter that neither changes nor joins what is before it: texts can be cut before it.
fn is_border(char: char, form: Form) -> bool {
    char.is_ascii() || (canonical_combining_class(char) == 0 && is_settled(std::iter::once(char), form))
}

/// The stretches of `text` that may change, from border to border. All else is in the form.
pub(crate) fn unsettled(text: &str, form: Form) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    // The stretch so far: from its border on, and whether something in it may change.
    let (mut from, mut dirty) = (0, false);
    for (at, char) in text.char_indices() {
        if char.is_ascii() || is_border(char, form) {
            if dirty {
                out.push(from..at);
            }
            (from, dirty) = (at, false);
        } else {
            dirty = true;
        }
    }
    if dirty {
        out.push(from..text.len());
    }
    // A mark that is alone behind its border, and in order, changes nothing.
    out.retain(|range| text.get(range.clone()).is_some_and(|part| !is_settled(part.chars(), form)));
    out
}

/// The normal form of `text`, each character with its change count.
pub(crate) fn normalize(text: &str, form: Form) -> Vec<(char, isize)> {
    let mut out: Vec<(char, isize)> = Vec::with_capacity(text.len());
    let mut marks_from = 0;
    for source in text.chars() {
        let mut first = true;
        let mut emit = |char: char| {
            let change = isize::from(!first);
            first = false;
            if canonical_combining_class(char) == 0 {
                sort_marks(&mut out, marks_from);
                out.push((char, change));
                marks_from = out.len();
            } else {
                out.push((char, change));
            }
        };
        if source.is_ascii() {
            emit(source);
        } else if matches!(form, Form::Nfc | Form::Nfd) {
            decompose_canonical(source, emit);
        } else {
            decompose_compatible(source, emit);
        }
    }
    sort_marks(&mut out, marks_from);
    if form.composes() { recompose(&out) } else { out }
}

fn sort_marks(out: &mut [(char, isize)], from: usize) {
    if let Some(marks) = out.get_mut(from..)
        && marks.len() > 1
    {
        marks.sort_by_key(|(char, _)| canonical_combining_class(*char));
    }
}

fn recompose(decomposed: &[(char, isize)]) -> Vec<(char, isize)> {
    let mut out: Vec<(char, isize)> = Vec::with_capacity(decomposed.len());
    // Index in `out` of the last starter, and the class of the last mark kept after it.
    let mut starter: Option<usize> = None;
    let mut last_class: Option<u8> = None;
    for &(char, change) in decomposed {
        let class = canonical_combining_class(char);
        let blocked = last_class.is_some_and(|last| last >= class);
        if !blocked
            && let Some(base) = starter.and_then(|at| out.get_mut(at))
            && let Some(composed) = compose(base.0, char)
        {
            *base = (composed, base.1 + change - 1);
            continue;
        }
        if class == 0 {
            starter = Some(out.len());
            last_class = None;
        } else if starter.is_some() {
            last_class = Some(class);
        }
        out.push((char, change));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_normalization_alignments::UnicodeNormalization as _;

    #[test]
    fn forms_agree_with_the_unicode_crate() {
        for text in [
            "",
            "abc",
            "e\u{301}\u{323}x",
            "\u{1100}\u{1161}\u{11a8}",
            "ﬁ½",
            "\u{344}a",
            "ạ̈\u{304}",
            "\u{301}a\u{301}",
            "xe\u{301}y\u{323}\u{307}z\u{307}\u{323}\u{ac00}\u{11a8}가가각ｶﾞ",
        ] {
            for (form, expected) in [
                (Form::Nfc, text.nfc().map(|pair| pair.0).collect::<String>()),
                (Form::Nfd, text.nfd().map(|pair| pair.0).collect()),
                (Form::Nfkc, text.nfkc().map(|pair| pair.0).collect()),
                (Form::Nfkd, text.nfkd().map(|pair| pair.0).collect()),
            ] {
                let found: String = normalize(text, form).iter().map(|pair| pair.0).collect();
                assert_eq!(found, expected, "{form:?} of {text:?}");
                let (mut joined, mut done) = (String::new(), 0);
                for range in unsettled(text, form) {
                    joined.push_str(&text[done..range.start]);
                    joined.extend(normalize(&text[range.clone()], form).iter().map(|pair| pair.0));
                    done = range.end;
                }
                joined.push_str(&text[done..]);
                assert_eq!(joined, expected, "{form:?} of {text:?} in stretches");
            }
        }
    }

    #[test]
    fn changes_add_up_to_the_input() {
        for text in ["e\u{301}\u{323}x", "ﬁ½\u{344}"] {
            for form in [Form::Nfc, Form::Nfd, Form::Nfkc, Form::Nfkd] {
                let total: isize = normalize(text, form).iter().map(|(_, change)| 1 - change).sum();
                assert_eq!(total as usize, text.chars().count(), "{form:?} of {text:?}");
            }
        }
    }
}
