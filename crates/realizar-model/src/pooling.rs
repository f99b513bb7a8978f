//! From one vector per token to one vector per text.

/// How token vectors become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// They do not: every token keeps its own.
    None,
    /// The mean over all tokens.
    Mean,
    /// The first token's.
    Cls,
    /// The last token's.
    Last,
}

/// Joins `vectors` (`[tokens, width]`, at least one token) into one vector, or hands all of them back for
/// [`Pooling::None`].
pub(crate) fn pool(vectors: &[f32], width: usize, pooling: Pooling) -> Vec<f32> {
    match pooling {
        Pooling::None => vectors.to_vec(),
        Pooling::Cls => vectors[..width].to_vec(),
        Pooling::Last => vectors[vectors.len() - width..].to_vec(),
        Pooling::Mean => {
            let tokens = (vectors.len() / width) as f64;
            // Summed in f64, in the order of the tokens: the mean of thousands of tokens keeps its digits.
            let mean = |at: usize| {
                vectors.iter().skip(at).step_by(width).map(|v| f64::from(*v)).sum::<f64>() / tokens
            };
            (0..width).map(|at| mean(at) as f32).collect()
        }
    }
}

/// Scales each vector of `width` to length 1; a vector of zeros stays as it is.
pub(crate) fn normalise(vectors: &mut [f32], width: usize) {
    for vector in vectors.chunks_exact_mut(width) {
        let length = vector.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pooling, normalise, pool};

    #[test]
    fn pools_and_normalises() {
        let vectors = [1.0, 2.0, 3.0, 6.0, 5.0, 1.0];
        let cases: &[(Pooling, &[f32])] = &[
            (Pooling::None, &vectors),
            (Pooling::Mean, &[3.0, 3.0]),
            (Pooling::Cls, &[1.0, 2.0]),
            (Pooling::Last, &[5.0, 1.0]),
        ];
        for &(pooling, expected) in cases {
            assert_eq!(pool(&vectors, 2, pooling), expected, "{pooling:?}");
        }
        let mut vectors = [3.0, 4.0, 0.0, 0.0];
        normalise(&mut vectors, 2);
        assert_eq!(vectors, [0.6, 0.8, 0.0, 0.0]);
    }
}
