//! GPT-NeoX and Pythia (arXiv:2204.06745): both branches side by side, each with its own LayerNorm.

use realizar_tensor::{Gate, PairOrder};

use super::{ArchFacts, Biases, Ffn, FfnGate, Norm, PLAIN, Position, Presence, Residual};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "gptneox",
    norm: Norm::Layer,
    residual: Residual::ParallelIf("use_parallel_residual"),
    biases: Biases::all(Presence::Always),
    position: Position::Rope(PairOrder::Halves),
    ffn: Ffn { activation: Gate::GeluErf, gate: FfnGate::None },
    ..PLAIN
};
