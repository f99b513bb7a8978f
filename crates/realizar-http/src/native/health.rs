//! Whether the process lives, whether it takes work, and what it counts. None of these waits for the model.

use http::{Response, StatusCode};
use serde_json::json;

use crate::app::App;
use crate::body::Body;
use crate::lifecycle::Phase;
use crate::routes;

/// Alive and with a model: the body says what runs here.
pub(crate) fn health(app: &App, _: &str) -> Response<Body> {
    let running = app.phase() == Phase::Running;
    let (status, word) =
        if running { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "draining") };
    let body = json!({ "status": word, "version": env!("CARGO_PKG_VERSION"), "compute_mode": "cpu" });
    routes::json(status, &body)
}

/// The process answers.
pub(crate) fn livez(_: &App, _: &str) -> Response<Body> {
    routes::json(StatusCode::OK, &json!({ "status": "ok" }))
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
