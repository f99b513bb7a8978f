//! NeoBERT (arXiv:2502.19587): a Llama block that sees both ways, with fused projections.

use realizar_tensor::Gate;

use super::{ArchFacts, Ffn, FfnGate, NormPlaces, PLAIN, Role};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "neo-bert",
    role: Role::Encoder,
    norms: NormPlaces { output: Some("enc.output_norm"), ..NormPlaces::BEFORE },
    ffn: Ffn { activation: Gate::Silu, gate: FfnGate::Fused },
    ..PLAIN
};
