//! Kernels for x86-64.

mod avx2;
mod avx512;
mod level;

use crate::Kernels;

/// The tables that this processor can run, best first.
pub(crate) fn tables() -> Vec<&'static Kernels> {
    [avx512::table(), avx2::table()].into_iter().flatten().collect()
}
