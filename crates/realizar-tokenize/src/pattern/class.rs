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
    /// Ascending and apart.
    Ranges(Vec<(u32, u32)>),
    Set(Set),
}

/// The set as ranges in order, where it is a list of many.
fn sorted_ranges(set: &Set) -> Option<Vec<(u32, u32)>> {
    let mut ranges = match set {
        Set::Ranges(ranges) => ranges.clone(),
        Set::Any(sets) => sets.iter().map(sorted_ranges).collect::<Option<Vec<_>>>()?.concat(),
        _ => return None,
    };
    ranges.sort_unstable();
    let mut out: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
    for (low, high) in ranges {
        match out.last_mut() {
            Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
            _ => out.push((low, high)),
        }
    }
    Some(out)
}

impl Class {
    pub(crate) fn new(set: Set) -> Self {
        let ascii = (0..128u32).filter(|&code| set.contains(code)).fold(0, |bits, code| bits | 1u128 << code);
        let wide = match (set.wide_mask(), sorted_ranges(&set)) {
            (Some(mask), _) => Wide::Categories(mask),
            (None, Some(ranges)) => Wide::Ranges(ranges),
            (None, None) => Wide::Set(set),
        };
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
            Wide::Ranges(ranges) => {
                let after = ranges.partition_point(|range| range.0 <= code);
                after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|range| code <= range.1)
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_in_any_order_are_one_set() {
        let set = || {
            let more = Set::Ranges(vec![(0x3000, 0x3001), (0x61, 0x61)]);
            Set::Any(vec![
                Set::Ranges(vec![(0x500, 0x600), (0x100, 0x200), (0x150, 0x300), (0x301, 0x301)]),
                more,
            ])
        };
        let class = Class::new(set());
        assert!(matches!(&class.wide, Wide::Ranges(ranges) if ranges.len() == 4), "{class:?}");
        for code in 0x80..0x3100 {
            assert_eq!(class.has_wide(code), set().contains(code), "{code:x}");
        }
        assert!(class.has_ascii(b'a') && !class.has_ascii(b'b'));
    }
}
