//! The gate of the workspace: `cargo xtask ci` runs every check, `cargo xtask help` lists them.
//!
//! Each check is one file with a function `run`; the tables in `gate.rs` put them in order. Programs are started
//! through one trait (`launch.rs`), so that the tests of this crate can watch the gate without running it.
#![forbid(unsafe_code)]

mod architecture;
mod book;
mod coverage;
mod deny;
mod elsewhere;
mod error;
mod features;
mod finding;
mod gate;
mod launch;
mod layers;
mod lints;
mod model;
mod mutants;
mod peers;
mod source;
mod suite;
mod tidy;
mod unsafe_rooms;
mod workspace;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = std::io::stdout().lock();
    let mut gate = gate::Gate { root, programs: &launch::System, out: &mut out };
    match gate.dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done when even this cannot be printed; the exit code still tells.
            drop(writeln!(std::io::stderr(), "error: {}", error.with_causes()));
            ExitCode::from(error.exit_code())
        }
    }
}
