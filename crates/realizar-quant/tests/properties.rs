//! What holds for any row: errors within bounds, zero stays zero, signs mirror, nothing panics.

mod gaussian;

use std::ops::Range;

use gaussian::gaussian;
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

/// What a property means for a format.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Holds {
    /// For every row.
    Always,
    /// For rows without zeros.
    WithoutZeros,
    /// Not by its nature: `what_a_format_cannot_do_is_shown` finds a row for which it does not.
    Never(&'static str),
}
use Holds::{Always, Never, WithoutZeros};

const SIGNS_ONLY: Holds = Never("a bit says plus or minus, and zero becomes plus");
const MINIMUM: Holds = Never(
    "a weight is a minimum and steps above it: zero lies between steps, and negatives have another minimum",
);
const GRID: Holds = Never("the values of the grid are odd numbers, none of which is zero");
const TABLE: Holds = Never("the table of sixteen values has none that is zero");
const SHIFTED: Holds = Never("all values of a group are shifted by one eighth of a step, up or down");
const SEARCHED: Holds = Never("the search weighs large values more, and finds other scales for rounded ones");

/// What holds for a format.
struct Properties {
    dtype: DType,
    /// Largest error of an element, as a share of the largest magnitude in its block.
    each: f32,
    /// Root mean square of the errors of a block, as the same share.
    together: f32,
    /// A zero among other numbers stays zero.
    zero: Holds,
    /// The negatives of numbers become the negatives.
    mirrored: Holds,
    /// What was decoded is made into the same values again.
    idempotent: Holds,
}

#[rustfmt::skip]
const fn of(dtype: DType, each: f32, together: f32, zero: Holds, mirrored: Holds, idempotent: Holds) -> Properties {
    Properties { dtype, each, together, zero, mirrored, idempotent }
}

/// Every format that can be made. Where the encoder rounds, the bound of each element follows from half a step; where it
/// searches for the least sum of squares, single elements may lie far off while the sum does not.
#[rustfmt::skip]
const PROPERTIES: &[Properties] = &[
    of(DType::F64,     0.0,     0.0,    Always,     Always,              Always),
    of(DType::F32,     0.0,     0.0,    Always,     Always,              Always),
    of(DType::F16,     0.0005,  0.0005, Always,     Always,              Always),
    of(DType::BF16,    0.004,   0.004,  Always,     Always,              Always),
    of(DType::Q1_0,    1.0,     0.5,    SIGNS_ONLY, WithoutZeros,        Always),
    of(DType::Q2_0,    0.501,   0.4,    Always,     Always,              Always),
    of(DType::Q4_0,    0.127,   0.08,   Always,     Always,              Always),
    of(DType::Q4_1,    0.07,    0.07,   MINIMUM,    MINIMUM,             Always),
    of(DType::Q5_0,    0.064,   0.035,  Always,     Always,              Always),
    of(DType::Q5_1,    0.036,   0.036,  MINIMUM,    MINIMUM,             Always),
    of(DType::Q8_0,    0.0045,  0.004,  Always,     Always,              Always),
    of(DType::Q8_1,    0.0045,  0.004,  Always,     Always,              Always),
    of(DType::Q2_K,    0.55,    0.18,   MINIMUM,    MINIMUM,             SEARCHED),
    of(DType::Q3_K,    0.35,    0.1,    Always,     Never("the search for scales starts from the value of largest magnitude, and refines only one sign"), SEARCHED),
    of(DType::Q4_K,    0.13,    0.04,   MINIMUM,    MINIMUM,             SEARCHED),
    of(DType::Q5_K,    0.065,   0.025,  MINIMUM,    MINIMUM,             SEARCHED),
    of(DType::Q6_K,    0.03,    0.01,   Always,     Always,              SEARCHED),
    of(DType::Q8_K,    0.0045,  0.003,  Always,     Always,              Never("the scale is a quotient in f32, whose last bit may change")),
    of(DType::IQ1_S,   2.0,     0.42,   SHIFTED,    SHIFTED,             SEARCHED),
    of(DType::IQ1_M,   3.0,     0.5,    SHIFTED,    SHIFTED,             SEARCHED),
    of(DType::IQ2_XXS, 1.8,     0.42,   GRID,       WithoutZeros,        SEARCHED),
    of(DType::IQ2_XS,  1.7,     0.33,   GRID,       WithoutZeros,        SEARCHED),
    of(DType::IQ2_S,   1.0,     0.28,   GRID,       WithoutZeros,        SEARCHED),
    of(DType::IQ3_XXS, 1.6,     0.26,   GRID,       WithoutZeros,        SEARCHED),
    of(DType::IQ3_S,   0.7,     0.18,   GRID,       WithoutZeros,        SEARCHED),
    of(DType::IQ4_NL,  0.16,    0.065,  TABLE,      Always,              SEARCHED),
    of(DType::IQ4_XS,  0.18,    0.05,   TABLE,      Always,              SEARCHED),
    of(DType::TQ1_0,   0.501,   0.4,    Always,     Always,              Always),
    of(DType::TQ2_0,   0.501,   0.4,    Always,     Always,              Always),
    of(DType::MXFP4,   0.26,    0.15,   Always,     Always,              Always),
    of(DType::NVFP4,   0.34,    0.13,   Always,     Always,              Never("the scale is the largest value over 6, rounded: a largest value that was rounded to 4 makes another")),
];

fn properties() -> impl Iterator<Item = (&'static Properties, &'static Codec)> {
    PROPERTIES.iter().filter_map(|row| Some((row, Codec::of(row.dtype)?)))
}

fn negated(row: &[f32]) -> Vec<f32> {
    row.iter().map(|x| -x).collect()
}

fn zero_stays(codec: &Codec, row: &[f32]) -> bool {
    row.iter().zip(round_trip(codec, row)).all(|(&x, y)| x != 0.0 || y == 0.0)
}

fn mirrors(codec: &Codec, row: &[f32]) -> bool {
    negated(&round_trip(codec, &negated(row))) == round_trip(codec, row)
}

fn repeats(codec: &Codec, row: &[f32]) -> bool {
    let once = round_trip(codec, row);
    round_trip(codec, &once) == once
}

#[test]
fn every_format_that_can_be_made_has_its_properties() {
    let made: Vec<DType> = encodable().map(|codec| codec.dtype).collect();
    let listed: Vec<DType> = PROPERTIES.iter().map(|row| row.dtype).collect();
    assert_eq!(listed, made);
}

/// Whether a property holds for a row.
type Check = fn(&Codec, &[f32]) -> bool;

/// Rows of gaussian numbers and of their powers, some of them zero: where a property does not hold, one of them shows it.
#[test]
fn what_a_format_cannot_do_is_shown() {
    let mut rows: Vec<Vec<f32>> = gaussian(128 * 256).chunks(256).map(<[f32]>::to_vec).collect();
    for (number, row) in rows.iter_mut().enumerate() {
        row.iter_mut().for_each(|x| *x = 64.0 * (*x / 4.0).powi([1, 3, 5, 9][number % 4]));
        row.iter_mut().step_by(3 + number % 7).for_each(|x| *x = 0.0);
    }
    for (of, codec) in properties() {
        let checks: [(&str, Holds, Check); 3] = [
            ("zero", of.zero, zero_stays),
            ("mirrored", of.mirrored, mirrors),
            ("idempotent", of.idempotent, repeats),
        ];
        for (property, holds, check) in checks {
            let counter_example = rows.iter().any(|row| !check(codec, row));
            assert_eq!(counter_example, holds != Always, "{}: {property} {holds:?}", of.dtype);
        }
    }
}

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
    fn errors_stay_within_the_formats_bound(row in weights(0..6)) {
        // Smaller weights have scales below the normal halves, and larger ones scales above those of `NVFP4`.
        for (of, codec) in properties() {
            let back = round_trip(codec, &row);
            let block = of.dtype.block_elems().max(32);
            for (row, back) in row.chunks(block).zip(back.chunks(block)) {
                let largest = row.iter().fold(0.0f32, |max, x| max.max(x.abs()));
                for (x, y) in row.iter().zip(back) {
                    prop_assert!((x - y).abs() <= of.each * largest, "{}: {x} became {y} below {largest}", of.dtype);
                }
                let squares: f64 = row.iter().zip(back).map(|(x, y)| f64::from(x - y).powi(2)).sum();
                let rms = (squares / block as f64).sqrt();
                prop_assert!(rms <= f64::from(of.together * largest), "{}: {rms} below {largest}", of.dtype);
            }
        }
    }

    #[test]
    fn zero_stays_zero_among_others(row in weights(-8..8)) {
        for (of, codec) in properties().filter(|(of, _)| of.zero == Always) {
            prop_assert!(zero_stays(codec, &row), "{}", of.dtype);
        }
    }

    #[test]
    fn signs_mirror(row in weights(-8..8)) {
        let full: Vec<f32> = row.iter().map(|&x| if x == 0.0 { 0.25 } else { x }).collect();
        for (of, codec) in properties() {
            let row = match of.mirrored {
                Always => &row,
                WithoutZeros => &full,
                Never(_) => continue,
            };
            prop_assert!(mirrors(codec, row), "{}", of.dtype);
        }
    }

    #[test]
    fn decoded_rows_encode_to_themselves(row in weights(-8..8)) {
        for (of, codec) in properties().filter(|(of, _)| of.idempotent == Always) {
            prop_assert!(repeats(codec, &row), "{}", of.dtype);
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
