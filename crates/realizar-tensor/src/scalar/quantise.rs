//! int8 activations. Every table computes the same integers and scales.

use crate::acts::{ActKind, SUPER, word};

/// See [`Kernels::quantise`](crate::Kernels).
#[inline(always)]
pub(crate) fn quantise(kind: ActKind, x: &[f32], width: usize, block: usize, words: &mut [i32]) {
    let tokens = x.len() / width;
    let mut buffer = [0.0; SUPER];
    for (token, row) in x.chunks_exact(width).enumerate() {
        let values = padded(row, block, &mut buffer);
        let mut record = Record { words, tokens, token };
        match kind {
            ActKind::Block32 => by_block(values, &mut record),
            ActKind::Super256 => by_super(values, &mut record),
        }
    }
}

/// 256-block number `block` of a row: in place, or with zeros behind it in the buffer.
#[inline(always)]
pub(crate) fn padded<'a>(row: &'a [f32], block: usize, buffer: &'a mut [f32; SUPER]) -> &'a [f32; SUPER] {
    let part = &row[block * SUPER..row.len().min((block + 1) * SUPER)];
    match part.first_chunk() {
        Some(whole) => whole,
        None => {
            buffer[..part.len()].copy_from_slice(part);
            buffer[part.len()..].fill(0.0);
            buffer
        }
    }
}

/// One token's words of a group.
struct Record<'a> {
    words: &'a mut [i32],
    tokens: usize,
    token: usize,
}

impl Record<'_> {
    #[inline(always)]
    fn put(&mut self, word: usize, value: i32) {
        self.words[word * self.tokens + self.token] = value;
    }

    /// Words of four int8 values each.
    #[inline(always)]
    fn put_values(&mut self, first: usize, q: &[i8]) {
        for (i, four) in q.as_chunks::<4>().0.iter().enumerate() {
            self.put(first + i, i32::from_le_bytes(four.map(|q| q as u8)));
        }
    }
}

#[inline(always)]
fn by_block(values: &[f32; SUPER], record: &mut Record<'_>) {
    for (block, x) in values.as_chunks::<32>().0.iter().enumerate() {
        let (scale, inverse) = scale_of(largest(x), 0.0);
        let q = x.map(|x| to_i8(x, inverse));
        let sum: i32 = q.iter().map(|&q| i32::from(q)).sum();
        record.put_values(block * 8, &q);
        record.put(word::B32_MINUS_128 + block, -128 * sum);
        record.put(word::B32_MINUS_8 + block, -8 * sum);
        record.put(word::B32_SCALE + block, scale.to_bits() as i32);
    }
}

#[inline(always)]
fn by_super(values: &[f32; SUPER], record: &mut Record<'_>) {
    let parts = values.as_chunks::<16>().0;
    let mut heaviest = 0.0f32;
    for part in parts {
        // Halves onto halves: a fixed order that widens.
        let mut sums = part.map(f32::abs);
        let mut width = 8;
        while width > 0 {
            for i in 0..width {
                sums[i] += sums[i + width];
            }
            width /= 2;
        }
        heaviest = if sums[0] > heaviest { sums[0] } else { heaviest };
    }
    let (scale, inverse) = scale_of(largest(values), heaviest);
    let mut sums = [0i32; 16];
    for (index, x) in parts.iter().enumerate() {
        let q = x.map(|x| to_i8(x, inverse));
        sums[index] = q.iter().map(|&q| i32::from(q)).sum();
        record.put_values(index * 4, &q);
        record.put(word::S16_MINUS_32 + index, -32 * sums[index]);
    }
    let halves: [i32; 8] = std::array::from_fn(|b| sums[2 * b] + sums[2 * b + 1]);
    for (block, sum) in halves.iter().enumerate() {
        record.put(word::S32_MINUS_16 + block, -16 * sum);
    }
    for (index, block) in [0, 1, 4, 5].into_iter().enumerate() {
        record.put(word::S32_PAIRS + index, (halves[block] & 0xffff) | halves[block + 2] << 16);
    }
    record.put(word::S_SCALE, scale.to_bits() as i32);
}

/// Bits of the largest magnitude; as integers they are ordered as the floats are, with infinity and NaN above all.
#[inline(always)]
fn largest(x: &[f32]) -> u32 {
    x.iter().map(|x| x.to_bits() & 0x7fff_ffff).fold(0, u32::max)
}

/// Scale and its inverse for values up to `largest` (as bits) of which no 16 weigh more than `heaviest`.
///
/// 127 steps for the largest value, and at most 1015 + 8 for any 16 together, so that 16 products with weights up to
/// 32 stay within 16 bits. A value that is not finite makes the scale NaN, and with it every product; values so small
/// that the inverse overflows count as zero.
#[inline(always)]
pub(crate) fn scale_of(largest: u32, heaviest: f32) -> (f32, f32) {
    if largest >= f32::INFINITY.to_bits() || heaviest == f32::INFINITY {
        return (f32::NAN, 0.0);
    }
    let (by_value, by_weight) = (f32::from_bits(largest) / 127.0, heaviest / 1015.0);
    let scale = if by_weight > by_value { by_weight } else { by_value };
    let inverse = 1.0 / scale;
    if inverse < f32::INFINITY { (scale, inverse) } else { (0.0, 0.0) }
}

/// Rounds half to even. The scale keeps the value within 127.
#[inline(always)]
fn to_i8(x: f32, inverse: f32) -> i8 {
    // Adding 1.5 * 2^23 leaves the rounded integer in the low bits; this widens where a conversion does not.
    ((x * inverse + 12_582_912.0).to_bits() as i32) as i8
}

#[cfg(test)]
mod tests {
    use super::{scale_of, to_i8};

    #[test]
    fn rounding_is_half_to_even() {
        for (x, q) in [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (126.6, 127), (-127.0, -127)] {
            assert_eq!(to_i8(x, 1.0), q, "{x}");
        }
    }

    #[test]
    fn scales_survive_extremes() {
        let bits = f32::to_bits;
        assert_eq!(scale_of(bits(127.0), 0.0), (1.0, 1.0));
        assert_eq!(scale_of(bits(127.0), 2030.0), (2.0, 0.5));
        assert_eq!(scale_of(0, 0.0), (0.0, 0.0));
        assert_eq!(scale_of(bits(1e-40), 1e-40), (0.0, 0.0));
        assert!(scale_of(bits(f32::INFINITY), 0.0).0.is_nan());
        assert!(scale_of(bits(f32::NAN), 0.0).0.is_nan());
        assert!(scale_of(bits(1e38), f32::INFINITY).0.is_nan());
        let (scale, inverse) = scale_of(bits(f32::MAX), 0.0);
        assert_eq!(to_i8(f32::MAX, inverse), 127, "{scale}");
    }
}
