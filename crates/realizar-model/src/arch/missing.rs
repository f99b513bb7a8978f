//! Architectures that are known by name and cannot be run yet, with what they would need.

/// Name in `general.architecture`, and what is missing.
pub(crate) const MISSING: &[(&str, &str)] = &[
    ("arctic", "a dense branch beside experts with norms of their own"),
    ("arwkv7", "RWKV 7's recurrence beside another feed-forward branch"),
    ("baichuan", "slopes instead of rotation in the model of 40 layers"),
    ("deci", "layers without attention, or with one matrix in its place"),
    ("deepseek4", "attention that sees the keys an indexer chooses, and hyper-connections"),
    ("glm-dsa", "attention that sees the keys an indexer chooses"),
    ("hy_v3", "a reference to be checked by"),
    ("plamo2", "Mamba with a norm on steps, keys and queries per head"),
    ("plamo3", "a reference to be checked by"),
    ("rwkv6", "RWKV 6's recurrence"),
    ("rwkv6qwen2", "RWKV 6's recurrence"),
    ("t5", "an encoder beside the decoder, attention across, and biases by relative position"),
    ("t5encoder", "biases by relative position"),
];
