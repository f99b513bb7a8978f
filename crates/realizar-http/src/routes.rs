//! The table of routes: everything that the server answers to, in one place.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};

use crate::app::App;
use crate::body::{Body, Reserved};
use crate::fields::Seen;
use crate::keys::{KeyPlace, Owner};
use crate::record::Tally;
use crate::refusal::Refusal;
use crate::{native, openai, page};

/// Answers that take so many bytes before they are written keep others waiting: a probability is counted as 1 KiB.
const LONG: usize = 1 << 20;

/// A body that was read, on its way to a handler.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) map: Map<String, Value>,
    /// Where it is noted which fields were looked at, if the client wants to know.
    pub(crate) seen: Option<Arc<Seen>>,
    pub(crate) tally: Tally,
    pub(crate) owner: Owner,
    /// The request's place among those of its key; answers keep it until they have ended.
    pub(crate) place: Option<Arc<KeyPlace>>,
    /// Whether the body was so large that all work on it takes long.
    pub(crate) large: bool,
    /// What the body takes of the memory for all bodies.
    pub(crate) _memory: Reserved,
}

type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response<Body>, Refusal>> + Send + 'a>>;

/// What answers.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// At once, from the path.
    Get(fn(&App, &str) -> Response<Body>),
    /// From a JSON body.
    Post(for<'a> fn(&'a App, Call) -> Answering<'a>),
}

/// The shape of error objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Envelope {
    OpenAi,
    Native,
}

/// One row.
pub(crate) struct Route {
    /// Exact, or a prefix where it ends in a slash.
    pub(crate) path: &'static str,
    pub(crate) envelope: Envelope,
    /// Whether it is open to those without a key.
    pub(crate) public: bool,
    pub(crate) handler: Handler,
}

const fn get(
    path: &'static str,
    envelope: Envelope,
    public: bool,
    answer: fn(&App, &str) -> Response<Body>,
) -> Route {
    Route { path, envelope, public, handler: Handler::Get(answer) }
}

const fn post(
    path: &'static str,
    envelope: Envelope,
    answer: for<'a> fn(&'a App, Call) -> Answering<'a>,
) -> Route {
    Route { path, envelope, public: false, handler: Handler::Post(answer) }
}

use Envelope::{Native, OpenAi};

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    get("/",                     Native, true,  page::index),
    get("/health",               Native, true,  native::health),
    get("/v1/health",            Native, true,  native::health),
    get("/livez",                Native, true,  native::livez),
    get("/readyz",               Native, true,  native::readyz),
    get("/metrics",              Native, false, native::metrics),
    get("/v1/models",            OpenAi, false, openai::models),
    get("/v1/models/",           OpenAi, false, openai::model),
    post("/v1/chat/completions", OpenAi, |app, call| Box::pin(openai::chat(app, call))),
    post("/v1/completions",      OpenAi, |app, call| Box::pin(openai::completions(app, call))),
    post("/v1/embeddings",       OpenAi, |app, call| Box::pin(openai::embeddings(app, call))),
    // The same without the version, as clients of llama-server write them.
    get("/models",               OpenAi, false, openai::models),
    post("/chat/completions",    OpenAi, |app, call| Box::pin(openai::chat(app, call))),
    post("/embeddings",          OpenAi, |app, call| Box::pin(openai::embeddings(app, call))),
    post("/tokenize",            Native, |app, call| Box::pin(native::tokenize(app, call))),
    post("/detokenize",          Native, |app, call| Box::pin(native::detokenize(app, call))),
    post("/apply-template",      Native, |app, call| Box::pin(native::apply_template(app, call))),
    post("/generate",            Native, |app, call| Box::pin(native::generate(app, call))),
    post("/stream/generate",     Native, |app, call| Box::pin(native::stream_generate(app, call))),
    post("/batch/tokenize",      Native, |app, call| Box::pin(native::batch_tokenize(app, call))),
    post("/batch/generate",      Native, |app, call| Box::pin(native::batch_generate(app, call))),
];

/// The row of a path, which is compared as it is: nothing is decoded, folded or trimmed.
pub(crate) fn find(path: &str) -> Option<&'static Route> {
    let fits = |route: &&Route| {
        let below = route.path.len() > 1 && route.path.ends_with('/') && path.len() > route.path.len();
        path == route.path && !(route.path.len() > 1 && route.path.ends_with('/'))
            || below && path.starts_with(route.path)
    };
    ROUTES.iter().find(fits)
}

/// A JSON response.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    typed(status, "application/json", value.to_string())
}

/// A JSON response that may be long, with its part of the memory for all bodies.
pub(crate) fn long(json: String, mut held: Reserved) -> Response<Body> {
    held.shrink(json.len());
    typed(StatusCode::OK, "application/json", json).map(|body| body.hold(held))
}

/// The same, written of something that takes so many bytes; what takes long on a thread that nobody else waits for.
pub(crate) async fn written(
    bytes: usize,
    write: impl FnOnce() -> String + Send + 'static,
    held: Reserved,
) -> Result<Response<Body>, Refusal> {
    if bytes < LONG {
        return Ok(long(write(), held));
    }
    tokio::task::spawn_blocking(move || long(write(), held)).await.map_err(|_| Refusal::Internal)
}

/// A JSON response that was written beforehand.
pub(crate) fn text(status: StatusCode, json: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::whole(json));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A response of a media type.
pub(crate) fn typed(status: StatusCode, media: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::whole(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// A stream of events.
pub(crate) fn events(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Nginx would wait for a buffer to fill.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::{LONG, ROUTES, Reserved, find, written};

    #[tokio::test]
    async fn long_answers_are_written_elsewhere() {
        let (sender, receiver) = mpsc::channel();
        for bytes in [LONG - 1, LONG] {
            let sender = sender.clone();
            let write = move || {
                sender.send(thread::current().id()).unwrap();
                "{}".to_owned()
            };
            let response = written(bytes, write, Reserved::default()).await.unwrap();
            assert_eq!(response.body().bytes().unwrap(), "{}");
            let here = receiver.recv().unwrap() == thread::current().id();
            assert_eq!(here, bytes < LONG, "{bytes} bytes");
        }
    }

    #[test]
    fn paths_are_found_as_they_are_written() {
        for route in ROUTES {
            let path = if route.path == "/v1/models/" { "/v1/models/x" } else { route.path };
            assert_eq!(find(path).map(|found| found.path), Some(route.path));
        }
        for path in [
            "//",
            "/V1/models",
            "/v1/models/",
            "/health/",
            "//health",
            "/%68ealth",
            "/v1/chat",
            "",
            "/health.",
        ] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
