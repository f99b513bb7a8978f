//! NFC, NFD, NFKC and NFKD with the change counts that offsets need.
//!
//! Each output character comes with the number of input characters that it stands for, minus one: 0 replaces one,
//! +1 was inserted, -n swallowed n more. That is the bookkeeping of the Hugging Face library, whose offsets we
//! reproduce.

use unicode_normalization::char::{
    canonical_combining_class, compose, decompose_canonical, decompose_compatible,
};
use unicode_normalization::{IsNormalized, is_nfc_quick, is_nfd_quick};
#[cfg(any(test, feature = "hf"))]
use unicode_normalization::{is_nfkc_quick, is_nfkd_quick};

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

/// Whether the text is surely in the form.
pub(crate) fn is_already(text: &str, form: Form) -> bool {
    let quick = match form {
        Form::Nfc => is_nfc_quick(text.chars()),
        Form::Nfd => is_nfd_quick(text.chars()),
        #[cfg(any(test, feature = "hf"))]
        Form::Nfkc => is_nfkc_quick(text.chars()),
        #[cfg(any(test, feature = "hf"))]
        Form::Nfkd => is_nfkd_quick(text.chars()),
    };
    quick == IsNormalized::Yes
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
    use unicode_normalization::UnicodeNormalization;

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
        ] {
            for (form, expected) in [
                (Form::Nfc, text.nfc().collect::<String>()),
                (Form::Nfd, text.nfd().collect()),
                (Form::Nfkc, text.nfkc().collect()),
                (Form::Nfkd, text.nfkd().collect()),
            ] {
                let found: String = normalize(text, form).iter().map(|pair| pair.0).collect();
                assert_eq!(found, expected, "{form:?} of {text:?}");
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
