//! The types a tensor's elements can have: one row of facts per type.
//!
//! Ids are those of ggml (the numbers in a GGUF file). Types that only safetensors or `.apr` files have carry none.

use std::fmt;
use std::str::FromStr;

use crate::error::QuantError;

/// How the elements of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(non_camel_case_types, reason = "the names that files, papers and users have for these types")]
#[expect(missing_docs, reason = "the name is the type's name; the table below says the rest")]
pub enum DType {
    F64,
    F32,
    F16,
    BF16,
    F8_E4M3,
    F8_E5M2,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    BOOL,
    F4,
    F6_E2M3,
    F6_E3M2,
    F8_E8M0,
    F8_E4M3FNUZ,
    F8_E5M2FNUZ,
    C64,
    Q1_0,
    Q2_0,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q8_1,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    Q8_K,
    IQ1_S,
    IQ1_M,
    IQ2_XXS,
    IQ2_XS,
    IQ2_S,
    IQ3_XXS,
    IQ3_S,
    IQ4_NL,
    IQ4_XS,
    TQ1_0,
    TQ2_0,
    MXFP4,
    NVFP4,
    APR_Q4,
    APR_Q8,
}

/// How blocks fill a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    /// Whole blocks only.
    Whole,
    /// The last block may be padded: the tensor is cut at its element count.
    Padded,
    /// One head of so many bytes before all elements.
    Headed(usize),
}

/// One row of facts.
#[derive(Debug)]
struct Facts {
    dtype: DType,
    name: &'static str,
    ggml_id: Option<u32>,
    block_elems: usize,
    block_bytes: usize,
    fill: Fill,
}

const fn row(dtype: DType, name: &'static str, id: u32, block_elems: usize, block_bytes: usize) -> Facts {
    Facts { dtype, name, ggml_id: Some(id), block_elems, block_bytes, fill: Fill::Whole }
}

const fn foreign(dtype: DType, name: &'static str, elems: usize, bytes: usize, fill: Fill) -> Facts {
    Facts { dtype, name, ggml_id: None, block_elems: elems, block_bytes: bytes, fill }
}

/// In the order of the enum, so that a type's number is its row.
const FACTS: [Facts; 51] = [
    row(DType::F64, "F64", 28, 1, 8),
    row(DType::F32, "F32", 0, 1, 4),
    row(DType::F16, "F16", 1, 1, 2),
    row(DType::BF16, "BF16", 30, 1, 2),
    foreign(DType::F8_E4M3, "F8_E4M3", 1, 1, Fill::Whole),
    foreign(DType::F8_E5M2, "F8_E5M2", 1, 1, Fill::Whole),
    row(DType::I8, "I8", 24, 1, 1),
    row(DType::I16, "I16", 25, 1, 2),
    row(DType::I32, "I32", 26, 1, 4),
    row(DType::I64, "I64", 27, 1, 8),
    foreign(DType::U8, "U8", 1, 1, Fill::Whole),
    foreign(DType::U16, "U16", 1, 2, Fill::Whole),
    foreign(DType::U32, "U32", 1, 4, Fill::Whole),
    foreign(DType::U64, "U64", 1, 8, Fill::Whole),
    foreign(DType::BOOL, "BOOL", 1, 1, Fill::Whole),
    // Elements below a byte fill bytes from the low bits up.
    foreign(DType::F4, "F4", 2, 1, Fill::Whole),
    foreign(DType::F6_E2M3, "F6_E2M3", 4, 3, Fill::Whole),
    foreign(DType::F6_E3M2, "F6_E3M2", 4, 3, Fill::Whole),
    foreign(DType::F8_E8M0, "F8_E8M0", 1, 1, Fill::Whole),
    foreign(DType::F8_E4M3FNUZ, "F8_E4M3FNUZ", 1, 1, Fill::Whole),
    foreign(DType::F8_E5M2FNUZ, "F8_E5M2FNUZ", 1, 1, Fill::Whole),
    foreign(DType::C64, "C64", 1, 8, Fill::Whole),
    row(DType::Q1_0, "Q1_0", 41, 128, 18),
    row(DType::Q2_0, "Q2_0", 42, 64, 18),
    row(DType::Q4_0, "Q4_0", 2, 32, 18),
    row(DType::Q4_1, "Q4_1", 3, 32, 20),
    row(DType::Q5_0, "Q5_0", 6, 32, 22),
    row(DType::Q5_1, "Q5_1", 7, 32, 24),
    row(DType::Q8_0, "Q8_0", 8, 32, 34),
    row(DType::Q8_1, "Q8_1", 9, 32, 36),
    row(DType::Q2_K, "Q2_K", 10, 256, 84),
    row(DType::Q3_K, "Q3_K", 11, 256, 110),
    row(DType::Q4_K, "Q4_K", 12, 256, 144),
    row(DType::Q5_K, "Q5_K", 13, 256, 176),
    row(DType::Q6_K, "Q6_K", 14, 256, 210),
    row(DType::Q8_K, "Q8_K", 15, 256, 292),
    row(DType::IQ1_S, "IQ1_S", 19, 256, 50),
    row(DType::IQ1_M, "IQ1_M", 29, 256, 56),
    row(DType::IQ2_XXS, "IQ2_XXS", 16, 256, 66),
    row(DType::IQ2_XS, "IQ2_XS", 17, 256, 74),
    row(DType::IQ2_S, "IQ2_S", 22, 256, 82),
    row(DType::IQ3_XXS, "IQ3_XXS", 18, 256, 98),
    row(DType::IQ3_S, "IQ3_S", 21, 256, 110),
    row(DType::IQ4_NL, "IQ4_NL", 20, 32, 18),
    row(DType::IQ4_XS, "IQ4_XS", 23, 256, 136),
    row(DType::TQ1_0, "TQ1_0", 34, 256, 54),
    row(DType::TQ2_0, "TQ2_0", 35, 256, 66),
    row(DType::MXFP4, "MXFP4", 39, 32, 17),
    row(DType::NVFP4, "NVFP4", 40, 64, 36),
    foreign(DType::APR_Q4, "APR_Q4", 32, 18, Fill::Padded),
    foreign(DType::APR_Q8, "APR_Q8", 1, 1, Fill::Headed(4)),
];

impl DType {
    /// Every type, in the order of the table.
    pub const ALL: [DType; FACTS.len()] = {
        let mut all = [DType::F64; FACTS.len()];
        let mut i = 0;
        while i < all.len() {
            all[i] = FACTS[i].dtype;
            i += 1;
        }
        all
    };

    const fn facts(self) -> &'static Facts {
        const TABLE: &[Facts; FACTS.len()] = &FACTS;
        &TABLE[self as usize]
    }

    /// The name users and files know, as `Q4_K`.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The type's number in a GGUF file; `None` where ggml has no such type.
    pub const fn ggml_id(self) -> Option<u32> {
        self.facts().ggml_id
    }

    /// The type with this number in a GGUF file.
    pub fn from_ggml_id(id: u32) -> Option<DType> {
        Self::ALL.into_iter().find(|dtype| dtype.ggml_id() == Some(id))
    }

    /// Elements in one block; 1 for types without blocks.
    pub const fn block_elems(self) -> usize {
        self.facts().block_elems
    }

    /// Bytes of one block.
    pub const fn block_bytes(self) -> usize {
        self.facts().block_bytes
    }

    /// Stored bits per element, scales included.
    pub fn bits_per_weight(self) -> f64 {
        (self.block_bytes() * 8) as f64 / self.block_elems() as f64
    }

    /// Bytes of a row of `elems` elements, or `None` if the row is no whole number of blocks or its size
    /// overflows.
    ///
    /// The two `.apr` types know no rows: pass the element count of the whole tensor. `APR_Q4` pads its last
    /// block, `APR_Q8` has one scale before all elements.
    pub const fn row_bytes(self, elems: usize) -> Option<usize> {
        let facts = self.facts();
        let blocks = match facts.fill {
            Fill::Whole if !elems.is_multiple_of(facts.block_elems) => return None,
            _ => elems.div_ceil(facts.block_elems),
        };
        match (blocks.checked_mul(facts.block_bytes), facts.fill) {
            (Some(bytes), Fill::Headed(head)) if bytes > 0 => bytes.checked_add(head),
            (bytes, _) => bytes,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DType {
    type Err = QuantError;

    /// Reads a name in any case: `q4_K`, `Q4_K` and `q4_k` are one type.
    fn from_str(name: &str) -> Result<Self, QuantError> {
        Self::ALL
            .into_iter()
            .find(|dtype| dtype.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| QuantError::UnknownType { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_types_number_is_its_row() {
        for (i, facts) in FACTS.iter().enumerate() {
            assert_eq!(facts.dtype as usize, i, "{}", facts.name);
            assert_eq!(format!("{:?}", facts.dtype), facts.name);
            assert_eq!(DType::ALL[i], facts.dtype);
        }
    }

    #[test]
    fn names_and_ids_round_trip() {
        for dtype in DType::ALL {
            assert_eq!(dtype.name().parse::<DType>().unwrap(), dtype);
            assert_eq!(dtype.name().to_lowercase().parse::<DType>().unwrap(), dtype);
            assert_eq!(dtype.to_string(), dtype.name());
            if let Some(id) = dtype.ggml_id() {
                assert_eq!(DType::from_ggml_id(id), Some(dtype));
            }
        }
        // Ids of types that were taken out of ggml.
        for removed in [4, 5, 31, 32, 33, 36, 37, 38, 43, u32::MAX] {
            assert_eq!(DType::from_ggml_id(removed), None, "{removed}");
        }
    }

    /// Type, elements, bytes of the row.
    const ROWS: &[(DType, usize, Option<usize>)] = &[
        (DType::F32, 0, Some(0)),
        (DType::F32, 3, Some(12)),
        (DType::Q4_0, 64, Some(36)),
        (DType::Q4_0, 33, None),
        (DType::Q6_K, 512, Some(420)),
        (DType::Q6_K, 128, None),
        (DType::F64, usize::MAX / 4, None),
        (DType::APR_Q4, 0, Some(0)),
        (DType::APR_Q4, 33, Some(36)),
        (DType::APR_Q8, 0, Some(0)),
        (DType::APR_Q8, 7, Some(11)),
        (DType::APR_Q8, usize::MAX, None),
    ];

    #[test]
    fn row_bytes_follow_the_blocks() {
        for &(dtype, elems, bytes) in ROWS {
            assert_eq!(dtype.row_bytes(elems), bytes, "{dtype} of {elems}");
        }
        assert_eq!(DType::Q4_K.bits_per_weight(), 4.5);
        assert_eq!(DType::IQ1_S.bits_per_weight(), 1.5625);
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "Q7_K".parse::<DType>().unwrap_err().to_string();
        assert!(error.starts_with("unknown type `Q7_K`, known are F64, F32,"), "{error}");
        assert!(error.ends_with("APR_Q8"), "{error}");
    }
}
