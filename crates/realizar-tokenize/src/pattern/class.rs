//! Sets of code points: a bitmap for ASCII, and for the rest a mask of general categories where that is enough.

use crate::unicode;

/// A set, as written.
#[derive(Debug, Clone)]
pub(crate) enum Set {
    Categories(u32),
    Ranges(Vec<(u32, u32)>),
    Script(u8),
    Predicate(fn(u32) -> bool),
    Not(Box<Set>),
    Any(Vec<Set>),
    All(Vec<Set>),
}

impl Set {
    pub(crate) fn contains(&self, code: u32) -> bool {
        match self {
            Self::Categories(mask) => unicode::is(code, *mask),
            Self::Ranges(ranges) => ranges.iter().any(|&(low, high)| low <= code && code <= high),
            Self::Script(script) => unicode::script(code) == *script,
            Self::Predicate(holds) => holds(code),
            Self::Not(set) => !set.contains(code),
            Self::Any(sets) => sets.iter().any(|set| set.contains(code)),
            Self::All(sets) => sets.iter().all(|set| set.contains(code)),
        }
    }

    /// White space.
    pub(crate) fn space() -> Self {
        Self::Any(vec![Self::Categories(unicode::WIDE_SPACE), Self::Ranges(vec![(9, 13), (32, 32)])])
    }

    /// The set outside ASCII as a mask of categories, where it is one.
    fn wide_mask(&self) -> Option<u32> {
        match self {
            Self::Categories(mask) => Some(*mask),
            Self::Ranges(ranges) => ranges.iter().all(|&(_, high)| high < 0x80).then_some(0),
            Self::Script(_) | Self::Predicate(_) => None,
            Self::Not(set) => Some(!set.wide_mask()? & unicode::ALL),
            Self::Any(sets) => sets.iter().try_fold(0, |all, set| Some(all | set.wide_mask()?)),
            Self::All(sets) => sets.iter().try_fold(unicode::ALL, |all, set| Some(all & set.wide_mask()?)),
        }
    }
}

/// A set, ready for fast lookup.
#[derive(Debug, Clone)]
pub(crate) struct Class {
    ascii: u128,
    wide: Wide,
}

#[derive(Debug, Clone)]
enum Wide {
    Categories(u32),
    Set(Set),
}

impl Class {
    pub(crate) fn new(set: Set) -> Self {
        let ascii = (0..128u32).filter(|&code| set.contains(code)).fold(0, |bits, code| bits | 1u128 << code);
        let wide = set.wide_mask().map_or_else(|| Wide::Set(set), Wide::Categories);
        Self { ascii, wide }
    }

    #[inline]
    pub(crate) fn has_ascii(&self, byte: u8) -> bool {
        byte < 0x80 && self.ascii >> byte & 1 == 1
    }

    #[inline]
    pub(crate) fn has_wide(&self, code: u32) -> bool {
        match &self.wide {
            Wide::Categories(mask) => unicode::is(code, *mask),
            Wide::Set(set) => set.contains(code),
        }
    }

    /// Whether some character outside ASCII may belong.
    pub(crate) fn may_be_wide(&self) -> bool {
        !matches!(self.wide, Wide::Categories(0))
    }

    /// Whether no character belongs to both sets; `false` where that is not easily seen.
    pub(crate) fn is_disjoint(&self, other: &Self) -> bool {
        let wide = match (&self.wide, &other.wide) {
            (Wide::Categories(a), Wide::Categories(b)) => a & b == 0,
            (Wide::Categories(0), _) | (_, Wide::Categories(0)) => true,
            _ => false,
        };
        wide && self.ascii & other.ascii == 0
    }

    /// Length of the character at `pos` if it belongs.
    #[inline]
    pub(crate) fn matches(&self, text: &[u8], pos: usize) -> Option<usize> {
        let byte = *text.get(pos)?;
        if byte < 0x80 {
            return (self.ascii >> byte & 1 == 1).then_some(1);
        }
        let (code, len) = unicode::decode(text, pos);
        self.has_wide(code).then_some(len)
    }
}
