//! The reliability catalogue, rows 86 to 90: `.apr` files; and the genuine implementation as a witness.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test code")]

mod raw;

use apr_format::v2::{
    AprV2Flags, AprV2Header, AprV2Metadata, AprV2ReaderRef, AprV2StreamingWriter, AprV2Writer, TensorDType,
    TensorIndexEntry,
};
use bytes::Bytes;
use raw::assert_refused;
use realizar_format::{Apr, AprWriter, DType, Format, FormatError, PackedArray, Shape, Value, open, parse};

fn refuse(bytes: impl Into<Bytes>) -> FormatError {
    parse(bytes.into()).expect_err("must be refused")
}

/// A genuine file with one tensor of every type.
fn genuine() -> Vec<u8> {
    let mut metadata = AprV2Metadata::new("llama");
    metadata.name = Some("größe".to_owned());
    metadata.hidden_size = Some(64);
    metadata.custom.insert("tokenizer.vocabulary".to_owned(), serde_json::json!(["a", "b"]));
    let mut writer = AprV2Writer::new(metadata);
    for (name, dtype, shape, bytes) in TENSORS {
        let data = (0..*bytes).map(|byte| byte as u8).collect();
        writer.add_tensor(*name, *dtype, shape.to_vec(), data);
    }
    writer.write().unwrap()
}

const TENSORS: &[(&str, TensorDType, &[usize], usize)] = &[
    ("bf16", TensorDType::BF16, &[3], 6),
    ("f16", TensorDType::F16, &[2, 3], 12),
    ("f32", TensorDType::F32, &[2, 2], 16),
    ("f64", TensorDType::F64, &[], 8),
    ("i32", TensorDType::I32, &[1], 4),
    ("i64", TensorDType::I64, &[1], 8),
    ("i8", TensorDType::I8, &[0, 4], 0),
    ("q4", TensorDType::AprQ4, &[3, 11], 36),
    ("q4k", TensorDType::Q4K, &[2, 256], 288),
    ("q6k", TensorDType::Q6K, &[256], 210),
    ("q8", TensorDType::AprQ8, &[5], 9),
    ("u8", TensorDType::U8, &[1, 2, 3, 4], 24),
];

const DTYPES: [DType; 12] = [
    DType::BF16,
    DType::F16,
    DType::F32,
    DType::F64,
    DType::I32,
    DType::I64,
    DType::I8,
    DType::APR_Q4,
    DType::Q4_K,
    DType::Q6_K,
    DType::APR_Q8,
    DType::U8,
];

#[test]
fn genuine_files_are_read() {
    let bytes = genuine();
    let source = parse(bytes.clone().into()).unwrap();
    assert_eq!((source.format(), source.path()), (Format::Apr, None));
    assert!(source.warnings().is_empty(), "{:?}", source.warnings());
    assert_eq!(source.require_str("name").unwrap(), "größe");
    assert_eq!(source.require_u32("hidden_size").unwrap(), 64);
    let vocabulary = source.require_array("tokenizer.vocabulary").unwrap();
    assert_eq!(vocabulary.strings().unwrap().collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(source.metadata("license"), None);
    let theirs = AprV2ReaderRef::from_bytes(&bytes).unwrap();
    for ((tensor, (name, _, shape, _)), dtype) in source.tensors().zip(TENSORS).zip(DTYPES) {
        assert_eq!((tensor.name, tensor.dtype, &*tensor.shape), (*name, dtype, *shape));
        assert_eq!(&tensor.data[..], theirs.get_tensor_data(name).unwrap(), "{name}");
        assert_eq!(source.tensor(name).unwrap().offset, tensor.offset, "{name}");
    }
    assert_eq!(source.tensors().count(), TENSORS.len());
    assert!(source.tensor("q5").is_none());
}

#[test]
fn genuine_streams_have_their_own_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.apr");
    let mut writer = AprV2StreamingWriter::new(AprV2Metadata::new("")).unwrap();
    writer.add_tensor("b", TensorDType::U8, vec![1], &[2]).unwrap();
    writer.add_tensor("a", TensorDType::U8, vec![1], &[1]).unwrap();
    writer.finalize(&path).unwrap();
    for source in [open(&path).unwrap(), Box::new(Apr::open(&path).unwrap())] {
        let names: Vec<_> = source.tensors().map(|tensor| (tensor.name, tensor.data[0])).collect();
        assert_eq!((names, source.path()), (vec![("a", 1), ("b", 2)], Some(&*path)));
    }
    let empty = AprV2Writer::new(AprV2Metadata::new("")).write().unwrap();
    assert_eq!((empty.len(), parse(empty.into()).unwrap().tensors().count()), (196, 0));
}

#[test]
fn a_file_without_a_vocabulary_has_the_tokenizer_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let (with, without) = (folder.path().join("with.apr"), folder.path().join("without.apr"));
    std::fs::write(&with, genuine()).unwrap();
    std::fs::write(&without, AprV2Writer::new(AprV2Metadata::new("")).write().unwrap()).unwrap();
    assert!(open(&without).unwrap().companion("tokenizer.json").is_none());
    std::fs::write(folder.path().join("tokenizer.json"), b"text").unwrap();
    let source = open(&without).unwrap();
    assert_eq!(source.companion("tokenizer.json").unwrap(), &b"text"[..]);
    assert!(source.companion("config.json").is_none());
    assert!(open(&with).unwrap().companion("tokenizer.json").is_none());
}

/// Everything that a writer can be given.
fn ours() -> Vec<u8> {
    let mut writer = AprWriter::new();
    let (strings, floats) = (PackedArray::strings(["x", "\"\n"]), PackedArray::f32s([0.1, 1.0]));
    for (key, value) in [
        ("model_type", Value::from("llama")),
        ("hidden_size", Value::U32(64)),
        ("rope_theta", Value::F32(0.1)),
        ("rms_norm_eps", Value::F64(1e-5)),
        ("tied", Value::Bool(true)),
        ("tokenizer.vocabulary", Value::Array(strings.as_array())),
        ("tokenizer.scores", Value::Array(floats.as_array())),
    ] {
        writer.metadata(key, value).unwrap();
    }
    // Not in the order of names, as a stream may come.
    for ((name, _, shape, _), dtype) in TENSORS.iter().zip(DTYPES).rev() {
        writer.tensor(name, dtype, Shape::new(shape).unwrap()).unwrap();
    }
    let mut data = writer.begin(Vec::new()).unwrap();
    while let Some(left) = data.due().map(|(_, left)| left) {
        data.write(&(0..left).map(|byte| byte as u8).collect::<Vec<_>>()).unwrap();
    }
    data.finish().unwrap()
}

#[test]
fn the_genuine_reader_reads_ours() {
    let bytes = ours();
    let theirs = AprV2ReaderRef::from_bytes(&bytes).unwrap();
    assert!(theirs.header().verify_checksum() && theirs.verify_alignment());
    assert_eq!(apr_format::v2::required_file_len(&bytes).unwrap() + 4, bytes.len() as u64);
    assert_eq!((&*theirs.metadata().model_type, theirs.metadata().hidden_size), ("llama", Some(64)));
    assert_eq!(theirs.metadata().param_count, 3 + 6 + 4 + 1 + 1 + 1 + 33 + 512 + 256 + 5 + 24);
    let source = parse(bytes.clone().into()).unwrap();
    assert_eq!(source.require_f32("rope_theta").unwrap(), 0.1);
    assert_eq!(source.require_array("tokenizer.scores").unwrap().to_f32s(), Some(vec![0.1, 1.0]));
    assert_eq!(
        source.require_array("tokenizer.vocabulary").unwrap().strings().unwrap().last(),
        Some(&b"\"\n"[..])
    );
    for (name, dtype, shape, size) in TENSORS {
        let entry = theirs.get_tensor(name).unwrap();
        assert_eq!((entry.dtype, &*entry.shape, entry.size), (*dtype, *shape, *size as u64), "{name}");
        assert_eq!(theirs.get_tensor_data(name).unwrap(), &source.tensor(name).unwrap().data[..], "{name}");
    }
    // Where the order is the same, so are the bytes.
    let mut one = AprWriter::new();
    one.tensor("t", DType::F32, Shape::new(&[1]).unwrap()).unwrap();
    let mut data = one.begin(Vec::new()).unwrap();
    data.write(&1.0_f32.to_le_bytes()).unwrap();
    let ours = data.finish().unwrap();
    let mut their_metadata = AprV2Metadata::new("");
    (their_metadata.total_size, their_metadata.param_count) = (64, 1);
    let mut theirs = AprV2Writer::new(their_metadata);
    theirs.add_f32_tensor("t", vec![1], &[1.0]);
    assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs.write().unwrap()));
}

#[test]
fn what_the_reader_would_refuse_is_not_written() {
    let shape = |dims: &[usize]| Shape::new(dims).unwrap();
    let mut writer = AprWriter::new();
    writer.metadata("a", Value::U8(1)).unwrap();
    assert_refused("twice", &writer.metadata("a", Value::U8(1)).unwrap_err(), "Invalid", "duplicate_key", 64);
    let nan = PackedArray::f32s([0.0, f32::NAN]);
    let bytes = PackedArray::strings([b"\xff"]);
    for value in [
        Value::F32(f32::NAN),
        Value::F64(f64::INFINITY),
        Value::Array(nan.as_array()),
        Value::Array(bytes.as_array()),
    ] {
        assert_refused("value", &writer.metadata("b", value).unwrap_err(), "Invalid", "metadata", 64);
    }
    writer.tensor("t", DType::F32, shape(&[1])).unwrap();
    let long = "x".repeat(257);
    for (name, dtype, dims, variant, field) in [
        ("t", DType::F32, &[1][..], "Invalid", "duplicate_tensor"),
        (&*long, DType::F32, &[1], "TooLarge", "tensor_name_len"),
        ("q", DType::Q5_K, &[256], "Invalid", "tensor_type"),
        ("row", DType::Q4_K, &[2, 128], "Overflow", "size"),
        ("size", DType::F64, &[1 << 62], "Overflow", "size"),
        ("total", DType::U8, &[usize::MAX], "Overflow", "total_bytes"),
    ] {
        assert_refused(name, &writer.tensor(name, dtype, shape(dims)).unwrap_err(), variant, field, 64);
    }
    let mut large = AprWriter::new();
    large.metadata("a", Value::from(&*"x".repeat(64 << 20))).unwrap();
    assert_refused("metadata", &large.begin(Vec::new()).unwrap_err(), "TooLarge", "metadata_size", 64);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.apr");
    AprWriter::new().create(&path).unwrap().finish().unwrap().commit().unwrap();
    assert_eq!(open(&path).unwrap().format(), Format::Apr);
}

#[test]
fn row_086_other_magics_and_versions() {
    let good = genuine();
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let FormatError::Magic { hint, .. } = refuse(with(0, b"APR1")) else { panic!("not by its magic") };
    assert!(hint.contains("Whisper"), "{hint}");
    assert!(matches!(refuse(with(0, b"APRX")), FormatError::Magic { .. }));
    assert!(matches!(Apr::parse(Bytes::from_static(b"GGUF")).unwrap_err(), FormatError::Magic { .. }));
    for len in 4..64 {
        assert_refused("short", &refuse(good[..len].to_vec()), "Truncated", "header", 0);
    }
    for major in [0, 1, 3] {
        assert_refused("major", &refuse(with(4, &[major, 0])), "Version", "version", 4);
    }
    // APR2 names the same layout; the header's checksum covers the magic.
    assert_refused("APR2", &refuse(with(0, b"APR2")), "Checksum", "header_crc32", 40);
    let mut file = with(0, b"APR2");
    fix_checksums(&mut file);
    parse(file.into()).unwrap();
    let mut file = with(5, &[7]);
    fix_checksums(&mut file);
    let source = parse(file.into()).unwrap();
    assert!(source.warnings()[0].contains("2.7 is newer"), "{:?}", source.warnings());
}

/// Makes both checksums right again after a change.
fn fix_checksums(file: &mut [u8]) {
    let crc = apr_format::crc32(&[&file[..40], &file[44..64]].concat());
    file[40..44].copy_from_slice(&crc.to_le_bytes());
    let end = file.len() - 4;
    let crc = apr_format::crc32(&file[..end]);
    file[end..].copy_from_slice(&crc.to_le_bytes());
}

/// The file with other bytes at `at` and right checksums.
fn changed(file: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    fix_checksums(&mut file);
    file
}

#[test]
fn row_087_flags() {
    let good = genuine();
    for (flags, variant, words) in [
        (0x1000_u16, "Invalid", "found 0x1400"),
        (0x8000, "Invalid", "found 0x8400"),
        (AprV2Flags::ENCRYPTED, "Unsupported", "encryption"),
        (AprV2Flags::SIGNED, "Unsupported", "signature"),
        (AprV2Flags::SHARDED, "Unsupported", "shard"),
        (AprV2Flags::LAYOUT_COLUMN_MAJOR, "Unsupported", "column-major"),
    ] {
        let error = refuse(changed(&good, 6, &(flags | 0x0400).to_le_bytes()));
        assert_refused(words, &error, variant, "flags", 6);
        assert!(error.to_string().contains(words), "{error}");
    }
    // These say something about the content and change nothing about how it is read.
    parse(changed(&good, 6, &0x07e0_u16.to_le_bytes()).into()).unwrap();
    parse(changed(&good, 6, &0_u16.to_le_bytes()).into()).unwrap();
}

#[test]
fn row_088_checksums() {
    let good = genuine();
    for bit in 0..64 * 8 {
        let mut file = good.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        assert!(parse(file.into()).is_err(), "bit {bit} of the header");
    }
    let end = good.len() - 4;
    for at in 64..good.len() {
        let mut file = good.clone();
        file[at] ^= 0x10;
        let error = refuse(file);
        if at >= end {
            assert_refused("footer", &error, "Checksum", "footer_crc32", end as u64);
        }
    }
    // Without the footer, and without the last padding, a file is older and whole.
    for len in [end, end - 40] {
        let source = parse(good[..len].to_vec().into()).unwrap();
        assert!(source.warnings()[0].contains("no checksum"), "{:?}", source.warnings());
    }
    for len in end + 1..good.len() {
        assert_refused(
            "part of a footer",
            &refuse(good[..len].to_vec()),
            "Truncated",
            "footer_crc32",
            end as u64,
        );
    }
    let mut longer = good.clone();
    longer.extend([0; 9]);
    fix_checksums(&mut longer);
    assert!(parse(longer.into()).unwrap().warnings()[0].starts_with("9 bytes behind"));
}

/// A file of our own bytes: header fields and sections as given, checksums right.
struct Parts {
    header: AprV2Header,
    metadata: Vec<u8>,
    index: Vec<Vec<u8>>,
    data: usize,
}

impl Parts {
    fn new(entries: &[TensorIndexEntry], data: usize) -> Self {
        let index = entries.iter().map(TensorIndexEntry::to_bytes).collect();
        Self { header: AprV2Header::new(), metadata: b"{}".to_vec(), index, data }
    }

    fn build(mut self, change: impl FnOnce(&mut AprV2Header)) -> Vec<u8> {
        let pad = |bytes: &mut Vec<u8>| bytes.resize(bytes.len().next_multiple_of(64), 0);
        let mut body = vec![0; 64];
        body.extend(&self.metadata);
        self.header.metadata_offset = 64;
        self.header.metadata_size = u32::try_from(self.metadata.len()).unwrap();
        pad(&mut body);
        self.header.tensor_index_offset = body.len() as u64;
        self.header.tensor_count = u32::try_from(self.index.len()).unwrap();
        body.extend(self.index.concat());
        pad(&mut body);
        self.header.data_offset = body.len() as u64;
        body.resize(body.len() + self.data, 0);
        body.extend([0; 4]);
        change(&mut self.header);
        self.header.update_checksum();
        body[..64].copy_from_slice(&self.header.to_bytes());
        let end = body.len() - 4;
        let crc = apr_format::crc32(&body[..end]);
        body[end..].copy_from_slice(&crc.to_le_bytes());
        body
    }
}

fn entry(name: &str, offset: u64) -> TensorIndexEntry {
    TensorIndexEntry::new(name, TensorDType::U8, vec![64], offset, 64)
}

#[test]
fn row_089_sections() {
    let build = |change: fn(&mut AprV2Header)| Parts::new(&[entry("a", 0)], 64).build(change);
    parse(build(|_| ()).into()).unwrap();
    type Change = fn(&mut AprV2Header);
    let cases: [(Change, &str, &str, u64); 10] = [
        (|header| header.metadata_offset = 63, "Invalid", "metadata_offset", 12),
        (|header| header.metadata_offset = u64::MAX, "Invalid", "index_offset", 24),
        (|header| header.metadata_size = 65, "Invalid", "index_offset", 24),
        (|header| header.tensor_index_offset = 65, "Invalid", "index_offset", 24),
        (|header| header.tensor_index_offset = u64::MAX, "Invalid", "data_offset", 32),
        (|header| header.data_offset = 64, "Invalid", "data_offset", 32),
        (|header| header.data_offset = 193, "Invalid", "data_offset", 32),
        (|header| header.data_offset = 1 << 40, "Truncated", "tensor_range", 141),
        (|header| header.tensor_count = 1_048_577, "TooLarge", "tensor_count", 8),
        (|header| header.tensor_count = 1_000_000, "Truncated", "tensor_count", 8),
    ];
    for (change, variant, field, offset) in cases {
        assert_refused(field, &refuse(build(change)), variant, field, offset);
    }
    let mut large = Parts::new(&[], 0);
    large.metadata = vec![b' '; (64 << 20) + 1];
    assert_refused("metadata", &refuse(large.build(|_| ())), "TooLarge", "metadata_size", 20);
    let past = build(|header| {
        (header.metadata_offset, header.tensor_index_offset, header.data_offset) =
            (1 << 20, 1 << 21, 1 << 22);
    });
    assert_refused("past the end", &refuse(past), "Truncated", "metadata", 1 << 20);
}

#[test]
fn row_089_index() {
    let two =
        |first: TensorIndexEntry, second: TensorIndexEntry| Parts::new(&[first, second], 128).build(|_| ());
    let size = entry("a", 0).to_bytes().len() as u64;
    parse(two(entry("a", 64), entry("b", 0)).into()).unwrap();
    let error = refuse(two(entry("a", 0), entry("a", 64)));
    assert_refused("duplicate", &error, "Duplicate", "duplicate_tensor", 128 + size);
    let error = refuse(two(entry("b", 0), entry("a", 64)));
    assert_refused("unsorted", &error, "Invalid", "index_order", 128 + size);
    let error = refuse(two(entry("a", 0), entry("b", 0)));
    assert_refused("overlap", &error, "Invalid", "offset", 128 + 2 * size - 16);
    for offset in [1, 32, 63] {
        let error = refuse(two(entry("a", offset), entry("b", 64)));
        assert_refused("unaligned", &error, "Invalid", "offset", 128 + size - 16);
    }
    for offset in [128, 1 << 40, u64::MAX - 63] {
        let error = refuse(two(entry("a", 0), entry("b", offset)));
        assert_refused("out of range", &error, "Truncated", "tensor_range", 128 + 2 * size - 16);
        assert!(error.to_string().contains("`b`"), "{error}");
    }
    let one = |change: fn(&mut Vec<u8>)| {
        let mut parts = Parts::new(&[entry("a", 0)], 64);
        change(&mut parts.index[0]);
        refuse(parts.build(|_| ()))
    };
    assert_refused("type", &one(|entry| entry[3] = 255), "Invalid", "tensor_type", 131);
    assert_refused("type of ggml", &one(|entry| entry[3] = 2), "Invalid", "tensor_type", 131);
    assert_refused("dimensions", &one(|entry| entry[4] = 9), "TooLarge", "n_dims", 132);
    assert_refused("dimension", &one(|entry| entry[12] = 0x80), "Invalid", "dim", 133);
    assert_refused("shape", &one(|entry| entry[5] = 63), "Invalid", "size", 149);
    assert_refused("overflow", &one(|entry| (entry[3], entry[12]) = (3, 0x7f)), "Overflow", "size", 149);
    assert_refused("name", &one(|entry| entry[2] = 0xff), "Invalid", "tensor_name", 128);
    assert_refused("long name", &one(|entry| entry[1] = 2), "TooLarge", "tensor_name_len", 128);
    // The entries may not go on into the data.
    assert_refused("length", &one(|entry| entry[0] = 0xff), "Truncated", "tensor_name", 130);
}

#[test]
fn older_numbers_of_types_are_read() {
    for (code, dtype, size) in [(8, DType::APR_Q4, 36_u8), (9, DType::APR_Q8, 68)] {
        let mut parts = Parts::new(&[entry("a", 0)], 128);
        parts.index[0][3] = code;
        let end = parts.index[0].len();
        parts.index[0][end - 8] = size;
        assert_eq!(parse(parts.build(|_| ()).into()).unwrap().tensor("a").unwrap().dtype, dtype);
    }
}

#[test]
fn row_090_nested_metadata() {
    let mut parts = Parts::new(&[], 0);
    parts.metadata = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes();
    assert_refused("depth", &refuse(parts.build(|_| ())), "TooLarge", "json_depth", 64 + 5 + 63);
    let mut parts = Parts::new(&[], 0);
    parts.metadata = b"{\"a\":1,}".to_vec();
    assert_refused("json", &refuse(parts.build(|_| ())), "Json", "metadata", 64);
    let mut parts = Parts::new(&[], 0);
    parts.metadata = b"{\"a\":\"\xff\"}".to_vec();
    assert_refused("utf-8", &refuse(parts.build(|_| ())), "Invalid", "metadata", 70);
}

#[test]
fn a_flag_for_lz4_proves_nothing() {
    let mut writer = AprV2Writer::new(AprV2Metadata::new("llama"));
    writer.add_f32_tensor("t", vec![1], &[1.0]);
    writer.with_lz4_compression();
    let plain = writer.write().unwrap();
    assert_eq!(parse(plain.clone().into()).unwrap().tensors().count(), 1);
    // Broken and not compressed: the error is the one of the plain file.
    let broken = changed(&plain, 64, b"{{");
    assert_eq!(refuse(broken).place().unwrap().field, "metadata");
}

#[cfg(not(feature = "compression"))]
#[test]
fn compressed_files_need_a_feature() {
    for (flag, name) in [(1_u16, "LZ4"), (2, "Zstandard")] {
        let mut file = genuine();
        file[64..].fill(0x28);
        let error = refuse(changed(&file, 6, &flag.to_le_bytes()));
        assert_refused(name, &error, "Unsupported", "flags", 6);
        assert!(
            error.to_string().contains(name) && error.to_string().contains("feature `compression`"),
            "{error}"
        );
    }
}

#[cfg(feature = "compression")]
mod compressed {
    use super::{AprV2Flags, assert_refused, changed, genuine, parse, refuse};

    /// The genuine file with this flag, and the header of the compressed one.
    fn split(flag: u16) -> (Vec<u8>, Vec<u8>) {
        let plain = changed(&genuine(), 6, &(flag | AprV2Flags::LAYOUT_ROW_MAJOR).to_le_bytes());
        (plain[..64].to_vec(), plain[64..].to_vec())
    }

    fn lz4(content: &[u8], size: u32) -> Vec<u8> {
        [&size.to_le_bytes()[..], &lz4_flex::block::compress(content)].concat()
    }

    fn zstd(content: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn both_kinds_are_read() {
        let (head, content) = split(AprV2Flags::LZ4_COMPRESSED);
        let file = [head, lz4(&content, u32::try_from(content.len()).unwrap())].concat();
        let source = parse(file.into()).unwrap();
        assert_eq!((source.tensors().count(), source.warnings().len()), (12, 0));
        let (head, content) = split(AprV2Flags::ZSTD_COMPRESSED);
        let source = parse([head, zstd(&content)].concat().into()).unwrap();
        assert_eq!((source.tensors().count(), source.warnings().len()), (12, 0));
    }

    #[test]
    fn row_090_lz4_bombs_and_lies() {
        let (head, content) = split(AprV2Flags::LZ4_COMPRESSED);
        let size = u32::try_from(content.len()).unwrap();
        let file = |blob: Vec<u8>| [head.clone(), blob].concat();
        for (case, blob, variant, field) in [
            ("bomb", lz4(&content, u32::MAX), "TooLarge", "uncompressed_size"),
            ("one byte more", lz4(&content, size + 1), "Invalid", "uncompressed_size"),
            ("one byte less", lz4(&content, size - 1), "Invalid", "compressed"),
            ("no block", size.to_le_bytes().to_vec(), "TooLarge", "uncompressed_size"),
            ("cut", lz4(&content, size)[..80].to_vec(), "Invalid", "compressed"),
        ] {
            assert_refused(case, &refuse(file(blob)), variant, field, 64);
        }
        assert_refused("no size", &refuse(file(vec![1, 2])), "Truncated", "compressed", 0);
    }

    #[test]
    fn row_090_zstd_bombs_and_lies() {
        let (head, content) = split(AprV2Flags::ZSTD_COMPRESSED);
        let file = |blob: Vec<u8>| [head.clone(), blob].concat();
        let good = zstd(&content);
        for (case, blob, variant, field) in [
            ("bomb", zstd(&vec![0; 64 << 20]), "TooLarge", "uncompressed_size"),
            ("cut", good[..good.len() / 2].to_vec(), "Invalid", "compressed"),
            ("no frame", b"(not zstd)".to_vec(), "Invalid", "compressed"),
            // A window of 16 MiB: magic, descriptor, window descriptor.
            (
                "window",
                [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 14 << 3][..], &[0; 8]].concat(),
                "Invalid",
                "compressed",
            ),
        ] {
            assert_refused(case, &refuse(file(blob)), variant, field, 64);
        }
    }
}

#[test]
fn every_prefix_and_every_flipped_bit_is_survived() {
    let good = ours();
    for len in 0..good.len() {
        if let Ok(source) = parse(good[..len].to_vec().into()) {
            assert!(len + 68 >= good.len() && !source.warnings().is_empty(), "{len} bytes");
        }
    }
    // With right checksums behind each flip, so that the parser meets it.
    for bit in 64 * 8..(good.len() - 4) * 8 {
        let flipped = good[bit / 8] ^ (1 << (bit % 8));
        if let Ok(source) = parse(changed(&good, bit / 8, &[flipped]).into()) {
            for tensor in source.tensors() {
                assert!(
                    tensor.data.is_empty() || tensor.offset + (tensor.data.len() as u64) < good.len() as u64
                );
            }
        }
    }
}
