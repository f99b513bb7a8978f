//! API keys: read from a file that only its owner may read, kept as digests, compared in constant time.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::Sha256;

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
    digests: RwLock<Vec<Digest>>,
    failures: Mutex<HashMap<Option<IpAddr>, (Instant, u32)>>,
    /// Requests under way by owner.
    at_work: Arc<Mutex<HashMap<u64, usize>>>,
}

type Digest = [u8; 32];

/// Who sends a request: the holder of a key, or an address where no keys are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    /// A number that no other owner has.
    pub(crate) number: u64,
    /// Whether a key was asked for.
    keyed: bool,
}

/// The place of a request among those of its key, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct KeyPlace {
    at_work: Arc<Mutex<HashMap<u64, usize>>>,
    owner: u64,
}

impl Drop for KeyPlace {
    fn drop(&mut self) {
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = at_work.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                at_work.remove(&self.owner);
            }
        }
    }
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
        // Asked before it is opened: opening a FIFO waits for a writer.
        let known = std::fs::metadata(path).map_err(failed)?;
        if !known.is_file() {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        if known.len() > MAX_FILE_BYTES {
            let bytes = format!("{} bytes, at most {MAX_FILE_BYTES} are read", known.len());
            return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, bytes)));
        }
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

    /// A single key, from wherever `name` says.
    ///
    /// # Errors
    /// The key is too short.
    pub fn one(key: &str, name: &'static str) -> Result<Self, HttpError> {
        let (key, least) = (key.trim(), MIN_KEY_BYTES);
        if key.len() < least {
            return Err(HttpError::ShortKeyValue { name, bytes: key.len(), least });
        }
        Ok(Self::of(vec![digest(key.as_bytes())]))
    }

    /// These keys and others.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mut digests = self.digests.into_inner().unwrap_or_else(PoisonError::into_inner);
        digests.extend(other.digests.into_inner().unwrap_or_else(PoisonError::into_inner));
        Self::of(digests)
    }

    /// From now on these keys are right, and no other. Requests under way go on.
    pub(crate) fn replace(&self, new: Self) {
        let new = new.digests.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.digests.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    fn of(digests: Vec<Digest>) -> Self {
        Self { digests: RwLock::new(digests), ..Self::default() }
    }

    fn known(&self) -> RwLockReadGuard<'_, Vec<Digest>> {
        self.digests.read().unwrap_or_else(PoisonError::into_inner)
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
        Ok(Self::of(digests))
    }

    /// Whether there is any key.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.known().is_empty()
    }

    /// Lets a request pass or not. Unknown, wrong and missing keys look the same from outside.
    pub(crate) fn check(&self, headers: &HeaderMap, from: Option<IpAddr>) -> Result<Owner, Refusal> {
        if self.is_open() {
            let number = match from {
                Some(IpAddr::V4(address)) => u64::from(address.to_bits()),
                // Whoever has one address of a network has all 2^64 of it.
                Some(IpAddr::V6(address)) => (address.to_bits() >> 64) as u64,
                None => 0,
            };
            return Ok(Owner { number, keyed: false });
        }
        let offered = digest(offered(headers).unwrap_or_default());
        if self.knows(&offered) {
            let first = offered.first_chunk().copied().unwrap_or_default();
            return Ok(Owner { number: u64::from_le_bytes(first), keyed: true });
        }
        if self.fails_too_often(from, Instant::now()) {
            return Err(Refusal::TooManyFailures);
        }
        Err(Refusal::Unauthorized)
    }

    /// Gives a request a place among those of its key, if there is one left. Without keys there is no limit.
    pub(crate) fn enter(&self, owner: Owner, limit: usize) -> Result<Option<KeyPlace>, Refusal> {
        if !owner.keyed {
            return Ok(None);
        }
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let count = at_work.entry(owner.number).or_default();
        if *count >= limit {
            return Err(Refusal::KeyBusy { limit });
        }
        *count += 1;
        Ok(Some(KeyPlace { at_work: Arc::clone(&self.at_work), owner: owner.number }))
    }

    /// Looks at every byte of every digest, whatever it finds.
    fn knows(&self, offered: &Digest) -> bool {
        let differs = |known: &Digest| known.iter().zip(offered).fold(0, |sum, (a, b)| sum | (a ^ b));
        self.known().iter().fold(false, |found, known| found | (std::hint::black_box(differs(known)) == 0))
    }

    fn fails_too_often(&self, from: Option<IpAddr>, now: Instant) -> bool {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
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

fn digest(key: &[u8]) -> Digest {
    <Sha256 as sha2::Digest>::digest(key).into()
}

#[cfg(test)]
mod tests {
    use super::{Keys, MAX_ADDRESSES};
    use crate::refusal::Refusal;
    use http::HeaderMap;
    use std::error::Error as _;
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
                Keys::parse(text, path).map(|keys| keys.known().len()).map_err(|error| error.to_string());
            assert_eq!(keys, expected.map_err(str::to_owned), "{name}");
        }
    }

    #[test]
    fn key_files_are_regular_files_of_a_bounded_size() {
        let told = |path: &Path| {
            let error = Keys::read(path).unwrap_err();
            error.source().map(ToString::to_string).unwrap_or_default()
        };
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(told(folder.path()), "not a regular file");
        let long = folder.path().join("long");
        std::fs::write(&long, "0123456789abcdef\n".repeat(70_000)).unwrap();
        assert_eq!(told(&long), "1190000 bytes, at most 1048576 are read");
        #[cfg(target_os = "linux")]
        assert_eq!(told(Path::new("/dev/null")), "not a regular file");
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
    fn row_157_a_key_has_so_many_requests_at_a_time() {
        let keys = Keys::parse(&format!("{KEY}\nanother key of mine"), Path::new("keys")).unwrap();
        let one = keys.check(&headers("x-api-key", KEY), None).unwrap();
        let two = keys.check(&headers("x-api-key", "another key of mine"), None).unwrap();
        assert_ne!(one, two);
        let held = [keys.enter(one, 2).unwrap(), keys.enter(one, 2).unwrap()];
        assert!(matches!(keys.enter(one, 2), Err(Refusal::KeyBusy { limit: 2 })));
        assert!(keys.enter(two, 2).is_ok_and(|place| place.is_some()), "another key has places of its own");
        drop(held);
        assert!(keys.at_work.lock().unwrap().is_empty());
        assert!(keys.enter(one, 2).is_ok());
    }

    #[test]
    fn without_keys_an_owner_is_an_address() {
        let owner = |address: &str| {
            let owner = Keys::open().check(&HeaderMap::new(), Some(address.parse().unwrap())).unwrap();
            assert!(Keys::open().enter(owner, 0).unwrap().is_none(), "and has no limit");
            owner.number
        };
        assert_ne!(owner("10.0.0.1"), owner("10.0.0.2"));
        assert_eq!(owner("2001:db8::1"), owner("2001:db8::2"));
        assert_ne!(owner("2001:db8::1"), owner("2001:db8:0:1::1"));
        assert_eq!(Keys::open().check(&HeaderMap::new(), None).unwrap().number, 0);
    }

    #[test]
    fn keys_come_from_several_places_and_can_be_replaced() {
        let keys = Keys::one(&format!(" {KEY}\n"), "KEY")
            .unwrap()
            .and(Keys::one("another key of mine", "KEY").unwrap());
        let passes = |key: &str| keys.check(&headers("x-api-key", key), None).is_ok();
        assert!(passes(KEY) && passes("another key of mine"));
        keys.replace(Keys::one("a key of tomorrow", "KEY").unwrap());
        assert!(!passes(KEY) && passes("a key of tomorrow"));
        let error = Keys::one("short", "KEY").unwrap_err();
        assert_eq!(error.to_string(), "KEY holds a key of 5 bytes, at least 16 are needed");
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
