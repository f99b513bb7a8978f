//! The element types of the safetensors specification.

use realizar_quant::DType;

/// One type: its name in the header, its size, and the type it is to us, if we have one.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) name: &'static str,
    pub(crate) bits: u64,
    pub(crate) dtype: Option<DType>,
}

const fn known(name: &'static str, bits: u64, dtype: DType) -> Element {
    Element { name, bits, dtype: Some(dtype) }
}

const fn foreign(name: &'static str, bits: u64) -> Element {
    Element { name, bits, dtype: None }
}

const ELEMENTS: &[Element] = &[
    known("F32", 32, DType::F32),
    known("BF16", 16, DType::BF16),
    known("F16", 16, DType::F16),
    known("F64", 64, DType::F64),
    known("F8_E4M3", 8, DType::F8_E4M3),
    known("F8_E5M2", 8, DType::F8_E5M2),
    known("I8", 8, DType::I8),
    known("I16", 16, DType::I16),
    known("I32", 32, DType::I32),
    known("I64", 64, DType::I64),
    known("U8", 8, DType::U8),
    known("U16", 16, DType::U16),
    known("U32", 32, DType::U32),
    known("U64", 64, DType::U64),
    known("BOOL", 8, DType::BOOL),
    foreign("C64", 64),
    foreign("F4", 4),
    foreign("F6_E2M3", 6),
    foreign("F6_E3M2", 6),
    foreign("F8_E8M0", 8),
    foreign("F8_E4M3FNUZ", 8),
    foreign("F8_E5M2FNUZ", 8),
];

/// The type by this name.
pub(crate) fn by_name(name: &str) -> Option<&'static Element> {
    ELEMENTS.iter().find(|element| element.name == name)
}

/// The type that is ours.
pub(crate) fn by_dtype(dtype: DType) -> Option<&'static Element> {
    ELEMENTS.iter().find(|element| element.dtype == Some(dtype))
}
