//! ERNIE 4.5: as Llama.

use super::{ArchFacts, Biases, PLAIN, Presence};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "ernie4_5",
    biases: Biases { norms: Presence::Never, ..Biases::all(Presence::Optional) },
    ..PLAIN
};
