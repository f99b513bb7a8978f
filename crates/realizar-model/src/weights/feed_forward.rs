//! Binding the tensors of the feed-forward branch.

use realizar_tensor::Vector;

use super::bind::{Bind, cut};
use super::{BesideNorms, Dense, ExpertInput, Experts, NormWeights};
use crate::arch::{FfnGate, Presence, SharedExpert};
use crate::binder::Bound;
use crate::config::{Config, MoeConfig};
use crate::names;

impl Bind<'_> {
    pub(super) fn dense(&mut self, layer: usize) -> Bound<Dense> {
        let Config { arch, hidden, .. } = *self.config;
        let ffn = self.config.blocks[layer].ffn;
        let biases = arch.biases;
        let inner_norm = self.norm_of(Some(layer), arch.norms.inside_ffn, ffn)?;
        let down = self.scaled(layer, "ffn_down", biases.ffn_down, &[hidden, ffn])?;
        let dims = [ffn, hidden];
        let input = match arch.ffn.gate {
            FfnGate::None => self.scaled(layer, "ffn_up", biases.ffn, &dims)?.map(|up| (None, up)),
            FfnGate::Split => {
                let gate = self.scaled(layer, "ffn_gate", biases.ffn, &dims)?;
                let up = self.scaled(layer, "ffn_up", biases.ffn, &dims)?;
                gate.zip(up).map(|(gate, up)| (Some(gate), up))
            }
            FfnGate::Fused => {
                let whole = self.scaled(layer, "ffn_up", biases.ffn, &[2 * ffn, hidden])?;
                whole.and_then(|whole| cut(&whole, [ffn, ffn])).map(|[gate, up]| (Some(gate), up))
            }
        };
        let built = || {
            let (gate, up) = input?;
            Some(Dense { gate, up, inner_norm: inner_norm?, down: down? })
        };
        Ok(built())
    }

    pub(super) fn experts(&mut self, layer: usize, moe: &MoeConfig) -> Bound<Experts> {
        let Config { arch, hidden, .. } = *self.config;
        let MoeConfig { experts, ffn, latent, .. } = *moe;
        let Some(facts) = arch.moe else { return Ok(None) };
        let biased = arch.biases.experts;
        let router = self.linear(layer, "ffn_gate_inp", biased, &[experts, hidden])?;
        let width = if latent > 0 { latent } else { hidden };
        let up_dims = [experts, ffn, width];
        let input = if !facts.gated {
            self.linear(layer, "ffn_up_exps", biased, &up_dims)?.map(ExpertInput::Up)
        } else if self.binder.has(&names::weight(layer, "ffn_gate_up_exps")) {
            let dims = [experts, 2 * ffn, width];
            self.linear(layer, "ffn_gate_up_exps", biased, &dims)?.map(ExpertInput::Fused)
        } else {
            let gate = self.linear(layer, "ffn_gate_exps", biased, &up_dims)?;
            let up = self.linear(layer, "ffn_up_exps", biased, &up_dims)?;
            gate.zip(up).map(|(gate, up)| ExpertInput::Gated(gate, up))
        };
        let down = self.linear(layer, "ffn_down_exps", biased, &[experts, width, ffn])?;
        let parts = match &input {
            Some(ExpertInput::Fused(_)) => ["ffn_gate_up_exps", ""],
            Some(ExpertInput::Up(_)) => ["ffn_up_exps", ""],
            _ => ["ffn_gate_exps", "ffn_up_exps"],
        };
        let input_scales = self.expert_scales(layer, parts, experts)?;
        let scales = names::scale(layer, "ffn_down_exps");
        let output_scales = self.binder.vector_if(Presence::Optional, &scales, &[experts])?;
        let narrow = match latent {
            0 => Some(None),
            _ => {
                let into = self.scaled(layer, "ffn_latent_down", Presence::Never, &[latent, hidden])?;
                let out = self.scaled(layer, "ffn_latent_up", Presence::Never, &[hidden, latent])?;
                into.zip(out).map(|(into, out)| Some([into, out]))
            }
        };
        let bias = names::bias(layer, "exp_probs_b");
        let selection_bias = self.binder.vector_if(facts.selection_bias, &bias, &[experts])?;
        let (shared, shared_gate) = self.shared(layer, moe, facts.shared)?.unzip();
        let beside = self.beside(layer)?;
        let built = || {
            Some(Experts {
                router: router?,
                selection_bias: selection_bias?,
                input: input?,
                down: down?,
                output_scales: output_scales?,
                input_scales: input_scales?,
                latent: narrow?,
                shared: shared?,
                shared_gate: shared_gate?,
                beside: beside?,
            })
        };
        Ok(built())
    }

    /// Factors on the experts' first projections, which some files have beside quantised stacks. A bias would have to be
    /// added behind them: with one they are left, and refused.
    fn expert_scales(
        &mut self,
        layer: usize,
        parts: [&str; 2],
        experts: usize,
    ) -> Bound<[Option<Vector>; 2]> {
        let mut of = |part: &str| {
            if part.is_empty() || self.binder.has(&names::bias(layer, part)) {
                return Ok(Some(None));
            }
            self.binder.vector_if(Presence::Optional, &names::scale(layer, part), &[experts])
        };
        let (first, second) = (of(parts[0])?, of(parts[1])?);
        Ok(first.zip(second).map(|(first, second)| [first, second]))
    }

    /// The expert that serves every token, and its gate.
    fn shared(
        &mut self,
        layer: usize,
        moe: &MoeConfig,
        kind: SharedExpert,
    ) -> Bound<(Option<Dense>, Option<realizar_tensor::QMatrix>)> {
        let Config { arch, hidden, .. } = *self.config;
        let ffn = moe.shared_ffn;
        if ffn == 0 {
            return Ok(Some((None, None)));
        }
        if kind == SharedExpert::Branch {
            let parts = ["ffn_gate", "ffn_up", "ffn_down"];
            return match parts.iter().any(|part| self.binder.has(&names::weight(layer, part))) {
                true => Ok(self.dense(layer)?.map(|dense| (Some(dense), None))),
                false => Ok(Some((None, None))),
            };
        }
        let gate = match arch.ffn.gate {
            FfnGate::None => Some(None),
            _ => self.scaled(layer, "ffn_gate_shexp", Presence::Never, &[ffn, hidden])?.map(Some),
        };
        let up = self.scaled(layer, "ffn_up_shexp", Presence::Never, &[ffn, hidden])?;
        let down = self.scaled(layer, "ffn_down_shexp", Presence::Never, &[hidden, ffn])?;
        let share = match kind {
            SharedExpert::Gated => {
                self.binder.matrix(&names::weight(layer, "ffn_gate_inp_shexp"), &[1, hidden])?.map(Some)
            }
            _ => Some(None),
        };
        let built = || {
            let dense = Dense { gate: gate?, up: up?, inner_norm: None, down: down? };
            Some((Some(dense), share?))
        };
        Ok(built())
    }

    /// Norms of experts that stand beside a plain branch, where the file has them.
    fn beside(&mut self, layer: usize) -> Bound<Option<BesideNorms>> {
        let hidden = self.config.hidden;
        let scale = names::scale(layer, "ffn_gate_inp");
        if !self.binder.has(&scale) {
            return Ok(Some(None));
        }
        let factor = (hidden as f32).sqrt().recip();
        let raised = |gain: Vector| gain.as_slice().iter().map(|x| x * factor).collect();
        let router = self
            .binder
            .vector(&scale, &[hidden])?
            .map(|gain| NormWeights::rms(Vector::from_vec(raised(gain))));
        let before = self.rms(layer, "pre_ffw_norm_2", hidden)?;
        let after = self.rms(layer, "post_ffw_norm_2", hidden)?;
        let after_plain = self.rms(layer, "post_ffw_norm_1", hidden)?;
        let built = || {
            Some(Some(BesideNorms {
                router: router?,
                before: before?,
                after: after?,
                after_plain: after_plain?,
            }))
        };
        Ok(built())
    }
}
