//! Tokens that are known by their text: ends of generation, fill-in-the-middle, and llama.cpp's repairs of types.

use rustc_hash::{FxHashMap, FxHashSet};

use super::attr;
use crate::lexicon::Lexicon;
use crate::{TokenId, Warning};

/// Texts that end a turn or a text.
const END_TEXTS: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];

/// Texts of the end of a turn, best known first.
const TURN_TEXTS: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
];

/// Fill in the middle: prefix, suffix, middle, padding, repository, file; the last three end a generation too.
const MIDDLE_TEXTS: [&[&str]; 6] = [
    &[
        "<|fim_prefix|>",
        "<fim-prefix>",
        "<fim_prefix>",
        "<｜fim▁begin｜>",
        "<PRE>",
        "▁<PRE>",
        "<|code_prefix|>",
        "<|prefix|>",
    ],
    &[
        "<|fim_suffix|>",
        "<fim-suffix>",
        "<fim_suffix>",
        "<｜fim▁hole｜>",
        "<SUF>",
        "▁<SUF>",
        "<|code_suffix|>",
        "<|suffix|>",
    ],
    &[
        "<|fim_middle|>",
        "<fim-middle>",
        "<fim_middle>",
        "<｜fim▁end｜>",
        "<MID>",
        "▁<MID>",
        "<|code_middle|>",
        "<|middle|>",
    ],
    &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"],
    &["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"],
    &["<|file_sep|>"],
];

/// Texts that gpt-oss shows to the user though they are control tokens.
const SHOWN_TEXTS: &[&str] = &["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

/// Of some tokens those whose text ends a generation, ascending.
pub(crate) fn ends_by_text<'t>(tokens: impl Iterator<Item = (TokenId, &'t [u8])>) -> Vec<TokenId> {
    let ends = |text: &[u8]| END_TEXTS.iter().any(|end| end.as_bytes() == text);
    let mut out: Vec<TokenId> = tokens.filter(|(_, text)| ends(text)).map(|(id, _)| id).collect();
    out.sort_unstable();
    out
}

/// What is found by text, and the types as repaired.
pub(super) struct Ends {
    pub(super) eot: Option<TokenId>,
    pub(super) eog: Vec<TokenId>,
}

/// Completes the ids and repairs the types. `may_be_control` says whether a token with a control token's text but an
/// ordinary type is one after all.
pub(super) fn find_ends(
    texts: &Lexicon,
    attrs: &mut [u16],
    (eos, eot, eom): (Option<TokenId>, Option<TokenId>, Option<TokenId>),
    may_be_control: impl Fn(TokenId, u16) -> bool,
    warnings: &mut Vec<Warning>,
) -> Ends {
    let known = Known::new(texts);
    let id_of = |text: &&str| known.find(text);
    let mut make_control = |id: TokenId, attrs: &mut [u16]| {
        if let Some(attr) = attrs.get_mut(id as usize)
            && *attr & attr::CONTROL == 0
            && may_be_control(id, *attr)
        {
            *attr |= attr::CONTROL;
            let text = String::from_utf8_lossy(texts.text(id)).into_owned();
            warnings.push(Warning::ControlByText { id, text });
        }
    };
    let mut eog = Vec::new();
    for (place, names) in MIDDLE_TEXTS.iter().enumerate() {
        if let Some(id) = names.iter().find_map(id_of) {
            make_control(id, attrs);
            if place >= 3 {
                eog.push(id);
            }
        }
    }
    for id in END_TEXTS.iter().filter_map(id_of) {
        make_control(id, attrs);
        eog.push(id);
    }
    for (id, attr) in (0..texts.len() as u32).zip(attrs.iter_mut()) {
        if *attr & attr::CONTROL != 0 && contains(texts.text(id), b"unused") {
            *attr |= attr::UNUSED;
        }
    }
    for id in SHOWN_TEXTS.iter().filter_map(id_of) {
        if let Some(attr) = attrs.get_mut(id as usize) {
            *attr = attr::USER_DEFINED;
        }
    }
    let eot = eot.or_else(|| TURN_TEXTS.iter().find_map(id_of));
    eog.extend([eos, eot, eom].into_iter().flatten());
    let has = |eog: &[TokenId], text: &str| known.find(text).filter(|id| eog.contains(id));
    // gpt-oss and solar-open use `<|end|>` inside a turn.
    let call = has(&eog, "<|call|>").or(has(&eog, "<|calls|>"));
    if let Some(end) = has(&eog, "<|end|>")
        && call.is_some()
        && (has(&eog, "<|return|>").is_some() || has(&eog, "<|flush|>").is_some())
    {
        eog.retain(|id| *id != end);
        if let Some(attr) = attrs.get_mut(end as usize) {
            *attr = attr::USER_DEFINED;
        }
    }
    // Gemma 4 has `</s>` as an ordinary piece.
    if let Some(end) = has(&eog, "</s>")
        && has(&eog, "<|tool_response>").is_some()
    {
        eog.retain(|id| *id != end);
        if let Some(attr) = attrs.get_mut(end as usize) {
            *attr = attr::NORMAL;
        }
    }
    eog.sort_unstable();
    eog.dedup();
    Ends { eot, eog }
}

/// The tokens whose texts are listed here, found in one pass instead of by an index of all.
struct Known(FxHashMap<&'static [u8], TokenId>);

impl Known {
    fn new(texts: &Lexicon) -> Self {
        let lists = MIDDLE_TEXTS.into_iter().chain([END_TEXTS, TURN_TEXTS, SHOWN_TEXTS]);
        let names: FxHashSet<&'static [u8]> = lists.flatten().map(|name| name.as_bytes()).collect();
        let (longest, mut first) = (names.iter().map(|name| name.len()).max().unwrap_or(0), [false; 256]);
        for slot in names.iter().filter_map(|name| name.first()).map(|byte| *byte as usize) {
            if let Some(slot) = first.get_mut(slot) {
                *slot = true;
            }
        }
        let mut known = FxHashMap::default();
        for id in 0..texts.len() as u32 {
            let text = texts.text(id);
            let may_be = text.first().and_then(|byte| first.get(*byte as usize)) == Some(&true);
            if may_be
                && text.len() <= longest
                && let Some(name) = names.get(text)
            {
                known.entry(*name).or_insert(id);
            }
        }
        Self(known)
    }

    fn find(&self, name: &str) -> Option<TokenId> {
        self.0.get(name.as_bytes()).copied()
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
