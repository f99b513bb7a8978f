//! Gemma 3 (arXiv:2503.19786): five window layers to a full one, each kind with its own rotation; norms on queries and keys.

use super::{ArchFacts, AttentionScale, Norm, Presence, QkNorm, WindowRope, Windows, gemma2};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "gemma3",
    qk_norm: QkNorm::PerHead(Norm::Rms, Presence::Always),
    windows: Windows::LastFull(6),
    window_rope: WindowRope::OwnBase,
    attention_scale: AttentionScale::HiddenPerHead { layers: 62 },
    softcaps: None,
    ..gemma2::FACTS
};
