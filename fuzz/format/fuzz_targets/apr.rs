//! `.apr`, both versions: nothing panics, with the checksums as they come and with right ones.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use realizar_format::{Apr, AprV1, TensorSource};

fn look(bytes: Vec<u8>) {
    let bytes = Bytes::from(bytes);
    if let Ok(model) = AprV1::parse(&bytes) {
        assert!(model.metadata_keys().all(|key| model.metadata(key).is_some()));
    }
    let Ok(file) = Apr::parse(bytes) else { return };
    for key in file.metadata_keys() {
        assert!(file.metadata(key).is_some());
    }
    for tensor in file.tensors() {
        assert!(file.tensor(tensor.name).is_some());
    }
}

fuzz_target!(|data: &[u8]| {
    look(data.to_vec());
    if data.len() < 68 {
        return;
    }
    let mut fixed = data.to_vec();
    let header = crc32fast::hash(&[&fixed[..40], &fixed[44..64]].concat());
    fixed[40..44].copy_from_slice(&header.to_le_bytes());
    let end = fixed.len() - 4;
    let footer = crc32fast::hash(&fixed[..end]);
    fixed[end..].copy_from_slice(&footer.to_le_bytes());
    look(fixed);
});
