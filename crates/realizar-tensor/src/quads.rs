//! Integer products with four rows of weights per 128 bits of a register, written once for NEON, WebAssembly and AVX2.
//!
//! Eight rows advance together along k. 256 values of each are unpacked into a panel, in which a register holds four
//! values of k of four rows; then it meets group after group of tokens. The order of float operations is that of
//! [`crate::scalar::integer`]: blocks ascending, then 256-blocks ascending.

mod meet;
#[cfg(test)]
mod portable;
mod product;
mod unpack;
mod vector;

#[cfg(target_arch = "x86_64")]
pub(crate) use self::meet::Meet;
pub(crate) use self::product::product;
pub(crate) use self::unpack::{
    Format, Iq4Nl, Iq4Xs, Mxfp4, Nvfp4, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0,
};
#[cfg(target_arch = "x86_64")]
pub(crate) use self::unpack::{Head, ROWS};
#[cfg(any(target_arch = "aarch64", target_arch = "wasm32"))]
pub(crate) use self::vector::Dots;
pub(crate) use self::vector::Vector;

/// The formats, by the function that computes them.
macro_rules! formats {
    ($product:ident) => {{
        use realizar_quant::DType;
        use $crate::acts::ActKind::{Block32, Super256};
        use $crate::kernels::IntegerFormat as Integer;
        use $crate::quads::{
            Iq4Nl, Iq4Xs, Mxfp4, Nvfp4, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0,
        };
        &[
            Integer { dtype: DType::Q4_0, kind: Block32, product: $product::<Q4_0> },
            Integer { dtype: DType::Q4_1, kind: Block32, product: $product::<Q4_1> },
            Integer { dtype: DType::Q5_0, kind: Block32, product: $product::<Q5_0> },
            Integer { dtype: DType::Q5_1, kind: Block32, product: $product::<Q5_1> },
            Integer { dtype: DType::Q8_0, kind: Block32, product: $product::<Q8_0> },
            Integer { dtype: DType::IQ4_NL, kind: Block32, product: $product::<Iq4Nl> },
            Integer { dtype: DType::MXFP4, kind: Block32, product: $product::<Mxfp4> },
            Integer { dtype: DType::Q2_K, kind: Super256, product: $product::<Q2K> },
            Integer { dtype: DType::Q3_K, kind: Super256, product: $product::<Q3K> },
            Integer { dtype: DType::Q4_K, kind: Super256, product: $product::<Q4K> },
            Integer { dtype: DType::Q5_K, kind: Super256, product: $product::<Q5K> },
            Integer { dtype: DType::Q6_K, kind: Super256, product: $product::<Q6K> },
            Integer { dtype: DType::IQ4_XS, kind: Super256, product: $product::<Iq4Xs> },
            Integer { dtype: DType::NVFP4, kind: Super256, product: $product::<Nvfp4> },
        ]
    }};
}
pub(crate) use formats;
