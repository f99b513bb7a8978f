//! The plain loops, compiled for an instruction set: one list for all of them.

/// A table whose functions are plain ones with these features: `WIDENED`, from which a level takes what it does not do by hand.
///
/// A new operation of [`Kernels`](crate::Kernels) is a line here.
macro_rules! plain_loops {
    ($features:literal) => {
        $crate::x86::level::widened! { $features:
            widen_bf16: scalar::float::widen_bf16, (bytes: &[u8], out: &mut [f32]);
            widen_q8_keys: scalar::float::widen_q8_keys, (values: &[u8], scales: &[f32], out: &mut [f32]);
            widen_q8_values: scalar::float::widen_q8_values, (values: &[u8], scales: &[f32], out: &mut [f32]);
            rms_norm: scalar::norm::rms_norm::<Fused>, (x: &[f32], gain: &[f32], eps: f32, out: &mut [f32]);
            layer_norm: scalar::norm::layer_norm::<Fused>,
                (x: &[f32], gain: &[f32], bias: Option<&[f32]>, eps: f32, out: &mut [f32]);
            gate: scalar::activation::gate::<Fused>, (kind: Gate, gate: &mut [f32], up: Option<&[f32]>);
            softcap: scalar::activation::softcap::<Fused>, (x: &mut [f32], cap: f32);
            add: scalar::activation::add::<Fused>, (x: &[f32], scale: f32, into: &mut [f32]);
            rope: scalar::rope::rope, (turn: &Turn<'_>, row: &mut [f32], copy: &mut [f32]);
            scan: scalar::scan::scan::<Fused>, (task: &Scan<'_>, state: &mut [f32], out: &mut Tile<'_, f32>);
            scan_channels: scalar::scan::scan_channels::<Fused>,
                (task: &ChannelScan<'_>, state: &mut [f32], out: &mut Tile<'_, f32>);
            convolve: scalar::scan::convolve::<Fused>,
                (task: &Convolve<'_>, state: &mut [f32], out: &mut Tile<'_, f32>);
        }
    };
}

/// See [`plain_loops`].
macro_rules! widened {
    ($features:literal: $($field:ident: $body:expr, ($($argument:ident: $type:ty),*);)*) => {
        /// The plain loops, compiled for these instructions. What is not among them is the plain table's own.
        static WIDENED: Kernels = {
            use $crate::scalar::math::Fused;
            use $crate::scalar::rope::Turn;
            use $crate::scalar::scan::{ChannelScan, Convolve, Scan};
            use $crate::{Gate, scalar};
            Kernels {
                $($field: |$($argument: $type),*| {
                    #[target_feature(enable = $features)]
                    fn gated($($argument: $type),*) {
                        $body($($argument),*);
                    }
                    // SAFETY: `TABLE` is handed out only after the features were detected.
                    unsafe { gated($($argument),*) }
                },)*
                ..scalar::TABLE
            }
        };
    };
}

pub(super) use {plain_loops, widened};
