//! Products with the weights of a model.

use realizar_tensor::{Compute, ExpertProduct, Product, Rows};

use crate::weights::Linear;

/// `out = weight x * scale + bias` for each part, whose buffers take the width that fits.
pub(crate) fn project<const N: usize>(compute: &mut Compute, x: &Rows, parts: [(&Linear, &mut Rows); N]) {
    let scales = parts.each_ref().map(|(linear, _)| linear.scale);
    let mut products = parts.map(|(linear, out)| {
        out.set_width(linear.weight.rows());
        Product { weight: &linear.weight, bias: linear.bias.as_ref(), out }
    });
    compute.matmul(x, &mut products);
    for (product, scale) in products.into_iter().zip(scales) {
        if scale != 1.0 {
            compute.scale(product.out, scale);
        }
    }
}

/// One stack of a product with experts.
pub(crate) fn expert_product<'a>(linear: &'a Linear, out: &'a mut Rows) -> ExpertProduct<'a> {
    ExpertProduct { weight: &linear.weight, bias: linear.bias.as_ref(), out }
}
