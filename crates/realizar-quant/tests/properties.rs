//! What holds for any row: errors within bounds, zero stays zero, signs mirror, nothing panics.

use std::ops::Range;

use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use realizar_quant::{Codec, DType, Importance, decode, encode};

fn encodable() -> impl Iterator<Item = &'static Codec> {
    DType::ALL.into_iter().filter_map(Codec::of).filter(|codec| codec.encodes())
}

fn encoded(codec: &Codec, row: &[f32], importance: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; codec.dtype.row_bytes(row.len()).unwrap_or_default()];
    let importance = (codec.importance == Importance::Needed).then_some(importance);
    let result = encode(codec.dtype, row, importance, &mut bytes);
    assert_eq!(result, Ok(()), "{}", codec.dtype);
    bytes
}

fn decoded(dtype: DType, bytes: &[u8], elems: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; elems];
    assert_eq!(decode(dtype, bytes, &mut out), Ok(()), "{dtype}");
    out
}

fn round_trip(codec: &Codec, row: &[f32]) -> Vec<f32> {
    decoded(codec.dtype, &encoded(codec, row, &vec![1.0; row.len()]), row.len())
}

/// Gaussian numbers, always the same.
fn gaussian(len: usize) -> Vec<f32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f64 + 0.5) / f64::from(1 << 24)
    };
    let normal = |_| ((-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()) as f32;
    (0..len).map(normal).collect()
}

/// Error on gaussian weights, root mean square, in thousandths of a standard deviation: at most this.
const RMS: &[(DType, f64)] = &[
    (DType::F64, 0.0),
    (DType::F32, 0.0),
    (DType::F16, 0.3),
    (DType::BF16, 2.0),
    (DType::Q8_0, 7.0),
    (DType::Q8_1, 7.0),
    (DType::Q8_K, 8.0),
    (DType::Q6_K, 20.0),
    (DType::Q5_K, 40.0),
    (DType::Q5_1, 40.0),
    (DType::Q5_0, 45.0),
    (DType::Q4_K, 80.0),
    (DType::IQ4_XS, 80.0),
    (DType::IQ4_NL, 80.0),
    (DType::Q4_1, 85.0),
    (DType::Q4_0, 95.0),
    (DType::NVFP4, 100.0),
    (DType::MXFP4, 125.0),
    (DType::Q3_K, 160.0),
    (DType::IQ3_S, 172.0),
    (DType::IQ3_XXS, 221.0),
    (DType::Q2_K, 310.0),
    (DType::IQ2_S, 290.0),
    (DType::IQ2_XS, 310.0),
    (DType::IQ2_XXS, 356.0),
    (DType::IQ1_M, 600.0),
    (DType::IQ1_S, 500.0),
    (DType::Q1_0, 620.0),
    (DType::Q2_0, 740.0),
    (DType::TQ1_0, 850.0),
    (DType::TQ2_0, 850.0),
];

#[test]
fn gaussian_weights_keep_their_shape() {
    let row = gaussian(1 << 14);
    for codec in encodable() {
        let back = round_trip(codec, &row);
        let sum: f64 = row.iter().zip(&back).map(|(x, y)| f64::from(x - y).powi(2)).sum();
        let rms = 1000.0 * (sum / row.len() as f64).sqrt();
        let limit = RMS.iter().find(|(dtype, _)| *dtype == codec.dtype).map_or(-1.0, |&(_, limit)| limit);
        assert!(rms <= limit, "{}: {rms:.2} above {limit}", codec.dtype);
    }
}

#[test]
fn zero_stays_zero() {
    for codec in encodable() {
        for (case, zero) in [("zero", 0.0), ("negative zero", -0.0)] {
            let back = round_trip(codec, &[zero; 512]);
            assert!(back.iter().all(|&x| x == 0.0), "{case} in {}", codec.dtype);
        }
    }
}

/// Formats that treat a number and its negative alike (not `Q3_K`, which refines only one sign; the grids have no zero).
const MIRRORED: &[DType] = &[
    DType::F16,
    DType::BF16,
    DType::Q4_0,
    DType::Q5_0,
    DType::Q8_0,
    DType::Q8_1,
    DType::Q8_K,
    DType::Q6_K,
    DType::TQ1_0,
    DType::TQ2_0,
    DType::MXFP4,
    DType::NVFP4,
];

/// Formats whose decoded rows encode to the same values again.
const IDEMPOTENT: &[DType] = &[
    DType::F16,
    DType::BF16,
    DType::Q4_0,
    DType::Q5_0,
    DType::Q8_0,
    DType::Q8_1,
    DType::Q2_0,
    DType::TQ1_0,
    DType::TQ2_0,
];

/// Format, largest error as a share of the largest magnitude in a block. (`NVFP4` has none: its scales end at 2^-10.)
const BOUNDS: &[(DType, f32)] = &[
    (DType::BF16, 0.004),
    (DType::Q8_0, 0.0045),
    (DType::Q8_1, 0.0045),
    (DType::Q8_K, 0.009),
    (DType::Q5_1, 0.036),
    (DType::Q5_0, 0.064),
    (DType::Q4_1, 0.07),
    (DType::Q4_0, 0.127),
    (DType::MXFP4, 0.26),
    (DType::TQ1_0, 0.501),
    (DType::TQ2_0, 0.501),
    (DType::Q2_0, 0.501),
];

/// Rows of ordinary weights: all sizes, with runs of zeros.
fn weights(exponents: Range<i32>) -> impl Strategy<Value = Vec<f32>> {
    let value = prop_oneof![9 => -1.0f32..1.0, 1 => Just(0.0), 1 => -30.0f32..30.0];
    (prop::collection::vec(value, 256), exponents)
        .prop_map(|(row, exponent)| row.into_iter().map(|x| x * 2f32.powi(exponent)).collect())
}

/// Any finite floats at all.
fn extremes() -> impl Strategy<Value = Vec<f32>> {
    let finite = any::<u32>().prop_map(f32::from_bits).prop_map(|x| if x.is_finite() { x } else { f32::MAX });
    prop::collection::vec(finite, 256)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn errors_stay_within_the_formats_bound(row in weights(0..8)) {
        // Smaller weights have scales below the normal halves.
        for &(dtype, share) in BOUNDS {
            let Some(codec) = Codec::of(dtype) else { continue };
            let back = round_trip(codec, &row);
            let block = dtype.block_elems();
            for (row, back) in row.chunks(block).zip(back.chunks(block)) {
                let largest = row.iter().fold(0.0f32, |max, x| max.max(x.abs()));
                for (x, y) in row.iter().zip(back) {
                    prop_assert!((x - y).abs() <= share * largest, "{dtype}: {x} became {y} below {largest}");
                }
            }
        }
    }

    #[test]
    fn signs_mirror(row in weights(-8..8)) {
        let mirrored: Vec<f32> = row.iter().map(|x| -x).collect();
        for codec in MIRRORED.iter().copied().filter_map(Codec::of) {
            let back: Vec<f32> = round_trip(codec, &mirrored).iter().map(|x| -x).collect();
            prop_assert_eq!(round_trip(codec, &row), back, "{}", codec.dtype);
        }
    }

    #[test]
    fn decoded_rows_encode_to_themselves(row in weights(-8..8)) {
        for codec in IDEMPOTENT.iter().copied().filter_map(Codec::of) {
            let once = round_trip(codec, &row);
            prop_assert_eq!(round_trip(codec, &once), once, "{}", codec.dtype);
        }
    }

    #[test]
    fn any_bytes_decode(bytes in prop::collection::vec(any::<u8>(), 1024), blocks in 0usize..4) {
        for dtype in DType::ALL {
            let elems = blocks * dtype.block_elems();
            let Some(needed) = dtype.row_bytes(elems).filter(|&needed| needed <= bytes.len()) else { continue };
            let mut out = vec![0.0; elems];
            prop_assert_eq!(decode(dtype, &bytes[..needed], &mut out).is_ok(), Codec::of(dtype).is_some());
        }
    }

    #[test]
    fn any_finite_row_encodes(row in extremes(), importance in prop::collection::vec(0.0f32..10.0, 256)) {
        for codec in encodable() {
            encoded(codec, &row, &importance);
            if codec.importance == Importance::Used {
                let mut bytes = vec![0; codec.dtype.row_bytes(256).unwrap_or_default()];
                prop_assert_eq!(encode(codec.dtype, &row, Some(&importance), &mut bytes), Ok(()));
            }
        }
    }

    #[test]
    fn a_row_is_made_block_by_block(row in weights(-8..8), copies in 1usize..3) {
        // Without importance no block depends on another.
        let long = row.repeat(copies);
        for codec in encodable().filter(|codec| codec.importance != Importance::Needed) {
            let (once, all) = (encoded(codec, &row, &[]), encoded(codec, &long, &[]));
            prop_assert_eq!(all, once.repeat(copies), "{}", codec.dtype);
        }
    }
}
