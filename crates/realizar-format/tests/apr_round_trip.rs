//! `.apr` files of any content are read as they were written, by us and by the genuine reader.

#![allow(clippy::unwrap_used, reason = "test code")]

use apr_format::v2::AprV2ReaderRef;
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use realizar_format::{Apr, AprWriter, DType, PackedArray, Shape, TensorSource, Value};

/// A value that JSON can hold, with an owner.
#[derive(Debug, Clone)]
enum Owned {
    Text(String),
    Integer(i64),
    Float(f32),
    Flag(bool),
    Texts(Vec<String>),
}

fn value() -> impl Strategy<Value = Owned> {
    prop_oneof![
        ".{0,12}".prop_map(Owned::Text),
        any::<i64>().prop_map(Owned::Integer),
        (-1e30_f32..1e30).prop_map(Owned::Float),
        any::<bool>().prop_map(Owned::Flag),
        prop::collection::vec(".{0,6}", 1..5).prop_map(Owned::Texts),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        metadata in prop::collection::btree_map("[a-z_]{1,10}x", value(), 0..6),
        tensors in prop::collection::btree_map(".{1,10}", (0..6_usize, prop::collection::vec(0..4_usize, 0..4)), 0..6),
    ) {
        let types = [DType::F32, DType::F16, DType::BF16, DType::I64, DType::APR_Q4, DType::APR_Q8];
        let mut writer = AprWriter::new();
        let lists: Vec<PackedArray> = metadata
            .values()
            .filter_map(|value| if let Owned::Texts(texts) = value { Some(PackedArray::strings(texts)) } else { None })
            .collect();
        let mut next_list = lists.iter();
        for (key, value) in &metadata {
            let value = match value {
                Owned::Text(text) => Value::from(&**text),
                Owned::Integer(integer) => Value::I64(*integer),
                Owned::Float(float) => Value::F32(*float),
                Owned::Flag(flag) => Value::Bool(*flag),
                Owned::Texts(_) => Value::Array(next_list.next().unwrap().as_array()),
            };
            writer.metadata(key, value).unwrap();
        }
        for (name, (kind, dims)) in &tensors {
            writer.tensor(name, types[*kind], Shape::new(dims).unwrap()).unwrap();
        }
        let mut data = writer.begin(Vec::new()).unwrap();
        while let Some(left) = data.due().map(|(_, left)| left) {
            data.write(&vec![left as u8; usize::try_from(left).unwrap()]).unwrap();
        }
        let bytes = data.finish().unwrap();
        let theirs = AprV2ReaderRef::from_bytes(&bytes).unwrap();
        let ours = Apr::parse(bytes.clone().into()).unwrap();
        prop_assert!(ours.warnings().is_empty());
        let mut next_list = lists.iter();
        for (key, value) in &metadata {
            let found = ours.metadata(key).unwrap();
            match value {
                Owned::Text(text) => prop_assert_eq!(found.as_str(), Some(&**text)),
                Owned::Integer(integer) => prop_assert_eq!(found.as_i128(), Some(i128::from(*integer))),
                Owned::Float(float) => prop_assert_eq!(found.as_f32(), Some(*float)),
                Owned::Flag(flag) => prop_assert_eq!(found.as_bool(), Some(*flag)),
                Owned::Texts(_) => prop_assert_eq!(found.as_array(), Some(next_list.next().unwrap().as_array())),
            }
        }
        prop_assert_eq!(ours.tensors().count(), tensors.len());
        for (name, (kind, dims)) in &tensors {
            let tensor = ours.tensor(name).unwrap();
            prop_assert_eq!((tensor.dtype, &*tensor.shape), (types[*kind], &**dims));
            let size = tensor.data.len();
            prop_assert!(tensor.data.iter().all(|byte| *byte == size as u8));
            prop_assert_eq!(theirs.get_tensor_data(name).map(<[u8]>::len), Some(size));
        }
    }
}
