//! The grids of the IQ formats, as kernels and decoders read them.
//!
//! A block names points of a grid instead of single values: eight magnitudes at once (IQ1, IQ2) or four (IQ3).

pub(super) use generated_iq1::IQ1;
pub(super) use generated_iq2::{IQ2_S, IQ2_XS, IQ2_XXS};
pub(super) use generated_iq3::{IQ3_S, IQ3_XXS};

mod generated_iq1;
mod generated_iq2;
mod generated_iq3;

/// Points of `IQ2_XXS`, eight magnitudes each.
pub static IQ2_XXS_GRID: [[u8; 8]; 256] = eights(&IQ2_XXS, [8, 25, 43]);
/// Points of `IQ2_XS`, eight magnitudes each.
pub static IQ2_XS_GRID: [[u8; 8]; 512] = eights(&IQ2_XS, [8, 25, 43]);
/// Points of `IQ2_S`, eight magnitudes each.
pub static IQ2_S_GRID: [[u8; 8]; 1024] = eights(&IQ2_S, [8, 25, 43]);
/// Points of `IQ1_S` and `IQ1_M`, eight values of -1, 0 and 1 each.
pub static IQ1_GRID: [[i8; 8]; 2048] = ternary(&IQ1);
/// Points of `IQ3_XXS`, four magnitudes each.
pub static IQ3_XXS_GRID: [[u8; 4]; 256] = fours(&IQ3_XXS, [4, 12, 20, 28, 36, 44, 52, 62]);
/// Points of `IQ3_S`, four magnitudes each.
pub static IQ3_S_GRID: [[u8; 4]; 512] = fours(&IQ3_S, [1, 3, 5, 7, 9, 11, 13, 15]);

/// The eight signs that seven bits stand for in `IQ2_XXS`, `IQ2_XS` and `IQ3_XXS`: an even number of elements is
/// negative, so the eighth bit is the parity of the others. Bit `i` set: element `i` is negative.
#[inline]
pub const fn even_signs(seven: u8) -> u8 {
    let seven = seven & 127;
    seven | (seven.count_ones() as u8 & 1) << 7
}

const fn eights<const N: usize>(points: &[u16; N], levels: [u8; 3]) -> [[u8; 8]; N] {
    let mut grid = [[0; 8]; N];
    let mut i = 0;
    while i < 8 * N {
        grid[i / 8][i % 8] = levels[(points[i / 8] >> (2 * (i % 8)) & 3) as usize];
        i += 1;
    }
    grid
}

const fn ternary<const N: usize>(points: &[u16; N]) -> [[i8; 8]; N] {
    let mut grid = [[0; 8]; N];
    let mut i = 0;
    while i < 8 * N {
        grid[i / 8][i % 8] = (points[i / 8] >> (2 * (i % 8)) & 3) as i8 - 1;
        i += 1;
    }
    grid
}

const fn fours<const N: usize>(points: &[u16; N], levels: [u8; 8]) -> [[u8; 4]; N] {
    let mut grid = [[0; 4]; N];
    let mut i = 0;
    while i < 4 * N {
        grid[i / 4][i % 4] = levels[(points[i / 4] >> (3 * (i % 4)) & 7) as usize];
        i += 1;
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 64-bit FNV-1a over the points' little-endian bytes.
    fn checksum(points: &[u16]) -> u64 {
        points
            .iter()
            .flat_map(|p| p.to_le_bytes())
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    #[test]
    fn checksums() {
        for (name, points, expected) in [
            ("IQ1", &IQ1[..], 0x03f1_8808_17ee_ffa4),
            ("IQ2_XXS", &IQ2_XXS, 0x6fca_17f5_c451_905d),
            ("IQ2_XS", &IQ2_XS, 0x29d6_ac8e_0e6b_14e3),
            ("IQ2_S", &IQ2_S, 0x641f_9aa3_fbd9_8694),
            ("IQ3_XXS", &IQ3_XXS, 0x79d7_3357_6d56_2547),
            ("IQ3_S", &IQ3_S, 0x55b2_2411_6d1e_5ca2),
        ] {
            assert_eq!(checksum(points), expected, "{name}");
            assert!(points.is_sorted_by(|a, b| a < b), "{name}");
        }
    }

    #[test]
    fn signs_have_even_parity() {
        for seven in 0..128 {
            assert_eq!(even_signs(seven) & 127, seven);
            assert_eq!(even_signs(seven).count_ones() % 2, 0);
        }
    }
}
