//! The highest score.

use crate::SampleError;

/// The id of the highest score, the first one among equals.
///
/// # Errors
/// A score that is NaN or plus infinity, or no score above minus infinity.
pub fn argmax(logits: &[f32]) -> Result<u32, SampleError> {
    let mut best = (0, f32::NEG_INFINITY);
    for (id, &value) in logits.iter().enumerate() {
        if value > best.1 {
            best = (id, value);
        } else if value.is_nan() {
            return Err(SampleError::NotFinite { id, value });
        }
    }
    match best.1 {
        f32::NEG_INFINITY => Err(SampleError::NoCandidate { vocab: logits.len() }),
        f32::INFINITY => Err(SampleError::NotFinite { id: best.0, value: best.1 }),
        _ => Ok(best.0 as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: &[(&str, &[f32], Result<u32, SampleError>)] = &[
        ("one", &[0.0], Ok(0)),
        ("first of equals", &[1.0, 2.0, 2.0], Ok(1)),
        ("excluded ones are passed over", &[f32::NEG_INFINITY, -5.0], Ok(1)),
        ("both zeros are equal", &[-0.0, 0.0], Ok(0)),
        ("empty", &[], Err(SampleError::NoCandidate { vocab: 0 })),
        ("all excluded", &[f32::NEG_INFINITY; 3], Err(SampleError::NoCandidate { vocab: 3 })),
        ("infinity", &[0.0, f32::INFINITY], Err(SampleError::NotFinite { id: 1, value: f32::INFINITY })),
    ];

    #[test]
    fn picks_the_first_highest() {
        for (name, logits, expected) in CASES {
            assert_eq!(&argmax(logits), expected, "{name}");
        }
        assert!(matches!(argmax(&[9.0, f32::NAN]), Err(SampleError::NotFinite { id: 1, .. })));
    }
}
