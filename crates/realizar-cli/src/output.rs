//! The two streams: results on stdout, words for people on stderr.

use std::io::{self, Write};

use serde::Serialize;

use crate::error::CliError;

/// Writes a result to stdout and sends it off at once.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    write(text.as_bytes())
}

/// As [`print()`], for bytes that need not be text.
pub(crate) fn write(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(CliError::Stdout)
}

/// Writes one JSON object on one line.
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), CliError> {
    let mut line = serde_json::to_string(value).map_err(CliError::Json)?;
    line.push('\n');
    print(&line)
}

/// Tells an error on stderr, on one line. Where even that fails, nobody is listening.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(io::stderr().lock(), "error: {message}");
}

/// Tells a person something on stderr.
pub(crate) fn note(quiet: bool, message: &str) {
    if !quiet {
        let _ = writeln!(io::stderr().lock(), "{}", one_line(message));
    }
}

/// The message on one line, with nothing in it that a terminal would obey: words of files are in it.
pub(crate) fn one_line(message: &str) -> String {
    message.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Asks a person for input, on stderr.
pub(crate) fn ask(prompt: &str) {
    let mut err = io::stderr().lock();
    let _ = write!(err, "{prompt}").and_then(|()| err.flush());
}
