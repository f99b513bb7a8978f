//! How much memory opening and refusing take.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test code")]

mod raw;

use std::time::{Duration, Instant};

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use raw::{ARRAY, F32, I32, Raw, STRING};
use realizar_format::{Apr, parse};

const MIB: u64 = 1 << 20;

/// A file with a vocabulary of this many tokens, scores and types.
fn vocabulary(tokens: u64) -> Bytes {
    let mut raw = Raw::header(3, 1, 4)
        .kv_str("general.architecture", "llama")
        .key("tokenizer.ggml.tokens", ARRAY)
        .u32(STRING)
        .u64(tokens);
    for token in 0..tokens {
        raw = raw.text(format!("token {token}").as_bytes());
    }
    raw = raw.key("tokenizer.ggml.scores", ARRAY).u32(F32).u64(tokens);
    for _ in 0..tokens {
        raw = raw.f32(-1.0);
    }
    raw = raw.key("tokenizer.ggml.token_type", ARRAY).u32(I32).u64(tokens);
    for _ in 0..tokens {
        raw = raw.u32(1);
    }
    raw.tensor("t", &[8], 0, 0).pad(32).zeros(32).build()
}

#[test]
fn a_vocabulary_costs_nothing_per_token() {
    let open = |bytes: &Bytes| -> AllocationInfo {
        // The first clone of a buffer that came from a vector allocates its reference count.
        let _shared = bytes.clone();
        measure(|| {
            let model = parse(bytes.clone()).unwrap();
            let tokens = model.require_array("tokenizer.ggml.tokens").unwrap();
            assert_eq!(tokens.strings().unwrap().last().map(|token| token.len() > 6), Some(true));
            assert_eq!(tokens.iter().count(), tokens.len());
        })
    };
    let small = open(&vocabulary(10));
    for tokens in [32_000, 256_000] {
        let info = open(&vocabulary(tokens));
        assert_eq!(
            (info.count_total, info.bytes_total),
            (small.count_total, small.bytes_total),
            "{tokens} tokens"
        );
    }
    assert!(small.bytes_total < 4_096, "{small:?}");
}

/// The limits on opening: 5 ms with 32,000 tokens, 15 ms with 256,000, and 2 MiB. The weights are a hole in the file.
#[test]
fn a_file_of_a_gigabyte_opens_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.gguf");
    for (tokens, limit_ms) in [(32_000, 5), (256_000, 15)] {
        let head = vocabulary(tokens);
        let head = &head[..head.len() - 32];
        // The tensor of the vocabulary's file has 8 elements; this one has 2^28.
        let dim = head.windows(8).rposition(|bytes| bytes == 8_u64.to_le_bytes()).unwrap();
        let mut head = head.to_vec();
        head[dim..dim + 8].copy_from_slice(&(1_u64 << 28).to_le_bytes());
        std::fs::write(&path, &head).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(head.len() as u64 + (1 << 30)).unwrap();
        let mut fastest = Duration::MAX;
        for _ in 0..10 {
            let info = measure(|| {
                let start = Instant::now();
                let model = realizar_format::open(&path).unwrap();
                fastest = fastest.min(start.elapsed());
                assert_eq!(model.tensor("t").unwrap().data.len(), 1 << 30);
            });
            assert!(info.bytes_total < 2 * MIB, "{tokens} tokens: {info:?}");
        }
        // What is not optimised takes its time.
        let limit = Duration::from_millis(if cfg!(debug_assertions) { 4 * limit_ms } else { limit_ms });
        assert!(fastest <= limit, "{tokens} tokens: {fastest:?}, the limit is {limit:?}");
    }
}

#[test]
fn lookups_allocate_nothing() {
    let file = raw::seed().build();
    let model = parse(file).unwrap();
    let info = measure(|| {
        assert!(model.metadata("general.architecture").is_some());
        assert!(model.metadata("missing").is_none());
        let tensor = model.tensor("blocks").unwrap();
        assert_eq!(tensor.data.len(), 36);
        assert_eq!(model.require_array("numbers").unwrap().iter().count(), 2);
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[track_caller]
fn assert_cheap_refusal(case: &str, bytes: Bytes) {
    let len = bytes.len() as u64;
    let mut refused = false;
    let info = measure(|| refused = parse(bytes).is_err());
    assert!(refused, "{case}");
    let limit = (64 * MIB).min(16 * MIB + 4 * len);
    assert!(info.bytes_max <= limit, "{case}: {} bytes for {len}", info.bytes_max);
}

#[test]
fn row_009_a_refused_file_takes_little_memory() {
    for count in [1, 1_000, 65_536, 1_048_576, u64::MAX] {
        assert_cheap_refusal("tensors", Raw::header(3, count, 0).zeros(176).build());
        assert_cheap_refusal("entries", Raw::header(3, 0, count).zeros(176).build());
    }
    for len in [u64::MAX, 1 << 40, 64 << 20] {
        assert_cheap_refusal("key", Raw::header(3, 0, 1).u64(len).zeros(64).build());
        assert_cheap_refusal("string", Raw::header(3, 0, 1).key("k", STRING).u64(len).zeros(64).build());
        assert_cheap_refusal(
            "array",
            Raw::header(3, 0, 1).key("k", ARRAY).u32(STRING).u64(len).zeros(64).build(),
        );
    }
    // As many good entries as the limits allow, and then one that is wrong.
    let mut raw = Raw::header(3, 1_048_576, 0);
    for index in 0..1_048_575_u64 {
        raw = raw.tensor(&format!("{index:07}"), &[8], 0, index * 32);
    }
    assert_cheap_refusal("last tensor", raw.tensor("0000000", &[8], 0, 1_048_575 * 32).pad(32).build());
}

#[test]
fn row_024_ten_million_empty_strings_cost_nothing() {
    const COUNT: usize = 10_000_000;
    let file = Raw::header(3, 0, 1).key("k", ARRAY).u32(STRING).u64(COUNT as u64).zeros(8 * COUNT).build();
    let info = measure(|| drop(parse(file).unwrap()));
    assert!(info.bytes_total < 4_096, "{info:?}");
}

/// At most 64 MiB and twice the header, whatever the header says.
#[track_caller]
fn assert_bounded(case: &str, header: usize, refuse: impl FnOnce() -> bool) {
    let mut refused = false;
    let info = measure(|| refused = refuse());
    assert!(refused, "{case}");
    let limit = 64 * MIB + 2 * header as u64;
    assert!(info.bytes_max <= limit, "{case}: {} bytes, the limit is {limit}", info.bytes_max);
}

#[test]
fn row_073_a_refused_safetensors_header_takes_little_memory() {
    let tensor = r#":{"dtype":"I8","shape":[0],"data_offsets":[0,0]}"#;
    let entries: Vec<_> = (0..1_048_576).map(|name| format!("\"{name}\"{tensor}")).collect();
    let texts: Vec<_> = (0..1_000_000).map(|key| format!("\"{key}\":\"\"")).collect();
    for (case, header) in [
        ("last tensor twice", format!("{{{},\"0\"{tensor}}}", entries[1..].join(","))),
        ("data", format!("{{{}}}", entries.join(","))),
        ("words", format!("[{}]", vec!["\"data_offsets\""; 1_000_000].join(","))),
        ("metadata", format!("{{\"__metadata__\":{{{},\"0\":\"\"}}}}", texts.join(","))),
    ] {
        let header = header.replace("{\"1\":{", "{\"0\":{");
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.push(0);
        let file = Bytes::from(file);
        assert_bounded(case, header.len(), || realizar_format::Safetensors::parse(file).is_err());
    }
}

/// A file of `.apr` with this metadata, and with a footer that is wrong.
fn apr(metadata: &str) -> Bytes {
    let mut writer = apr_format::v2::AprV2Header::new();
    (writer.metadata_offset, writer.metadata_size) = (64, u32::try_from(metadata.len()).unwrap());
    writer.tensor_index_offset = 64 + metadata.len().next_multiple_of(64) as u64;
    writer.data_offset = writer.tensor_index_offset;
    writer.update_checksum();
    let mut file = writer.to_bytes().to_vec();
    file.extend(metadata.as_bytes());
    file.resize(file.len().next_multiple_of(64), 0);
    file.extend([1, 2, 3, 4]);
    file.into()
}

#[test]
fn row_090_refused_metadata_takes_little_memory() {
    let list = |element: &str, count: usize| format!("{{\"a\":[{}]}}", vec![element; count].join(","));
    let leaves: Vec<_> = (0..2_000).map(|leaf| format!("\"{leaf}\":0")).collect();
    for (case, metadata, words) in [
        ("numbers", list("0", 16_000_000), "a list of more than 4194304 values"),
        ("strings", list("\"\"", 10_000_000), "a list of more than 4194304 values"),
        ("objects", list("{}", 10_000_000), "more than 262144 values"),
        ("lists", list("[]", 10_000_000), "more than 262144 values"),
        ("spilled", list("0", 4_000_000).replace("]}", ",\"\"]}"), "more than 262144 values"),
        ("names", format!("{{\"{}\":{{{}}}}}", "x".repeat(1 << 20), leaves.join(",")), "bytes of names"),
        ("good", list("0", 4_000_000), "footer_crc32"),
    ] {
        let file = apr(&metadata);
        let mut shown = String::new();
        assert_bounded(case, metadata.len(), || {
            Apr::parse(file).map_err(|error| shown = error.to_string()).is_err()
        });
        assert!(shown.contains(words), "{case}: {shown}");
    }
}

/// The last refusal is at the end: every entry was taken before.
#[test]
fn row_084_a_refused_index_takes_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors.index.json");
    for (case, names, words) in
        [("one too many", 524_288, "more than 524288 values"), ("no such file", 524_287, "cannot open")]
    {
        let entries: Vec<_> = (0..names).map(|name| format!("\"{name}\":\"a.safetensors\"")).collect();
        let index = format!("{{\"weight_map\":{{{}}}}}", entries.join(","));
        std::fs::write(&path, &index).unwrap();
        let mut shown = String::new();
        assert_bounded(case, index.len(), || {
            realizar_format::open(folder.path()).map_err(|error| shown = error.to_string()).is_err()
        });
        assert!(shown.contains(words), "{case}: {shown}");
    }
}
