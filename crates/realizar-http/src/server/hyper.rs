//! The server that is used: hyper, with every limit set by us.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::task::JoinSet;

use super::{FAREWELL, Server};
use crate::app::App;
use crate::limits::Limits;
use crate::listener::{Connection, Listener, Peer};

/// What a header may take beside what is counted of it: its method, its version and the line ends. One that does not fit
/// into hyper's buffer gets 431; with all else that a connection is, the buffer of the standard limits is within 64 KiB.
const HEADER_SPARE: usize = 2 << 10;
/// hyper takes no smaller one.
const LEAST_BUFFER: usize = 8 << 10;
const STREAMS: u32 = 100;
const PENDING_RESETS: usize = 20;
const LOCAL_RESETS: usize = 1024;
const WINDOW: u32 = 1 << 20;
const PING: Duration = Duration::from_secs(20);

/// Serves over hyper: HTTP/1.1, and HTTP/2 where the client begins with it.
#[derive(Debug, Clone, Copy)]
pub struct HyperServer;

impl Server for HyperServer {
    async fn serve(self, listener: Listener, app: App) -> io::Result<()> {
        let builder = builder(listener.limits());
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                (connection, peer) = listener.take() => {
                    connections.spawn(serve_one(&builder, connection, peer, app.clone(), &graceful));
                }
                // Finished connections give their memory back.
                Some(_) = connections.join_next() => {}
                () = app.stopped() => break,
            }
        }
        drop(listener);
        let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
        connections.shutdown().await;
        Ok(())
    }
}

fn serve_one(
    builder: &Builder<TokioExecutor>,
    connection: Connection,
    peer: Peer,
    app: App,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + 'static {
    let service = service_fn(move |mut request: Request<Incoming>| {
        let app = app.clone();
        request.extensions_mut().insert(peer.clone());
        async move { Ok::<_, Infallible>(app.handle(request).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(connection), service).into_owned();
    let watched = graceful.watch(connection);
    async move {
        // What went wrong is the client's doing, and it has been told where HTTP can tell it.
        let _ = watched.await;
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    if !limits.http2 {
        builder = builder.http1_only();
    }
    // The transport keeps the time for headers; see `pace`.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(limits.headers)
        .max_buf_size(
            limits
                .uri_bytes
                .saturating_add(limits.header_bytes)
                .saturating_add(HEADER_SPARE)
                .max(LEAST_BUFFER),
        )
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .keep_alive_interval(PING);
    builder
}
