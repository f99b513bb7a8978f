//! The element types of the safetensors specification.

use realizar_quant::DType;

/// One type: its bits, and the type that it is to us. Both call it by the same name.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) bits: u64,
    pub(crate) dtype: DType,
}

const fn element(bits: u64, dtype: DType) -> Element {
    Element { bits, dtype }
}

const ELEMENTS: &[Element] = &[
    element(32, DType::F32),
    element(16, DType::BF16),
    element(16, DType::F16),
    element(64, DType::F64),
    element(8, DType::F8_E4M3),
    element(8, DType::F8_E5M2),
    element(8, DType::I8),
    element(16, DType::I16),
    element(32, DType::I32),
    element(64, DType::I64),
    element(8, DType::U8),
    element(16, DType::U16),
    element(32, DType::U32),
    element(64, DType::U64),
    element(8, DType::BOOL),
    element(64, DType::C64),
    element(4, DType::F4),
    element(6, DType::F6_E2M3),
    element(6, DType::F6_E3M2),
    element(8, DType::F8_E8M0),
    element(8, DType::F8_E4M3FNUZ),
    element(8, DType::F8_E5M2FNUZ),
];

/// The type by this name.
pub(crate) fn by_name(name: &str) -> Option<&'static Element> {
    ELEMENTS.iter().find(|element| element.dtype.name() == name)
}

/// The type that is ours.
pub(crate) fn by_dtype(dtype: DType) -> Option<&'static Element> {
    ELEMENTS.iter().find(|element| element.dtype == dtype)
}
