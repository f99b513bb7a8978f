//! What refusing a bad file costs: at most 64 MiB and twice the header of memory, and 100 ms per MB of header.

#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "test code that tells what it measured"
)]

mod raw;

use std::time::{Duration, Instant};

use allocation_counter::measure;
use bytes::Bytes;
use raw::{ARRAY, Raw, STRING, U32};
use realizar_format::parse;

/// Refuses a file several times, since the machine does other things too: the fastest counts.
#[track_caller]
fn assert_cheap(case: &str, file: Vec<u8>, words: &str) {
    let header = file.len();
    let file = Bytes::from(file);
    let mut fastest = Duration::MAX;
    let mut error = String::new();
    let memory = measure(|| {
        for _ in 0..3 {
            let file = file.clone();
            let start = Instant::now();
            let result = parse(file);
            fastest = fastest.min(start.elapsed());
            error = result.err().unwrap_or_else(|| panic!("{case}: accepted")).to_string();
        }
    });
    assert!(error.contains(words), "{case}: {error}");
    assert!(error.lines().count() == 1 && error.len() < 1_024, "{case}: {error}");
    let limit = (64 << 20) + 2 * header as u64;
    assert!(memory.bytes_max <= limit, "{case}: {} bytes for {header}", memory.bytes_max);
    eprintln!("{case}: {fastest:?} and {} bytes for {header} bytes", memory.bytes_max);
    let megabytes = (header as f64 / 1e6).max(1.0);
    // What is not optimised takes its time, and what counts its own lines more.
    let slack = if cfg!(debug_assertions) { 4.0 } else { 1.0 };
    let limit = Duration::from_secs_f64(0.1 * megabytes * slack);
    assert!(fastest <= limit, "{case}: {fastest:?} for {header} bytes, the limit is {limit:?}");
}

#[test]
fn gguf_files() {
    let mut tensors = Raw::header(3, 200_000, 0);
    for index in 0..199_999_u64 {
        tensors = tensors.tensor(&format!("{index:060}"), &[8], 0, index * 32);
    }
    assert_cheap(
        "many tensors, the first again",
        tensors.tensor(&"0".repeat(60), &[8], 0, 199_999 * 32).bytes,
        "`duplicate_tensor`",
    );

    let mut keys = Raw::header(3, 0, 65_536);
    for index in 0..65_535 {
        keys = keys.kv_u32(&format!("{}{index:06}", "k".repeat(200)), 1);
    }
    let first = format!("{}{:06}", "k".repeat(200), 0);
    assert_cheap(
        "many keys with one beginning, the first again",
        keys.kv_u32(&first, 1).bytes,
        "`duplicate_key`",
    );

    let mut long = Raw::header(3, 0, 300);
    for index in 0..299 {
        long = long.kv_u32(&format!("{}{index:03}", "k".repeat(60_000)), 1);
    }
    let first = format!("{}000", "k".repeat(60_000));
    assert_cheap(
        "long keys with one beginning, the first again",
        long.kv_u32(&first, 1).bytes,
        "`duplicate_key`",
    );

    let text = vec![b'x'; 16 << 20];
    assert_cheap(
        "a long string, then nothing",
        Raw::header(3, 0, 2).key("k", STRING).text(&text).bytes,
        "`key_len`",
    );
    assert_cheap(
        "a string above the limit",
        Raw::header(3, 0, 1).key("k", STRING).u64(1 << 40).raw(&text).bytes,
        "`string_len`",
    );

    let mut strings = Raw::header(3, 0, 1).key("k", ARRAY).u32(STRING).u64(1_000_001);
    for _ in 0..1_000_000 {
        strings = strings.text(b"a");
    }
    assert_cheap("many strings, one too few", strings.bytes, "`string_len`");
    let nested = Raw::header(3, 0, 1).key("k", ARRAY).u32(ARRAY).u64(1).zeros(1 << 20);
    assert_cheap("nested arrays", nested.bytes, "`nested_array`");
    let wide = Raw::header(3, 0, 1).key("k", ARRAY).u32(U32).u64(16_777_216).zeros(4 << 20);
    assert_cheap("an array past the end", wide.bytes, "`array_len`");
}

/// A file of safetensors with this header.
fn safetensors(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}

#[test]
fn safetensors_files() {
    let tensor = r#":{"dtype":"I8","shape":[0],"data_offsets":[0,0]}"#;
    let names: Vec<String> =
        (0..100_000).map(|name| format!("\"{}{name:06}\"{tensor}", "n".repeat(60))).collect();
    let same = names.join(",");
    let twice = format!("{{{same},\"{}000000\"{tensor}}}", "n".repeat(60));
    let spans: Vec<String> = (0..100_000)
        .map(|name| format!(r#""{name}":{{"dtype":"I8","shape":[2],"data_offsets":[{name},{}]}}"#, name + 2))
        .collect();
    let long = "x".repeat(8 << 20);
    let words: Vec<String> = (0..100_000).map(|key| format!("\"{}{key:06}\":\"\"", "m".repeat(60))).collect();
    let cases = [
        ("names with one beginning, the first again", twice, "duplicate_tensor"),
        ("many overlaps", format!("{{{}}}", spans.join(",")), "data_offsets"),
        ("deep lists", "[".repeat(4 << 20), ""),
        ("deep objects", "{\"a\":".repeat(1 << 20), ""),
        ("a long name", format!("{{\"{long}\"{tensor}}}"), "limit"),
        ("a long number", format!("{{\"a\":{{\"dtype\":\"I8\",\"shape\":[{}]}}}}", "1".repeat(4 << 20)), ""),
        (
            "a long shape",
            format!("{{\"a\":{{\"dtype\":\"I8\",\"shape\":[{}]}}}}", vec!["1"; 1 << 20].join(",")),
            "",
        ),
        ("escapes without end", format!("{{\"{}", "\\u00e9".repeat(1 << 20)), ""),
        (
            "words, the first again",
            format!("{{\"__metadata__\":{{{},\"{}000000\":\"\"}}}}", words.join(","), "m".repeat(60)),
            "",
        ),
        ("white space, then nothing", " ".repeat(8 << 20), ""),
    ];
    for (case, header, words) in cases {
        assert_cheap(case, safetensors(&header), words);
    }
}

/// A file of `.apr` with this metadata and index; its checksums are right but for the footer's.
fn apr(metadata: &str, index: &[u8], tensors: u32) -> Vec<u8> {
    let mut header = apr_format::v2::AprV2Header::new();
    (header.metadata_offset, header.metadata_size) = (64, u32::try_from(metadata.len()).unwrap());
    header.tensor_index_offset = 64 + metadata.len().next_multiple_of(64) as u64;
    header.data_offset = header.tensor_index_offset + index.len().next_multiple_of(64) as u64;
    header.tensor_count = tensors;
    header.update_checksum();
    let mut file = header.to_bytes().to_vec();
    for part in [metadata.as_bytes(), index] {
        file.extend(part);
        file.resize(file.len().next_multiple_of(64), 0);
    }
    let footer = apr_format::crc32(&file);
    file.extend(footer.to_le_bytes());
    file
}

#[test]
fn apr_files() {
    let mut index = Vec::new();
    for name in (0..100_000_u32).chain([99_999]) {
        let name = format!("{name:060}");
        index.extend((name.len() as u16).to_le_bytes());
        index.extend(name.as_bytes());
        // One dimension of no elements.
        index.extend([0, 1]);
        index.extend([0; 24]);
    }
    let members: Vec<String> = (0..100_000).map(|key| format!("\"{}{key:06}\":0", "m".repeat(60))).collect();
    let cases: [(&str, String, &[u8], u32); 5] = [
        ("many tensors, the last again", "{}".to_owned(), &index, 100_001),
        ("deep lists", format!("{{\"a\":{}", "[".repeat(4 << 20)), &[], 0),
        (
            "members, the first again",
            format!("{{{},\"{}000000\":0}}", members.join(","), "m".repeat(60)),
            &[],
            0,
        ),
        ("a long text without end", format!("{{\"a\":\"{}", "x".repeat(8 << 20)), &[], 0),
        ("many members without end", format!("{{{}", members.join(",")), &[], 0),
    ];
    for (case, metadata, index, tensors) in cases {
        assert_cheap(case, apr(&metadata, index, tensors), "");
    }
}

/// Damaged small files: no flipped bit makes a size that is believed.
#[test]
fn damaged_small_files() {
    for (case, raw) in raw::seeds() {
        for bit in 0..raw.bytes.len() * 8 {
            let mut bytes = raw.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let bytes = Bytes::from(bytes);
            let memory = measure(|| drop(parse(bytes.clone())));
            assert!(memory.bytes_max < 1 << 16, "{case}, bit {bit}: {} bytes", memory.bytes_max);
        }
    }
}
