//! The one place where the gate starts other programs.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::GateError;

/// Which output of a program the gate reads instead of leaving it to the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watch {
    /// None: the program talks to the terminal.
    Nothing,
    /// Standard output, line by line.
    Stdout,
    /// Standard output, line by line; standard error is dropped.
    Answer,
    /// Standard error, line by line.
    Stderr,
    /// None, and the program is silenced: only its success counts.
    Silence,
}

/// A program to start in the root of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(&'static str, String)>,
    pub(crate) watch: Watch,
}

impl Invocation {
    /// `cargo` with arguments that are separated by blanks.
    pub(crate) fn cargo(line: &str) -> Self {
        Self {
            program: "cargo".to_owned(),
            arguments: line.split_whitespace().map(str::to_owned).collect(),
            variables: Vec::new(),
            watch: Watch::Nothing,
        }
    }

    /// Adds one argument, whatever characters it has.
    pub(crate) fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets one environment variable.
    pub(crate) fn var(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Chooses what the gate reads.
    pub(crate) fn watch(mut self, watch: Watch) -> Self {
        self.watch = watch;
        self
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.variables {
            write!(f, "{name}={value:?} ")?;
        }
        write!(f, "{}", self.program)?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

/// Starts programs. The tests of the gate put a recorder in its place.
pub(crate) trait Launch {
    /// Runs to the end and says whether the program succeeded; the watched lines go to `line`.
    fn run(
        &self,
        root: &Path,
        invocation: &Invocation,
        line: &mut dyn FnMut(&str),
    ) -> Result<bool, GateError>;

    /// Whether `cargo NAME` exists.
    fn has_cargo(&self, root: &Path, name: &str) -> Result<bool, GateError> {
        let probe = Invocation::cargo(name).arg("--version").watch(Watch::Silence);
        self.run(root, &probe, &mut |_| {})
    }
}

/// The programs of this machine.
#[derive(Debug)]
pub(crate) struct System;

impl Launch for System {
    fn run(
        &self,
        root: &Path,
        invocation: &Invocation,
        line: &mut dyn FnMut(&str),
    ) -> Result<bool, GateError> {
        let failed = |source| GateError::Start { program: invocation.program.clone(), source };
        let mut command = Command::new(&invocation.program);
        command.current_dir(root).args(&invocation.arguments).stdin(Stdio::null());
        command.envs(invocation.variables.iter().map(|(name, value)| (name, value)));
        match invocation.watch {
            Watch::Nothing => {}
            Watch::Stdout => drop(command.stdout(Stdio::piped())),
            Watch::Answer => drop(command.stdout(Stdio::piped()).stderr(Stdio::null())),
            Watch::Stderr => drop(command.stderr(Stdio::piped())),
            Watch::Silence => drop(command.stdout(Stdio::null()).stderr(Stdio::null())),
        }
        let mut child = command.spawn().map_err(failed)?;
        let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read>);
        let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read>);
        if let Some(pipe) = stdout.or(stderr) {
            each_line(pipe, line).map_err(failed)?;
        }
        Ok(child.wait().map_err(failed)?.success())
    }
}

/// Test output may hold any bytes, so lines are cut as bytes and shown as well as they can be.
fn each_line(pipe: impl Read, line: &mut dyn FnMut(&str)) -> std::io::Result<()> {
    let mut reader = BufReader::new(pipe);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        line(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']));
        bytes.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Invocation, Launch, System, Watch};
    use std::path::Path;

    fn lines(invocation: &Invocation) -> (bool, Vec<String>) {
        let mut lines = Vec::new();
        let ok = System.run(Path::new("."), invocation, &mut |line| lines.push(line.to_owned())).unwrap();
        (ok, lines)
    }

    #[test]
    fn watched_output_arrives_line_by_line() {
        let (ok, seen) = lines(&Invocation::cargo("--version").watch(Watch::Stdout));
        assert!(ok);
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert!(seen[0].starts_with("cargo "), "{seen:?}");
    }

    #[test]
    fn standard_error_and_failure_are_seen() {
        let (ok, seen) = lines(&Invocation::cargo("no-such-command-of-cargo").watch(Watch::Stderr));
        assert!(!ok);
        assert!(seen.iter().any(|line| line.contains("no-such-command-of-cargo")), "{seen:?}");
    }

    #[test]
    fn unwatched_and_silent_programs_send_no_lines() {
        for watch in [Watch::Nothing, Watch::Silence] {
            assert_eq!(lines(&Invocation::cargo("--version").watch(watch)), (true, vec![]), "{watch:?}");
        }
    }

    #[test]
    fn tools_are_found_by_asking_for_their_version() {
        assert!(System.has_cargo(Path::new("."), "fmt").unwrap());
        assert!(!System.has_cargo(Path::new("."), "no-such-command-of-cargo").unwrap());
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let mut missing = Invocation::cargo("");
        missing.program = "no-such-program-of-ours".to_owned();
        let error = System.run(Path::new("."), &missing, &mut |_| {}).unwrap_err();
        assert_eq!(error.to_string(), "cannot start `no-such-program-of-ours`");
    }

    #[test]
    fn an_invocation_prints_as_one_would_type_it() {
        let invocation =
            Invocation::cargo("doc --no-deps").arg("-p").arg("x").var("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(invocation.to_string(), "RUSTDOCFLAGS=\"-D warnings\" cargo doc --no-deps -p x");
    }
}
