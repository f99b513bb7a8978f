//! Why the gate did not pass.

use std::io;
use std::path::PathBuf;

/// Why the gate did not pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GateError {
    #[error("unknown command `{given}`; `cargo xtask help` lists them all")]
    UnknownCommand { given: String },
    #[error("`{command}` takes no argument `{given}`; usage: cargo xtask {usage}")]
    Usage { command: &'static str, given: String, usage: &'static str },
    #[error("{step}: {count} to fix")]
    Refused { step: &'static str, count: usize },
    #[error("`{invocation}` failed")]
    Failed { invocation: String },
    #[error("`cargo {tool}` is not installed; `cargo install --locked {package}` installs it")]
    Missing { tool: &'static str, package: &'static str },
    #[error("cannot start `{program}`")]
    Start { program: String, source: io::Error },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the answer of {program} lacks {what}")]
    Lacks { program: &'static str, what: String },
    #[error("cannot print")]
    Print { source: io::Error },
    #[error("{what} is not the JSON that was expected")]
    Json { what: &'static str, source: serde_json::Error },
}

impl GateError {
    /// 2 when the command line was wrong, 1 when a check was.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::UnknownCommand { .. } | Self::Usage { .. } => 2,
            _ => 1,
        }
    }

    /// The error and all its causes in one line.
    pub(crate) fn with_causes(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(inner) = cause {
            line = format!("{line}: {inner}");
            cause = inner.source();
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::GateError;
    use std::io;

    #[test]
    fn every_cause_is_named() {
        let error = GateError::Print { source: io::Error::other("no such luck") };
        assert_eq!(error.with_causes(), "cannot print: no such luck");
        assert_eq!(error.exit_code(), 1);
    }
}
