//! Tensors that a checkpoint has in another form than the forward pass reads: they are made, in memory of their own
//! where more is to be done than to put them one below the other.

use bytes::Bytes;
use realizar_format::{TensorSource, TensorView};
use realizar_quant::DType;

use super::one_matrix::OneMatrix;
use crate::config::{BlockConfig, Config};

/// How a tensor is made from those of the file. The names are whole ones, behind the stem and the layer.
#[derive(Debug)]
pub(crate) struct Form {
    /// Where it comes from.
    from: Origin,
    /// What is done to it, in this order.
    steps: &'static [Step],
}

/// Where a tensor comes from.
#[derive(Debug)]
enum Origin {
    /// One tensor.
    One(&'static str),
    /// The first of two that is there.
    Either(&'static str, &'static str),
    /// Tensors that differ in a number, which stands for `{}`: one below the other.
    Many(&'static str, Per),
    /// Matrices of four-bit floats as `NAME_blocks` and `NAME_scales`; without those, `NAME` with its matrices turned.
    Packed(&'static str),
}

/// What there is one of each for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Per {
    Expert,
    Head,
    KvHead,
}

/// A change of a tensor.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Some rows of every matrix, perhaps in another order.
    Rows(Pick),
    /// Columns become rows.
    Turn,
    /// The rows become a stack of one matrix for each.
    Split(Per),
    /// A vector becomes a column, so that its elements are rows.
    Column,
}

/// Which rows.
#[derive(Debug, Clone, Copy)]
enum Pick {
    /// Queries, keys and values that stand together for each key head: all queries, all keys, all values.
    ByKind,
    /// Of each head's unpacking of the latent vector, what belongs to the key.
    LatentKey,
    /// Of each head's unpacking of the latent vector, what belongs to the value.
    LatentValue,
    /// Every second one, from the first or the second on.
    EverySecond(usize),
    /// The first or the second half of them.
    Half(usize),
    /// Those of positions that texts have: they begin behind the number of the padding token.
    BehindPadding,
}

/// A made tensor.
#[derive(Debug)]
pub(crate) struct MadeTensor {
    pub(crate) dtype: DType,
    /// Outermost first.
    pub(crate) dims: Vec<usize>,
    /// Equal stretches of its outermost dimension, in order; views of the file where nothing is changed.
    pub(crate) parts: Vec<Bytes>,
    /// The file's tensors that went into it.
    pub(crate) used: Vec<String>,
}

impl Form {
    /// A tensor whose name follows no rule.
    pub(super) const fn one(name: &'static str) -> Self {
        Self { from: Origin::One(name), steps: &[] }
    }

    /// The first of two tensors that is there.
    pub(super) const fn either(first: &'static str, second: &'static str) -> Self {
        Self { from: Origin::Either(first, second), steps: &[] }
    }

    /// Tensors that differ in a number, one below the other.
    pub(super) const fn many(pattern: &'static str, per: Per) -> Self {
        Self { from: Origin::Many(pattern, per), steps: &[] }
    }

    /// A matrix that is stored by columns.
    pub(super) const fn turned(name: &'static str) -> Self {
        Self { from: Origin::One(name), steps: &[Step::Turn] }
    }

    /// One projection to queries, keys and values, ordered by key heads.
    pub(super) const fn by_key_head(name: &'static str) -> Self {
        Self { from: Origin::One(name), steps: &[Step::Rows(Pick::ByKind)] }
    }

    /// The biases of such a projection.
    pub(super) const fn biases_by_key_head(name: &'static str) -> Self {
        Self { from: Origin::One(name), steps: &[Step::Column, Step::Rows(Pick::ByKind)] }
    }

    /// What brings queries into the latent space.
    pub(super) const fn latent_keys(name: &'static str) -> Self {
        let steps = &[Step::Rows(Pick::LatentKey), Step::Split(Per::Head), Step::Turn];
        Self { from: Origin::One(name), steps }
    }

    /// What brings latent vectors to value heads.
    pub(super) const fn latent_values(name: &'static str) -> Self {
        Self { from: Origin::One(name), steps: &[Step::Rows(Pick::LatentValue), Step::Split(Per::Head)] }
    }

    /// Positions without those that padding took.
    pub(super) const fn behind_padding(name: &'static str) -> Self {
        Self { from: Origin::One(name), steps: &[Step::Rows(Pick::BehindPadding)] }
    }

    /// One of two matrices, one below the other.
    pub(super) const fn upper_half(name: &'static str) -> Self {
        Self { from: Origin::One(name), steps: &[Step::Rows(Pick::Half(0))] }
    }

    /// The lower of the two.
    pub(super) const fn lower_half(name: &'static str) -> Self {
        Self { from: Origin::One(name), steps: &[Step::Rows(Pick::Half(1))] }
    }

    /// Experts' matrices, perhaps of four-bit floats.
    pub(super) const fn packed(name: &'static str) -> Self {
        Self { from: Origin::Packed(name), steps: &[] }
    }

    /// The gates among experts' matrices whose rows alternate with those beside the gate.
    pub(super) const fn packed_gates(name: &'static str) -> Self {
        Self { from: Origin::Packed(name), steps: &[Step::Rows(Pick::EverySecond(0))] }
    }

    /// What stands beside those gates.
    pub(super) const fn packed_ups(name: &'static str) -> Self {
        Self { from: Origin::Packed(name), steps: &[Step::Rows(Pick::EverySecond(1))] }
    }

    /// The biases of such gates.
    pub(super) const fn gate_biases(name: &'static str) -> Self {
        Self { from: Origin::One(name), steps: &[Step::Column, Step::Rows(Pick::EverySecond(0))] }
    }

    /// The biases of what stands beside them.
    pub(super) const fn up_biases(name: &'static str) -> Self {
        Self { from: Origin::One(name), steps: &[Step::Column, Step::Rows(Pick::EverySecond(1))] }
    }

    /// The first of the file's tensors that it is made from: what an error can name.
    pub(crate) fn first_name(&self, stem: &str) -> String {
        match self.from {
            Origin::One(name) | Origin::Either(name, _) | Origin::Packed(name) => format!("{stem}{name}"),
            Origin::Many(pattern, _) => format!("{stem}{}", pattern.replacen("{}", "0", 1)),
        }
    }

    /// Whether the file has what it is made from.
    pub(crate) fn is_there(&self, source: &dyn TensorSource, stem: &str) -> bool {
        let has = |name: &str| source.tensor(name).is_some();
        let first = self.first_name(stem);
        match self.from {
            Origin::Packed(_) => has(&first) || has(&format!("{first}_blocks")),
            Origin::Either(_, second) => has(&first) || has(&format!("{stem}{second}")),
            Origin::One(_) | Origin::Many(..) => has(&first),
        }
    }

    /// How many matrices there are, if each is made from the one of the same number in the file's stack alone.
    pub(crate) fn matrices(&self, source: &dyn TensorSource, stem: &str) -> Option<usize> {
        let Origin::Packed(name) = self.from else { return None };
        let blocks = source.tensor(&format!("{stem}{name}_blocks"));
        let view = blocks.or_else(|| source.tensor(&format!("{stem}{name}")))?;
        (view.shape.len() > 2).then(|| view.shape[0])
    }

    /// Makes one of the [`matrices`](Self::matrices), as a stack of one.
    pub(crate) fn make_one(
        &self,
        source: &dyn TensorSource,
        stem: &str,
        counts: Counts,
        number: usize,
    ) -> Result<MadeTensor, String> {
        self.make(&OneMatrix::of(source, number), stem, counts)
    }

    /// Makes the tensor; an error is the name of a tensor that is missing, or does not go with the others.
    pub(crate) fn make(
        &self,
        source: &dyn TensorSource,
        stem: &str,
        counts: Counts,
    ) -> Result<MadeTensor, String> {
        let mut made = match self.from {
            Origin::One(name) => MadeTensor::of(&find(source, format!("{stem}{name}"))?),
            Origin::Either(first, second) => {
                let found = find(source, format!("{stem}{first}"));
                MadeTensor::of(
                    &found.or_else(|first| find(source, format!("{stem}{second}")).map_err(|_| first))?,
                )
            }
            Origin::Many(pattern, per) => stacked(source, stem, pattern, per.count(counts))?,
            Origin::Packed(name) => packed(source, format!("{stem}{name}"))?,
        };
        for step in self.steps {
            let changed = match step {
                Step::Rows(pick) => made.rows(|rows| pick.rows(rows, counts, source)),
                Step::Turn => made.turned(),
                Step::Split(per) => made.split(per.count(counts)),
                Step::Column => {
                    made.dims.push(1);
                    Some(made)
                }
            };
            made = changed.ok_or_else(|| self.first_name(stem))?;
        }
        Ok(made)
    }
}

/// What a form must know of the model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    value_dim: usize,
    experts: usize,
    /// Of a head's unpacking of the latent vector: rows of the key and of the value.
    unpacked: [usize; 2],
}

impl Counts {
    pub(crate) fn of(config: &Config) -> Self {
        let Config { moe, latent, .. } = *config;
        // The checkpoints that need this have blocks of one shape.
        let shape = |block: &BlockConfig| [block.heads, block.kv_heads, block.head_dim, block.value_dim];
        let [heads, kv_heads, head_dim, value_dim] = config.blocks.first().map_or([0; 4], shape);
        let unpacked = latent.map_or([0; 2], |latent| [latent.head_dim - latent.rotated, latent.value_dim]);
        Self { heads, kv_heads, head_dim, value_dim, experts: moe.map_or(0, |moe| moe.experts), unpacked }
    }
}

#[cfg(test)]
impl Counts {
    /// Of a model that has nothing but experts.
    pub(super) fn of_experts(experts: usize) -> Self {
        Self { heads: 0, kv_heads: 0, head_dim: 0, value_dim: 0, experts, unpacked: [0; 2] }
    }
}

impl Per {
    fn count(self, counts: Counts) -> usize {
        match self {
            Self::Expert => counts.experts,
            Self::Head => counts.heads,
            Self::KvHead => counts.kv_heads,
        }
    }
}

impl Pick {
    /// The rows of a matrix of `rows` that are taken, in their new order; `None` if the matrix cannot be such a one.
    fn rows(self, rows: usize, counts: Counts, source: &dyn TensorSource) -> Option<Vec<usize>> {
        let Counts { heads, kv_heads, head_dim, value_dim, unpacked: [key, value], .. } = counts;
        let part = |groups: usize, group: usize, first: usize, width: usize| {
            (0..groups).flat_map(move |at| (0..width).map(move |row| at * group + first + row))
        };
        match self {
            Self::ByKind => {
                let queries = heads / kv_heads * head_dim;
                let group = queries + head_dim + value_dim;
                let parts = [(0, queries), (queries, head_dim), (queries + head_dim, value_dim)];
                let rows_of = |(first, width)| part(kv_heads, group, first, width);
                (rows == kv_heads * group).then(|| parts.into_iter().flat_map(rows_of).collect())
            }
            Self::LatentKey => {
                (rows == heads * (key + value)).then(|| part(heads, key + value, 0, key).collect())
            }
            Self::LatentValue => {
                (rows == heads * (key + value)).then(|| part(heads, key + value, key, value).collect())
            }
            Self::EverySecond(first) => rows.is_multiple_of(2).then(|| (first..rows).step_by(2).collect()),
            Self::Half(half) => {
                let width = rows / 2;
                rows.is_multiple_of(2).then(|| (half * width..(half + 1) * width).collect())
            }
            Self::BehindPadding => {
                let padding = source.metadata("config.pad_token_id").and_then(|id| id.as_u32()).unwrap_or(1);
                Some((padding as usize + 1..rows).collect())
            }
        }
    }
}

impl MadeTensor {
    fn of(view: &TensorView<'_>) -> Self {
        let (dims, used) = (view.shape.to_vec(), vec![view.name.to_owned()]);
        Self { dtype: view.dtype, dims, parts: vec![view.data.clone()], used }
    }

    /// All its bytes, in memory of their own if there are several parts.
    pub(crate) fn joined(&self) -> Bytes {
        match &self.parts[..] {
            [whole] => whole.clone(),
            parts => parts.concat().into(),
        }
    }

    /// Matrices, their rows, and the bytes of a row.
    fn layout(&self) -> Option<(usize, usize, usize)> {
        let (cols, outer) = self.dims.split_last()?;
        let (rows, stack) = outer.split_last()?;
        Some((stack.iter().product(), *rows, self.dtype.row_bytes(*cols)?))
    }

    fn rows(self, pick: impl FnOnce(usize) -> Option<Vec<usize>>) -> Option<Self> {
        let (stack, rows, row_bytes) = self.layout()?;
        let picked = pick(rows)?;
        let old = self.joined();
        let mut data = Vec::with_capacity(stack * picked.len() * row_bytes);
        for matrix in 0..stack {
            for row in &picked {
                let start = (matrix * rows + row) * row_bytes;
                data.extend_from_slice(old.get(start..start + row_bytes)?);
            }
        }
        let mut dims = self.dims;
        let at = dims.len() - 2;
        dims[at] = picked.len();
        Some(Self { dims, parts: vec![data.into()], ..self })
    }

    fn turned(self) -> Option<Self> {
        let (stack, rows, row_bytes) = self.layout()?;
        let cols = *self.dims.last()?;
        let size = self.dtype.block_bytes();
        let old = self.joined();
        if self.dtype.block_elems() != 1 || old.len() != stack * rows * row_bytes {
            return None;
        }
        let mut data = Vec::with_capacity(old.len());
        for matrix in 0..stack {
            for col in 0..cols {
                for row in 0..rows {
                    let start = (matrix * rows + row) * row_bytes + col * size;
                    data.extend_from_slice(&old[start..start + size]);
                }
            }
        }
        let mut dims = self.dims;
        let last = dims.len() - 1;
        dims.swap(last - 1, last);
        Some(Self { dims, parts: vec![data.into()], ..self })
    }

    fn split(mut self, count: usize) -> Option<Self> {
        let first = *self.dims.first()?;
        if count == 0 || !first.is_multiple_of(count) {
            return None;
        }
        self.dims[0] = first / count;
        self.dims.insert(0, count);
        Some(self)
    }
}

fn find(source: &dyn TensorSource, name: String) -> Result<TensorView<'_>, String> {
    source.tensor(&name).ok_or(name)
}

fn stacked(source: &dyn TensorSource, stem: &str, pattern: &str, count: usize) -> Result<MadeTensor, String> {
    let name = |number: usize| format!("{stem}{}", pattern.replacen("{}", &number.to_string(), 1));
    let first = find(source, name(0))?;
    let mut made = MadeTensor::of(&first);
    // A count that no file could meet takes no memory: the parts are views, and the first that is missing ends it.
    for number in 1..count {
        let part = find(source, name(number))?;
        if part.dtype != first.dtype || part.shape != first.shape {
            return Err(name(number));
        }
        made.used.push(name(number));
        made.parts.push(part.data);
    }
    made.dims.insert(0, count);
    Ok(made)
}

/// `NAME_blocks` `[..., rows, groups, 16]` holds two codes a byte, neighbours side by side, and `NAME_scales`
/// `[..., rows, groups]` their exponents. A block of ours has its exponent first, and byte `i` holds the codes `i` and
/// `i + 16`.
fn packed(source: &dyn TensorSource, name: String) -> Result<MadeTensor, String> {
    const CODES: usize = 16;
    let Ok(blocks) = find(source, format!("{name}_blocks")) else {
        let plain = MadeTensor::of(&find(source, name.clone())?);
        return plain.turned().ok_or(name);
    };
    let scales = find(source, format!("{name}_scales"))?;
    let bytes = |view: &TensorView<'_>| view.dtype.block_elems() == 1 && view.dtype.block_bytes() == 1;
    let (groups, outer) = scales.shape.split_last().ok_or_else(|| scales.name.to_owned())?;
    let fits = blocks.shape.split_last() == Some((&CODES, &scales.shape[..]));
    if !fits || !bytes(&blocks) || !bytes(&scales) {
        return Err(blocks.name.to_owned());
    }
    let mut data = Vec::with_capacity(scales.data.len() * (CODES + 1));
    for (codes, scale) in blocks.data.chunks_exact(CODES).zip(scales.data.iter()) {
        let code = |at: usize| codes[at / 2] >> (4 * (at % 2)) & 15;
        data.push(*scale);
        data.extend((0..CODES).map(|at| code(at) | code(at + CODES) << 4));
    }
    let dims = [outer, &[groups * 2 * CODES]].concat();
    let used = vec![blocks.name.to_owned(), scales.name.to_owned()];
    Ok(MadeTensor { dtype: DType::MXFP4, dims, parts: vec![data.into()], used })
}
