//! The feed-forward branch: plain, gated, or a mixture of experts.

use realizar_tensor::{Compute, ExpertProduct, Gate, Product, RouteSpec, Rows};

use crate::buffers::{Buffers, ExpertBuffers};
use crate::config::{Config, MoeConfig};
use crate::transformer::{Input, Pass};
use crate::weights::{Dense, Experts, FfnWeights, Linear};

impl Pass {
    /// The feed-forward branch of `input`; the result is left in `buffers.branch`.
    pub(crate) fn feed_forward(&mut self, config: &Config, weights: &FfnWeights, input: Input) {
        let Self { compute, buffers, .. } = self;
        let Buffers { x, normed, input: own, branch, spare, gate, up, experts, .. } = buffers;
        let input = input.of(x, normed, own);
        let kind = config.arch.ffn.activation;
        match (weights, config.moe.as_ref().zip(experts.as_mut())) {
            (FfnWeights::Dense(weights), _) => dense(compute, kind, weights, input, [gate, up], branch),
            (FfnWeights::Experts(weights), Some((moe, buffers))) => {
                mixture(compute, kind, moe, weights, input, buffers, branch);
                shared(compute, kind, weights, input, buffers, spare, branch);
            }
            (FfnWeights::Experts(_), None) => {}
        }
    }
}

fn product<'a>(linear: &'a Linear, out: &'a mut Rows) -> Product<'a> {
    Product { weight: &linear.weight, bias: linear.bias.as_ref(), out }
}

fn expert_product<'a>(linear: &'a Linear, out: &'a mut Rows) -> ExpertProduct<'a> {
    ExpertProduct { weight: &linear.weight, bias: linear.bias.as_ref(), out }
}

/// `out = down(act(gate x) * up x)`, or `down(act(up x))` without a gate.
fn dense(
    compute: &mut Compute,
    kind: Gate,
    weights: &Dense,
    x: &Rows,
    buffers: [&mut Rows; 2],
    out: &mut Rows,
) {
    let [gate, up] = buffers;
    let inner = match &weights.gate {
        Some(linear) => {
            compute.matmul(x, &mut [product(linear, gate), product(&weights.up, up)]);
            compute.gate(kind, gate, up);
            gate
        }
        None => {
            compute.matmul(x, &mut [product(&weights.up, up)]);
            compute.activate(kind, up);
            up
        }
    };
    compute.matmul(inner, &mut [product(&weights.down, out)]);
}

/// The experts that the router chooses for each token, weighted.
fn mixture(
    compute: &mut Compute,
    kind: Gate,
    moe: &MoeConfig,
    weights: &Experts,
    x: &Rows,
    buffers: &mut ExpertBuffers,
    out: &mut Rows,
) {
    let ExpertBuffers { router, routes, gate, up, out: inner, .. } = buffers;
    compute.matmul(x, &mut [product(&weights.router, router)]);
    let spec = RouteSpec {
        experts: moe.experts,
        used: moe.used,
        scoring: moe.scoring,
        selection_bias: weights.selection_bias.as_ref(),
        groups: moe.groups,
        groups_used: moe.groups_used,
        normalise: moe.normalise,
        scale: moe.scale,
    };
    compute.route(router, &spec, routes);
    let stack = &weights.stack;
    if let Some(linear) = &stack.gate {
        compute.matmul_experts(x, routes, &mut [expert_product(linear, gate), expert_product(&stack.up, up)]);
        compute.gate(kind, gate, up);
    }
    compute.matmul_experts(gate, routes, &mut [expert_product(&stack.down, inner)]);
    compute.combine(inner, routes, out);
}

/// Adds the expert that serves every token.
fn shared(
    compute: &mut Compute,
    kind: Gate,
    weights: &Experts,
    x: &Rows,
    buffers: &mut ExpertBuffers,
    spare: &mut Rows,
    out: &mut Rows,
) {
    let (Some(expert), Some([gate, up])) = (&weights.shared, &mut buffers.shared) else { return };
    dense(compute, kind, expert, x, [gate, up], spare);
    if let Some(weight) = &weights.shared_gate {
        let share = &mut buffers.shared_gate;
        compute.matmul(x, &mut [Product { weight, bias: None, out: share }]);
        compute.gate_rows(spare, share);
    }
    compute.add(spare, 1.0, out);
}
