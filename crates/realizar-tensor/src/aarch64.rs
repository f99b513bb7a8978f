//! Kernels for 64-bit Arm. NEON belongs to every such processor; the dot products of bytes are detected.

mod float;
mod vector;

use self::vector::Neon;
use crate::acts::Acts;
use crate::kernels::Peak;
use crate::matrix::Weights;
use crate::pool::Tile;
use crate::quads::{self, Format};
use crate::scalar::math::Fused;
use crate::scalar::{self, activation, attention, float as plain, norm, scan};
use crate::scratch::Scratch;
use crate::{Isa, Kernels};

/// The table, if this processor has the instructions.
pub(crate) fn table() -> Option<&'static Kernels> {
    std::arch::is_aarch64_feature_detected!("dotprod").then_some(&TABLE)
}

/// Only [`table`] hands this out, after it has detected the features that the functions below are compiled for. What is
/// not gated is compiled for NEON, as all code for this architecture: the plain loops, widened by the compiler.
static TABLE: Kernels = Kernels {
    isa: Isa::Neon,
    name: "neon",
    group: 4,
    integer: quads::formats!(product),
    widen_f16: float::widen_f16,
    dots: |dots, out| plain::dots::<Fused, 2, 2>(dots, out),
    half: None,
    rms_norm: norm::rms_norm::<Fused>,
    layer_norm: norm::layer_norm::<Fused>,
    gate: activation::gate::<Fused>,
    softcap: activation::softcap::<Fused>,
    add: activation::add::<Fused>,
    attend: attention::attend::<Fused, 4, 16, 16>,
    scan: scan::scan::<Fused>,
    scan_channels: scan::scan_channels::<Fused>,
    convolve: scan::convolve::<Fused>,
    peak: Peak {
        int8: || {
            // SAFETY: see `TABLE`.
            unsafe { vector::int8_peak() }
        },
        f32: || {
            // SAFETY: NEON belongs to the architecture.
            unsafe { float::f32_peak() }
        },
    },
    ..scalar::TABLE
};

fn product<F: Format>(
    weights: &Weights<'_>,
    acts: &Acts<'_>,
    scratch: &mut Scratch,
    out: &mut Tile<'_, f32>,
) {
    // SAFETY: see `TABLE`.
    unsafe { gated::<F>(weights, acts, scratch, out) }
}

#[target_feature(enable = "neon,dotprod")]
fn gated<F: Format>(weights: &Weights<'_>, acts: &Acts<'_>, scratch: &mut Scratch, out: &mut Tile<'_, f32>) {
    quads::product::<Neon, F>(weights, acts, scratch, out);
}
