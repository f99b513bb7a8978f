//! Kernels for WebAssembly with 128-bit vectors. Whether a machine has them is decided when a module is compiled: there
//! is nothing to detect.

mod vector;

use realizar_quant::DType;

use self::vector::Simd128;
use crate::acts::ActKind;
use crate::kernels::{IntegerFormat, Peak};
use crate::quads::{Q4_0, Q4K, Q5K, Q6K, Q8_0, product};
use crate::scalar::math::Plain;
use crate::scalar::{self, float, math};
use crate::{Isa, Kernels};

/// Products of integers by hand; the rest are the plain loops, widened by the compiler. There is no multiply-add in one
/// rounding, so quantised products round once more per block than those of the other tables.
pub(crate) static TABLE: Kernels = Kernels {
    isa: Isa::Simd128,
    name: "simd128",
    group: 2,
    integer: &[
        IntegerFormat { dtype: DType::Q4_0, kind: ActKind::Block32, product: product::<Simd128, Q4_0> },
        IntegerFormat { dtype: DType::Q8_0, kind: ActKind::Block32, product: product::<Simd128, Q8_0> },
        IntegerFormat { dtype: DType::Q4_K, kind: ActKind::Super256, product: product::<Simd128, Q4K> },
        IntegerFormat { dtype: DType::Q5_K, kind: ActKind::Super256, product: product::<Simd128, Q5K> },
        IntegerFormat { dtype: DType::Q6_K, kind: ActKind::Super256, product: product::<Simd128, Q6K> },
    ],
    widen_f16: vector::widen_f16,
    dots: |dots, out| float::dots::<Plain, 1, 2>(dots, out),
    peak: Peak { int8: vector::int8_peak, f32: math::f32_peak },
    ..scalar::TABLE
};
