//! What the products need of a machine's 128-bit vectors.

/// Four lanes of 32 bits, or sixteen bytes, in a register. Shifts take a count below the width.
///
/// Methods are to be inlined into functions that are compiled for the instructions they stand for.
pub(crate) trait Vector: Copy {
    /// Four f32 lanes.
    type Floats: Copy;
    /// Four bytes of k of four rows, ready to be multiplied.
    type Bytes: Copy;
    /// Four bytes of k of one token, likewise.
    type Token: Copy;
    /// Sums of four rows on their way.
    type Sums: Copy;

    /// Sixteen bytes.
    fn load(bytes: &[u8; 16]) -> Self;
    /// Four lanes.
    fn lanes(lanes: [i32; 4]) -> Self;
    /// The same byte sixteen times.
    fn splat8(byte: i8) -> Self;
    /// The same number four times.
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
    /// Lane `i` of result `j` is lane `j` of row `i`.
    fn transpose(rows: [Self; 4]) -> [Self; 4];
    /// The low 16 bits of each lane as f16.
    fn halves(self) -> Self::Floats;
    /// The signed lanes as f32.
    fn to_floats(self) -> Self::Floats;

    /// Four floats.
    fn load_floats(floats: &[f32; 4]) -> Self::Floats;
    /// The lanes.
    fn store_floats(floats: Self::Floats, out: &mut [f32; 4]);
    /// The same float four times.
    fn splat(float: f32) -> Self::Floats;
    /// Lane by lane.
    fn add(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// Lane by lane.
    fn mul(a: Self::Floats, b: Self::Floats) -> Self::Floats;
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
