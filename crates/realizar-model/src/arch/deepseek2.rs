//! DeepSeek V2, V3 and R1 (arXiv:2405.04434, arXiv:2412.19437): latent attention, many experts in groups, a shared one.

use super::{ArchFacts, Latent, Moe, PLAIN, Presence, SharedExpert, YarnMultiplier};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "deepseek2",
    yarn_log_multiplier: YarnMultiplier::Moves,
    latent: Latent::Absorbed,
    moe: Some(Moe {
        normalise: false,
        selection_bias: Presence::Optional,
        shared: SharedExpert::Plain,
        ..Moe::SOFTMAX
    }),
    ..PLAIN
};
