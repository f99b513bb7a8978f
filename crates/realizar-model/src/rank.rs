//! Rerankers: how well a document answers a query, from a head on the vector of the two together.

use realizar_tensor::{Compute, Gate, Product, QMatrix, Rows, Vector};

use crate::arch::Rank;
use crate::binder::Bound;
use crate::pooling::{Pooling, pool};
use crate::transformer::apply_norm;
use crate::weights::{Bind, NormWeights};

/// The head of a reranker.
#[derive(Debug)]
pub(crate) struct RankWeights {
    /// `[hidden, hidden]` with a function behind it, and in some models a norm.
    dense: Option<(QMatrix, Option<Vector>, Option<NormWeights>)>,
    /// `[classes, hidden]`.
    out: Option<(QMatrix, Option<Vector>)>,
}

const DENSE: &str = "cls.weight";
const OUT: &str = "cls.output.weight";

impl Bind<'_> {
    /// The head, where the file is a reranker's.
    pub(crate) fn rank(&mut self) -> Bound<Option<RankWeights>> {
        if !self.config.ranks {
            return Ok(Some(None));
        }
        let hidden = self.config.hidden;
        let (mut dense, mut out) = (Some(None), Some(None));
        if self.binder.has(DENSE) {
            let rows = self.binder.rows(DENSE);
            let weight = self.binder.matrix(DENSE, &[rows, hidden])?;
            let optional = crate::arch::Presence::Optional;
            let bias = self.binder.vector_if(optional, "cls.bias", &[rows])?;
            let norm = self.binder.gain(optional, "cls.norm.weight", &[rows])?;
            let kind = self.config.norm;
            let norm = norm.map(|gain| gain.map(|gain| NormWeights { kind, gain, bias: None }));
            dense = weight.zip(bias).zip(norm).map(|((weight, bias), norm)| Some((weight, bias, norm)));
        }
        // A decoder without a head says yes or no in words.
        if self.binder.has(OUT) || !self.binder.has(DENSE) && !self.config.causal() {
            let rows = self.binder.rows(OUT).max(1);
            let weight = self.binder.matrix(OUT, &[rows, hidden])?;
            let bias = self.binder.vector_if(crate::arch::Presence::Optional, "cls.output.bias", &[rows])?;
            out = weight.zip(bias).map(Some);
        }
        let built = || {
            let (dense, out) = (dense?, out?);
            Some((dense.is_some() || out.is_some()).then_some(RankWeights { dense, out }))
        };
        Ok(built())
    }
}

impl RankWeights {
    /// The score of a text whose tokens' vectors these are: the first class, as its share where a decoder has two.
    pub(crate) fn score(
        &self,
        compute: &mut Compute,
        (rank, pooling, eps): (Rank, Pooling, f32),
        vectors: &[f32],
        width: usize,
    ) -> f32 {
        let mut x = Rows::with_capacity(1, width);
        x.write(&pool(vectors, width, pooling));
        if let Some((weight, bias, norm)) = &self.dense {
            let mut out = Rows::with_capacity(1, weight.rows());
            compute.matmul(&x, &mut [Product { weight, bias: bias.as_ref(), out: &mut out }]);
            match rank {
                Rank::Key => compute.activate(Gate::GeluErf, &mut out),
                // `1 tanh(x / 1)`.
                Rank::End => compute.softcap(&mut out, 1.0),
            }
            x = out;
            if let Some(norm) = norm {
                let mut normed = Rows::with_capacity(1, x.width());
                apply_norm(compute, norm, eps, &x, &mut normed);
                x = normed;
            }
        }
        if let Some((weight, bias)) = &self.out {
            let mut out = Rows::with_capacity(1, weight.rows());
            compute.matmul(&x, &mut [Product { weight, bias: bias.as_ref(), out: &mut out }]);
            x = out;
        }
        match x.read() {
            [yes, no] if pooling == Pooling::Last => 1.0 / (1.0 + (no - yes).exp()),
            [score, ..] => *score,
            [] => f32::NAN,
        }
    }
}
