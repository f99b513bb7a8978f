//! Binding the tensors of attention.

use super::bind::{Bind, cut};
use super::{Attention, AttentionInput, HeadWeights, LatentUp, LatentWeights, NormWeights};
use crate::arch::{AttentionGate, Latent, Norm, Presence, QkNorm};
use crate::binder::{Bound, matrix_rows};
use crate::config::{BlockConfig, Config, LatentConfig};
use crate::names;

impl Bind<'_> {
    pub(super) fn attention(&mut self, layer: usize) -> Bound<Attention> {
        let Config { arch, hidden, .. } = *self.config;
        let BlockConfig { heads, value_dim, .. } = self.config.blocks[layer];
        let input = match self.config.latent {
            Some(latent) => self.latent(layer, latent)?.map(|input| AttentionInput::Latent(Box::new(input))),
            None => self.heads(layer)?.map(|input| AttentionInput::Heads(Box::new(input))),
        };
        let value_dim = self.config.latent.map_or(value_dim, |latent| latent.value_dim);
        let inner_norm = self.norm_of(Some(layer), arch.norms.inside_attention, heads * value_dim)?;
        let gate = match arch.attention_gate {
            AttentionGate::Own => {
                let name = names::weight(layer, "attn_gate");
                let per_head = self.binder.shape(&name).is_some_and(|shape| matrix_rows(&shape) == heads);
                let rows = if per_head { heads } else { heads * value_dim };
                self.scaled(layer, "attn_gate", Presence::Never, &[rows, hidden])?.map(Some)
            }
            _ => Some(None),
        };
        let dims = [hidden, heads * value_dim];
        let output = self.scaled(layer, "attn_output", arch.biases.attention_output, &dims)?;
        let sinks = self.binder.vector_if(arch.sinks, &names::weight(layer, "attn_sinks"), &[heads])?;
        let built = || {
            Some(Attention {
                input: input?,
                inner_norm: inner_norm?,
                gate: gate?,
                output: output?,
                sinks: sinks?,
            })
        };
        Ok(built())
    }

    fn heads(&mut self, layer: usize) -> Bound<HeadWeights> {
        let Config { arch, hidden, .. } = *self.config;
        let block = self.config.blocks[layer];
        let BlockConfig { heads, kv_heads, head_dim, value_dim, .. } = block;
        let gated = if arch.attention_gate == AttentionGate::InQuery { 2 } else { 1 };
        let rows = [gated * heads * head_dim, kv_heads * head_dim, kv_heads * value_dim];
        let biased = arch.biases.qkv;
        let fused = "attn_qkv";
        let qkv = if block.kv_of != layer {
            // Files may have them all the same.
            for part in ["attn_k", "attn_v", "attn_k_norm"] {
                self.binder.pass_over(&names::weight(layer, part));
            }
            self.scaled(layer, "attn_q", biased, &[rows[0], hidden])?.map(|q| (q, None, None))
        } else if self.binder.has(&names::weight(layer, fused)) {
            let whole = self.scaled(layer, fused, biased, &[rows.iter().sum(), hidden])?;
            whole.and_then(|whole| cut(&whole, rows)).map(|[q, k, v]| (q, Some(k), Some(v)))
        } else {
            let q = self.scaled(layer, "attn_q", biased, &[rows[0], hidden])?;
            let k = self.scaled(layer, "attn_k", biased, &[rows[1], hidden])?;
            let keys_serve = arch.keys_serve && !self.binder.has(&names::weight(layer, "attn_v"));
            let v = match keys_serve {
                true => Some(None),
                false => self.scaled(layer, "attn_v", biased, &[rows[2], hidden])?.map(Some),
            };
            q.zip(k).zip(v).map(|((q, k), v)| (q, Some(k), v))
        };
        let q_norm = self.head_norm(layer, "attn_q_norm", heads)?;
        let k_norm = match block.kv_of == layer {
            true => self.head_norm(layer, "attn_k_norm", kv_heads)?,
            false => Some(None),
        };
        let v_norm = arch.value_norm.then(|| NormWeights::weightless(value_dim));
        let built = || {
            let (q, k, v) = qkv?;
            Some(HeadWeights { q, k, v, q_norm: q_norm?, k_norm: k_norm?, v_norm })
        };
        Ok(built())
    }

    fn head_norm(&mut self, layer: usize, name: &str, heads: usize) -> Bound<Option<NormWeights>> {
        let Config { arch, norm, moe, .. } = *self.config;
        let BlockConfig { head_dim, rotates, .. } = self.config.blocks[layer];
        let per_head = |kind| match kind {
            Norm::Rms => vec![head_dim],
            Norm::Layer => vec![head_dim, heads * head_dim],
        };
        let (kind, presence, lens) = match arch.qk_norm {
            QkNorm::Never => return Ok(Some(None)),
            QkNorm::Weightless { but_with_experts } => {
                let normed = rotates && moe.is_none_or(|moe| moe.experts != but_with_experts);
                return Ok(Some(normed.then(|| NormWeights::weightless(head_dim))));
            }
            // Queries and keys are normed both or not at all.
            QkNorm::PerHead(kind, Presence::Optional) => {
                let parts = ["attn_q_norm", "attn_k_norm"];
                let any = parts.iter().any(|part| self.binder.has(&names::weight(layer, part)));
                let presence = if any { Presence::Always } else { Presence::Never };
                (kind, presence, per_head(kind))
            }
            QkNorm::PerHead(kind, presence) => (kind, presence, per_head(kind)),
            QkNorm::Whole => (norm, Presence::Always, vec![heads * head_dim]),
        };
        let gain = self.binder.gain(presence, &names::weight(layer, name), &lens)?;
        Ok(gain.map(|gain| gain.map(|gain| NormWeights { kind, gain, bias: None })))
    }

    fn latent(&mut self, layer: usize, latent: LatentConfig) -> Bound<LatentWeights> {
        let Config { arch, hidden, .. } = *self.config;
        let heads = self.config.blocks[layer].heads;
        let LatentConfig { q_rank, kv_rank, head_dim, value_dim, rotated } = latent;
        let part = |name| names::weight(layer, name);
        let rms = |gain| NormWeights { kind: Norm::Rms, gain, bias: None };
        let q_down = if q_rank > 0 {
            let down = self.binder.matrix(&part("attn_q_a"), &[q_rank, hidden])?;
            let norm = self.binder.vector(&part("attn_q_a_norm"), &[q_rank])?;
            down.zip(norm).map(|(down, norm)| Some((down, rms(norm))))
        } else {
            Some(None)
        };
        let (q, q_in) = if q_rank > 0 { ("attn_q_b", q_rank) } else { ("attn_q", hidden) };
        let q = self.binder.matrix(&part(q), &[heads * head_dim, q_in])?;
        let keys = self.binder.matrix(&part("attn_kv_a_mqa"), &[kv_rank + rotated, hidden])?;
        let latent_norm = self.binder.vector(&part("attn_kv_a_norm"), &[kv_rank])?;
        let unrotated = head_dim - rotated;
        let up = match arch.latent {
            Latent::Unpacked => {
                let dims = [heads * (unrotated + value_dim), kv_rank];
                self.binder.matrix(&part("attn_kv_b"), &dims)?.map(LatentUp::Unpacked)
            }
            Latent::Absorbed | Latent::Never => {
                let k = self.binder.matrix(&part("attn_k_b"), &[heads, kv_rank, unrotated])?;
                let v = self.binder.matrix(&part("attn_v_b"), &[heads, value_dim, kv_rank])?;
                k.zip(v).map(|(k, v)| LatentUp::Absorbed { k, v })
            }
        };
        let indexer = self.indexer(layer, q_rank)?;
        let built = || {
            let keys = keys?;
            Some(LatentWeights {
                q_down: q_down?,
                q: q?,
                latent: keys.slice_rows(0..kv_rank).ok()?,
                latent_norm: rms(latent_norm?),
                k_rotated: keys.slice_rows(kv_rank..kv_rank + rotated).ok()?,
                up: up?,
                indexer: indexer?,
            })
        };
        Ok(built())
    }
}
