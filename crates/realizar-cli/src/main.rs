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
mod load;
mod output;
mod session;

use std::process::ExitCode;

use crate::error::CliError;

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
    // Everything that was written is flushed token by token, so an interrupt may end the process at any point.
    let always = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    signal_hook::flag::register_conditional_shutdown(signal_hook::consts::SIGINT, 130, always)
        .map_err(CliError::Signals)?;
    match args::parse(std::env::args_os())? {
        args::Parsed::Text(text) => output::print(&text),
        args::Parsed::Command(command) => commands::dispatch(*command),
    }
}
