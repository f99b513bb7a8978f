//! API keys: read from a file that only its owner may read, kept as digests, compared in constant time.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};

use crate::error::HttpError;
use crate::refusal::Refusal;

/// A key file is a list of words, not a disk image.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Shorter keys can be guessed.
const MIN_KEY_BYTES: usize = 16;
/// Wrong keys per second and address.
const FAILURES: u32 = 10;
/// Addresses that are remembered; more than that in one second is one large guesser.
const MAX_ADDRESSES: usize = 4096;

/// Who may ask. Without any key, everybody who can reach the port.
#[derive(Debug, Default)]
pub struct Keys {
    digests: Vec<[u8; 32]>,
    failures: Mutex<HashMap<Option<IpAddr>, (Instant, u32)>>,
}

impl Keys {
    /// No keys: every request may pass.
    #[must_use]
    pub fn open() -> Self {
        Self::default()
    }

    /// Reads a file of keys, one a line; empty lines and lines that start with `#` are left out.
    ///
    /// # Errors
    /// The file cannot be read, others than its owner may read it, it holds no key, or a key is too short.
    pub fn read(path: &Path) -> Result<Self, HttpError> {
        let failed = |source| HttpError::KeyFile { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(HttpError::KeyFileMode { path: path.to_owned(), mode });
            }
        }
        let mut text = String::new();
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, HttpError> {
        let mut digests = Vec::new();
        for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let key = line.trim();
            if key.is_empty() || key.starts_with('#') {
                continue;
            }
            if key.len() < MIN_KEY_BYTES {
                let (line, bytes) = (at + 1, key.len());
                return Err(HttpError::ShortKey { path: path.to_owned(), line, bytes, least: MIN_KEY_BYTES });
            }
            digests.push(digest(key.as_bytes()));
        }
        if digests.is_empty() {
            return Err(HttpError::NoKeys { path: path.to_owned() });
        }
        Ok(Self { digests, failures: Mutex::default() })
    }

    /// Whether there is any key.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.digests.is_empty()
    }

    /// Lets a request pass or not. Unknown, wrong and missing keys look the same from outside.
    pub(crate) fn check(&self, headers: &HeaderMap, from: Option<IpAddr>) -> Result<(), Refusal> {
        if self.is_open() {
            return Ok(());
        }
        let offered = digest(offered(headers).unwrap_or_default());
        if self.knows(&offered) {
            return Ok(());
        }
        if self.fails_too_often(from, Instant::now()) {
            return Err(Refusal::TooManyFailures);
        }
        Err(Refusal::Unauthorized)
    }

    /// Looks at every byte of every digest, whatever it finds.
    fn knows(&self, offered: &[u8; 32]) -> bool {
        let differs = |known: &[u8; 32]| known.iter().zip(offered).fold(0, |sum, (a, b)| sum | (a ^ b));
        self.digests.iter().fold(false, |found, known| found | (std::hint::black_box(differs(known)) == 0))
    }

    fn fails_too_often(&self, from: Option<IpAddr>, now: Instant) -> bool {
        let mut failures = self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let second = Duration::from_secs(1);
        if failures.len() >= MAX_ADDRESSES {
            failures.retain(|_, (since, _)| now.duration_since(*since) < second);
            if failures.len() >= MAX_ADDRESSES {
                return true;
            }
        }
        let (since, count) = failures.entry(from).or_insert((now, 0));
        if now.duration_since(*since) >= second {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count > FAILURES
    }
}

/// `Authorization: Bearer KEY` or `x-api-key: KEY`.
fn offered(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let (scheme, key) = value.as_bytes().split_at_checked(7)?;
        return scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii());
    }
    headers.get("x-api-key").map(|value| value.as_bytes().trim_ascii())
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use super::{Keys, MAX_ADDRESSES};
    use crate::refusal::Refusal;
    use http::HeaderMap;
    use std::net::{IpAddr, Ipv4Addr};
    use std::path::Path;
    use std::time::{Duration, Instant};

    const KEY: &str = "0123456789abcdef";

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn row_174_a_key_file_is_read_line_by_line() {
        let path = Path::new("keys");
        let cases: &[(&str, &str, Result<usize, &str>)] = &[
            ("one", "0123456789abcdef", Ok(1)),
            (
                "mark, comment, blank, CRLF",
                "\u{feff}# a\r\n\r\n0123456789abcdef\r\n  abcdef0123456789 \r\n",
                Ok(2),
            ),
            ("empty", "", Err("`keys` holds no key")),
            ("only blanks and comments", "\n \n# x\n", Err("`keys` holds no key")),
            ("short", "\nsecret\n", Err("`keys`, line 2: a key of 6 bytes, at least 16 are needed")),
        ];
        for (name, text, expected) in cases {
            let keys =
                Keys::parse(text, path).map(|keys| keys.digests.len()).map_err(|error| error.to_string());
            assert_eq!(keys, expected.map_err(str::to_owned), "{name}");
        }
    }

    #[test]
    fn only_a_known_key_passes() {
        let keys = Keys::parse(&format!("{KEY}\nanother key of mine"), Path::new("keys")).unwrap();
        let cases: &[(&str, HeaderMap, bool)] = &[
            ("none", HeaderMap::new(), false),
            ("bearer", headers("authorization", "Bearer 0123456789abcdef"), true),
            ("lower case, spaces", headers("authorization", "bearer   another key of mine "), true),
            ("x-api-key", headers("x-api-key", KEY), true),
            ("basic", headers("authorization", "Basic 0123456789abcdef"), false),
            ("no scheme", headers("authorization", "0123"), false),
            ("a part", headers("x-api-key", "0123456789abcde"), false),
            ("longer", headers("x-api-key", "0123456789abcdef0"), false),
            ("empty", headers("x-api-key", ""), false),
        ];
        for (name, headers, passes) in cases {
            let result = keys.check(headers, None);
            assert_eq!(result.is_ok(), *passes, "{name}: {result:?}");
        }
        assert!(Keys::open().check(&HeaderMap::new(), None).is_ok());
    }

    #[test]
    fn row_178_guessing_is_slowed_per_address() {
        let keys = Keys::parse(KEY, Path::new("keys")).unwrap();
        let (one, two) = (Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), None);
        for _ in 0..10 {
            assert!(matches!(keys.check(&HeaderMap::new(), one), Err(Refusal::Unauthorized)));
        }
        assert!(matches!(keys.check(&HeaderMap::new(), one), Err(Refusal::TooManyFailures)));
        assert!(matches!(keys.check(&HeaderMap::new(), two), Err(Refusal::Unauthorized)));
        assert!(keys.check(&headers("x-api-key", KEY), one).is_ok(), "the right key always passes");
        let later = Instant::now() + Duration::from_secs(1);
        assert!(!keys.fails_too_often(one, later), "a second later");
    }

    #[test]
    fn the_memory_of_failures_is_bounded() {
        let keys = Keys::parse(KEY, Path::new("keys")).unwrap();
        let now = Instant::now();
        let address = |number: usize| Some(IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap())));
        for number in 0..MAX_ADDRESSES {
            assert!(!keys.fails_too_often(address(number), now));
        }
        assert!(keys.fails_too_often(address(MAX_ADDRESSES), now));
        assert!(!keys.fails_too_often(address(MAX_ADDRESSES), now + Duration::from_secs(2)));
        assert_eq!(keys.failures.lock().unwrap().len(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn row_174_a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, KEY).unwrap();
        let with_mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Keys::read(&path).map(|keys| keys.is_open()).map_err(|error| error.to_string())
        };
        assert_eq!(with_mode(0o600), Ok(false));
        let error = with_mode(0o644).unwrap_err();
        assert!(error.ends_with("has mode 644, only its owner may read it (chmod 600)"), "{error}");
        let error = Keys::read(&folder.path().join("none")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read the key file"), "{error}");
    }
}
