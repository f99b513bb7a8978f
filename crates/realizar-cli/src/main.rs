//! `realizar-cli`: run language models from the command line.
//!
//! stdout carries the result and nothing else; stderr is for people. Exit codes: 0 done, 1 failed, 2 wrong usage,
//! 130 interrupted.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod demo;
mod error;
mod ids;
mod interrupt;
mod load;
mod out_file;
mod output;
mod sampling;
mod session;

use std::process::ExitCode;

use crate::error::CliError;
use crate::interrupt::Interrupt;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error.to_line());
            ExitCode::from(error.exit_code())
        }
    }
}

fn run() -> Result<(), CliError> {
    let interrupt = Interrupt::install()?;
    realizar_format::guard_mappings().map_err(CliError::Signals)?;
    match args::parse(std::env::args_os())? {
        args::Parsed::Text(text) => output::print(&text),
        args::Parsed::Command(command) => {
            commands::dispatch(*command, &interrupt)?;
            // What was computed on pages that somebody took away is worth nothing.
            if realizar_format::torn_pages() > 0 { Err(CliError::Torn) } else { Ok(()) }
        }
    }
}
