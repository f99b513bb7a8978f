//! The mixture of experts.

use realizar_format::TensorSource;
use realizar_tensor::{GroupScore, Scoring};

use crate::arch::{ArchFacts, SharedExpert};
use crate::error::ModelError;
use crate::facts::{self, FactReader};
use crate::names;

/// The mixture of experts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MoeConfig {
    /// Number of experts.
    pub experts: usize,
    /// Experts that serve a token.
    pub used: usize,
    /// Width inside an expert.
    pub ffn: usize,
    /// Width inside the shared expert; 0 if there is none.
    pub shared_ffn: usize,
    /// Width of what experts work on; 0: the stream's.
    pub latent: usize,
    /// Whether an expert's gate and up stand in one tensor.
    pub fused: bool,
    /// Leading layers that have a plain feed-forward branch instead.
    pub dense_layers: usize,
    /// How router logits become weights.
    pub scoring: Scoring,
    /// Whether the weights of the chosen are divided by their sum.
    pub normalise: bool,
    /// Factor on the weights of the chosen.
    pub scale: f32,
    /// Experts form this many groups; 1: no groups.
    pub groups: usize,
    /// Groups that may serve a token.
    pub groups_used: usize,
    /// What makes a group the best.
    pub group_score: GroupScore,
}

/// The experts of the file, for an architecture that can have some.
pub(super) fn read(
    source: &dyn TensorSource,
    read: &FactReader<'_>,
    arch: &ArchFacts,
) -> Result<Option<MoeConfig>, ModelError> {
    let experts = read.count(facts::EXPERTS)?.unwrap_or(0);
    let Some(moe) = arch.moe else {
        if experts > 0 {
            return Err(read.unsupported(format!("`{}` above 0", read.key(facts::EXPERTS.key))));
        }
        return Ok(None);
    };
    if experts == 0 {
        return Ok(None);
    }
    let used = read.require_count(facts::EXPERTS_USED)?;
    let (all, chosen) = ((facts::EXPERTS.key, experts), (facts::EXPERTS_USED.key, used));
    if used > experts {
        return Err(read.disagree(all, chosen, "no more experts can be used than there are"));
    }
    let groups = read.count(facts::EXPERT_GROUPS)?.unwrap_or(1).max(1);
    if !experts.is_multiple_of(groups) || (groups > 1 && experts / groups < 2) {
        let grouped = (facts::EXPERT_GROUPS.key, groups);
        return Err(read.disagree(all, grouped, "the groups must be equal and have two experts at least"));
    }
    let groups_used = if groups > 1 { read.require_count(facts::EXPERT_GROUPS_USED)? } else { 1 };
    if groups_used == 0 || groups_used > groups || used > groups_used * (experts / groups) {
        let grouped = (facts::EXPERT_GROUPS_USED.key, groups_used);
        return Err(read.disagree(chosen, grouped, "the groups in use must hold the experts in use"));
    }
    let plain = || -> Result<usize, ModelError> {
        let widths = read.per_layer(facts::FFN, true, read.require_count(facts::LAYERS)?)?;
        let widest = widths.and_then(|widths| widths.into_iter().max()).filter(|width| *width > 0);
        widest.ok_or_else(|| read.missing(facts::FFN.key))
    };
    let ffn = match read.count(facts::EXPERT_FFN)?.filter(|_| !moe.plain_width) {
        Some(ffn) => ffn,
        None => plain()?,
    };
    let count = read.count(facts::SHARED_EXPERTS)?;
    let width = read.count(facts::SHARED_FFN)?;
    let shared_ffn = match moe.shared {
        SharedExpert::None => 0,
        SharedExpert::Plain => ffn * count.unwrap_or(0),
        SharedExpert::Width => width.unwrap_or(0),
        SharedExpert::WidthTimesCount => width.unwrap_or(ffn) * count.unwrap_or(0),
        SharedExpert::One => ffn,
        SharedExpert::Branch => read.count(facts::FFN)?.unwrap_or(0),
        SharedExpert::Gated => match width {
            Some(shared) => shared,
            None => plain()?,
        },
    };
    Ok(Some(MoeConfig {
        experts,
        used,
        ffn,
        shared_ffn,
        fused: fused(source, read)?,
        latent: if moe.latent { read.count(facts::EXPERT_LATENT)?.unwrap_or(0) } else { 0 },
        dense_layers: read.count(facts::DENSE_LAYERS)?.unwrap_or(0),
        scoring: match read.count(facts::EXPERT_SCORING)? {
            Some(1) => Scoring::Softmax,
            Some(2) => Scoring::Sigmoid,
            Some(3) => Scoring::SoftmaxOfChosen,
            _ => moe.scoring,
        },
        normalise: read.flag("expert_weights_norm")?.unwrap_or(moe.normalise),
        // 0 stands for "not set" in files of the field.
        scale: read.number(facts::EXPERT_SCALE)?.filter(|scale| *scale > 0.0).unwrap_or(1.0),
        groups,
        groups_used,
        // Where there are none it does not matter.
        group_score: if groups > 1 { moe.group_score } else { GroupScore::BestTwo },
    }))
}

/// Whether any layer has gate and up of its experts in one tensor.
fn fused(source: &dyn TensorSource, read: &FactReader<'_>) -> Result<bool, ModelError> {
    let layers = read.require_count(facts::LAYERS)?;
    let has = |layer| read.dialect.has(source, &names::weight(layer, "ffn_gate_up_exps"));
    Ok((0..layers).any(has))
}
