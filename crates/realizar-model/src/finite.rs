//! Looks for weights that are not finite numbers.

use realizar_format::TensorSource;
use realizar_quant::decode;
use realizar_tensor::TensorError;

use crate::error::ModelError;

/// Decodes every tensor and looks for NaN and infinities. Reads the whole file, so it is done on demand.
///
/// # Errors
///
/// Names the first tensor with such a number, and the element.
pub fn check_tensors(source: &dyn TensorSource) -> Result<(), ModelError> {
    for view in source.tensors() {
        let (elems, bytes) = (view.dtype.block_elems(), view.dtype.block_bytes());
        // Whole blocks, some tens of thousands of numbers at a time.
        let blocks = (65_536 / elems).max(1);
        let mut values = vec![0.0; blocks * elems];
        for (index, part) in view.data.chunks(blocks * bytes).enumerate() {
            let values = &mut values[..part.len() / bytes * elems];
            decode(view.dtype, part, values).map_err(|source| ModelError::Tensor {
                tensor: view.name.to_owned(),
                source: TensorError::Decode { dtype: view.dtype, source },
            })?;
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                let index = index * blocks * elems + at;
                return Err(ModelError::TensorValue {
                    tensor: view.name.to_owned(),
                    index,
                    found: values[at],
                });
            }
        }
    }
    Ok(())
}
