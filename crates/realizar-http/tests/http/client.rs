//! Servers to talk to, and a client that sends exactly the bytes it is given.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::scripted::Scripted;
pub(crate) use crate::wire::{Reply, post, read_reply};
use realizar_http::{App, Backend, HyperServer, Limits, Listener, Server as _, Settings};

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

/// Patient enough for bodies that take a busy machine long.
pub(crate) fn patient() -> Limits {
    let long = Duration::from_secs(120);
    Limits {
        header_time: long,
        body_gap: long,
        body_time: long,
        body_grace: long,
        write_time: long,
        idle_time: long,
        ..quick()
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

/// The median time of something that takes so long on a quiet machine; a busy one disturbs a few of the tries.
pub(crate) fn median(tries: usize, mut once: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..tries).map(|_| once()).collect();
    times.sort();
    times[tries / 2]
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(5), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
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

/// Ends our side of a connection and keeps the other.
pub(crate) fn half_close(stream: &TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
}
