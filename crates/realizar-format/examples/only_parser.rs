//! Lists what is in a model file or folder: `cargo run -p realizar-format --example only_parser -- MODEL`.

use std::error::Error;
use std::io::{self, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("which model file?")?;
    let model = realizar_format::open(path)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", model.format())?;
    for key in model.metadata_keys() {
        if let Some(value) = model.metadata(key) {
            writeln!(out, "{key} = {value}")?;
        }
    }
    for tensor in model.tensors() {
        writeln!(out, "{} {} {} at {}", tensor.name, tensor.dtype, tensor.shape, tensor.offset)?;
    }
    Ok(())
}
