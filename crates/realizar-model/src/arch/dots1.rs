//! dots.llm1 (arXiv:2506.05767): routing of DeepSeek V3 without groups.

use realizar_tensor::PairOrder;

use super::{ArchFacts, Moe, Norm, PLAIN, Position, Presence, QkNorm, SharedExpert};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "dots1",
    qk_norm: QkNorm::PerHead(Norm::Rms, Presence::Always),
    position: Position::Rope(PairOrder::Halves),
    moe: Some(Moe { shared: SharedExpert::Plain, ..Moe::SIGMOID_BY_KEY }),
    ..PLAIN
};
