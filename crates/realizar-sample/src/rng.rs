//! Random numbers by counter: the number of a position does not depend on what was drawn before.
//!
//! Philox 4x32 with ten rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a keyed
//! bijection on 128-bit counters. The key is the seed; the counter is the position, the choice and the purpose.

/// What a random number is for: each purpose has its own numbers at a position.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    Draw = 0,
    Xtc = 1,
}

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// A number in 0..1 (53 random bits) that belongs to these four values.
pub(crate) fn uniform(seed: u64, choice: u32, position: u64, purpose: Purpose) -> f64 {
    let counter = [position as u32, (position >> 32) as u32, choice, purpose as u32];
    let [low, high, ..] = philox(counter, [seed as u32, (seed >> 32) as u32]);
    let bits = ((u64::from(high) << 32) + u64::from(low)) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let a = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let b = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counter, key, output: the known answers published with the generator (Random123, philox4x32_10).
    const KNOWN: &[([u32; 4], [u32; 2], [u32; 4])] = &[
        ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
        ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
        (
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        ),
    ];

    #[test]
    fn known_answers() {
        for &(counter, key, expected) in KNOWN {
            assert_eq!(philox(counter, key), expected, "{counter:x?} {key:x?}");
        }
    }

    #[test]
    fn numbers_are_the_53_high_bits() {
        let unit = (1u64 << 53) as f64;
        assert_eq!(uniform(0, 0, 0, Purpose::Draw) * unit, 7931020870206717_f64);
        assert_eq!(uniform(1 | 1 << 33, 2, 3 | 1 << 40, Purpose::Xtc) * unit, 3388926551553633_f64);
    }

    #[test]
    fn every_part_of_the_key_matters() {
        let base = uniform(1, 2, 3, Purpose::Draw);
        assert_eq!(base, uniform(1, 2, 3, Purpose::Draw));
        let others = [
            uniform(2, 2, 3, Purpose::Draw),
            uniform(1 << 33, 2, 3, Purpose::Draw),
            uniform(1 | 1 << 33, 2, 3, Purpose::Draw),
            uniform(1, 3, 3, Purpose::Draw),
            uniform(1, 2, 4, Purpose::Draw),
            uniform(1, 2, 3 | 1 << 40, Purpose::Draw),
            uniform(1, 2, 3, Purpose::Xtc),
        ];
        for (i, other) in others.iter().enumerate() {
            assert_ne!(base, *other, "case {i}");
        }
    }

    #[test]
    fn numbers_are_spread_evenly() {
        let mut buckets = [0u32; 10];
        for position in 0..100_000 {
            let value = uniform(7, 0, position, Purpose::Draw);
            assert!((0.0..1.0).contains(&value));
            buckets[(value * 10.0) as usize] += 1;
        }
        for (i, &count) in buckets.iter().enumerate() {
            assert!((9_600..10_400).contains(&count), "bucket {i}: {count}");
        }
    }
}
