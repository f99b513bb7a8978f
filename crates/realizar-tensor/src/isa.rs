//! The instruction sets that kernels are written for.

use std::fmt;
use std::str::FromStr;

use crate::TensorError;

/// A level of vector instructions. Ordered: later levels are preferred where both exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// Plain Rust, on every machine.
    Scalar,
    /// 128-bit vectors of WebAssembly.
    Simd128,
    /// 128-bit vectors of 64-bit Arm, with the dot product instructions.
    Neon,
    /// 256-bit vectors of x86-64, with FMA and F16C.
    Avx2,
    /// 512-bit vectors of x86-64, with VNNI.
    Avx512,
}

impl Isa {
    /// Every level, in ascending order.
    pub const ALL: &[Self] = &[Self::Scalar, Self::Simd128, Self::Neon, Self::Avx2, Self::Avx512];

    /// The name that [`FromStr`] reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Simd128 => "simd128",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = TensorError;

    fn from_str(name: &str) -> Result<Self, TensorError> {
        Self::ALL.iter().copied().find(|isa| isa.name() == name).ok_or_else(|| {
            let known = Self::ALL.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ");
            TensorError::UnknownIsa { found: name.to_owned(), known }
        })
    }
}
