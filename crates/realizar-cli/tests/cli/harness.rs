//! Runs the built binary as a user or a script would.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// What a run gave.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("stdout is UTF-8")
    }

    /// One JSON value per line.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }

    /// Panics unless the command did its work.
    pub(crate) fn ok(self, name: &str) -> Self {
        assert_eq!(self.code, Some(0), "{name}: {}", self.stderr);
        self
    }

    /// Panics unless the command was refused with this exit code and one line on stderr that holds all of `words`.
    pub(crate) fn refused(&self, name: &str, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{name}: {}", self.stderr);
        assert!(self.stderr.starts_with("error: "), "{name}: {}", self.stderr);
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "{name}: {}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{name}: no `{word}` in {}", self.stderr);
        }
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Self { code: output.status.code(), stdout: output.stdout, stderr }
    }
}

/// The binary, with an environment that does not change what it does.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_realizar-cli"));
    command.env_remove("REALIZAR_ISA").stdin(Stdio::null());
    command
}

/// Runs it with arguments.
pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Run {
    binary().args(args).output().expect("the binary starts").into()
}

/// Runs it with arguments and something on stdin.
pub(crate) fn run_with_stdin(args: &[&str], stdin: &[u8]) -> Run {
    let mut child = binary()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut pipe = child.stdin.take().expect("stdin is piped");
    let input = stdin.to_vec();
    // From another thread: the child may fill its stdout before it has read everything.
    let writer = std::thread::spawn(move || drop(pipe.write_all(&input)));
    let output = child.wait_with_output().expect("the binary ends");
    writer.join().expect("the writer ends");
    output.into()
}

/// A folder or file of the shared golden data, or `None` with a note when this checkout has none.
pub(crate) fn shared(folder: &str, suite: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(folder);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED (no shared/data): {suite}");
    None
}

/// A file that belongs to these tests.
pub(crate) fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}
