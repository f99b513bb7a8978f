//! One place that a check refuses, printed as `path:line: what`, the form that editors jump to.

use std::fmt;

/// One place that a check refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Relative to the root of the workspace, with `/` between folders.
    pub(crate) path: String,
    /// Counted from 1; 0 means the file as a whole.
    pub(crate) line: usize,
    /// What is wrong and what would be right.
    pub(crate) what: String,
}

impl Finding {
    /// A finding about a whole file.
    pub(crate) fn file(path: &str, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: 0, what: what.into() }
    }

    /// A finding about one line.
    pub(crate) fn line(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Finding;

    #[test]
    fn a_finding_prints_as_editors_read_it() {
        assert_eq!(Finding::file("a.rs", "empty").to_string(), "a.rs: empty");
        assert_eq!(Finding::line("a.rs", 7, "odd").to_string(), "a.rs:7: odd");
    }
}
