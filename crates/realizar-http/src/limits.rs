//! How much a client may send and how long it may take.

use std::time::Duration;

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
    /// Bytes that the bodies of all requests may take together while they are read and parsed.
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
    /// For a whole answer.
    pub answer_time: Duration,
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
            answer_time: Duration::from_secs(3600),
            http2: true,
        }
    }
}
