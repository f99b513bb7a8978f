//! What carries the application over the network. The routes know nothing of it, so it can be swapped.

#[cfg(feature = "axum")]
mod axum;
mod hyper;

use std::future::Future;
use std::io;
use std::time::Duration;

use crate::app::App;
use crate::listener::Listener;

#[cfg(feature = "axum")]
pub use self::axum::AxumServer;
pub use self::hyper::HyperServer;

/// How long connections may take to send the last bytes of their answers once the server has stopped.
const FAREWELL: Duration = Duration::from_millis(700);

/// Carries an application.
///
/// ```no_run
/// # async fn example(app: realizar_http::App) -> Result<(), Box<dyn std::error::Error>> {
/// use realizar_http::{HyperServer, Limits, Listener, Server};
///
/// let listener = Listener::bind("127.0.0.1:8080".parse()?, &Limits::default())?;
/// HyperServer.serve(listener, app).await?;
/// # Ok(())
/// # }
/// ```
pub trait Server {
    /// Serves until the application is [stopped](App::stopped).
    ///
    /// # Errors
    /// The server cannot go on.
    fn serve(self, listener: Listener, app: App) -> impl Future<Output = io::Result<()>> + Send;
}
