//! Numbers that look random and are the same in every run.

/// A xorshift generator: the same seed gives the same numbers on every machine.
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// The generator of one seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Zero is the one state that xorshift never leaves.
        Self(seed.max(1))
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from -1 to below 1; 24 bits of it are drawn, so that it is exact in f32.
    pub fn signed(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::Seeded;

    #[test]
    fn a_seed_decides_the_numbers_and_they_fill_their_range() {
        for seed in [0, 1, 7, u64::MAX] {
            let (mut one, mut two) = (Seeded::new(seed), Seeded::new(seed));
            let drawn: Vec<f32> = (0..1000).map(|_| one.signed()).collect();
            assert!(drawn.iter().all(|x| *x == two.signed()), "seed {seed}: two runs differ");
            assert!(drawn.iter().all(|x| (-1.0..1.0).contains(x)), "seed {seed}: out of range");
            // The first few of a small seed are near -1.
            let mean = drawn[100..].iter().sum::<f32>() / 900.0;
            assert!(mean.abs() < 0.1, "seed {seed}: the mean is {mean}");
        }
    }
}
