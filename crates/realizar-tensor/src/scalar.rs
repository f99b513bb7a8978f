//! Plain Rust kernels: the reference for every other table, and the source of most of them.
//!
//! The functions of the float modules are generic over [`Arith`] and always inlined, so that an instruction set's table
//! is made by calling them from a function with its target features: the compiler then widens the same loops. The loops
//! work on arrays of fixed size, so the order of operations per element is written down here and not the compiler's choice.

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod float;
pub(crate) mod formats;
pub(crate) mod integer;
pub(crate) mod math;
pub(crate) mod norm;
pub(crate) mod quantise;
pub(crate) mod rope;
pub(crate) mod scan;

use self::math::Plain;
use crate::kernels::Peak;
use crate::{Isa, Kernels};

/// The table of plain Rust.
pub(crate) static TABLE: Kernels = Kernels {
    isa: Isa::Scalar,
    name: "scalar",
    group: 1,
    few: &[],
    integer: integer::FORMATS,
    quantise: quantise::quantise,
    widen_f16: float::widen_f16,
    widen_bf16: float::widen_bf16,
    widen_q8_keys: float::widen_q8_keys,
    widen_q8_values: float::widen_q8_values,
    dots: |dots, out| float::dots::<Plain, 1, 4>(dots, out),
    half: None,
    rms_norm: norm::rms_norm::<Plain>,
    layer_norm: norm::layer_norm::<Plain>,
    gate: activation::gate::<Plain>,
    softcap: activation::softcap::<Plain>,
    add: activation::add::<Plain>,
    rope: rope::rope,
    narrow_f16: float::narrow_f16,
    attend: attention::attend::<Plain, 2, 16, 16>,
    attend_f16: None,
    scan: scan::scan::<Plain>,
    scan_channels: scan::scan_channels::<Plain>,
    convolve: scan::convolve::<Plain>,
    peak: Peak { int8: math::int8_peak, f32: math::f32_peak },
};
