//! Llama 4: three layers that rotate and see stretches of 8,192 positions to one that does neither; an expert weighs its input.

use realizar_tensor::Scoring;

use super::{ArchFacts, Moe, MoeLayers, PLAIN, QkNorm, RopeLayers, SharedExpert, Temperature};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "llama4",
    qk_norm: QkNorm::Weightless { but_with_experts: 128 },
    qk_norm_last: true,
    rope_layers: RopeLayers::AllButEvery(4),
    stretch: Some(8_192),
    temperature: Temperature::UnrotatedLayers(8_192),
    // Of one expert the sigmoid is as large as the logit is.
    moe: Some(Moe {
        layers: MoeLayers::Interleaved,
        scoring: Scoring::Sigmoid,
        normalise: false,
        weighs_input: true,
        shared: SharedExpert::One,
        ..Moe::SOFTMAX
    }),
    ..PLAIN
};
