//! A trie over bytes: all keys that begin a text, in one walk.

/// Keys with one number each.
#[derive(Debug, Clone)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
    /// The byte that leads to each node; the children of a node lie together in ascending order.
    labels: Vec<u8>,
    /// The children of nodes that have many.
    wide: Vec<Wide>,
    /// The root's children by byte; 0 is none, since the root is nobody's child.
    root: Box<[u32; 256]>,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    first_child: u32,
    children: u16,
    /// `NO_VALUE` where no key ends.
    value: u32,
    /// The first children's labels, or an index into `wide`.
    few: u32,
}

/// Which bytes lead on, as bits, and how many bits come before each word of them.
#[derive(Debug, Clone, Copy, Default)]
struct Wide {
    bits: [u64; 4],
    before: [u8; 4],
}

const NO_VALUE: u32 = u32::MAX;
/// Up to so many children are compared one by one.
const FEW: u16 = 4;

impl Trie {
    /// Of equal keys the first counts; empty keys are left out.
    pub(crate) fn new<'k>(keys: impl Iterator<Item = (&'k [u8], u32)>) -> Self {
        let keys = Sorted::new(keys);
        let mut trie =
            Self { nodes: Vec::new(), labels: Vec::new(), wide: Vec::new(), root: Box::new([0; 256]) };
        trie.nodes.push(Node { first_child: 0, children: 0, value: NO_VALUE, few: 0 });
        trie.labels.push(0);
        // Nodes whose children are still to be made, with their stretch of the keys, breadth first.
        let (mut level, mut below) = (vec![(0, 0, keys.values.len())], Vec::new());
        let mut depth = 0;
        while !level.is_empty() {
            for (node, from, to) in level.drain(..) {
                trie.add_children(&keys, (node, from, to), depth, &mut below);
            }
            std::mem::swap(&mut level, &mut below);
            depth += 1;
        }
        let first = trie.nodes.first().copied();
        for child in first.map_or(0..0, |root| root.first_child..root.first_child + u32::from(root.children))
        {
            if let Some(label) = trie.labels.get(child as usize)
                && let Some(slot) = trie.root.get_mut(*label as usize)
            {
                *slot = child;
            }
        }
        trie
    }

    fn add_children(
        &mut self,
        keys: &Sorted,
        (node, from, to): (usize, usize, usize),
        depth: usize,
        below: &mut Vec<(usize, usize, usize)>,
    ) {
        let first_child = self.nodes.len();
        let mut at = from;
        while let Some(byte) = keys.byte(at, depth).filter(|_| at < to) {
            let ends_here = keys.len(at) == depth + 1;
            let value = keys.values.get(at).copied().filter(|_| ends_here).unwrap_or(NO_VALUE);
            let child = self.nodes.len();
            self.nodes.push(Node { first_child: 0, children: 0, value, few: 0 });
            self.labels.push(byte);
            let inner = at + usize::from(ends_here);
            at = inner;
            while at < to && keys.byte(at, depth) == Some(byte) {
                at += 1;
            }
            if inner < at {
                below.push((child, inner, at));
            }
        }
        let labels = self.labels.get(first_child..).unwrap_or(&[]);
        let few = if labels.len() <= FEW as usize {
            labels.iter().rev().fold(0, |few, label| few << 8 | u32::from(*label))
        } else {
            self.wide.push(Wide::of(labels));
            self.wide.len() as u32 - 1
        };
        if let Some(node) = self.nodes.get_mut(node) {
            *node = Node { first_child: first_child as u32, children: labels.len() as u16, few, ..*node };
        }
    }

    /// The nodes under `text[start..]`, one per byte for as long as some key goes on so: end and value where a key
    /// ends, from short to long.
    #[inline]
    pub(crate) fn prefixes<'t>(
        &'t self,
        text: &'t [u8],
        start: usize,
    ) -> impl Iterator<Item = (usize, u32)> + 't {
        let mut node = 0usize;
        let mut at = start;
        std::iter::from_fn(move || {
            loop {
                let byte = *text.get(at)?;
                node = if node == 0 { self.root_child(byte)? } else { self.child(node, byte)? };
                at += 1;
                let value = self.nodes.get(node)?.value;
                if value != NO_VALUE {
                    return Some((at, value));
                }
            }
        })
    }

    #[inline]
    fn root_child(&self, byte: u8) -> Option<usize> {
        self.root.get(byte as usize).map(|child| *child as usize).filter(|child| *child != 0)
    }

    #[inline]
    fn child(&self, node: usize, byte: u8) -> Option<usize> {
        let node = self.nodes.get(node)?;
        let index = if node.children <= FEW {
            (0..u32::from(node.children)).find(|index| (node.few >> (8 * index)) as u8 == byte)?
        } else {
            self.wide.get(node.few as usize)?.index(byte)?
        };
        Some((node.first_child + index) as usize)
    }

    /// Whether some key begins with this byte.
    #[inline]
    pub(crate) fn may_start(&self, byte: u8) -> bool {
        self.root_child(byte).is_some()
    }

    /// How far a walk from `start` gets, whether or not a key ends there.
    pub(crate) fn walk(&self, text: &[u8], start: usize) -> usize {
        let mut node = 0;
        let mut at = start;
        while let Some(next) = text.get(at).and_then(|byte| self.child(node, *byte)) {
            node = next;
            at += 1;
        }
        at
    }
}

/// Keys in ascending order, one after the other in memory, and their values.
struct Sorted {
    bytes: Vec<u8>,
    /// Where each key begins, and the last one ends.
    starts: Vec<u32>,
    values: Vec<u32>,
}

impl Sorted {
    fn new<'k>(keys: impl Iterator<Item = (&'k [u8], u32)>) -> Self {
        let keys: Vec<(&[u8], u32)> = keys.filter(|(key, _)| !key.is_empty()).collect();
        let key = |index: u32| keys.get(index as usize).map_or(&[][..], |key| key.0);
        // Most keys differ in their first bytes, which are at hand here.
        let begin = |key: &[u8]| {
            let mut begin = [0; 8];
            begin.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
            u64::from_be_bytes(begin)
        };
        let mut order: Vec<(u64, u32)> = keys.iter().map(|key| begin(key.0)).zip(0..).collect();
        order.sort_unstable_by(|a, b| {
            let begins = a.0.cmp(&b.0);
            begins.then_with(|| key(a.1).cmp(key(b.1))).then(a.1.cmp(&b.1))
        });
        let mut sorted = Self {
            bytes: Vec::with_capacity(keys.iter().map(|key| key.0.len()).sum()),
            starts: Vec::with_capacity(keys.len() + 1),
            values: Vec::with_capacity(keys.len()),
        };
        sorted.starts.push(0);
        let mut last: &[u8] = &[];
        for (_, index) in order {
            let Some((key, value)) = keys.get(index as usize).filter(|(key, _)| *key != last) else {
                continue;
            };
            sorted.bytes.extend_from_slice(key);
            sorted.starts.push(sorted.bytes.len() as u32);
            sorted.values.push(*value);
            last = key;
        }
        sorted
    }

    #[inline]
    fn len(&self, index: usize) -> usize {
        match self.starts.get(index..).unwrap_or(&[]) {
            [start, end, ..] => (end - start) as usize,
            _ => 0,
        }
    }

    #[inline]
    fn byte(&self, index: usize, depth: usize) -> Option<u8> {
        let (start, end) = (*self.starts.get(index)? as usize, *self.starts.get(index + 1)? as usize);
        self.bytes.get(start..end)?.get(depth).copied()
    }
}

impl Wide {
    fn of(labels: &[u8]) -> Self {
        let mut wide = Self::default();
        for label in labels {
            if let Some(word) = wide.bits.get_mut(*label as usize / 64) {
                *word |= 1 << (label % 64);
            }
        }
        let mut before = 0;
        for (slot, word) in wide.before.iter_mut().zip(wide.bits) {
            *slot = before;
            before = before.wrapping_add(word.count_ones() as u8);
        }
        wide
    }

    /// The place of a byte among the labels.
    #[inline]
    fn index(&self, byte: u8) -> Option<u32> {
        let (word, bit) = (byte as usize / 64, 1u64 << (byte % 64));
        let bits = *self.bits.get(word)?;
        let before = u32::from(*self.before.get(word)?);
        (bits & bit != 0).then(|| before + (bits & (bit - 1)).count_ones())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_is_found() {
        let many: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![b'x', byte]).collect();
        let keys = [&b"a"[..], b"ab", b"abcd", b"", b"ab", b"b"];
        let all = keys.iter().copied().chain(many.iter().map(Vec::as_slice)).zip(0..);
        let trie = Trie::new(all);
        assert_eq!(trie.prefixes(b"zabcde", 1).collect::<Vec<_>>(), [(2, 0), (3, 1), (5, 2)]);
        assert_eq!(trie.prefixes(b"c", 0).count(), 0);
        assert_eq!(trie.prefixes(b"x\xC8", 0).collect::<Vec<_>>(), [(2, 6 + 200)]);
        assert!(trie.may_start(b'b') && !trie.may_start(b'c'));
        assert_eq!(trie.walk(b"abcx", 0), 3);
        assert!((0..=255u8).all(|byte| trie.walk(&[b'x', byte], 0) == 2));
        assert_eq!(Trie::new(std::iter::empty()).prefixes(b"a", 0).count(), 0);
    }
}
