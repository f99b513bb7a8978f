//! EXAONE 3 and 3.5 (arXiv:2412.04862): Llama with rotation by halves.

use realizar_tensor::PairOrder;

use super::{ArchFacts, PLAIN, Position};

pub(crate) const FACTS: ArchFacts =
    ArchFacts { name: "exaone", position: Position::Rope(PairOrder::Halves), ..PLAIN };
