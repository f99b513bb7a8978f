//! The table of kernels: a plain struct of function pointers, chosen once.

use std::sync::OnceLock;

use realizar_quant::DType;

use crate::acts::{ActKind, Acts, group_size};
use crate::attend::{Attend, AttendF16, Block};
use crate::matrix::Weights;
use crate::pool::Tile;
use crate::scalar::rope::Turn;
use crate::scalar::scan::{ChannelScan, Convolve, Scan};
use crate::scratch::Scratch;
use crate::{Isa, TensorError};

/// The hot functions of one instruction set.
///
/// Calling any of them is safe: a table is handed out only after the CPU features it needs were detected.
/// All of them obey the determinism rule of the crate: an output element depends on the element's own inputs and on
/// the table, never on what else is computed in the same call.
#[derive(Debug, Clone, Copy)]
pub struct Kernels {
    pub(crate) isa: Isa,
    pub(crate) name: &'static str,
    /// Most tokens per group of quantised activations.
    pub(crate) group: usize,
    /// Most tokens of a product that go in groups of another size, and most tokens of such a group; ascending.
    pub(crate) few: &'static [(usize, usize)],
    /// Formats whose products run on integers.
    pub(crate) integer: &'static [IntegerFormat],
    /// Quantises 256-block number `block` of the rows `x` (each `width` values; the tokens of one group) into the words of
    /// that group.
    pub(crate) quantise: fn(kind: ActKind, x: &[f32], width: usize, block: usize, words: &mut [i32]),
    /// f32 values of one row of an F16 or BF16 matrix.
    pub(crate) widen_f16: fn(bytes: &[u8], out: &mut [f32]),
    /// See `widen_f16`.
    pub(crate) widen_bf16: fn(bytes: &[u8], out: &mut [f32]),
    /// f32 values of keys of one head and block in q8_0: `[dim][64]` integers, `[dim / 32][64]` scales.
    pub(crate) widen_q8_keys: fn(values: &[u8], scales: &[f32], out: &mut [f32]),
    /// The same for values: parts of 32 integers, and the scale of each part.
    pub(crate) widen_q8_values: fn(values: &[u8], scales: &[f32], out: &mut [f32]),
    /// Products of f32 weight rows with f32 rows.
    pub(crate) dots: fn(Dots<'_>, out: &mut Tile<'_, f32>),
    /// Products of f16 weight rows where they lie, with [`Self::dots`]' lanes and tree; the buffer has [`half_sums`] floats.
    /// Without it, rows are widened first.
    pub(crate) half: Option<HalfProduct>,
    /// `out = x * gain / sqrt(mean(x^2) + eps)`.
    pub(crate) rms_norm: fn(x: &[f32], gain: &[f32], eps: f32, out: &mut [f32]),
    /// `out = (x - mean) * gain / sqrt(variance + eps) + bias`.
    pub(crate) layer_norm: LayerNorm,
    /// `gate = act(gate) * up`, or `act(gate)` without `up`.
    pub(crate) gate: fn(kind: crate::Gate, gate: &mut [f32], up: Option<&[f32]>),
    /// `x = cap * tanh(x / cap)`.
    pub(crate) softcap: fn(x: &mut [f32], cap: f32),
    /// `into += scale * x`.
    pub(crate) add: fn(x: &[f32], scale: f32, into: &mut [f32]),
    /// Rotates the heads of a row; the buffer has two values per pair.
    pub(crate) rope: fn(turn: &Turn<'_>, row: &mut [f32], copy: &mut [f32]),
    /// As many f32 values as f16, rounded half to even.
    pub(crate) narrow_f16: fn(x: &[f32], out: &mut [[u8; 2]]),
    /// Loops at the machine's bounds.
    pub(crate) peak: Peak,
    /// The tokens of a span through some columns of a recurrent state.
    pub(crate) scan: fn(&Scan<'_>, state: &mut [f32], out: &mut Tile<'_, f32>),
    /// The same for channels with numbers of their own.
    pub(crate) scan_channels: fn(&ChannelScan<'_>, state: &mut [f32], out: &mut Tile<'_, f32>),
    /// A convolution of channels over the tokens of a span.
    pub(crate) convolve: fn(&Convolve<'_>, state: &mut [f32], out: &mut Tile<'_, f32>),
    /// One KV block for some queries of one row or of rows that all see it whole.
    pub(crate) attend: fn(Block<'_, f32>, Attend<'_>),
    /// The same for a few queries and a block as it is stored in f16. Without it, blocks are widened first.
    pub(crate) attend_f16: Option<AttendF16>,
}

/// How products with weights of one type run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Way {
    /// On integers.
    Integers,
    /// On floats where they lie.
    Floats,
    /// On floats, which rows of 16 bits become first.
    Widened,
    /// On floats, which rows are decoded to first: right, and slow.
    Decoded,
}

/// Loops that do nothing but multiply and add in registers, as fast as the instruction set can; each returns how many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peak {
    pub(crate) int8: fn() -> f64,
    pub(crate) f32: fn() -> f64,
}

/// The integer product of one weight format.
#[derive(Debug)]
pub(crate) struct IntegerFormat {
    pub(crate) dtype: DType,
    pub(crate) kind: ActKind,
    /// `out[token][row] = weights[row] . activations[token]` for all tokens and all rows of the tile.
    pub(crate) product: IntegerProduct,
}

/// See [`Kernels::layer_norm`].
pub(crate) type LayerNorm = fn(x: &[f32], gain: &[f32], bias: Option<&[f32]>, eps: f32, out: &mut [f32]);

/// See [`IntegerFormat::product`].
pub(crate) type IntegerProduct = fn(&Weights<'_>, &Acts<'_>, &mut Scratch, &mut Tile<'_, f32>);

/// Rows and tokens whose sums [`Kernels::half`] keeps at a time, at most.
pub(crate) const HALF_ROWS: usize = 64;
/// See [`HALF_ROWS`].
pub(crate) const HALF_TOKENS: usize = 48;

/// How many sums a product of f16 rows with so many tokens keeps: sixteen lanes of each.
pub(crate) fn half_sums(tokens: usize) -> usize {
    HALF_ROWS * tokens.min(HALF_TOKENS) * 16
}

/// Tokens that a kernel may take with the sums of all blocks of sixteen rows kept until the rows are done, at most.
pub(crate) const ALONG_MOST: usize = 2;

/// How many words the activations that meet the weights are then, and how many such sums and their scales.
pub(crate) fn along_words(tokens: usize, width: usize) -> (usize, usize) {
    let (width, tokens) = (width.next_multiple_of(2 * crate::acts::SUPER), tokens.min(ALONG_MOST));
    (width * tokens / 4, width * (tokens + 1) + 16 * 16)
}

/// See [`Kernels::half`]: rows of f16, tokens of as many values as a row has, `out[token][r] = weights[r] . x[token]`.
pub(crate) type HalfProduct = fn(weights: &Weights<'_>, x: &[f32], sums: &mut [f32], out: &mut Tile<'_, f32>);

/// Arguments of [`Kernels::dots`]: `out[token][first_row + r] = weights[r] . x[token]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dots<'a> {
    /// Rows of `k` values.
    pub(crate) weights: &'a [f32],
    /// Tokens of `k` values.
    pub(crate) x: &'a [f32],
    pub(crate) k: usize,
    /// The tile's column of the first weight row.
    pub(crate) first_row: usize,
}

impl Kernels {
    /// Every table that this machine can run: the best, the same with Trueno's part, lower levels down to scalar.
    #[must_use]
    pub fn available() -> &'static [&'static Self] {
        static TABLES: OnceLock<Vec<&'static Kernels>> = OnceLock::new();
        TABLES.get_or_init(|| {
            let mut tables: Vec<&'static Self> = Vec::new();
            #[cfg(target_arch = "x86_64")]
            tables.extend(crate::x86::tables());
            #[cfg(target_arch = "aarch64")]
            tables.extend(crate::aarch64::table());
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            tables.extend([&crate::wasm::TABLE]);
            tables.extend([&crate::scalar::TABLE]);
            #[cfg(feature = "trueno")]
            tables.insert(1, crate::trueno::table(tables[0]));
            tables
        })
    }

    /// The best table of this machine; never one with Trueno's part, which is slower where it was measured.
    #[must_use]
    pub fn detect() -> &'static Self {
        Self::available()[0]
    }

    /// The best table with Trueno's f32 products and norms in place of ours.
    #[cfg(feature = "trueno")]
    #[must_use]
    pub fn trueno() -> &'static Self {
        crate::trueno::table(Self::detect())
    }

    /// The best table of one level, if this machine has it.
    #[must_use]
    pub fn for_isa(isa: Isa) -> Option<&'static Self> {
        Self::available().iter().copied().find(|table| table.isa == isa)
    }

    /// The table of [`Self::available`] with this name: `avx2`, `scalar`, `avx512+trueno`.
    ///
    /// # Errors
    /// When there is none; the error lists those that there are.
    pub fn named(name: &str) -> Result<&'static Self, TensorError> {
        Self::available().iter().copied().find(|table| table.name == name).ok_or_else(|| {
            let known = Self::available().iter().map(|table| table.name).collect::<Vec<_>>().join(", ");
            TensorError::UnknownKernels { found: name.to_owned(), known }
        })
    }

    /// The level of vector instructions.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The level's name, with `+trueno` where Trueno supplies the f32 products and the norms.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How products with weights of this type run.
    #[must_use]
    pub fn way(&self, dtype: DType) -> Way {
        match dtype {
            _ if self.integer_format(dtype).is_some() => Way::Integers,
            DType::F32 => Way::Floats,
            DType::F16 if self.half.is_some() => Way::Floats,
            DType::F16 | DType::BF16 => Way::Widened,
            _ => Way::Decoded,
        }
    }

    /// Whether products with weights of this type run on integers; those of the others run on floats.
    #[must_use]
    pub fn multiplies_integers(&self, dtype: DType) -> bool {
        self.way(dtype) == Way::Integers
    }

    /// Tokens per group of quantised activations, when so many meet a matrix.
    pub(crate) fn group_of(&self, tokens: usize) -> usize {
        let few = self.few.iter().find(|(most, _)| tokens <= *most);
        group_size(tokens, few.map_or(self.group, |(_, group)| *group))
    }

    /// The integer format of a type, if this table has one.
    pub(crate) fn integer_format(&self, dtype: DType) -> Option<&'static IntegerFormat> {
        self.integer.iter().find(|format| format.dtype == dtype)
    }
}
