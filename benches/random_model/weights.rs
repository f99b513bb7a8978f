//! The values of tensors: blocks drawn from pools that were encoded once.

use std::error::Error;
use std::io::Write;

use realizar_format::DataWriter;
use realizar_quant::{DType, encode};

use super::{Part, Values, normal};
use crate::Seeded;

/// Elements that are encoded together: whole blocks of every type.
const UNIT: usize = 256;
/// Units in a pool. A row of 2048 has more than 10^28 ways to be drawn.
pub(super) const UNITS: usize = 4099;
/// Bytes that are written at once.
const PIECE: usize = 1 << 20;

/// Draws and writes tensors.
#[derive(Debug)]
pub(super) struct Weights {
    seeded: Seeded,
    units: usize,
    pools: Vec<Pool>,
}

/// Encoded units of one type and one scale.
#[derive(Debug)]
struct Pool {
    dtype: DType,
    scale: f32,
    unit_bytes: usize,
    bytes: Vec<u8>,
}

impl Weights {
    pub(super) fn new(seed: u64, units: usize) -> Self {
        let mut seeded = Seeded::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5EED);
        // The first numbers of a small seed are small.
        for _ in 0..64 {
            seeded.bits();
        }
        Self { seeded, units, pools: Vec::new() }
    }

    /// Writes all of one tensor.
    pub(super) fn write<W: Write>(
        &mut self,
        part: &Part,
        dtype: DType,
        out: &mut DataWriter<W>,
    ) -> Result<(), Box<dyn Error>> {
        let elems: usize = part.dims.iter().product();
        let scale = match part.values {
            Values::Normal(scale) => scale,
            Values::Around { middle, deviation } => {
                let one = |_| middle + deviation * normal(&mut self.seeded);
                return write_floats(&(0..elems).map(one).collect::<Vec<f32>>(), out);
            }
            Values::Stretch { base } => return write_floats(&stretch(elems * 2, base), out),
        };
        let at = self.pool(dtype, scale)?;
        let Pool { unit_bytes, ref bytes, .. } = self.pools[at];
        let mut piece = Vec::with_capacity(PIECE + unit_bytes);
        for _ in 0..elems / UNIT {
            let unit = (self.seeded.bits() >> 32) as usize % self.units;
            piece.extend_from_slice(&bytes[unit * unit_bytes..][..unit_bytes]);
            if piece.len() >= PIECE {
                out.write(&piece)?;
                piece.clear();
            }
        }
        Ok(out.write(&piece)?)
    }

    /// The number of the pool of a type and scale, made at its first use.
    fn pool(&mut self, dtype: DType, scale: f32) -> Result<usize, Box<dyn Error>> {
        if let Some(at) = self.pools.iter().position(|pool| pool.dtype == dtype && pool.scale == scale) {
            return Ok(at);
        }
        let unit_bytes = dtype.row_bytes(UNIT).ok_or_else(|| format!("{dtype} has no blocks of {UNIT}"))?;
        let mut bytes = vec![0; self.units * unit_bytes];
        for unit in bytes.chunks_exact_mut(unit_bytes) {
            let values: [f32; UNIT] = std::array::from_fn(|_| scale * normal(&mut self.seeded));
            // Types that are too coarse without importance weights get equal ones.
            encode(dtype, &values, Some(&[1.0; UNIT]), unit)?;
        }
        self.pools.push(Pool { dtype, scale, unit_bytes, bytes });
        Ok(self.pools.len() - 1)
    }
}

fn write_floats<W: Write>(values: &[f32], out: &mut DataWriter<W>) -> Result<(), Box<dyn Error>> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Ok(out.write(&bytes)?)
}

/// Llama 3's factors of the rotary angles of heads of `dim` values, for 32 times the 8192 positions of its training: slow
/// angles are stretched, fast ones kept, those between blended.
fn stretch(dim: usize, base: f32) -> Vec<f32> {
    const FACTOR: f32 = 32.0;
    const TRAINED: f32 = 8192.0;
    const FAST: f32 = 4.0;
    let factor = |pair: usize| {
        let turns = TRAINED / (std::f32::consts::TAU * base.powf((2 * pair) as f32 / dim as f32));
        if turns > FAST {
            1.0
        } else if turns < 1.0 {
            FACTOR
        } else {
            let share = (turns - 1.0) / (FAST - 1.0);
            1.0 / ((1.0 - share) / FACTOR + share)
        }
    };
    (0..dim / 2).map(factor).collect()
}

#[cfg(test)]
mod tests {
    use super::stretch;

    #[test]
    fn fast_angles_are_kept_and_slow_ones_stretched() {
        let factors = stretch(64, 500_000.0);
        assert_eq!((factors.len(), factors[0], factors[31]), (32, 1.0, 32.0));
        assert!(factors.is_sorted());
        assert!(factors.iter().any(|factor| (1.1..31.0).contains(factor)));
    }
}
