//! Top-k: the `k` highest scores (arXiv:1805.04833).

use crate::candidates::Candidates;

/// Keeps the `k` best, sorted; 0 keeps all.
pub(crate) fn keep(candidates: &mut Candidates, k: u32) {
    let k = usize::try_from(k).unwrap_or(usize::MAX);
    if k > 0 && k < candidates.len() {
        candidates.sort_prefix(k);
        candidates.truncate(k);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_best() {
        for (name, k, expected) in [
            ("off", 0, vec![0, 1, 2, 3]),
            ("one", 1, vec![1]),
            ("the lower id among equals", 2, vec![1, 0]),
            ("all", 4, vec![0, 1, 2, 3]),
            ("more than there are", 9, vec![0, 1, 2, 3]),
        ] {
            let mut candidates = Candidates::of(&[2.0, 5.0, 2.0, 1.0]);
            keep(&mut candidates, k);
            assert_eq!(candidates.ids(), expected, "{name}");
        }
    }
}
