//! What the tests of this crate share: random numbers, random weights, and every table of kernels.

#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::expect_used,
    reason = "each test binary uses a part; a failure panics"
)]

use std::sync::Arc;

use realizar_quant::{DType, decode, encode};
use realizar_tensor::{Compute, Kernels, Pool, Product, QMatrix, Rows, Vector};

/// The formats that have integer kernels.
pub(crate) const INTEGER: &[DType] = &[
    DType::Q4_0,
    DType::Q4_1,
    DType::Q5_0,
    DType::Q5_1,
    DType::Q8_0,
    DType::Q2_K,
    DType::Q3_K,
    DType::Q4_K,
    DType::Q5_K,
    DType::Q6_K,
    DType::IQ4_NL,
    DType::IQ4_XS,
    DType::MXFP4,
    DType::NVFP4,
];
/// Some of those that are multiplied as f32.
pub(crate) const FLOAT: &[DType] =
    &[DType::F32, DType::F16, DType::BF16, DType::IQ3_XXS, DType::TQ2_0, DType::Q2_0];

/// A small generator (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// Roughly normal, variance 1.
    pub(crate) fn normal(&mut self) -> f32 {
        (0..6).map(|_| self.next() as f32 / u32::MAX as f32 - 0.5).sum::<f32>() * 1.414
    }

    pub(crate) fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.normal()).collect()
    }

    pub(crate) fn rows(&mut self, rows: usize, width: usize) -> Rows {
        rows_of(width, &self.values(rows * width))
    }

    pub(crate) fn matrix(&mut self, dtype: DType, rows: usize, cols: usize) -> QMatrix {
        let values: Vec<f32> = self.values(rows * cols).iter().map(|x| x * 0.1).collect();
        matrix(dtype, rows, cols, &values)
    }

    pub(crate) fn vector(&mut self, len: usize) -> Vector {
        Vector::from_vec(self.values(len))
    }
}

pub(crate) fn rows_of(width: usize, values: &[f32]) -> Rows {
    let mut rows = Rows::with_capacity(values.len() / width, width);
    rows.write(values);
    rows
}

pub(crate) fn empty(rows: usize, width: usize) -> Rows {
    Rows::with_capacity(rows, width)
}

pub(crate) fn encoded(dtype: DType, rows: usize, cols: usize, values: &[f32]) -> Vec<u8> {
    let row_bytes = dtype.row_bytes(cols).expect("whole blocks");
    let mut bytes = vec![0; rows * row_bytes];
    for (row, out) in values.chunks_exact(cols).zip(bytes.chunks_exact_mut(row_bytes)) {
        encode(dtype, row, None, out).expect("encoding");
    }
    bytes
}

pub(crate) fn matrix(dtype: DType, rows: usize, cols: usize, values: &[f32]) -> QMatrix {
    QMatrix::new(dtype, rows, cols, encoded(dtype, rows, cols, values).into()).expect("matrix")
}

/// The weights of a matrix as the format means them.
pub(crate) fn decoded(dtype: DType, rows: usize, cols: usize, bytes: &[u8]) -> Vec<f32> {
    let mut out = vec![0.0; rows * cols];
    decode(dtype, bytes, &mut out).expect("decoding");
    out
}

/// WebAssembly has no threads: there one stands for any number.
pub(crate) fn compute(kernels: &'static Kernels, threads: usize) -> Compute {
    let threads = if cfg!(target_family = "wasm") { 1 } else { threads };
    Compute::new(Pool::new(threads).expect("pool"), kernels)
}

pub(crate) fn on(pool: &Arc<Pool>, kernels: &'static Kernels) -> Compute {
    Compute::new(Arc::clone(pool), kernels)
}

/// Runs a test body on every table of this machine.
pub(crate) fn each_table(mut body: impl FnMut(&'static Kernels)) {
    for kernels in Kernels::available() {
        body(kernels);
    }
}

/// One product on fresh buffers.
pub(crate) fn product(compute: &mut Compute, x: &Rows, weight: &QMatrix, bias: Option<&Vector>) -> Vec<f32> {
    let mut out = empty(x.rows(), weight.rows());
    compute.matmul(x, &mut [Product { weight, bias, out: &mut out }]);
    out.read().to_vec()
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Largest difference, relative to the root mean square of what is expected.
pub(crate) fn error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = (expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64).sqrt().max(1e-30);
    found.iter().zip(expected).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max) / scale
}
