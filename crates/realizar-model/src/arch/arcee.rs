//! AFM 4.5B: Llama with a squared ReLU.

use realizar_tensor::Gate;

use super::{ArchFacts, Ffn, FfnGate, PLAIN};

pub(crate) const FACTS: ArchFacts =
    ArchFacts { name: "arcee", ffn: Ffn { activation: Gate::Relu2, gate: FfnGate::None }, ..PLAIN };
