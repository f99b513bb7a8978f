//! CodeShell (arXiv:2403.15747): StarCoder with rotation instead of learned positions.

use super::{ArchFacts, starcoder2};

pub(crate) const FACTS: ArchFacts = ArchFacts { name: "codeshell", ..starcoder2::FACTS };
