//! GGUF: nothing panics, what is accepted stays inside the file, and what is written again reads the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use realizar_format::{Gguf, GgufHeader, GgufWriter, TensorSource};

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    let header = GgufHeader::parse(bytes.clone());
    let Ok(gguf) = Gguf::parse(bytes) else { return };
    assert_eq!(header.expect("a whole file has a header").tensor_count(), gguf.tensors().count());
    let mut writer = GgufWriter::new();
    for key in gguf.metadata_keys() {
        let value = gguf.metadata(key).expect("a key has a value");
        if let Some(array) = value.as_array() {
            assert_eq!(array.iter().count(), array.len());
        }
        let _ = value.to_string();
        writer.metadata(key, value).expect("what is read can be written");
    }
    for tensor in gguf.tensors() {
        assert!(tensor.data.is_empty() || tensor.offset + tensor.data.len() as u64 <= data.len() as u64);
        writer.tensor(tensor.name, tensor.dtype, tensor.shape).expect("what is read can be written");
    }
    let mut out = writer.begin(Vec::new()).expect("memory takes everything");
    for tensor in gguf.tensors() {
        out.write(&tensor.data).expect("memory takes everything");
    }
    let again = Gguf::parse(out.finish().expect("all data was written").into()).expect("what we write, we read");
    for (ours, theirs) in again.tensors().zip(gguf.tensors()) {
        assert_eq!((ours.name, ours.dtype, ours.shape, ours.data), (theirs.name, theirs.dtype, theirs.shape, theirs.data));
    }
});
