//! The same routes over axum: proof that nothing above depends on the server.

use std::io;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use axum::serve::IncomingStream;

use super::Server;
use crate::app::App;
use crate::listener::{Connection, Listener, Peer};
use crate::pace::Pace;

/// Serves over axum. Times, connections and everything that the routes check are bounded as with hyper; the buffer for
/// a header is axum's own.
#[derive(Debug, Clone, Copy)]
pub struct AxumServer;

impl Server for AxumServer {
    async fn serve(self, listener: Listener, app: App) -> io::Result<()> {
        let service = Router::new()
            .fallback(answer)
            .with_state(app.clone())
            .into_make_service_with_connect_info::<Peer>();
        let stopping = app.clone();
        let graceful = async move { stopping.stopped().await };
        let serving = axum::serve(Doors(listener), service).with_graceful_shutdown(graceful);
        let late = async {
            app.stopped().await;
            tokio::time::sleep(super::FAREWELL).await;
        };
        tokio::select! {
            result = serving => result,
            () = late => Ok(()),
        }
    }
}

async fn answer(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
) -> Response {
    request.extensions_mut().insert(peer);
    app.handle(request).await.map(axum::body::Body::new)
}

/// axum asks for a trait of its own.
struct Doors(Listener);

impl axum::serve::Listener for Doors {
    type Io = Connection;
    type Addr = Peer;

    async fn accept(&mut self) -> (Connection, Peer) {
        self.0.take().await
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer { address: self.0.local_addr()?, pace: Pace::default() })
    }
}

impl Connected<IncomingStream<'_, Doors>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Doors>) -> Self {
        stream.remote_addr().clone()
    }
}
