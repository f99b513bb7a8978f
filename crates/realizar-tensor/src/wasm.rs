//! Kernels for WebAssembly with 128-bit vectors. Whether a machine has them is decided when a module is compiled: there
//! is nothing to detect.

mod vector;

use self::vector::Simd128;
use crate::acts::Acts;
use crate::kernels::Peak;
use crate::matrix::Weights;
use crate::pool::Tile;
use crate::quads::{self, Format};
use crate::scalar::math::Plain;
use crate::scalar::{self, float, math};
use crate::scratch::Scratch;
use crate::{Isa, Kernels};

/// Products of integers by hand; the rest are the plain loops, widened by the compiler. There is no multiply-add in one
/// rounding, so quantised products round once more per block than those of the other tables.
pub(crate) static TABLE: Kernels = Kernels {
    isa: Isa::Simd128,
    name: "simd128",
    group: 2,
    integer: quads::formats!(product),
    widen_f16: vector::widen_f16,
    dots: |dots, out| float::dots::<Plain, 1, 2>(dots, out),
    peak: Peak { int8: vector::int8_peak, f32: math::f32_peak },
    ..scalar::TABLE
};

fn product<F: Format>(
    weights: &Weights<'_>,
    acts: &Acts<'_>,
    scratch: &mut Scratch,
    out: &mut Tile<'_, f32>,
) {
    quads::product::<Simd128, F>(weights, acts, scratch, out);
}
