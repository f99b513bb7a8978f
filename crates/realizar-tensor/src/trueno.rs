//! f32 products and norms by Trueno, as a table of their own.
//!
//! Products are one of Trueno's dot products per output element: its order of operations depends on the row's length
//! alone. Its matrix product picks another order for other shapes (and batches), so it cannot be used here. Trueno's
//! norms take rows of finite numbers only (builds with debug assertions panic on others); other rows go to our own.

use std::sync::OnceLock;

use trueno::blis::norms;

use crate::kernels::Dots;
use crate::pool::Tile;
use crate::scalar::math::Plain;
use crate::scalar::norm;
use crate::{Isa, Kernels};

/// The table `base` with Trueno's products and norms.
pub(crate) fn table(base: &'static Kernels) -> &'static Kernels {
    static TABLE: OnceLock<Kernels> = OnceLock::new();
    TABLE.get_or_init(|| Kernels { name: name(base.isa), dots, half: None, rms_norm, layer_norm, ..*base })
}

fn name(base: Isa) -> &'static str {
    match base {
        Isa::Avx512 => "avx512+trueno",
        Isa::Avx2 => "avx2+trueno",
        Isa::Neon => "neon+trueno",
        Isa::Simd128 => "simd128+trueno",
        Isa::Scalar => "scalar+trueno",
    }
}

fn dots(task: Dots<'_>, out: &mut Tile<'_, f32>) {
    let Dots { weights, x, k, first_row } = task;
    for (token, x) in x.chunks_exact(k).enumerate() {
        let out = &mut out.row(token)[first_row..];
        for (out, w) in out.iter_mut().zip(weights.chunks_exact(k)) {
            *out = dot(w, x);
        }
    }
}

/// The dot product of the best of Trueno's backends for this machine; the answer is the same every time.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    use trueno::backends::VectorBackend;
    assert_eq!(a.len(), b.len(), "a dot product");
    #[cfg(target_arch = "x86_64")]
    {
        use trueno::backends::{avx2::Avx2Backend, avx512::Avx512Backend};
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the instructions are there, and both slices have the same length.
            return unsafe { Avx512Backend::dot(a, b) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: as above.
            return unsafe { Avx2Backend::dot(a, b) };
        }
    }
    // SAFETY: plain loops, and both slices have the same length.
    unsafe { trueno::backends::scalar::ScalarBackend::dot(a, b) }
}

fn finite(values: &[f32]) -> bool {
    values.iter().all(|x| x.is_finite())
}

fn rms_norm(x: &[f32], gain: &[f32], eps: f32, out: &mut [f32]) {
    // Squares of large numbers overflow, which is as bad as a number that is not finite.
    if !finite(x)
        || !x.iter().map(|x| x * x).sum::<f32>().is_finite()
        || norms::rms_norm(x, gain, eps, out).is_err()
    {
        norm::rms_norm::<Plain>(x, gain, eps, out);
    }
}

fn layer_norm(x: &[f32], gain: &[f32], bias: Option<&[f32]>, eps: f32, out: &mut [f32]) {
    match bias {
        Some(bias) if finite(x) && norms::layer_norm(x, gain, bias, eps, out).is_ok() => {}
        _ => norm::layer_norm::<Plain>(x, gain, bias, eps, out),
    }
}
