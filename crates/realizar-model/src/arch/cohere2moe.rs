//! Command A with experts: the mean of the chosen experts and the shared one.

use super::{ArchFacts, Moe, RopeLayers, SharedExpert, Windows, cohere2};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "cohere2moe",
    norm_by_key: true,
    windows: Windows::FirstFull(4),
    rope_layers: RopeLayers::WindowedOrDense,
    moe: Some(Moe { shared: SharedExpert::Plain, sum_scale: 0.5, ..Moe::SIGMOID_BY_KEY }),
    ..cohere2::FACTS
};
