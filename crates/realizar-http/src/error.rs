//! Why a server could not be set up.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum HttpError {
    #[error("cannot read the key file `{}`", path.display())]
    KeyFile { path: PathBuf, source: io::Error },
    #[error("`{}` has mode {mode:o}, only its owner may read it (chmod 600)", path.display())]
    KeyFileMode { path: PathBuf, mode: u32 },
    #[error("`{}` holds no key", path.display())]
    NoKeys { path: PathBuf },
    #[error("`{}`, line {line}: a key of {bytes} bytes, at least {least} are needed", path.display())]
    ShortKey { path: PathBuf, line: usize, bytes: usize, least: usize },
    #[error("{name} holds a key of {bytes} bytes, at least {least} are needed")]
    ShortKeyValue { name: &'static str, bytes: usize, least: usize },
    #[error("no limit is called `{name}`, there are {}", known.join(", "))]
    LimitName { name: String, known: Vec<&'static str> },
    #[error("limit {name} is `{value}`, it must be a number above 0")]
    Limit { name: String, value: String },
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
}
