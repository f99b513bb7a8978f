//! MiMo V2: keys and values of different widths, sinks on window layers, a factor on attention.

use realizar_tensor::PairOrder;

use super::{ArchFacts, Biases, Moe, MoeLayers, PLAIN, Position, Presence, WindowRope, Windows};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "mimo2",
    // The peer reads biases of heads and adds none: which of the two a file means nobody can say.
    biases: Biases::all(Presence::Never),
    position: Position::Rope(PairOrder::Halves),
    windows: Windows::Listed,
    window_rope: WindowRope::OwnBase,
    sinks: Presence::Optional,
    value_scale: true,
    moe: Some(Moe { layers: MoeLayers::WithRouter, ..Moe::SIGMOID }),
    ..PLAIN
};
