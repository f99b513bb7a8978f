//! Tensor data of a big-endian file, turned into the little-endian order that everything above expects.

use realizar_quant::DType;

use crate::error::{FormatError, Place};
use crate::gguf::record::Record;

/// Where the multi-byte numbers stand in a block: `(byte offset, width)`; all other bytes stay.
///
/// Types that are missing pack words in ways for which no big-endian layout is defined.
const NUMBERS: &[(DType, &[(usize, usize)])] = &[
    (DType::F64, &[(0, 8)]),
    (DType::I64, &[(0, 8)]),
    (DType::F32, &[(0, 4)]),
    (DType::I32, &[(0, 4)]),
    (DType::F16, &[(0, 2)]),
    (DType::BF16, &[(0, 2)]),
    (DType::I16, &[(0, 2)]),
    (DType::I8, &[]),
    (DType::Q4_0, &[(0, 2)]),
    (DType::Q4_1, &[(0, 2), (2, 2)]),
    (DType::Q5_0, &[(0, 2)]),
    (DType::Q5_1, &[(0, 2), (2, 2)]),
    (DType::Q8_0, &[(0, 2)]),
    (DType::Q8_1, &[(0, 2), (2, 2)]),
    (DType::Q2_K, &[(80, 2), (82, 2)]),
    (DType::Q3_K, &[(108, 2)]),
    (DType::Q4_K, &[(0, 2), (2, 2)]),
    (DType::Q5_K, &[(0, 2), (2, 2)]),
    (DType::Q6_K, &[(208, 2)]),
    (DType::IQ4_NL, &[(0, 2)]),
    (DType::MXFP4, &[]),
    (DType::NVFP4, &[]),
];

/// Swaps the numbers of one tensor's data in place.
pub(crate) fn swap(record: &Record<'_>, data: &mut [u8]) -> Result<(), FormatError> {
    let Some((_, numbers)) = NUMBERS.iter().find(|(dtype, _)| *dtype == record.dtype) else {
        let at = Place::named("endianness", record.offset_at, record.name.as_bytes());
        let what = format!("big-endian data of type {}", record.dtype);
        return Err(FormatError::Unsupported { at, what, hint: ", convert the file to little-endian" });
    };
    for block in data.chunks_exact_mut(record.dtype.block_bytes()) {
        for (offset, width) in *numbers {
            let number = block.get_mut(*offset..).and_then(|tail| tail.get_mut(..*width));
            number.unwrap_or_default().reverse();
        }
    }
    Ok(())
}
