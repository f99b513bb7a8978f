//! What encoding with a `tokenizer.json` gives, and cutting and filling it to a length.

use super::json::At;
use crate::{TokenId, TokenizeError};

/// Ids and everything that goes with them; all lists have the same length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoding {
    /// The ids.
    pub ids: Vec<TokenId>,
    /// Start and end of each token in its text, in bytes.
    pub offsets: Vec<(usize, usize)>,
    /// The number of the text (or what the template says) for each token.
    pub type_ids: Vec<u32>,
    /// Whether a token was added by the post-processor or as padding.
    pub special: Vec<bool>,
    /// Whether a token counts; padding does not.
    pub attention: Vec<bool>,
    /// Tokens as the text has them, for trimming.
    pub(super) texts: Vec<String>,
    /// What truncation cut off, in windows.
    pub overflowing: Vec<Encoding>,
}

impl Encoding {
    pub(super) fn push(&mut self, id: TokenId, place: (usize, usize), text: String) {
        self.ids.push(id);
        self.offsets.push(place);
        self.type_ids.push(0);
        self.special.push(false);
        self.attention.push(true);
        self.texts.push(text);
    }

    pub(super) fn push_special(&mut self, id: TokenId, type_id: u32) {
        self.push(id, (0, 0), String::new());
        if let (Some(kind), Some(special)) = (self.type_ids.last_mut(), self.special.last_mut()) {
            (*kind, *special) = (type_id, true);
        }
    }

    pub(super) fn append(&mut self, other: Option<&Self>, type_id: u32) {
        let Some(other) = other else { return };
        self.ids.extend_from_slice(&other.ids);
        self.offsets.extend_from_slice(&other.offsets);
        self.type_ids.extend(std::iter::repeat_n(type_id, other.ids.len()));
        self.special.extend_from_slice(&other.special);
        self.attention.extend_from_slice(&other.attention);
        self.texts.extend_from_slice(&other.texts);
    }

    pub(super) fn set_type(&mut self, type_id: u32) {
        self.type_ids.fill(type_id);
        self.overflowing.iter_mut().for_each(|window| window.set_type(type_id));
    }

    fn part(&self, from: usize, to: usize) -> Self {
        fn cut<T: Clone>(list: &[T], from: usize, to: usize) -> Vec<T> {
            list.get(from..to).unwrap_or(&[]).to_vec()
        }
        Self {
            ids: cut(&self.ids, from, to),
            offsets: cut(&self.offsets, from, to),
            type_ids: cut(&self.type_ids, from, to),
            special: cut(&self.special, from, to),
            attention: cut(&self.attention, from, to),
            texts: cut(&self.texts, from, to),
            overflowing: Vec::new(),
        }
    }

    /// Keeps `max` tokens; the rest goes into windows that overlap by `stride`.
    fn truncate(&mut self, max: usize, stride: usize, left: bool) {
        let len = self.ids.len();
        if max >= len {
            return;
        }
        if max == 0 {
            let all = std::mem::take(self);
            self.overflowing.push(all);
            return;
        }
        let step = max - stride.min(max - 1);
        let mut windows = Vec::new();
        if left {
            let mut end = len;
            loop {
                windows.push((end.saturating_sub(max), end));
                if end <= max {
                    break;
                }
                end -= step;
            }
        } else {
            let mut start = 0;
            loop {
                windows.push((start, (start + max).min(len)));
                if start + max >= len {
                    break;
                }
                start += step;
            }
        }
        let mut windows =
            windows.into_iter().map(|(from, to)| self.part(from, to)).collect::<Vec<_>>().into_iter();
        let mut first = windows.next().unwrap_or_default();
        first.overflowing = windows.collect();
        *self = first;
    }

    fn pad(&mut self, to: usize, padding: &Padding) {
        self.overflowing.iter_mut().for_each(|window| window.pad(to, padding));
        let missing = to.saturating_sub(self.ids.len());
        let mut fill = Self::default();
        for _ in 0..missing {
            fill.push_special(padding.id, padding.type_id);
        }
        fill.attention.fill(false);
        let overflowing = std::mem::take(&mut self.overflowing);
        let (first, second) = if padding.left { (&fill, &*self) } else { (&*self, &fill) };
        let mut out = Self::default();
        for part in [first, second] {
            out.append(Some(part), 0);
        }
        out.type_ids = first.type_ids.iter().chain(&second.type_ids).copied().collect();
        out.overflowing = overflowing;
        *self = out;
    }
}

/// `truncation` of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Truncation {
    max: usize,
    stride: usize,
    left: bool,
    strategy: Strategy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strategy {
    LongestFirst,
    OnlyFirst,
    OnlySecond,
}

impl Truncation {
    pub(super) fn read(at: &At<'_>) -> Result<Self, TokenizeError> {
        at.distinct()?;
        let strategy = match at.text_of("strategy", "LongestFirst")? {
            "LongestFirst" => Strategy::LongestFirst,
            "OnlyFirst" => Strategy::OnlyFirst,
            "OnlySecond" => Strategy::OnlySecond,
            _ => return Err(at.error("unknown strategy")),
        };
        Ok(Self {
            max: at.need("max_length")?.number()? as usize,
            stride: at.get("stride").map_or(Ok(0), |at| at.number())? as usize,
            left: at.text_of("direction", "Right")? == "Left",
            strategy,
        })
    }

    /// Cuts one or two encodings so that together, with what will be added, they fit.
    pub(super) fn apply(&self, parts: &mut [Encoding], added: usize) {
        let max = self.max.saturating_sub(added);
        let total: usize = parts.iter().map(|part| part.ids.len()).sum();
        if total <= max {
            return;
        }
        match (parts, self.strategy) {
            ([first], Strategy::LongestFirst | Strategy::OnlyFirst) => {
                first.truncate(max, self.stride, self.left)
            }
            ([first, second], Strategy::LongestFirst) => {
                let (mut a, mut b) = (first.ids.len(), second.ids.len());
                // The longer one gives first; then both share.
                let swap = a > b;
                if swap {
                    std::mem::swap(&mut a, &mut b);
                }
                if a > max {
                    b = a;
                } else {
                    b = a.max(max - a);
                }
                if a + b > max {
                    a = max / 2;
                    b = a + max % 2;
                }
                if swap {
                    std::mem::swap(&mut a, &mut b);
                }
                first.truncate(a, self.stride, self.left);
                second.truncate(b, self.stride, self.left);
            }
            ([first, second], Strategy::OnlyFirst) => {
                first.truncate(max.saturating_sub(second.ids.len()), self.stride, self.left);
            }
            ([first, second], Strategy::OnlySecond) => {
                second.truncate(max.saturating_sub(first.ids.len()), self.stride, self.left);
            }
            _ => {}
        }
    }
}

/// Most tokens that padding may fill up to.
const MAX_PADDED: usize = 1 << 20;

/// `padding` of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Padding {
    /// `None`: to the longest of a batch.
    fixed: Option<usize>,
    multiple: usize,
    left: bool,
    pub(super) id: TokenId,
    type_id: u32,
}

impl Padding {
    pub(super) fn read(at: &At<'_>) -> Result<Self, TokenizeError> {
        at.distinct()?;
        let strategy = at.need("strategy")?;
        let fixed = strategy.get("Fixed").map(|at| at.number()).transpose()?.map(|fixed| fixed as usize);
        let multiple = at.get("pad_to_multiple_of").map_or(Ok(1), |at| at.number())?.max(1) as usize;
        let found = multiple.max(fixed.unwrap_or(0));
        if found > MAX_PADDED {
            return Err(TokenizeError::TooMany { what: "tokens of padding", found, limit: MAX_PADDED });
        }
        Ok(Self {
            fixed,
            multiple,
            left: at.text_of("direction", "Right")? == "Left",
            id: at.get("pad_id").map_or(Ok(0), |at| at.id())?,
            type_id: at.get("pad_type_id").map_or(Ok(0), |at| at.id())?,
        })
    }

    pub(super) fn apply(&self, encoding: &mut Encoding) {
        let wanted = self.fixed.unwrap_or(encoding.ids.len());
        encoding.pad(wanted.next_multiple_of(self.multiple), self);
    }
}
