//! The vectors as plain arrays: the products of this module on any machine, for its tests.

use super::vector::{Dots, Vector};

impl Vector for [i32; 4] {
    type Floats = [f32; 4];
    const ROWS: usize = 4;

    fn load<'a>(row: impl Fn(usize) -> &'a [u8; 16], first: usize) -> Self {
        bytemuck::cast(*row(first))
    }

    fn splat8(byte: i8) -> Self {
        bytemuck::cast([byte; 16])
    }

    fn splat32(lane: i32) -> Self {
        [lane; 4]
    }

    fn and(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] & other[i])
    }

    fn or(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] | other[i])
    }

    fn sub8(self, other: Self) -> Self {
        let (a, b): ([i8; 16], [i8; 16]) = (bytemuck::cast(self), bytemuck::cast(other));
        bytemuck::cast::<[i8; 16], _>(std::array::from_fn(|i| a[i].wrapping_sub(b[i])))
    }

    fn shr8(self, count: u32) -> Self {
        bytemuck::cast(bytemuck::cast::<_, [u8; 16]>(self).map(|byte| byte >> count))
    }

    fn shl8(self, count: u32) -> Self {
        bytemuck::cast(bytemuck::cast::<_, [u8; 16]>(self).map(|byte| byte << count))
    }

    fn shr32(self, count: u32) -> Self {
        self.map(|lane| (lane as u32 >> count) as i32)
    }

    fn shl32(self, count: u32) -> Self {
        self.map(|lane| lane << count)
    }

    fn sar32(self, count: u32) -> Self {
        self.map(|lane| lane >> count)
    }

    fn mul_add32(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|i| self[i].wrapping_add(a[i].wrapping_mul(b[i])))
    }

    fn lookup(self, table: &[i8; 16]) -> Self {
        bytemuck::cast(bytemuck::cast::<_, [u8; 16]>(self).map(|byte| table[usize::from(byte)]))
    }

    fn transpose(rows: [Self; 4]) -> [Self; 4] {
        std::array::from_fn(|j| std::array::from_fn(|i| rows[i][j]))
    }

    fn halves(self) -> [f32; 4] {
        self.map(|lane| realizar_quant::f16_to_f32(lane as u16))
    }

    fn to_floats(self) -> [f32; 4] {
        self.map(|lane| lane as f32)
    }

    fn half_of(row: impl Fn(usize) -> u16) -> [f32; 4] {
        std::array::from_fn(|i| realizar_quant::f16_to_f32(row(i)))
    }

    fn float_of(row: impl Fn(usize) -> f32) -> [f32; 4] {
        Self::load_floats(&std::array::from_fn(row))
    }

    fn splat(float: f32) -> [f32; 4] {
        [float; 4]
    }

    fn mul(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] * b[i])
    }
}

impl Dots for [i32; 4] {
    type Bytes = [i32; 4];
    type Token = i32;
    type Sums = [i32; 4];

    fn load_floats(floats: &[f32; 4]) -> [f32; 4] {
        *floats
    }

    fn store_floats(floats: [f32; 4], out: &mut [f32; 4]) {
        *out = floats;
    }

    fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] + b[i])
    }

    fn mul_add(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
    }

    fn mul_sub(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| (-a[i]).mul_add(b[i], c[i]))
    }

    fn bytes(self) -> Self {
        self
    }

    fn token(word: i32) -> i32 {
        word
    }

    fn no_sums() -> Self {
        [0; 4]
    }

    fn dot(sums: Self, weights: Self, token: i32) -> Self {
        let bytes = |word: i32| word.to_le_bytes().map(|byte| i32::from(byte as i8));
        let four = |w: i32| bytes(w).iter().zip(bytes(token)).map(|(w, a)| w * a).sum::<i32>();
        std::array::from_fn(|i| sums[i] + four(weights[i]))
    }

    fn total(sums: Self) -> Self {
        sums
    }
}
