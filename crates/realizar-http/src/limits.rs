//! How much a client may send and how long it may take.

use std::time::Duration;

use crate::error::HttpError;

/// Bounds of sizes, counts and times. [`Limits::default`] is what the command line tool serves with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of path and query.
    pub uri_bytes: usize,
    /// Bytes of all header fields.
    pub header_bytes: usize,
    /// Number of header fields.
    pub headers: usize,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes that the bodies of all requests may take together, as bytes while they are read and as values until they are
    /// answered; and lists of tokens, vectors and answers that are sent whole, until they are sent.
    pub memory_bytes: usize,
    /// Requests under way of one key.
    pub requests_per_key: usize,
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time from one address.
    pub connections_per_address: usize,
    /// From the first byte of a request to the end of its header.
    pub header_time: Duration,
    /// Without any byte between requests.
    pub idle_time: Duration,
    /// Between two reads of a body.
    pub body_gap: Duration,
    /// For a whole body.
    pub body_time: Duration,
    /// For how long a body may be slower than `body_rate`.
    pub body_grace: Duration,
    /// Bytes per second that a body must bring after that.
    pub body_rate: usize,
    /// For how long a client may read nothing of its answer.
    pub write_time: Duration,
    /// Bytes of answer that the kernel may hold for a client that does not read.
    pub send_buffer: u32,
    /// Silence in a stream before a comment keeps the connection open.
    pub keep_alive: Duration,
    /// In the queue, until the prompt is begun. The engine keeps it.
    pub queue_time: Duration,
    /// From the request to the first token. The engine keeps it.
    pub first_token_time: Duration,
    /// For a whole answer.
    pub answer_time: Duration,
    /// Without its client reading, until an answer gives its place up to others who wait. The engine keeps it.
    pub stall_time: Duration,
    /// Whether HTTP/2 with prior knowledge is spoken beside HTTP/1.1.
    pub http2: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            uri_bytes: 8 << 10,
            header_bytes: 32 << 10,
            headers: 100,
            body_bytes: 16 << 20,
            memory_bytes: 1 << 30,
            requests_per_key: 64,
            connections: 1024,
            connections_per_address: 256,
            header_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            body_gap: Duration::from_secs(15),
            body_time: Duration::from_secs(120),
            body_grace: Duration::from_secs(10),
            body_rate: 1 << 10,
            write_time: Duration::from_secs(30),
            send_buffer: 256 << 10,
            keep_alive: Duration::from_secs(15),
            queue_time: Duration::from_secs(120),
            first_token_time: Duration::from_secs(600),
            answer_time: Duration::from_secs(3600),
            stall_time: Duration::from_millis(1500),
            http2: true,
        }
    }
}

/// A limit by its kind.
enum Slot<'a> {
    Count(&'a mut usize),
    Bytes(&'a mut u32),
    Time(&'a mut Duration),
}

/// A limit's name and its place.
type Row = (&'static str, fn(&mut Limits) -> Slot<'_>);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("uri-bytes",               |l| Slot::Count(&mut l.uri_bytes)),
    ("header-bytes",            |l| Slot::Count(&mut l.header_bytes)),
    ("headers",                 |l| Slot::Count(&mut l.headers)),
    ("body-bytes",              |l| Slot::Count(&mut l.body_bytes)),
    ("memory-bytes",            |l| Slot::Count(&mut l.memory_bytes)),
    ("requests-per-key",        |l| Slot::Count(&mut l.requests_per_key)),
    ("connections",             |l| Slot::Count(&mut l.connections)),
    ("connections-per-address", |l| Slot::Count(&mut l.connections_per_address)),
    ("header-time",             |l| Slot::Time(&mut l.header_time)),
    ("idle-time",               |l| Slot::Time(&mut l.idle_time)),
    ("body-gap",                |l| Slot::Time(&mut l.body_gap)),
    ("body-time",               |l| Slot::Time(&mut l.body_time)),
    ("body-grace",              |l| Slot::Time(&mut l.body_grace)),
    ("body-rate",               |l| Slot::Count(&mut l.body_rate)),
    ("write-time",              |l| Slot::Time(&mut l.write_time)),
    ("send-buffer",             |l| Slot::Bytes(&mut l.send_buffer)),
    ("keep-alive",              |l| Slot::Time(&mut l.keep_alive)),
    ("queue-time",              |l| Slot::Time(&mut l.queue_time)),
    ("first-token-time",        |l| Slot::Time(&mut l.first_token_time)),
    ("answer-time",             |l| Slot::Time(&mut l.answer_time)),
    ("stall-time",              |l| Slot::Time(&mut l.stall_time)),
];

impl Limits {
    /// The names that [`Limits::set`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ROWS.iter().map(|(name, _)| *name)
    }

    /// Sets a limit by name: a count, bytes, or seconds. Tells whether it is looser than the standard one.
    ///
    /// # Errors
    /// [`HttpError::LimitName`] for a name that is not known, [`HttpError::Limit`] for a value that is none.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool, HttpError> {
        let row = ROWS.iter().find(|(known, _)| *known == name);
        let Some((_, slot)) = row else {
            return Err(HttpError::LimitName { name: name.to_owned(), known: Self::names().collect() });
        };
        let wrong = || HttpError::Limit { name: name.to_owned(), value: value.to_owned() };
        let mut standard = Self::default();
        match (slot(self), slot(&mut standard)) {
            (Slot::Count(now), Slot::Count(standard)) => {
                *now = value.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
                Ok(now > standard)
            }
            (Slot::Bytes(now), Slot::Bytes(standard)) => {
                *now = value.parse().ok().filter(|bytes| *bytes > 0).ok_or_else(wrong)?;
                Ok(now > standard)
            }
            (Slot::Time(now), Slot::Time(standard)) => {
                let seconds = value.parse().ok().filter(|seconds| *seconds > 0.0).ok_or_else(wrong)?;
                *now = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
                Ok(now > standard)
            }
            // A row has one kind.
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;
    use std::time::Duration;

    #[test]
    fn every_limit_has_a_name_and_is_bounded_by_its_kind() {
        for name in Limits::names() {
            let mut limits = Limits::default();
            assert_eq!(limits.set(name, "1").ok(), Some(false), "{name}");
            assert_ne!(limits, Limits::default(), "{name}");
            assert_eq!(limits.set(name, "4294967295").ok(), Some(true), "{name}");
            for bad in ["0", "-1", "x", "", "NaN", "1e30"] {
                let error = limits.set(name, bad).unwrap_err().to_string();
                assert!(error.contains(name), "{name}={bad}: {error}");
            }
        }
        let mut limits = Limits::default();
        assert!(!limits.set("body-gap", "0.4").unwrap());
        assert_eq!(limits.body_gap, Duration::from_millis(400));
        assert!(limits.set("send-buffer", "4294967296").is_err() && limits.set("headers", "1.5").is_err());
        let error = limits.set("beards", "1").unwrap_err().to_string();
        assert!(
            error.starts_with("no limit is called `beards`, there are uri-bytes, header-bytes"),
            "{error}"
        );
    }

    #[test]
    fn the_page_on_serve_gives_the_standard_of_every_limit() {
        let page = include_str!("../../../docs/src/cli/serve.md");
        let mut told = Vec::new();
        for row in page.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let names = cells[1].split(", ").map(|name| name.trim_matches('`'));
            // What follows the numbers is said of them.
            let numbers = cells[2].split(';').next().unwrap_or_default().split(", ");
            for (name, number) in names.zip(numbers) {
                let mut limits = Limits::default();
                assert!(limits.set(name, number).is_ok(), "{name}: {number}");
                assert_eq!(limits, Limits::default(), "{name} is not {number}");
                told.push(name);
            }
        }
        assert_eq!(told.len(), Limits::names().count(), "{told:?}");
        assert!(Limits::names().all(|name| told.contains(&name)), "{told:?}");
    }
}
