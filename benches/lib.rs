//! What the criterion benches of this folder share, and the house of peer comparisons and records.
#![forbid(unsafe_code)]
