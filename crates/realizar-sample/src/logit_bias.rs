//! Bias: a number added to the score of a token.

use crate::SampleError;
use crate::candidates::Candidates;

/// Adds each bias to its token. `candidates` must still be in the order of ids.
pub(crate) fn add(candidates: &mut Candidates, bias: &[(u32, f32)]) -> Result<(), SampleError> {
    let items = candidates.items_mut();
    let vocab = items.len();
    for &(id, bias) in bias {
        let item = items.get_mut(id as usize).ok_or(SampleError::BiasToken { id, vocab })?;
        // A large bias must not carry a large score over the edge to plus infinity.
        item.logit = (item.logit + bias).min(f32::MAX);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_added_and_excludes() {
        let mut candidates = Candidates::of(&[1.0, 2.0, 3e38]);
        assert_eq!(add(&mut candidates, &[(0, 4.0), (1, f32::NEG_INFINITY), (2, 3e38)]), Ok(()));
        let logits: Vec<f32> = candidates.items().iter().map(|item| item.logit).collect();
        assert_eq!(logits, [5.0, f32::NEG_INFINITY, f32::MAX]);
        assert_eq!(add(&mut candidates, &[(3, 1.0)]), Err(SampleError::BiasToken { id: 3, vocab: 3 }));
    }
}
