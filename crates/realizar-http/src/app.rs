//! The application: one function from a request to a response, which any server can carry.

use std::any::Any;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW, CONNECTION,
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, RETRY_AFTER, TRANSFER_ENCODING, VARY,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};

use crate::access::{Access, AllowedOrigin};
use crate::backend::Backend;
use crate::body::{self, Body, Memory, Read, Reserved};
use crate::fields::Seen;
use crate::json;
use crate::keys::Keys;
use crate::lifecycle::{Lifecycle, Phase};
use crate::limits::Limits;
use crate::listener::Peer;
use crate::metrics::Metrics;
use crate::places::Places;
use crate::record::{LogSink, Record};
use crate::refusal::{Refusal, cut};
use crate::routes::{self, Call, Envelope, Handler, Route};
use crate::target;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Asks for [`UNKNOWN_FIELDS`].
const DEBUG: HeaderName = HeaderName::from_static("x-realizar-debug");
/// Fields of the body that nobody looked at.
const UNKNOWN_FIELDS: HeaderName = HeaderName::from_static("x-realizar-unknown-fields");
/// Tokenizing and templates at a time; more would only take cores from the model.
const BLOCKING: usize = 4;
/// Requests that may wait for one of these places.
const MAX_WAITING: usize = 256;
/// Bodies over this are parsed away from the threads that serve everybody.
const LARGE_BODY: usize = 64 << 10;

/// How a server behaves. [`Settings::default`] is for tests and loopback: no keys, standard limits.
#[derive(Debug, Default)]
pub struct Settings {
    /// Bounds of sizes and times.
    pub limits: Limits,
    /// Who may ask.
    pub keys: Keys,
    /// Under which names, and from which pages.
    pub access: Access,
    /// Further names of the model beside its id.
    pub aliases: Vec<String>,
    /// Hears of every request when it is over.
    pub log: Option<LogSink>,
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    pub(crate) life: Lifecycle,
    pub(crate) memory: Memory,
    blocking: Places,
    /// Large bodies and their texts take long: they wait for each other, and not the small ones for them.
    large: Places,
    /// Vectors are computed for one request at a time, and nobody who only wants tokens waits for it.
    vectors: Places,
    ids: RandomState,
    requests: AtomicU64,
}

/// The routes over a model. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) shared: Arc<Shared>,
}

impl App {
    /// Puts the routes over a model.
    #[must_use]
    pub fn new(backend: impl Backend, settings: Settings) -> Self {
        let shared = Shared {
            memory: Memory::new(settings.limits.memory_bytes),
            backend: Arc::new(backend),
            settings,
            metrics: Metrics::new(),
            life: Lifecycle::new(),
            blocking: Places::new(BLOCKING),
            large: Places::new(1),
            vectors: Places::new(1),
            ids: RandomState::new(),
            requests: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Answers one request. Never fails: what cannot be answered gets an error object. Dropping the future, or later the
    /// response's body, ends the work.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body + Send,
        B::Data: Send,
    {
        let id = self.request_id(request.headers());
        let patience =
            (request.version() == Version::HTTP_2).then_some(self.shared.settings.limits.write_time);
        let mut record = Record::open(Arc::clone(&self.shared), id.clone(), method_name(request.method()));
        let paced = request.extensions().get::<Peer>().map(|peer| peer.pace.enter());
        let mut envelope = Envelope::OpenAi;
        let mut origin = None;
        let answer = Caught(Box::pin(self.answer(request, &mut record, &mut envelope, &mut origin)));
        let answer = answer.await.unwrap_or(Err(Refusal::Internal));
        let mut response = answer.unwrap_or_else(|refusal| {
            record.answered(refusal.status().as_u16(), Some(refusal.code()));
            refuse(&refusal, envelope)
        });
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, value(&id));
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, value(&origin));
            headers.insert(VARY, HeaderValue::from_static("Origin"));
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("retry-after, x-request-id, x-should-retry"),
            );
        }
        let code = response.extensions_mut().remove::<Refused>().map(|refused| refused.0);
        record.answered(response.status().as_u16(), code);
        response.map(|body| body.keep(record, paced, patience))
    }

    /// Refuses what the gate keeps out, then lets the route answer.
    async fn answer<B>(
        &self,
        request: Request<B>,
        record: &mut Record,
        envelope: &mut Envelope,
        origin: &mut AllowedOrigin,
    ) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body + Send,
        B::Data: Send,
    {
        let settings = &self.shared.settings;
        let (head, body) = request.into_parts();
        let path = target::path(&head);
        let found = path.as_ref().ok().and_then(|path| routes::find(path));
        if let Some(route) = found {
            *envelope = route.envelope;
            record.route(route.path);
        }
        check_head(&head, &settings.limits)?;
        let path = &*path?;
        let host = settings.access.host(&head.uri, head.version, &head.headers)?;
        let public = found.is_some_and(|route| route.public);
        // Following a link to the page is no attack; everything that the page does is checked.
        if !(public && head.method == Method::GET) {
            *origin = settings.access.origin(&host, &head.headers)?;
        }
        if Access::is_preflight(&head.method, &head.headers) && origin.is_some() {
            return Ok(preflight(&head.headers));
        }
        let owner = if public {
            None
        } else {
            let from = head.extensions.get::<Peer>().map(|peer| peer.address.ip());
            Some(settings.keys.check(&head.headers, from)?)
        };
        let Some(route) = found else { return Err(Refusal::UnknownPath { path: cut(path, 64) }) };
        if head.method == Method::OPTIONS {
            return Ok(options(route));
        }
        check_method(route, &head.method, path)?;
        match route.handler {
            Handler::Get(answer) => Ok(answer(self, path)),
            Handler::Post(answer) => {
                if self.shared.life.phase() > Phase::Running {
                    return Err(Refusal::Draining);
                }
                check_body(&head.headers, &settings.limits)?;
                let owner = owner.unwrap_or_default();
                let place = settings.keys.enter(owner, settings.limits.requests_per_key)?.map(Arc::new);
                let Read { bytes, held, trailers } =
                    body::read(body, &settings.limits, &self.shared.memory).await?;
                let shared = Arc::clone(&self.shared);
                let parse = move |bytes: Vec<u8>, mut held: Reserved| {
                    // As values it may take many times its bytes.
                    let map = json::parse(&bytes, &mut |values| {
                        shared.memory.grow(&mut held, bytes.len() + values)
                    })?;
                    Ok::<_, Refusal>((map, held))
                };
                let large = bytes.len() > LARGE_BODY;
                let (map, memory) = if large {
                    self.in_place(&self.shared.large, MAX_WAITING, move |_| parse(bytes, held)).await?
                } else {
                    parse(bytes, held)?
                };
                let asked = head.headers.get(DEBUG).is_some_and(|value| value == "unknown-fields");
                let seen = asked.then(Arc::<Seen>::default);
                let names: Vec<String> = if asked { map.keys().cloned().collect() } else { Vec::new() };
                let call = Call {
                    map,
                    seen: seen.clone(),
                    tally: record.tally(),
                    owner,
                    place,
                    large,
                    _memory: memory,
                };
                let mut response = match answer(self, call).await {
                    Err(refusal) if trailers => refuse(&refusal, *envelope),
                    answer => answer?,
                };
                if trailers && head.version < Version::HTTP_2 {
                    // Lines behind the last chunk were taken for trailers that may have been meant for a request.
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                if let Some(seen) = seen {
                    response.headers_mut().insert(UNKNOWN_FIELDS, value(&seen.others(&names)));
                }
                Ok(response)
            }
        }
    }

    /// Runs work for a call that takes a while on a thread that nobody waits for.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        call: &Call,
        work: impl FnOnce(&dyn Backend) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let places = if call.large { &self.shared.large } else { &self.shared.blocking };
        self.in_place(places, MAX_WAITING, work).await
    }

    /// The same for vectors, which take the cores for a while.
    pub(crate) async fn computing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Backend) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let limit = self.shared.backend.load().queue_limit;
        self.in_place(&self.shared.vectors, limit, work).await
    }

    async fn in_place<T: Send + 'static>(
        &self,
        places: &Places,
        limit: usize,
        work: impl FnOnce(&dyn Backend) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = places.enter(limit, self.shared.settings.limits.queue_time).await?;
        let backend = Arc::clone(&self.shared.backend);
        let work = move || {
            // Whoever leaves leaves its work behind: the next one begins when that is over.
            let _place = place;
            work(&*backend)
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|_| Refusal::Internal)?
    }

    /// Refuses a request that would be turned away, before its prompt is read.
    pub(crate) fn check_queue(&self) -> Result<(), Refusal> {
        let backend = &self.shared.backend;
        backend.load().full(backend.facts().places).map_or(Ok(()), |full| Err(full.into()))
    }

    /// From now on these keys are right, and no other. Requests under way go on.
    pub fn replace_keys(&self, keys: Keys) {
        self.shared.settings.keys.replace(keys);
    }

    /// Where the server is in its life.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.shared.life.phase()
    }

    /// Requests under way.
    #[must_use]
    pub fn active(&self) -> usize {
        self.shared.life.active()
    }

    /// Ends the server: takes no new work, lets what is under way finish for at most `grace`, then ends that too.
    pub async fn shut_down(&self, grace: Duration) {
        let life = &self.shared.life;
        life.advance(Phase::Draining);
        life.idle(grace).await;
        life.advance(Phase::Stopped);
    }

    /// Returns when the server is to stop.
    pub async fn stopped(&self) {
        self.shared.life.reached(Phase::Stopped).await;
    }

    /// Twenty-four digits that no other request has.
    pub(crate) fn fresh_id(&self, prefix: &str) -> String {
        let number = self.shared.requests.fetch_add(1, Ordering::Relaxed);
        let (high, low) = (self.shared.ids.hash_one((number, 1)), self.shared.ids.hash_one((number, 2)));
        format!("{prefix}{high:016x}{:08x}", low >> 32)
    }

    /// A seed for a request that names none.
    pub(crate) fn fresh_seed(&self) -> u64 {
        self.shared.ids.hash_one(self.shared.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// The client's id if it is one, so that its logs and ours can be laid side by side.
    fn request_id(&self, headers: &HeaderMap) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        match given.filter(|id| (1..=64).contains(&id.len()) && id.bytes().all(plain)) {
            Some(id) => id.to_owned(),
            None => self.fresh_id("req-"),
        }
    }
}

/// The code of a refusal, beside its response.
#[derive(Debug, Clone, Copy)]
struct Refused(&'static str);

/// A refusal as a response.
pub(crate) fn refuse(refusal: &Refusal, envelope: Envelope) -> Response<Body> {
    let body = match envelope {
        Envelope::OpenAi => refusal.to_openai(),
        Envelope::Native => refusal.to_native(),
    };
    let mut response = routes::json(refusal.status(), &body);
    response.extensions_mut().insert(Refused(refusal.code()));
    let headers = response.headers_mut();
    if let Some(time) = refusal.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(time.as_secs().max(1)));
    }
    if let Refusal::Method { allow, .. } = refusal {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if refusal.status().is_server_error() && refusal.retry_after().is_none() {
        // The same request would fail in the same way; official clients obey this.
        headers.insert("x-should-retry", HeaderValue::from_static("false"));
    }
    if refusal.status() == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if refusal.closes() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn preflight(asked: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::whole(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    // Official clients add fields of their own. The origin was let in, so it may send whatever it likes.
    let fields = asked.get(ACCESS_CONTROL_REQUEST_HEADERS).filter(|fields| {
        fields.len() <= 1024 && fields.to_str().is_ok_and(|fields| fields.split(',').all(is_field_name))
    });
    let usual = HeaderValue::from_static("authorization, content-type, x-api-key, x-request-id");
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, fields.cloned().unwrap_or(usual));
    response
}

fn is_field_name(text: &str) -> bool {
    HeaderName::from_bytes(text.trim().as_bytes()).is_ok()
}

/// What a route can be asked by.
fn options(route: &Route) -> Response<Body> {
    let mut response = Response::new(Body::whole(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed(route)));
    response
}

fn allowed(route: &Route) -> &'static str {
    match route.handler {
        Handler::Get(_) => "GET, HEAD, OPTIONS",
        Handler::Post(_) => "POST, OPTIONS",
    }
}

fn check_head(head: &http::request::Parts, limits: &Limits) -> Result<(), Refusal> {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.uri_bytes {
        return Err(Refusal::UriTooLong { bytes: target, limit: limits.uri_bytes });
    }
    // Name, value, colon, space and line end, as HTTP/1.1 writes them.
    let bytes: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > limits.header_bytes || head.headers.len() > limits.headers {
        return Err(Refusal::HeadersTooLarge { bytes, limit: limits.header_bytes });
    }
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && (codings.next().is_some() || !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
    {
        return Err(Refusal::Protocol { what: "the only transfer coding is one `chunked`" });
    }
    let unknown = |value: &&HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    match head.headers.get_all(EXPECT).iter().find(unknown) {
        Some(expectation) => {
            Err(Refusal::Expectation { got: cut(&String::from_utf8_lossy(expectation.as_bytes()), 64) })
        }
        None => Ok(()),
    }
}

fn check_method(route: &Route, method: &Method, path: &str) -> Result<(), Refusal> {
    let fits = match route.handler {
        Handler::Get(_) => method == Method::GET || method == Method::HEAD,
        Handler::Post(_) => method == Method::POST,
    };
    if fits {
        return Ok(());
    }
    Err(Refusal::Method { method: cut(method.as_str(), 16), path: cut(path, 64), allow: allowed(route) })
}

fn check_body(headers: &HeaderMap, limits: &Limits) -> Result<(), Refusal> {
    let text = |name: HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let coded = |coding: &&HeaderValue| !coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if let Some(coding) = headers.get_all(CONTENT_ENCODING).iter().find(coded) {
        return Err(Refusal::ContentEncoding { got: cut(&String::from_utf8_lossy(coding.as_bytes()), 64) });
    }
    if headers.get_all(CONTENT_TYPE).iter().nth(1).is_some() {
        return Err(Refusal::ContentType { got: "several".to_owned() });
    }
    let kind = text(CONTENT_TYPE).unwrap_or_default();
    let media = kind.split(';').next().unwrap_or_default().trim();
    let json = media.eq_ignore_ascii_case("application/json");
    // Browsers send other types without asking us first. Nobody else sends these fields, so `curl -d` may go on.
    let browser =
        headers.contains_key("origin") || headers.keys().any(|name| name.as_str().starts_with("sec-fetch-"));
    if !json && browser {
        return Err(Refusal::ContentType { got: cut(&kind, 64) });
    }
    let plain = ["", "application/x-www-form-urlencoded"];
    if !json && !plain.iter().any(|plain| media.eq_ignore_ascii_case(plain)) {
        return Err(Refusal::ContentType { got: cut(&kind, 64) });
    }
    let length = text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > limits.body_bytes as u64) {
        return Err(Refusal::BodyTooLarge { limit: limits.body_bytes });
    }
    Ok(())
}

fn method_name(method: &Method) -> &'static str {
    const NAMES: &[&str] = &["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"];
    NAMES.iter().find(|name| **name == method.as_str()).copied().unwrap_or("OTHER")
}

/// A header value of our own making.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"))
}

/// A future whose panic is an answer: one request fails, its connection and the server go on.
struct Caught<F>(Pin<Box<F>>);

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}
