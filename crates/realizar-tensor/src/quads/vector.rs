//! What the products need of a machine's vectors.

/// Lanes of 32 bits, or four times as many bytes, in a register: what unpacks weights, with a lane per row. Shifts take a
/// count below the width.
///
/// Methods are to be inlined into functions that are compiled for the instructions they stand for.
pub(crate) trait Vector: Copy {
    /// As many f32 lanes.
    type Floats: Copy;
    /// Lanes: 4 or 8.
    const ROWS: usize;

    /// Sixteen bytes of row `first`, and of the fourth row after it, if there are eight.
    fn load<'a>(row: impl Fn(usize) -> &'a [u8; 16], first: usize) -> Self;
    /// The same byte everywhere.
    fn splat8(byte: i8) -> Self;
    /// The same number in every lane.
    fn splat32(lane: i32) -> Self;
    /// Bits of both.
    fn and(self, other: Self) -> Self;
    /// Bits of either.
    fn or(self, other: Self) -> Self;
    /// Byte by byte.
    fn sub8(self, other: Self) -> Self;
    /// Unsigned bytes to the right.
    fn shr8(self, count: u32) -> Self;
    /// Bytes to the left.
    fn shl8(self, count: u32) -> Self;
    /// Unsigned lanes to the right.
    fn shr32(self, count: u32) -> Self;
    /// Lanes to the left.
    fn shl32(self, count: u32) -> Self;
    /// Signed lanes to the right.
    fn sar32(self, count: u32) -> Self;
    /// `self + a * b`, lane by lane, wrapping.
    fn mul_add32(self, a: Self, b: Self) -> Self;
    /// The entries of a table that the bytes, each below 16, number.
    fn lookup(self, table: &[i8; 16]) -> Self;
    /// From what `load` gives for the first four rows: lane `i` of result `j` is dword `j` of row `i`.
    fn transpose(rows: [Self; 4]) -> [Self; 4];
    /// The low 16 bits of each lane as f16.
    fn halves(self) -> Self::Floats;
    /// The signed lanes as f32.
    fn to_floats(self) -> Self::Floats;
    /// The f16 of each row.
    fn half_of(row: impl Fn(usize) -> u16) -> Self::Floats;
    /// The f32 of each row.
    fn float_of(row: impl Fn(usize) -> f32) -> Self::Floats;
    /// The same float in every lane.
    fn splat(float: f32) -> Self::Floats;
    /// Lane by lane.
    fn mul(a: Self::Floats, b: Self::Floats) -> Self::Floats;
}

/// A machine of four lanes that multiplies signed bytes: the rest of what its products need.
#[cfg(any(test, target_arch = "aarch64", target_arch = "wasm32"))]
pub(crate) trait Dots: Vector {
    /// Four bytes of k of four rows, ready to be multiplied.
    type Bytes: Copy;
    /// Four bytes of k of one token, likewise.
    type Token: Copy;
    /// Sums of four rows on their way.
    type Sums: Copy;

    /// Four floats.
    fn load_floats(floats: &[f32; 4]) -> Self::Floats;
    /// The lanes.
    fn store_floats(floats: Self::Floats, out: &mut [f32; 4]);
    /// Lane by lane.
    fn add(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a * b + c`, in one rounding where the instruction set can.
    fn mul_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// `c - a * b`, likewise.
    fn mul_sub(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;

    /// Signed bytes as weights of a panel.
    fn bytes(self) -> Self::Bytes;
    /// Four signed bytes of one token.
    fn token(word: i32) -> Self::Token;
    /// Sums of nothing.
    fn no_sums() -> Self::Sums;
    /// Adds the products of four values of k to each row's sum.
    fn dot(sums: Self::Sums, weights: Self::Bytes, token: Self::Token) -> Self::Sums;
    /// One lane per row.
    fn total(sums: Self::Sums) -> Self;
}
