//! Writes a model file of random weights: `cargo xtask model SHAPE TYPE OUT`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use realizar_benches::RandomModel;

const USAGE: &str = "usage: cargo xtask model SHAPE TYPE OUT [--seed N] [--layers N]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let said = run(&arguments);
    let code = if said.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    let line = said.unwrap_or_else(|error| format!("error: {error}"));
    // Nothing can be done when even this cannot be printed; the exit code still tells.
    drop(writeln!(std::io::stderr(), "{line}"));
    code
}

fn run(arguments: &[String]) -> Result<String, Box<dyn Error>> {
    let shapes = RandomModel::shapes().join(", ");
    let usage = || format!("{USAGE}; shapes: {shapes}; types: a recipe such as Q4_K_M, or one for all");
    let [shape, dtype, out, flags @ ..] = arguments else { return Err(usage().into()) };
    let mut model = RandomModel::named(shape, dtype)?;
    let (flags, []) = flags.as_chunks::<2>() else { return Err(usage().into()) };
    for [flag, value] in flags {
        match flag.as_str() {
            "--seed" => model.seed = value.parse()?,
            "--layers" => model.set_layers(value.parse()?),
            _ => return Err(usage().into()),
        }
    }
    let began = Instant::now();
    model.write(Path::new(out))?;
    let billions = model.parameters() as f64 / 1e9;
    Ok(format!("{out}: {billions:.2} G parameters, {:.1} s", began.elapsed().as_secs_f64()))
}
