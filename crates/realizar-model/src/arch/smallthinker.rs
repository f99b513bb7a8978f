//! SmallThinker (arXiv:2507.20984): the router sees the block's input; experts with a ReLU gate; every fourth layer without positions.

use realizar_tensor::{Gate, PairOrder};

use super::{ArchFacts, Ffn, FfnGate, Moe, PLAIN, Position, RopeLayers, Windows};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "smallthinker",
    position: Position::Rope(PairOrder::Halves),
    rope_layers: RopeLayers::AllButFirstOf(4),
    windows: Windows::FirstFull(4),
    window_width: Some(4_096),
    ffn: Ffn { activation: Gate::Relu, gate: FfnGate::Split },
    moe: Some(Moe { routes_block_input: true, ..Moe::SOFTMAX }),
    ..PLAIN
};
