//! `.apr` files of version 1: recognised, described, not run.

#![allow(clippy::unwrap_used, reason = "test code")]

mod raw;

use bytes::Bytes;
use raw::assert_refused;
use realizar_format::{AprV1, FormatError, Value, open};

#[test]
fn version_1_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.apr");
    let mut options =
        apr_format::SaveOptions::new().with_compression(apr_format::Compression::None).with_name("wine");
    options.metadata.training = None;
    apr_format::save(&vec![1.0_f32, 2.0], apr_format::ModelType::LinearRegression, &path, options).unwrap();
    let bytes = Bytes::from(std::fs::read(&path).unwrap());
    let error = open(&path).unwrap_err();
    assert_refused("running", &error, "Version", "version", 4);
    assert!(error.to_string().contains("a classic model, not a transformer"), "{error}");

    let model = AprV1::parse(&bytes).unwrap();
    assert_eq!((model.model_type, model.compression), ("linear regression", "none"));
    assert_eq!((model.payload_bytes, model.uncompressed_bytes), (16, 16));
    assert_eq!(model.metadata("model_name"), Some(Value::from("wine")));
    assert!(model.metadata_keys().any(|key| key == "created_at") && model.metadata("nothing").is_none());

    for len in 4..bytes.len() {
        assert!(AprV1::parse(&bytes.slice(..len)).is_err(), "{len} bytes");
    }
    assert!(matches!(AprV1::parse(&Bytes::from_static(b"GGUF")).unwrap_err(), FormatError::Magic { .. }));
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = byte;
        AprV1::parse(&bytes.into())
    };
    assert_refused("version", &with(4, 2).unwrap_err(), "Version", "version", 4);
    assert_refused("compression", &with(20, 9).unwrap_err(), "Invalid", "compression", 20);
    let end = bytes.len() as u64 - 4;
    assert_refused("checksum", &with(40, 0).unwrap_err(), "Checksum", "footer_crc32", end);
}

/// A file of version 1 with this metadata.
fn v1(metadata: &[u8]) -> Result<AprV1, FormatError> {
    let mut file = b"APRN\x01\0\xee\xee".to_vec();
    file.extend(u32::try_from(metadata.len()).unwrap().to_le_bytes());
    file.extend([0; 20]);
    file.extend(metadata);
    file.extend(apr_format::crc32(&file).to_le_bytes());
    AprV1::parse(&file.into())
}

#[test]
fn metadata_of_version_1_is_message_pack() {
    let mut packed = vec![0xde, 0, 18];
    let values: &[(&[u8], Value<'_>)] = &[
        (&[0x07], Value::I64(7)),
        (&[0xff], Value::I64(-1)),
        (&[0xc2], Value::Bool(false)),
        (&[0xc3], Value::Bool(true)),
        (&[0xca, 0x3f, 0x80, 0, 0], Value::F64(1.0)),
        (&[0xcb, 0x40, 0, 0, 0, 0, 0, 0, 0], Value::F64(2.0)),
        (&[0xcc, 200], Value::I64(200)),
        (&[0xcd, 1, 0], Value::I64(256)),
        (&[0xce, 0, 1, 0, 0], Value::I64(65_536)),
        (&[0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0], Value::U64(0xff << 56)),
        (&[0xd0, 0x80], Value::I64(-128)),
        (&[0xd1, 0xff, 0], Value::I64(-256)),
        (&[0xd2, 0xff, 0xff, 0, 0], Value::I64(-65_536)),
        (&[0xd3, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], Value::I64(-(1 << 32))),
        (&[0xa1, b'x'], Value::from("x")),
        (&[0xd9, 1, b'x'], Value::from("x")),
        (&[0xda, 0, 1, b'x'], Value::from("x")),
        (&[0xdb, 0, 0, 0, 1, b'x'], Value::from("x")),
    ];
    for (index, (bytes, _)) in values.iter().enumerate() {
        packed.extend([0xa1, b'a' + index as u8]);
        packed.extend(*bytes);
    }
    let model = v1(&packed).unwrap();
    assert_eq!(model.model_type, "unknown");
    for (index, (_, value)) in values.iter().enumerate() {
        let key = char::from(b'a' + index as u8).to_string();
        assert_eq!(model.metadata(&key), Some(*value), "{key}");
    }
    let nested = v1(&[0x82, 0xa1, b'a', 0x92, 1, 0xc0, 0xa1, b'b', 0xdc, 0, 1, 0x81, 0xa1, b'c', 2]).unwrap();
    assert_eq!((nested.metadata("a.0"), nested.metadata("a.1")), (Some(Value::I64(1)), None));
    assert_eq!(nested.metadata("b.0.c"), Some(Value::I64(2)));

    let deep = [&[0x81, 0xa1, b'a'][..], &[0x91; 40], &[0]].concat();
    let wide = [&[0x81, 0xa1, b'a', 0x9f][..], &[[0xdc, 0x20, 0].as_slice(), &[0; 8192]].concat().repeat(15)]
        .concat();
    for (case, packed, offset) in [
        ("no map", &[0x91, 1][..], 32),
        ("key", &[0x81, 1, 1], 33),
        ("type", &[0x81, 0xa1, b'a', 0xc1], 35),
        ("text", &[0x81, 0xa1, 0xff, 1], 34),
        ("deep", &deep, 51),
        ("wide", &wide, 65_585),
    ] {
        let error = v1(packed).unwrap_err();
        assert_refused(case, &error, "Invalid", "metadata", offset);
    }
    assert_refused("cut", &v1(&[0x81, 0xa5, b'a']).unwrap_err(), "Truncated", "metadata", 34);
}
