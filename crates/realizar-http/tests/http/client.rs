//! Servers to talk to, and a client that sends exactly the bytes it is given.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use realizar_http::{App, Backend, HyperServer, Limits, Listener, Server as _, Settings};
use serde_json::Value;

use crate::scripted::Scripted;

/// A server under test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Hyper,
    #[cfg(feature = "axum")]
    Axum,
}

pub(crate) const KINDS: &[Kind] = &[
    Kind::Hyper,
    #[cfg(feature = "axum")]
    Kind::Axum,
];

#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) app: App,
    pub(crate) live: Arc<AtomicUsize>,
    pub(crate) queued: Arc<AtomicUsize>,
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// Short enough to wait for, long enough for a busy machine.
pub(crate) fn quick() -> Limits {
    Limits {
        header_time: Duration::from_millis(400),
        idle_time: Duration::from_millis(800),
        body_gap: Duration::from_millis(400),
        body_time: Duration::from_secs(3),
        body_grace: Duration::from_millis(400),
        write_time: Duration::from_millis(500),
        keep_alive: Duration::from_millis(100),
        send_buffer: 16 << 10,
        body_bytes: 1 << 20,
        ..Limits::default()
    }
}

pub(crate) fn settings(limits: Limits) -> Settings {
    Settings { limits, ..Settings::default() }
}

pub(crate) fn start(kind: Kind, model: Scripted, settings: Settings) -> Running {
    let (live, queued) = (Arc::clone(&model.live), Arc::clone(&model.queued));
    Running { live, queued, ..start_backend(kind, model, settings) }
}

pub(crate) fn start_backend(kind: Kind, model: impl Backend, settings: Settings) -> Running {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let limits = settings.limits.clone();
    let app = App::new(model, settings);
    let guard = runtime.enter();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &limits).unwrap();
    let address = listener.local_addr().unwrap();
    let serving = match kind {
        Kind::Hyper => runtime.spawn(HyperServer.serve(listener, app.clone())),
        #[cfg(feature = "axum")]
        Kind::Axum => runtime.spawn(realizar_http::AxumServer.serve(listener, app.clone())),
    };
    drop(guard);
    Running { address, app, live: Arc::default(), queued: Arc::default(), runtime, serving }
}

/// Runs a test over every server.
pub(crate) fn each(test: impl Fn(Kind, Running)) {
    for kind in KINDS {
        test(*kind, start(*kind, Scripted::new(), settings(quick())));
    }
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(5), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A response, or what there was of one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    /// 0 when the connection was closed without any.
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    /// Whether the server closed the connection.
    pub(crate) closed: bool,
    /// What came after the response.
    pub(crate) rest: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The stable code of an error object of either shape.
    pub(crate) fn code(&self) -> String {
        let body = self.json();
        let error = if body["error"].is_object() { &body["error"] } else { &body };
        error["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Running {
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends bytes and reads one response.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Reply {
        let mut stream = self.connect();
        // A server that refuses early may close before everything is written.
        let _ = stream.write_all(bytes);
        read_reply(&mut stream)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.raw(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Reply {
        self.raw(post(path, body).as_bytes())
    }

    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }
}

pub(crate) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

/// Reads until a response is complete or the connection ends.
pub(crate) fn read_reply(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    let mut reply = Reply::default();
    loop {
        if let Some(done) = complete(&bytes, reply.closed) {
            reply = Reply { closed: reply.closed, ..done };
            if reply.closed || !close_follows(&reply) {
                return reply;
            }
        }
        if reply.closed {
            return reply;
        }
        match stream.read(&mut buffer) {
            Ok(0) => reply.closed = true,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => reply.closed = true,
            Err(error) => panic!("no answer in time: {error}, so far {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
}

fn close_follows(reply: &Reply) -> bool {
    reply.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

fn complete(bytes: &[u8], closed: bool) -> Option<Reply> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut reply = Reply { status, head, ..Reply::default() };
    let rest = &bytes[end..];
    if status == 100 {
        return complete(rest, closed);
    }
    let (body, used) = if let Some(length) = reply.header("content-length") {
        let length: usize = length.parse().unwrap();
        (rest.get(..length)?.to_vec(), length)
    } else if reply.header("transfer-encoding").is_some() {
        chunks(rest)?
    } else if closed || status == 204 {
        (rest.to_vec(), rest.len())
    } else {
        return None;
    };
    reply.body = String::from_utf8(body).unwrap();
    reply.rest = rest[used..].to_vec();
    Some(reply)
}

fn chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut at, mut body) = (0, Vec::new());
    loop {
        let line = at + bytes[at..].windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..line]).ok()?, 16).ok()?;
        body.extend_from_slice(bytes.get(line + 2..line + 2 + size)?);
        at = line + 2 + size + 2;
        bytes.get(..at)?;
        if size == 0 {
            return Some((body, at));
        }
    }
}

/// Ends our side of a connection and keeps the other.
pub(crate) fn half_close(stream: &TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
}
