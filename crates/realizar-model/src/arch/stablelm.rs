//! StableLM 3B and 2: LayerNorm, a partly rotated head; the 12B model norms each head and runs its branches side by side.

use realizar_tensor::PairOrder;

use super::{ArchFacts, Biases, Norm, PLAIN, Position, Presence, QkNorm, Residual};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "stablelm",
    norm: Norm::Layer,
    residual: Residual::ParallelWithoutFfnNorm,
    biases: Biases { norms: Presence::Always, qkv: Presence::Optional, ..Biases::all(Presence::Never) },
    qk_norm: QkNorm::PerHead(Norm::Layer, Presence::Optional),
    position: Position::Rope(PairOrder::Halves),
    ..PLAIN
};
