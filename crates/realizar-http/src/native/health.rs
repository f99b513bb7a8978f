//! Whether the process lives, whether it takes work, and what it counts. None of these waits for the model.

use crate::app::App;
use crate::body::Body;
use crate::lifecycle::Phase;
use crate::routes;
use http::{Response, StatusCode};

/// Written out: load balancers ask for nothing more often.
const HEALTHY: &str =
    concat!("{\"status\":\"ok\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\",\"compute_mode\":\"cpu\"}");
const DRAINING: &str = concat!(
    "{\"status\":\"draining\",\"version\":\"",
    env!("CARGO_PKG_VERSION"),
    "\",\"compute_mode\":\"cpu\"}"
);

const FAILED: &str = concat!(
    "{\"status\":\"failed\",\"version\":\"",
    env!("CARGO_PKG_VERSION"),
    "\",\"compute_mode\":\"cpu\"}"
);

/// Alive and with a model: the body says what runs here.
pub(crate) fn health(app: &App, _: &str) -> Response<Body> {
    let (status, text) = match app.phase() {
        Phase::Running if app.shared.backend.works() => (StatusCode::OK, HEALTHY),
        Phase::Running => (StatusCode::SERVICE_UNAVAILABLE, FAILED),
        _ => (StatusCode::SERVICE_UNAVAILABLE, DRAINING),
    };
    routes::text(status, text)
}

/// The process answers.
pub(crate) fn livez(_: &App, _: &str) -> Response<Body> {
    routes::text(StatusCode::OK, "{\"status\":\"ok\"}")
}

/// New work is taken.
pub(crate) fn readyz(app: &App, path: &str) -> Response<Body> {
    health(app, path)
}

/// Prometheus text.
pub(crate) fn metrics(app: &App, _: &str) -> Response<Body> {
    let shared = &app.shared;
    let text = shared.metrics.render(shared.backend.facts(), shared.backend.load(), app.active());
    routes::typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}
