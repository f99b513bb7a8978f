//! The real program, asked for what costs little.

use std::io;
use std::process::{Command, Output};

fn xtask(arguments: &[&str]) -> io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_xtask")).args(arguments).output()
}

#[test]
fn help_and_layers_succeed() {
    for (arguments, expected) in [(&[][..], "usage: cargo xtask COMMAND"), (&["layers"], "layers: ")] {
        let output = xtask(arguments).unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}: {printed}");
        assert!(printed.contains(expected), "{arguments:?}: {printed}");
    }
}

#[test]
fn an_unknown_command_is_a_usage_error() {
    let output = xtask(&["modells"]).unwrap();
    assert_eq!(output.status.code(), Some(2));
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(printed, "error: unknown command `modells`; `cargo xtask help` lists them all\n");
}
