//! Kernels for x86-64.

use crate::Kernels;

/// The tables that this processor can run, best first.
pub(crate) fn tables() -> Vec<&'static Kernels> {
    Vec::new()
}
