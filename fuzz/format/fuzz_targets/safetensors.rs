//! safetensors: nothing panics, and the tensors of an accepted file cover its data.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use realizar_format::{Safetensors, TensorSource};

fuzz_target!(|data: &[u8]| {
    // The length is made to fit most of the time: else nearly every input ends there.
    let mut bytes = data.to_vec();
    if let (Some(length), Some(end)) = (bytes.first_chunk::<8>(), data.iter().rposition(|byte| *byte == b'}'))
        && length[7] == 0
        && end >= 8
    {
        bytes[..8].copy_from_slice(&(end as u64 - 7).to_le_bytes());
    }
    let Ok(file) = Safetensors::parse(Bytes::from(bytes)) else { return };
    for key in file.metadata_keys() {
        assert!(file.metadata(key).is_some());
    }
    let mut end = None;
    for tensor in file.tensors() {
        assert!(end.is_none_or(|end| end == tensor.offset));
        end = Some(tensor.offset + tensor.data.len() as u64);
        assert!(file.tensor(tensor.name).is_some());
    }
    assert!(end.is_none_or(|end| end == data.len() as u64));
});
