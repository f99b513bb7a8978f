//! A table that tests write and hold. Crates that have one of another kind include this file.

use std::fs;
use std::path::Path;

/// Holds a table against the one that is kept, or writes it anew.
pub(crate) fn check(path: &Path, table: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, table).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert!(kept == table, "{} is old: UPDATE_GOLDEN=1 writes it anew", path.display());
}
