//! Parallel streams (AltUp, arXiv:2301.13310) as in Gemma 3n: a block predicts all streams from all of them, runs on the
//! first alone, and corrects the others by what it changed there. Beside attention runs a projection of low rank
//! (LAuReL, arXiv:2411.07501).

use realizar_tensor::{Compute, HeadCols, Product, QMatrix, Rows, Vector};

use crate::arch::Streams;
use crate::attention::norm_parts;
use crate::binder::Bound;
use crate::buffers::{Buffers, Maker};
use crate::config::Config;
use crate::names;
use crate::transformer::{Pass, apply_norm};
use crate::weights::{Bind, NormWeights};

/// What makes the other streams of the first, and joins them after the last block.
#[derive(Debug)]
pub(crate) struct StreamTables {
    /// `[hidden, hidden]` for each of them.
    open: Vec<QMatrix>,
    close: Vec<QMatrix>,
}

/// Of one layer.
#[derive(Debug)]
pub(crate) struct StreamWeights {
    /// The router's norm, its gain divided by the width.
    router_norm: NormWeights,
    /// `[streams, hidden]`.
    router: QMatrix,
    /// `[streams * streams, streams]`.
    predict: QMatrix,
    /// `[streams, streams]`.
    correct: QMatrix,
    /// On the first stream, for the embedding per layer.
    pub(crate) scale: Vector,
    /// `[rank, hidden]` and back.
    low: QMatrix,
    high: QMatrix,
    low_norm: NormWeights,
}

/// Buffers of parallel streams; the first of them is `Buffers::x`.
#[derive(Debug)]
pub(crate) struct StreamBuffers {
    pub(crate) others: Vec<Rows>,
    /// All streams as a block predicts them.
    ahead: Vec<Rows>,
    /// The first stream as it was predicted.
    first: Rows,
    /// `[rows, streams]`.
    routes: Rows,
    corrections: Rows,
    /// `[rows, streams * streams]`.
    predictions: Rows,
    /// `[rows, rank]` and `[rows, hidden]`.
    low: Rows,
    beside: Rows,
}

impl StreamBuffers {
    pub(crate) fn make(streams: &Streams, config: &Config, maker: &mut Maker) -> Self {
        let Streams { count, rank, .. } = *streams;
        let hidden = config.hidden;
        Self {
            others: (1..count).map(|_| maker.chunk(hidden)).collect(),
            ahead: (0..count).map(|_| maker.chunk(hidden)).collect(),
            first: maker.chunk(hidden),
            routes: maker.chunk(count),
            corrections: maker.chunk(count),
            predictions: maker.chunk(count * count),
            low: maker.chunk(rank),
            beside: maker.chunk(hidden),
        }
    }
}

impl Bind<'_> {
    pub(crate) fn stream_tables(&mut self) -> Bound<Option<StreamTables>> {
        let Config { arch, hidden, .. } = *self.config;
        let Some(Streams { count, .. }) = arch.streams else { return Ok(Some(None)) };
        let mut stack = |name| -> Bound<Vec<QMatrix>> {
            let whole = self.binder.matrix(name, &[count - 1, hidden, hidden])?;
            let part = |whole: &QMatrix, at| whole.slice_rows(at * hidden..(at + 1) * hidden).ok();
            Ok(whole.and_then(|whole| (1..count).map(|stream| part(&whole, stream - 1)).collect()))
        };
        let (open, close) = (stack("altup_proj.weight")?, stack("altup_unembd_proj.weight")?);
        Ok(open.zip(close).map(|(open, close)| Some(StreamTables { open, close })))
    }

    pub(crate) fn streams(&mut self, layer: usize) -> Bound<Option<Box<StreamWeights>>> {
        let Config { arch, hidden, .. } = *self.config;
        let Some(Streams { count, rank, .. }) = arch.streams else { return Ok(Some(None)) };
        let part = |name| names::weight(layer, name);
        let divided = |gain: Vector| gain.as_slice().iter().map(|x| x / hidden as f32).collect();
        let router_norm = self.binder.vector(&part("altup_router_norm"), &[hidden])?;
        let router = self.binder.matrix(&part("altup_router"), &[count, hidden])?;
        let predict = self.binder.matrix(&part("altup_predict_coef"), &[count * count, count])?;
        let correct = self.binder.matrix(&part("altup_correct_coef"), &[count, count])?;
        let scale = self.binder.vector(&part("altup_correct_scale"), &[hidden])?;
        let low = self.binder.matrix(&part("laurel_l"), &[rank, hidden])?;
        let high = self.binder.matrix(&part("laurel_r"), &[hidden, rank])?;
        let low_norm = self.rms(layer, "laurel_post_norm", hidden)?;
        let built = || {
            Some(Some(Box::new(StreamWeights {
                router_norm: NormWeights::rms(Vector::from_vec(divided(router_norm?))),
                router: router?,
                predict: predict?,
                correct: correct?,
                scale: scale?,
                low: low?,
                high: high?,
                low_norm: low_norm?,
            })))
        };
        Ok(built())
    }
}

impl Pass {
    /// Makes the other streams of the embedded tokens.
    pub(crate) fn open_streams(&mut self, tables: Option<&StreamTables>) {
        let Self { compute, buffers: Buffers { x, streams, .. }, .. } = self;
        let (Some(tables), Some(buffers)) = (tables, streams) else { return };
        for (weight, out) in tables.open.iter().zip(&mut buffers.others) {
            compute.matmul(x, &mut [Product { weight, bias: None, out }]);
            compute.match_length(out, x);
        }
    }

    /// Joins the streams after the last block: their mean, at the length of the first.
    pub(crate) fn close_streams(&mut self, tables: Option<&StreamTables>) {
        let Self { compute, buffers: Buffers { x, streams, .. }, .. } = self;
        let (Some(tables), Some(buffers)) = (tables, streams) else { return };
        let StreamBuffers { others, ahead, .. } = buffers;
        for ((weight, other), out) in tables.close.iter().zip(&*others).zip(&mut *ahead) {
            compute.matmul(other, &mut [Product { weight, bias: None, out }]);
            compute.match_length(out, x);
        }
        for part in &ahead[..others.len()] {
            compute.add(part, 1.0, x);
        }
        compute.scale(x, (others.len() as f32 + 1.0).recip());
    }

    /// Predicts all streams; the block runs on the first of them.
    pub(crate) fn predict_streams(&mut self, config: &Config, weights: Option<&StreamWeights>) {
        let Self { compute, buffers: Buffers { x, spare, streams, .. }, .. } = self;
        let (Some(weights), Some(buffers)) = (weights, streams) else { return };
        let StreamBuffers { others, ahead, first, routes, predictions, .. } = buffers;
        route(compute, weights, config.norm_eps, x, (spare, routes));
        let product = Product { weight: &weights.predict, bias: None, out: predictions };
        compute.matmul(routes, &mut [product]);
        let count = ahead.len();
        let stream = |at: usize| if at == 0 { &*x } else { &others[at - 1] };
        for (to, out) in ahead.iter_mut().enumerate() {
            copy(compute, stream(to), out);
            for from in 0..count {
                compute.add_weighed(stream(from), (predictions, to * count + from, 0.0), out);
            }
        }
        let [head, tail @ ..] = ahead.as_mut_slice() else { return };
        std::mem::swap(x, head);
        others.iter_mut().zip(tail).for_each(|(other, ahead)| std::mem::swap(other, ahead));
        copy(compute, x, first);
    }

    /// The projection of low rank of the attention's input.
    pub(crate) fn low_rank(&mut self, config: &Config, weights: Option<&StreamWeights>) {
        let Self { compute, buffers: Buffers { normed, streams, .. }, .. } = self;
        let (Some(weights), Some(StreamBuffers { low, beside, .. })) = (weights, streams) else { return };
        compute.matmul(normed, &mut [Product { weight: &weights.low, bias: None, out: low }]);
        compute.matmul(low, &mut [Product { weight: &weights.high, bias: None, out: beside }]);
        norm_parts(compute, &weights.low_norm, 1, config.norm_eps, beside);
        compute.add(normed, 1.0, beside);
    }

    /// Joins it with the stream.
    pub(crate) fn join_low_rank(&mut self, weights: Option<&StreamWeights>) {
        let Self { compute, buffers: Buffers { x, streams, .. }, .. } = self;
        if let (Some(_), Some(StreamBuffers { beside, .. })) = (weights, streams) {
            compute.add(beside, 1.0, x);
            compute.scale(x, std::f32::consts::FRAC_1_SQRT_2);
        }
    }

    /// Corrects all streams by what the block made of the first.
    pub(crate) fn correct_streams(&mut self, config: &Config, weights: Option<&StreamWeights>) {
        let Self { compute, buffers: Buffers { x, spare, streams, .. }, .. } = self;
        let (Some(weights), Some(buffers)) = (weights, streams) else { return };
        let StreamBuffers { others, first, routes, corrections, .. } = buffers;
        route(compute, weights, config.norm_eps, x, (spare, routes));
        let product = Product { weight: &weights.correct, bias: None, out: corrections };
        compute.matmul(routes, &mut [product]);
        copy(compute, x, spare);
        compute.add(first, -1.0, spare);
        std::mem::swap(x, first);
        for (at, stream) in std::iter::once(x).chain(others).enumerate() {
            compute.add_weighed(spare, (corrections, at, 1.0), stream);
        }
    }
}

/// `routes = tanh(router norm(x))`.
fn route(
    compute: &mut Compute,
    weights: &StreamWeights,
    eps: f32,
    x: &Rows,
    (spare, routes): (&mut Rows, &mut Rows),
) {
    apply_norm(compute, &weights.router_norm, eps, x, spare);
    compute.matmul(spare, &mut [Product { weight: &weights.router, bias: None, out: &mut *routes }]);
    compute.softcap(routes, 1.0);
}

fn copy(compute: &mut Compute, x: &Rows, out: &mut Rows) {
    let cols = HeadCols { stride: 0, offset: 0 };
    compute.copy_cols(x, cols, 1, x.width(), out, cols);
}
