//! Products with the weights of a model.

use realizar_tensor::{Compute, ExpertProduct, Gate, Product, Rows};

use crate::weights::Linear;

/// `out = weight x * scale + bias` for each part, whose buffers take the width that fits.
pub(crate) fn project<const N: usize>(compute: &mut Compute, x: &Rows, parts: [(&Linear, &mut Rows); N]) {
    let scales = parts.each_ref().map(|(linear, _)| linear.scale);
    let mut products = parts.map(|(linear, out)| product(linear, out));
    compute.matmul(x, &mut products);
    for (product, scale) in products.into_iter().zip(scales) {
        if scale != 1.0 {
            compute.scale(product.out, scale);
        }
    }
}

/// `out = weight (kind(gate) * up) * scale + bias`; `gate` is left with any values.
pub(crate) fn project_gated(
    compute: &mut Compute,
    kind: Gate,
    (gate, up): (&mut Rows, &Rows),
    (linear, out): (&Linear, &mut Rows),
) {
    compute.matmul_gated(kind, gate, up, &mut [product(linear, out)]);
    if linear.scale != 1.0 {
        compute.scale(out, linear.scale);
    }
}

/// A product without its factor; the buffer takes the width that fits.
fn product<'a>(linear: &'a Linear, out: &'a mut Rows) -> Product<'a> {
    out.set_width(linear.weight.rows());
    Product { weight: &linear.weight, bias: linear.bias.as_ref(), out }
}

/// One stack of a product with experts.
pub(crate) fn expert_product<'a>(linear: &'a Linear, out: &'a mut Rows) -> ExpertProduct<'a> {
    ExpertProduct { weight: &linear.weight, bias: linear.bias.as_ref(), out }
}
