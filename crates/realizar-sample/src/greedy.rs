//! The highest score.

use crate::SampleError;

/// The id of the highest score, the first one among equals.
///
/// # Errors
/// A score that is NaN or plus infinity, or no score above minus infinity.
pub fn argmax(logits: &[f32]) -> Result<u32, SampleError> {
    let (best, numbers) = highest(logits);
    if !numbers && let Some(id) = logits.iter().position(|value| value.is_nan()) {
        return Err(SampleError::NotFinite { id, value: logits[id] });
    }
    if best == f32::NEG_INFINITY {
        return Err(SampleError::NoCandidate { vocab: logits.len() });
    }
    let id = first(logits, best);
    if best == f32::INFINITY {
        return Err(SampleError::NotFinite { id, value: best });
    }
    Ok(id as u32)
}

/// Where the first of these scores is; it is among them.
fn first(logits: &[f32], wanted: f32) -> usize {
    let (chunks, _) = logits.as_chunks::<LANES>();
    let here =
        |chunk: &[f32; LANES]| chunk.iter().fold(0, |hits, value| hits | u32::from(*value == wanted)) != 0;
    let start = chunks.iter().position(here).unwrap_or(chunks.len()) * LANES;
    start + logits[start..].iter().position(|value| *value == wanted).unwrap_or_default()
}

/// Scores that are compared side by side.
const LANES: usize = 32;

/// The highest score, and whether all are numbers.
fn highest(logits: &[f32]) -> (f32, bool) {
    let (chunks, rest) = logits.as_chunks::<LANES>();
    let (mut best, mut odd) = ([f32::NEG_INFINITY; LANES], [0_u32; LANES]);
    for chunk in chunks {
        for ((best, odd), value) in best.iter_mut().zip(&mut odd).zip(chunk) {
            *best = if *value > *best { *value } else { *best };
            *odd |= u32::from(value.is_nan());
        }
    }
    let all = best.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
    (all, odd.iter().all(|odd| *odd == 0) && !rest.iter().any(|value| value.is_nan()))
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

    /// The same, one score after the other.
    fn one_by_one(logits: &[f32]) -> Option<u32> {
        let best = logits.iter().copied().reduce(|best, value| if value > best { value } else { best })?;
        logits.iter().position(|value| *value == best).map(|id| id as u32)
    }

    #[test]
    fn every_place_is_looked_at_whatever_the_length() {
        for len in 1..3 * LANES + 2 {
            for at in 0..len {
                let mut logits: Vec<f32> = (0..len).map(|id| ((id * 37) % 11) as f32 - 20.0).collect();
                assert_eq!(argmax(&logits).ok(), one_by_one(&logits), "{len}");
                logits[at] = -1.0;
                assert_eq!(argmax(&logits), Ok(at as u32), "{at} of {len}");
                logits[at] = f32::NAN;
                let refused = argmax(&logits);
                assert!(
                    matches!(refused, Err(SampleError::NotFinite { id, value }) if id == at && value.is_nan()),
                    "{at} of {len}: {refused:?}"
                );
                logits[at] = f32::INFINITY;
                let refused = argmax(&logits);
                assert_eq!(
                    refused,
                    Err(SampleError::NotFinite { id: at, value: f32::INFINITY }),
                    "{at} of {len}"
                );
            }
        }
    }
}
