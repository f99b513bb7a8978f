//! Damaged files: whatever bytes come, nothing panics, and what is accepted stays inside the file.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test code")]

mod raw;

use bytes::Bytes;
use proptest::prelude::*;
use realizar_format::{GgufHeader, parse};

/// Parses, and looks at everything that can be asked for.
fn look_at_all(bytes: &Bytes) -> bool {
    let _ = GgufHeader::parse(bytes.clone()).map(|header| header.metadata_keys().count());
    let Ok(model) = parse(bytes.clone()) else { return false };
    for key in model.metadata_keys() {
        let value = model.metadata(key).expect(key);
        if let Some(array) = value.as_array() {
            assert_eq!(array.iter().count(), array.len(), "{key}");
        }
        let _ = value.to_string();
    }
    for tensor in model.tensors() {
        let end = tensor.offset + tensor.data.len() as u64;
        assert!(tensor.data.is_empty() || end <= bytes.len() as u64, "{} ends at {end}", tensor.name);
        assert!(model.tensor(tensor.name).is_some(), "{}", tensor.name);
    }
    true
}

#[test]
fn every_flipped_bit_of_a_header_is_survived() {
    for (case, raw) in raw::seeds() {
        assert!(look_at_all(&raw.clone().build()), "{case}");
        let mut accepted = 0;
        for bit in 0..raw.bytes.len() * 8 {
            let mut bytes = raw.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            accepted += usize::from(look_at_all(&bytes.into()));
        }
        // Flips in names, values and data stay unseen; there is nothing to see them by.
        assert!(accepted > 0 && accepted < raw.bytes.len() * 8, "{case}: {accepted}");
    }
}

#[test]
fn every_byte_replaced_by_the_usual_suspects_is_survived() {
    for (_, raw) in raw::seeds() {
        for at in 0..raw.bytes.len() {
            for byte in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut bytes = raw.bytes.clone();
                bytes[at] = byte;
                look_at_all(&bytes.into());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn arbitrary_bytes_never_panic(tail in prop::collection::vec(any::<u8>(), 0..400), counts in any::<[u8; 2]>()) {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(u64::from(counts[0] % 8).to_le_bytes());
        bytes.extend(u64::from(counts[1] % 8).to_le_bytes());
        bytes.extend(tail);
        look_at_all(&bytes.into());
    }

    #[test]
    fn spliced_files_never_panic(
        seeds in (0..4_usize, 0..4_usize), cuts in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let (first, second) = (raw::seeds()[seeds.0].1.bytes.clone(), raw::seeds()[seeds.1].1.bytes.clone());
        let spliced = [&first[..cuts.0.index(first.len())], &second[cuts.1.index(second.len())..]].concat();
        look_at_all(&spliced.into());
    }

    #[test]
    fn several_damaged_bytes_never_panic(
        seed in 0..4_usize, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = raw::seeds()[seed].1.bytes.clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        look_at_all(&bytes.into());
    }
}
