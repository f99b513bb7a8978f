//! The feed-forward branch: plain, gated, or a mixture of experts.

use realizar_tensor::{Compute, Gate, HeadCols, Product, RouteSpec, Rows, Vector};

use crate::attention::norm_parts;
use crate::buffers::{Buffers, ExpertBuffers};
use crate::config::{Config, MoeConfig};
use crate::linear::{expert_product, project, project_gated};
use crate::transformer::{Input, Pass, apply_norm};
use crate::weights::{Dense, ExpertInput, Experts, FfnWeights};

impl Pass {
    /// The feed-forward branch of `input`; the result is left in `buffers.branch`.
    pub(crate) fn feed_forward(&mut self, config: &Config, layer: usize, weights: &FfnWeights, input: Input) {
        let Self { compute, buffers, .. } = self;
        let Buffers { x, normed, input: own, branch, spare, gate, up, experts, .. } = buffers;
        let input = input.of(x, normed, own);
        let (block, eps) = (&config.blocks[layer], config.norm_eps);
        match (weights, config.moe.as_ref().zip(experts.as_mut())) {
            (FfnWeights::Dense(weights), _) => {
                let inner = Inner { kind: block.activation, eps, sparsity: block.sparsity };
                dense(compute, inner, weights, input, [gate, up], branch);
            }
            (FfnWeights::Experts(weights), Some((moe, buffers))) => {
                let facts = config.arch.moe;
                if !facts.is_some_and(|facts| facts.routes_block_input) {
                    route_input(compute, eps, weights, x, input, buffers);
                }
                choose(compute, moe, weights, buffers);
                let weighs_input = facts.is_some_and(|facts| facts.weighs_input);
                let kind = block.expert_activation;
                mixture(compute, (kind, eps), weighs_input, weights, (x, input), buffers, branch);
                let inner = Inner { kind: block.activation, eps, sparsity: None };
                shared(compute, inner, weights, input, buffers, spare, branch);
                if let Some(facts) = facts.filter(|facts| facts.sum_scale != 1.0 && weights.shared.is_some())
                {
                    compute.scale(branch, facts.sum_scale);
                }
            }
            (FfnWeights::Experts(_), None) => {}
        }
    }

    /// Router logits of the block's input, for architectures whose router sees that.
    pub(crate) fn route_block_input(&mut self, config: &Config, weights: Option<&FfnWeights>) {
        let Self { compute, buffers: Buffers { x, experts, .. }, .. } = self;
        let early = config.arch.moe.is_some_and(|moe| moe.routes_block_input);
        if let (true, Some(FfnWeights::Experts(weights)), Some(buffers)) = (early, weights, experts) {
            project(compute, x, [(&weights.router, &mut buffers.router)]);
        }
    }
}

/// What happens between the projections of a plain branch.
#[derive(Debug, Clone, Copy)]
struct Inner {
    kind: Gate,
    eps: f32,
    sparsity: Option<f32>,
}

/// `out = down(act(gate x) * up x)`, or `down(act(up x))` without a gate.
fn dense(
    compute: &mut Compute,
    Inner { kind, eps, sparsity }: Inner,
    weights: &Dense,
    x: &Rows,
    buffers: [&mut Rows; 2],
    out: &mut Rows,
) {
    let [gate, up] = buffers;
    let inner = match &weights.gate {
        Some(linear) => {
            project(compute, x, [(linear, &mut *gate), (&weights.up, &mut *up)]);
            if let Some(deviations) = sparsity {
                compute.sparsify(gate, deviations);
            }
            if weights.inner_norm.is_none() {
                return project_gated(compute, kind, (gate, up), (&weights.down, out));
            }
            compute.gate(kind, gate, up);
            gate
        }
        None => {
            project(compute, x, [(&weights.up, &mut *up)]);
            compute.activate(kind, up);
            up
        }
    };
    if let Some(norm) = &weights.inner_norm {
        norm_parts(compute, norm, 1, eps, inner);
    }
    project(compute, inner, [(&weights.down, out)]);
}

/// Router logits of the branch's input, or of the stream where experts stand beside a plain branch.
fn route_input(
    compute: &mut Compute,
    eps: f32,
    weights: &Experts,
    x: &Rows,
    input: &Rows,
    buffers: &mut ExpertBuffers,
) {
    let ExpertBuffers { router, input: own, .. } = buffers;
    let input = match (&weights.beside, own) {
        (Some(norms), Some(own)) => {
            apply_norm(compute, &norms.router, eps, x, own);
            own
        }
        _ => input,
    };
    project(compute, input, [(&weights.router, router)]);
}

/// The experts of each token.
fn choose(compute: &mut Compute, moe: &MoeConfig, weights: &Experts, buffers: &mut ExpertBuffers) {
    let spec = RouteSpec {
        experts: moe.experts,
        used: moe.used,
        scoring: moe.scoring,
        selection_bias: weights.selection_bias.as_ref(),
        groups: moe.groups,
        groups_used: moe.groups_used,
        group_score: moe.group_score,
        normalise: moe.normalise,
        scale: moe.scale,
    };
    compute.route(&buffers.router, &spec, &mut buffers.routes);
    if let Some(scales) = &weights.output_scales {
        compute.scale_routes(&mut buffers.routes, scales);
    }
}

/// The experts that were chosen for each token, weighted.
fn mixture(
    compute: &mut Compute,
    (kind, eps): (Gate, f32),
    weighs_input: bool,
    weights: &Experts,
    (x, input): (&Rows, &Rows),
    buffers: &mut ExpertBuffers,
    out: &mut Rows,
) {
    let ExpertBuffers { routes, gate, up, fused, out: inner, input: own, narrow, spread, factors, .. } =
        buffers;
    let [first, second] = &weights.input_scales;
    let input = match (&weights.beside, &weights.latent) {
        (Some(norms), _) => {
            if let Some(own) = own {
                apply_norm(compute, &norms.before, eps, x, own);
            }
            own.as_ref().unwrap_or(input)
        }
        (None, Some([into, _])) => match narrow {
            Some([narrow, _]) => {
                project(compute, input, [(into, &mut *narrow)]);
                narrow
            }
            None => input,
        },
        (None, None) => input,
    };
    let input = match spread {
        Some(spread) if weighs_input => {
            compute.spread(input, routes, spread);
            spread
        }
        _ => input,
    };
    let mut scale = |compute: &mut Compute, scales: &Option<Vector>, x: &mut Rows| {
        if let Some(scales) = scales {
            factors.clear();
            factors.extend(routes.experts().iter().map(|expert| scales.as_slice()[*expert as usize]));
            compute.scale_rows(x, factors);
        }
    };
    match &weights.input {
        ExpertInput::Gated(gates, ups) => {
            compute.matmul_experts(
                input,
                routes,
                &mut [expert_product(gates, gate), expert_product(ups, up)],
            );
            scale(compute, first, gate);
            scale(compute, second, up);
            compute.gate(kind, gate, up);
        }
        ExpertInput::Up(ups) => {
            compute.matmul_experts(input, routes, &mut [expert_product(ups, gate)]);
            scale(compute, first, gate);
            compute.activate(kind, gate);
        }
        ExpertInput::Fused(both) => {
            if let Some(fused) = fused {
                let width = gate.width();
                let cols = |stride, offset| HeadCols { stride, offset };
                compute.matmul_experts(input, routes, &mut [expert_product(both, fused)]);
                scale(compute, first, fused);
                compute.copy_cols(fused, cols(0, 0), 1, width, gate, cols(0, 0));
                compute.copy_cols(fused, cols(0, width), 1, width, up, cols(0, 0));
                compute.gate(kind, gate, up);
            }
        }
    }
    compute.matmul_experts(gate, routes, &mut [expert_product(&weights.down, inner)]);
    match (&weights.latent, narrow) {
        (Some([_, wider]), Some([_, sum])) => {
            compute.combine(inner, routes, sum);
            project(compute, sum, [(wider, out)]);
        }
        _ => compute.combine(inner, routes, out),
    }
    if let Some(norms) = &weights.beside {
        norm_parts(compute, &norms.after, 1, eps, out);
    }
}

/// Adds the expert that serves every token.
fn shared(
    compute: &mut Compute,
    inner: Inner,
    weights: &Experts,
    x: &Rows,
    buffers: &mut ExpertBuffers,
    spare: &mut Rows,
    out: &mut Rows,
) {
    let (Some(expert), Some([gate, up])) = (&weights.shared, &mut buffers.shared) else { return };
    dense(compute, inner, expert, x, [gate, up], spare);
    if let Some(norms) = &weights.beside {
        norm_parts(compute, &norms.after_plain, 1, inner.eps, spare);
    }
    if let Some(weight) = &weights.shared_gate {
        let share = &mut buffers.shared_gate;
        compute.matmul(x, &mut [Product { weight, bias: None, out: share }]);
        compute.gate_rows(spare, share);
    }
    compute.add(spare, 1.0, out);
}
