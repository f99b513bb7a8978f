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
pub(crate) fn each_unsettled(text: &str, form: Form, mut each: impl FnMut(Range<usize>)) {
    // A mark that is alone behind its border, and in order, changes nothing.
    let mut each = |range: Range<usize>| {
        if text.get(range.clone()).is_some_and(|part| !is_settled(part.chars(), form)) {
            each(range);
        }
    };
    // The stretch so far: from its border on, and whether something in it may change.
    let (mut from, mut dirty) = (0, false);
    for (at, char) in text.char_indices() {
        if char.is_ascii() || is_border(char, form) {
            if dirty {
                each(from..at);
            }
            (from, dirty) = (at, false);
        } else {
            dirty = true;
        }
    }
    if dirty {
        each(from..text.len());
    }
}

/// The text in a normal form; nothing where it is in it.
pub(crate) fn normalized(text: &str, form: Form) -> Option<String> {
    let (mut out, mut done) = (String::new(), 0);
    let mut chars: Vec<char> = Vec::new();
    each_unsettled(text, form, |range| {
        let part = text.get(range.clone()).unwrap_or("");
        chars.clear();
        decompose(part, form, |char, _| chars.push(char));
        sort_marks(&mut chars);
        if form.composes() {
            recompose(&mut chars);
        }
        if part.chars().eq(chars.iter().copied()) {
            return;
        }
        if out.is_empty() {
            out.reserve(text.len());
        }
        out.push_str(text.get(done..range.start).unwrap_or(""));
        out.extend(&chars);
        done = range.end;
    });
    (done > 0).then(|| {
        out.push_str(text.get(done..).unwrap_or(""));
        out
    })
}

/// The normal form of `text`, each character with its change count.
pub(crate) fn normalize(text: &str, form: Form) -> Vec<(char, isize)> {
    let mut out: Vec<(char, isize)> = Vec::with_capacity(text.len());
    decompose(text, form, |char, first| out.push((char, isize::from(!first))));
    sort_marks(&mut out);
    if form.composes() {
        recompose(&mut out);
    }
    out
}

/// A character, with its change count where somebody wants that.
trait Part: Copy {
    fn char(self) -> char;

    /// Puts a character in the place of this one and another.
    fn join(&mut self, composed: char, other: Self);
}

impl Part for char {
    fn char(self) -> char {
        self
    }

    fn join(&mut self, composed: char, _other: Self) {
        *self = composed;
    }
}

impl Part for (char, isize) {
    fn char(self) -> char {
        self.0
    }

    fn join(&mut self, composed: char, other: Self) {
        *self = (composed, self.1 + other.1 - 1);
    }
}

/// Calls `emit` with each character of the decomposition, and whether it is the first of its source's.
fn decompose(text: &str, form: Form, mut emit: impl FnMut(char, bool)) {
    for source in text.chars() {
        let mut first = true;
        let mut emit = |char: char| emit(char, std::mem::replace(&mut first, false));
        if source.is_ascii() {
            emit(source);
        } else if matches!(form, Form::Nfc | Form::Nfd) {
            decompose_canonical(source, emit);
        } else {
            decompose_compatible(source, emit);
        }
    }
}

/// Sorts each run of marks by their classes.
fn sort_marks<T: Part>(list: &mut [T]) {
    let class = |part: &T| canonical_combining_class(part.char());
    for marks in list.chunk_by_mut(|a, b| (class(a) == 0) == (class(b) == 0)) {
        if marks.first().is_some_and(|first| class(first) != 0) && !marks.is_sorted_by_key(class) {
            marks.sort_by_key(class);
        }
    }
}

/// Composes what is decomposed, in its place.
fn recompose<T: Part>(list: &mut Vec<T>) {
    // How many are kept, the last starter of those, and the class of the last mark kept after it.
    let (mut kept, mut starter, mut last_class) = (0, None, None);
    for at in 0..list.len() {
        let Some(part) = list.get(at).copied() else { break };
        let class = canonical_combining_class(part.char());
        let blocked = last_class.is_some_and(|last| last >= class);
        if !blocked
            && let Some(base) = starter.and_then(|at: usize| list.get_mut(at))
            && let Some(composed) = compose(base.char(), part.char())
        {
            base.join(composed, part);
            continue;
        }
        if class == 0 {
            starter = Some(kept);
            last_class = None;
        } else if starter.is_some() {
            last_class = Some(class);
        }
        if let Some(slot) = list.get_mut(kept) {
            *slot = part;
        }
        kept += 1;
    }
    list.truncate(kept);
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
                let joined = normalized(text, form);
                assert_eq!(joined.as_deref().unwrap_or(text), expected, "{form:?} of {text:?} in stretches");
                assert_eq!(joined.is_none(), text == expected, "{form:?} of {text:?}");
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
