//! DeepSeek V2, V3 and R1 (arXiv:2405.04434, arXiv:2412.19437): latent attention, many experts in groups, a shared one.

use realizar_tensor::Scoring;

use super::{ArchFacts, Moe, PLAIN, Presence, SharedExpert};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "deepseek2",
    yarn_log_multiplier: true,
    latent_attention: true,
    moe: Some(Moe {
        scoring: Scoring::Softmax,
        normalise: false,
        selection_bias: Presence::Optional,
        shared: SharedExpert::Plain,
    }),
    ..PLAIN
};
