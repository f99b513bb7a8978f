//! Llama, Mistral, Mixtral and the many models that are built like them (arXiv:2302.13971, arXiv:2401.04088).

use realizar_tensor::Scoring;

use super::{ArchFacts, Biases, Moe, PLAIN, Presence, SharedExpert};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "llama",
    biases: Biases { norms: Presence::Never, ..Biases::all(Presence::Optional) },
    moe: Some(Moe {
        scoring: Scoring::Softmax,
        normalise: true,
        selection_bias: Presence::Never,
        shared: SharedExpert::None,
    }),
    ..PLAIN
};
