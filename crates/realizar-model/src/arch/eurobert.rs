//! EuroBERT (arXiv:2503.05500): a Llama block that sees both ways, rotation by halves.

use realizar_tensor::PairOrder;

use super::{ArchFacts, PLAIN, Position, Role};

pub(crate) const FACTS: ArchFacts =
    ArchFacts { name: "eurobert", role: Role::Encoder, position: Position::Rope(PairOrder::Halves), ..PLAIN };
