//! What is refused, and how it is said.

use realizar_quant::{Codec, DType, Importance, decode, encode};

/// Type, elements, bytes, message.
const DECODE: &[(DType, usize, usize, &str)] = &[
    (DType::Q4_0, 33, 18, "a row of 33 elements is no whole number of Q4_0 blocks of 32"),
    (DType::Q4_0, 32, 17, "32 elements of Q4_0 take 18 bytes, found 17"),
    (DType::Q4_0, 32, 19, "32 elements of Q4_0 take 18 bytes, found 19"),
    (DType::Q6_K, 128, 105, "a row of 128 elements is no whole number of Q6_K blocks of 256"),
    (DType::APR_Q8, 3, 3, "3 elements of APR_Q8 take 7 bytes, found 3"),
    (DType::APR_Q4, 33, 18, "33 elements of APR_Q4 take 36 bytes, found 18"),
    (DType::I32, 4, 16, "I32 elements are not weights: no conversion to or from f32"),
    (DType::BOOL, 1, 1, "BOOL elements are not weights: no conversion to or from f32"),
];

#[test]
fn decoding_refuses_wrong_lengths_and_types() {
    for &(dtype, elems, bytes, message) in DECODE {
        let error = decode(dtype, &vec![0; bytes], &mut vec![0.0; elems]).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

const ONES: [f32; 256] = [1.0; 256];

const fn with(index: usize, value: f32) -> [f32; 256] {
    let mut row = ONES;
    row[index] = value;
    row
}

/// Type, row, importance, bytes, message.
type Case<'a> = (DType, &'a [f32], Option<&'a [f32]>, usize, &'a str);

const ENCODE: &[Case<'_>] = &[
    (DType::U8, &ONES, None, 256, "U8 elements are not weights: no conversion to or from f32"),
    (DType::F8_E4M3, &ONES, None, 256, "no encoder for F8_E4M3"),
    (DType::APR_Q4, &ONES, None, 144, "no encoder for APR_Q4"),
    (DType::Q4_K, &[1.0; 100], None, 144, "a row of 100 elements is no whole number of Q4_K blocks of 256"),
    (DType::Q4_K, &ONES, None, 143, "256 elements of Q4_K take 144 bytes, found 143"),
    (DType::Q4_K, &with(255, f32::NAN), None, 144, "element 255 is NaN: Q4_K stores finite values only"),
    (DType::Q8_0, &with(64, f32::INFINITY), None, 272, "element 64 is inf: Q8_0 stores finite values only"),
    (DType::MXFP4, &with(0, -f32::INFINITY), None, 136, "element 0 is -inf: MXFP4 stores finite values only"),
    (DType::IQ2_XXS, &ONES, None, 66, "IQ2_XXS cannot be made without importance weights"),
    (
        DType::Q4_K,
        &ONES,
        Some(&[1.0; 255]),
        144,
        "a row of 256 elements needs as many importance weights, found 255",
    ),
    (
        DType::Q4_K,
        &ONES,
        Some(&with(3, -1.0)),
        144,
        "importance weight 3 is -1: must be finite and not negative",
    ),
    (
        DType::IQ1_S,
        &ONES,
        Some(&with(200, f32::NAN)),
        50,
        "importance weight 200 is NaN: must be finite and not negative",
    ),
];

#[test]
fn encoding_refuses_what_it_cannot_store() {
    for (dtype, row, importance, bytes, message) in ENCODE {
        let error = encode(*dtype, row, *importance, &mut vec![0; *bytes]).unwrap_err();
        assert_eq!(error.to_string(), *message);
    }
}

#[test]
fn plain_floats_take_every_value() {
    for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
        let row = [f32::NAN, f32::INFINITY, -0.0, 1e30];
        let mut bytes = vec![0; dtype.row_bytes(4).unwrap()];
        encode(dtype, &row, None, &mut bytes).unwrap();
        let mut back = [0.0; 4];
        decode(dtype, &bytes, &mut back).unwrap();
        assert!(back[0].is_nan() && back[1] == f32::INFINITY && back[2].is_sign_negative(), "{dtype}");
    }
}

#[test]
fn codecs_say_what_they_can() {
    assert!(Codec::of(DType::I8).is_none());
    let iq1 = Codec::of(DType::IQ1_S).unwrap();
    assert!(iq1.encodes() && iq1.importance == Importance::Needed);
    assert!(!Codec::of(DType::F8_E5M2).unwrap().encodes());
    for dtype in DType::ALL {
        assert!(Codec::of(dtype).is_none_or(|codec| codec.dtype == dtype));
    }
}

#[test]
fn public_types_cross_threads() {
    fn check<T: Send + Sync>() {}
    check::<DType>();
    check::<&Codec>();
    check::<realizar_quant::QuantError>();
    check::<&realizar_quant::Recipe>();
}
