//! `/`: a small chat page in one file, without anything from elsewhere.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Response, StatusCode};
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::body::Body;
use crate::routes;

const PAGE: &str = include_str!("page/index.html");

/// The page.
pub(crate) fn index(_: &App, _: &str) -> Response<Body> {
    static POLICY: OnceLock<String> = OnceLock::new();
    let mut response = routes::typed(StatusCode::OK, "text/html; charset=utf-8", PAGE.to_owned());
    let policy = HeaderValue::from_str(POLICY.get_or_init(policy));
    if let Ok(policy) = policy {
        response.headers_mut().insert("content-security-policy", policy);
    }
    response.headers_mut().insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}

/// Nothing runs on the page but its own script and style, which the browser knows by their digests, and it may talk to
/// nobody but us. Text of a model that looks like a script stays text.
fn policy() -> String {
    let digest = |tag: &str| {
        let text =
            PAGE.split_once(&format!("<{tag}>")).and_then(|(_, rest)| rest.split_once(&format!("</{tag}>")));
        STANDARD.encode(Sha256::digest(text.map_or("", |(text, _)| text)))
    };
    format!(
        "default-src 'none'; connect-src 'self'; script-src 'sha256-{}'; style-src 'sha256-{}'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        digest("script"),
        digest("style"),
    )
}
