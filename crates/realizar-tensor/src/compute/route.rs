//! Choosing experts.

use super::Compute;
use crate::{Rows, Vector};

/// The smallest sum of weights that is divided by.
const LEAST_SUM: f32 = 6.103_515_6e-5;

/// How the scores of experts become weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scoring {
    /// Softmax over all experts, then the best.
    Softmax,
    /// Sigmoid of each.
    Sigmoid,
    /// The best, then softmax over those.
    SoftmaxOfChosen,
}

/// What a group of experts is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupScore {
    /// The sum of its two best scores.
    BestTwo,
    /// Its best score.
    Best,
}

/// How experts are chosen and weighed.
#[derive(Debug, Clone, Copy)]
pub struct RouteSpec<'a> {
    /// Experts to choose from.
    pub experts: usize,
    /// Experts per token.
    pub used: usize,
    /// Scores to weights.
    pub scoring: Scoring,
    /// Added to the scores for choosing only.
    pub selection_bias: Option<&'a Vector>,
    /// Groups of experts of which only the best take part; 0 or 1: no groups.
    pub groups: usize,
    /// Groups that take part.
    pub groups_used: usize,
    /// What makes a group the best.
    pub group_score: GroupScore,
    /// Whether weights are divided by their sum.
    pub normalise: bool,
    /// Factor of all weights.
    pub scale: f32,
}

/// The experts of each row and their weights.
#[derive(Debug, Clone)]
pub struct Routes {
    used: usize,
    experts: Vec<u32>,
    weights: Vec<f32>,
}

impl Routes {
    /// Room for `rows` rows of `used` experts.
    ///
    /// # Panics
    /// When `used` is zero.
    #[must_use]
    pub fn with_capacity(rows: usize, used: usize) -> Self {
        assert!(used > 0, "routes to no expert");
        Self { used, experts: Vec::with_capacity(rows * used), weights: Vec::with_capacity(rows * used) }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.experts.len() / self.used
    }

    /// Experts per row.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }

    /// The experts of every row, row after row.
    #[must_use]
    pub fn experts(&self) -> &[u32] {
        &self.experts
    }

    /// Replaces the weight of each route by what `f` says for its expert and its weight.
    pub(super) fn weigh(&mut self, f: impl Fn(usize, f32) -> f32) {
        for (expert, weight) in self.experts.iter().zip(&mut self.weights) {
            *weight = f(*expert as usize, *weight);
        }
    }

    /// The weights that belong to [`Self::experts`].
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }
}

impl Compute {
    /// Chooses `used` experts for each row of `logits` (`[rows, experts]`). Of equal scores the lower index wins; NaN is
    /// chosen last.
    ///
    /// # Panics
    /// When the shapes of `logits`, the bias, the groups or `out` do not fit `spec`.
    pub fn route(&mut self, logits: &Rows, spec: &RouteSpec<'_>, out: &mut Routes) {
        let RouteSpec { experts, used, .. } = *spec;
        assert_eq!(logits.width(), experts, "logits of {} for {experts} experts", logits.width());
        assert!(used > 0 && used <= experts && out.used == used, "{used} of {experts} experts");
        assert!(spec.selection_bias.is_none_or(|bias| bias.len() == experts), "a bias for {experts} experts");
        let grouped = spec.groups > 1;
        assert!(
            !grouped || experts.is_multiple_of(spec.groups),
            "{experts} experts in {} groups",
            spec.groups
        );
        assert!(
            !grouped || spec.groups_used * (experts / spec.groups) >= used,
            "too few groups for {used} experts"
        );
        self.scores.resize(2 * experts, 0.0);
        let (scores, selection) = self.scores.split_at_mut(experts);
        out.experts.clear();
        out.weights.clear();
        for row in logits.read().chunks_exact(experts) {
            score(spec.scoring, row, scores);
            selection.copy_from_slice(scores);
            if let Some(bias) = spec.selection_bias {
                selection.iter_mut().zip(bias.as_slice()).for_each(|(score, bias)| *score += bias);
            }
            if grouped {
                keep_best_groups(selection, spec);
            }
            let first = out.experts.len();
            for _ in 0..used {
                let best = best(selection);
                // NaN marks what is taken or out: it loses against every number.
                selection[best] = f32::NAN;
                let taken = out.experts[first..].contains(&(best as u32));
                out.experts.push(if taken { next_free(&out.experts[first..]) } else { best as u32 });
            }
            out.weights.extend(out.experts[first..].iter().map(|&expert| scores[expert as usize]));
            finish(spec, &mut out.weights[first..]);
        }
    }

    /// `out[i]` = the sum over the routes of row i of weight times its row of `x` (`[rows * used, width]`), in the order of
    /// the routes.
    ///
    /// # Panics
    /// When the shapes do not fit the routes.
    pub fn combine(&mut self, x: &Rows, routes: &Routes, out: &mut Rows) {
        let used = routes.used;
        assert_eq!((x.rows(), x.width()), (routes.rows() * used, out.width()), "one row of `x` per route");
        out.set_rows(routes.rows());
        let kernels = self.kernels;
        self.by_rows(out, |_, mut tile| {
            for (index, row) in tile.rows().enumerate() {
                let out = tile.row(index);
                out.fill(0.0);
                for route in row * used..(row + 1) * used {
                    (kernels.add)(x.row(route), routes.weights[route], out);
                }
            }
        });
    }
}

fn score(scoring: Scoring, logits: &[f32], scores: &mut [f32]) {
    scores.copy_from_slice(logits);
    match scoring {
        Scoring::Softmax => softmax(scores),
        Scoring::Sigmoid => scores.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp())),
        Scoring::SoftmaxOfChosen => {}
    }
}

fn finish(spec: &RouteSpec<'_>, weights: &mut [f32]) {
    if spec.scoring == Scoring::SoftmaxOfChosen {
        softmax(weights);
    }
    if spec.normalise {
        let sum = weights.iter().sum::<f32>();
        let sum = if sum < LEAST_SUM { LEAST_SUM } else { sum };
        weights.iter_mut().for_each(|weight| *weight /= sum);
    }
    weights.iter_mut().for_each(|weight| *weight *= spec.scale);
}

fn softmax(values: &mut [f32]) {
    let largest = values.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    values.iter_mut().for_each(|x| *x = (*x - largest).exp());
    let sum = values.iter().sum::<f32>();
    values.iter_mut().for_each(|x| *x /= sum);
}

/// The first of the largest; 0 when all are NaN.
fn best(scores: &[f32]) -> usize {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] || (scores[best].is_nan() && !score.is_nan()) {
            best = index;
        }
    }
    best
}

/// The lowest expert that is not among these: for rows whose scores are NaN.
fn next_free(taken: &[u32]) -> u32 {
    (0..).find(|expert| !taken.contains(expert)).unwrap_or(0)
}

/// Leaves the best groups; the others' scores become NaN.
fn keep_best_groups(selection: &mut [f32], spec: &RouteSpec<'_>) {
    let RouteSpec { groups, groups_used: keep, group_score, .. } = *spec;
    let size = selection.len() / groups;
    let judged = |group: &[f32]| {
        let (mut first, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
        for &score in group {
            if score > first {
                (first, second) = (score, first);
            } else if score > second {
                second = score;
            }
        }
        if size == 1 || group_score == GroupScore::Best { first } else { first + second }
    };
    for _ in keep..groups {
        // The worst of those that are left goes; of equals the last.
        let mut worst: Option<(usize, f32)> = None;
        for (index, group) in selection.chunks_exact(size).enumerate() {
            let score = judged(group);
            if !group.iter().all(|score| score.is_nan()) && worst.is_none_or(|(_, least)| score <= least) {
                worst = Some((index, score));
            }
        }
        if let Some((index, _)) = worst {
            selection[index * size..][..size].fill(f32::NAN);
        }
    }
}
