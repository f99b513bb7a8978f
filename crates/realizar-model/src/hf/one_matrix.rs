//! One matrix of every stack in a source, as a source of its own: what is made of a stack matrix by matrix needs no
//! memory for all of it.

use std::path::Path;

use realizar_format::{Format, Shape, TensorSource, TensorView, Value};

/// The matrices with one number of the stacks of a source. Tensors without a stack are as they are there.
#[derive(Debug)]
pub(crate) struct OneMatrix<'a> {
    source: &'a dyn TensorSource,
    number: usize,
}

impl<'a> OneMatrix<'a> {
    pub(crate) fn of(source: &'a dyn TensorSource, number: usize) -> Self {
        Self { source, number }
    }

    fn cut<'b>(&self, view: TensorView<'b>) -> Option<TensorView<'b>> {
        let (stack, inner) = view.shape.split_first()?;
        if inner.len() < 2 {
            return Some(view);
        }
        let bytes = view.data.len().checked_div(*stack)?;
        let start = bytes.checked_mul(self.number)?;
        let data = (self.number < *stack).then(|| view.data.slice(start..start + bytes))?;
        let shape = Shape::new(&[&[1], inner].concat())?;
        Some(TensorView { shape, data, offset: view.offset + start as u64, ..view })
    }
}

impl TensorSource for OneMatrix<'_> {
    fn format(&self) -> Format {
        self.source.format()
    }

    fn metadata(&self, key: &str) -> Option<Value<'_>> {
        self.source.metadata(key)
    }

    fn metadata_keys(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        self.source.metadata_keys()
    }

    fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        self.cut(self.source.tensor(name)?)
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorView<'_>> + '_> {
        Box::new(self.source.tensors().filter_map(|view| self.cut(view)))
    }

    fn path(&self) -> Option<&Path> {
        self.source.path()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::forms::Form;
    use super::*;

    /// Experts' matrices of four-bit floats and of F32, two groups of 32 columns, and a vector.
    fn source() -> Box<dyn TensorSource> {
        let header = r#"{"e_blocks":{"dtype":"U8","shape":[3,4,2,16],"data_offsets":[0,384]},"e_scales":{"dtype":"U8","shape":[3,4,2],"data_offsets":[384,408]},"f":{"dtype":"F32","shape":[3,2,4],"data_offsets":[408,504]},"v":{"dtype":"U8","shape":[8],"data_offsets":[504,512]}}"#;
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.extend((0..512u32).map(|at| (at * 37 % 251) as u8));
        realizar_format::parse(Bytes::from(file)).unwrap()
    }

    #[test]
    fn matrices_one_by_one_are_the_whole_stack() {
        let source = source();
        let counts = super::super::forms::Counts::of_experts(3);
        let forms =
            [Form::packed("e"), Form::packed_gates("e"), Form::packed_ups("e"), Form::packed_ups("f")];
        for form in forms {
            assert_eq!(form.matrices(&*source, ""), Some(3), "{form:?}");
            let whole = form.make(&*source, "", counts).unwrap();
            let mut data = Vec::new();
            for number in 0..3 {
                let one = form.make_one(&*source, "", counts, number).unwrap();
                assert_eq!((one.dims[0], &one.dims[1..]), (1, &whole.dims[1..]), "{form:?}");
                assert_eq!(one.dtype, whole.dtype, "{form:?}");
                data.extend_from_slice(&one.joined());
            }
            assert_eq!(data, whole.joined(), "{form:?}");
            assert!(form.make_one(&*source, "", counts, 3).is_err(), "{form:?}");
        }
        assert_eq!(Form::one("f").matrices(&*source, ""), None);
    }

    #[test]
    fn what_is_no_stack_is_as_it_was() {
        let source = source();
        let one = OneMatrix::of(&*source, 1);
        assert_eq!(one.format(), Format::Safetensors);
        assert!(one.path().is_none() && one.metadata("none").is_none() && one.metadata_keys().count() == 0);
        let names: Vec<String> =
            one.tensors().map(|view| format!("{} {:?}", view.name, &view.shape[..])).collect();
        assert_eq!(names, ["e_blocks [1, 4, 2, 16]", "e_scales [1, 4, 2]", "f [1, 2, 4]", "v [8]"]);
        assert_eq!(one.tensor("f").unwrap().offset, source.tensor("f").unwrap().offset + 32);
        assert!(one.tensor("none").is_none());
    }
}
