//! Bodies: reading one under limits of size and time, and writing one whole or piece by piece.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::limits::Limits;
use crate::pace::Paced;
use crate::record::Record;
use crate::refusal::Refusal;

/// A body may take this many times its bytes while it is read: its buffer grows by doubling, and the parser copies texts.
const PARSED: usize = 4;
/// Memory is counted in pieces of so many bytes.
const UNIT: usize = 1 << 10;
/// A whole body is handed over in pieces of so many bytes.
const PIECE: usize = 64 << 10;

/// The memory that all bodies share.
#[derive(Debug)]
pub(crate) struct Memory {
    units: Arc<Semaphore>,
    bytes: usize,
}

/// A part of it, given back when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Reserved {
    permit: Option<OwnedSemaphorePermit>,
    units: usize,
}

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT).min(Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units)), bytes }
    }

    /// A part of so many bytes.
    pub(crate) fn take(&self, bytes: usize) -> Result<Reserved, Refusal> {
        let mut held = Reserved::default();
        self.grow(&mut held, bytes)?;
        Ok(held)
    }

    /// Makes `held` enough for a body of so many bytes.
    fn reserve(&self, held: &mut Reserved, bytes: usize) -> Result<(), Refusal> {
        self.grow(held, bytes.saturating_mul(PARSED))
    }

    /// Makes `held` a part of so many bytes.
    pub(crate) fn grow(&self, held: &mut Reserved, bytes: usize) -> Result<(), Refusal> {
        let wanted = bytes.div_ceil(UNIT);
        let more = wanted.saturating_sub(held.units);
        if more == 0 {
            return Ok(());
        }
        let none = || Refusal::Memory { limit: self.bytes };
        let units = u32::try_from(more).map_err(|_| none())?;
        let permit = Arc::clone(&self.units).try_acquire_many_owned(units).map_err(|_| none())?;
        held.units = wanted;
        match &mut held.permit {
            Some(before) => before.merge(permit),
            None => held.permit = Some(permit),
        }
        Ok(())
    }
}

impl Reserved {
    /// How much it is.
    pub(crate) fn bytes(&self) -> usize {
        self.units * UNIT
    }

    /// Gives back all but so many bytes.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let wanted = bytes.div_ceil(UNIT);
        if let Some(permit) = &mut self.permit {
            drop(permit.split(self.units.saturating_sub(wanted)));
        }
        self.units = self.units.min(wanted);
    }
}

/// A request's body.
pub(crate) struct Read {
    pub(crate) bytes: Vec<u8>,
    /// What it takes of the memory for all bodies.
    pub(crate) held: Reserved,
    /// Whether fields came behind it, which are dropped.
    pub(crate) trailers: bool,
}

/// Reads a request's body.
pub(crate) async fn read<B>(body: B, limits: &Limits, memory: &Memory) -> Result<Read, Refusal>
where
    B: http_body::Body,
{
    let mut body = std::pin::pin!(body);
    let start = Instant::now();
    let (mut bytes, mut held, mut trailers) = (Vec::new(), Reserved::default(), false);
    loop {
        let gap = limits.body_gap.min(limits.body_time.saturating_sub(start.elapsed()));
        let frame = match tokio::time::timeout(gap, body.frame()).await {
            Err(_) => return Err(Refusal::BodyTimeout),
            Ok(None) => return Ok(Read { bytes, held, trailers }),
            Ok(Some(frame)) => frame.map_err(|_| Refusal::BodyBroken)?,
        };
        // Trailers of which not one is a field are what a bare line feed makes of whatever follows.
        if frame.trailers_ref().is_some_and(HeaderMap::is_empty) {
            return Err(Refusal::BodyBroken);
        }
        trailers |= frame.is_trailers();
        let Ok(mut data) = frame.into_data() else { continue };
        if bytes.len() + data.remaining() > limits.body_bytes {
            return Err(Refusal::BodyTooLarge { limit: limits.body_bytes });
        }
        memory.reserve(&mut held, bytes.len() + data.remaining())?;
        while data.has_remaining() {
            let chunk = data.chunk();
            let taken = chunk.len();
            bytes.extend_from_slice(chunk);
            data.advance(taken);
        }
        if too_slow(bytes.len(), start.elapsed(), limits) {
            return Err(Refusal::BodyTimeout);
        }
    }
}

/// One byte in every gap would hold a connection for hours.
fn too_slow(bytes: usize, elapsed: Duration, limits: &Limits) -> bool {
    let counted = elapsed.saturating_sub(limits.body_grace).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for a comparison")]
    let owed = counted * limits.body_rate as f64;
    #[expect(clippy::cast_precision_loss, reason = "a rate for a comparison")]
    let came = bytes as f64;
    came < owed
}

/// The body of a response. It is whole, or it is written while it is read: then nobody works ahead of a slow reader,
/// and when the connection goes away, dropping the body ends the work.
pub struct Body(Holder);

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are the large one, which need not be a piece of memory of its own"
)]
enum Holder {
    /// Whoever sends it keeps the time for a client that does not read.
    Own(Inner),
    /// A clock of its own does.
    Watched(Arc<Mutex<Watched>>),
}

/// A body that is given up when nobody asks for the rest of it.
struct Watched {
    inner: Option<Inner>,
    /// Since when the next piece may be asked for.
    since: Option<Instant>,
}

struct Inner {
    content: Content,
    /// What the content takes of the memory for all bodies.
    _held: Reserved,
    /// Closes the books on the request when the body is gone, and tells the connection.
    kept: Option<(Record, Option<Paced>)>,
}

enum Content {
    Whole(Bytes),
    Written {
        work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
        pieces: mpsc::Receiver<Bytes>,
        /// What is sent when the work panics, and whether it did.
        broken: (Bytes, bool),
    },
}

/// Where the work behind a body puts its pieces.
#[derive(Debug, Clone)]
pub(crate) struct Pen(mpsc::Sender<Bytes>);

impl Pen {
    /// Hands over a piece; returns when there is room for the next.
    pub(crate) async fn write(&self, piece: impl Into<Bytes>) {
        // The receiver lives as long as the work that calls this: both are parts of one body.
        let _ = self.0.send(piece.into()).await;
    }
}

impl Body {
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::of(Content::Whole(bytes.into()))
    }

    fn of(content: Content) -> Self {
        Self(Holder::Own(Inner { content, _held: Reserved::default(), kept: None }))
    }

    /// Keeps a part of the memory until all of the body is on its way.
    pub(crate) fn hold(mut self, held: Reserved) -> Self {
        if let Holder::Own(inner) = &mut self.0 {
            inner._held = held;
        }
        self
    }

    /// A body whose pieces come from `work`, which runs only while the body is polled. Should it panic, the body ends with
    /// `broken`.
    pub(crate) fn written<F>(broken: impl Into<Bytes>, work: impl FnOnce(Pen) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (pen, pieces) = mpsc::channel(1);
        let work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work(Pen(pen)));
        let broken = (broken.into(), false);
        Self::of(Content::Written { work: Some(work), pieces, broken })
    }

    /// Closes the books with the body. With `patience`, it is given up when for so long nobody asks for its next piece:
    /// on a connection of HTTP/2 one stream may stand still while the others go on.
    pub(crate) fn keep(self, mut record: Record, paced: Option<Paced>, patience: Option<Duration>) -> Self {
        let Holder::Own(mut inner) = self.0 else { return self };
        if matches!(inner.content, Content::Whole(_)) {
            record.complete();
        }
        inner.kept = Some((record, paced));
        let Some(patience) = patience else { return Self(Holder::Own(inner)) };
        let watched = Arc::new(Mutex::new(Watched { inner: Some(inner), since: Some(Instant::now()) }));
        tokio::spawn(give_up(Arc::downgrade(&watched), patience));
        Self(Holder::Watched(watched))
    }

    /// The bytes of a body that is not a stream.
    #[must_use]
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Holder::Own(Inner { content: Content::Whole(bytes), .. }) => Some(bytes),
            _ => None,
        }
    }
}

/// Lets go of a body whose next piece nobody has asked for in time.
async fn give_up(watched: Weak<Mutex<Watched>>, patience: Duration) {
    let mut wait = patience;
    loop {
        tokio::time::sleep(wait).await;
        let Some(watched) = watched.upgrade() else { return };
        let mut state = lock(&watched);
        let waited = state.since.map_or(Duration::ZERO, |since| since.elapsed());
        if waited >= patience {
            let given_up = state.inner.take();
            drop(state);
            drop(given_up);
            return;
        }
        wait = patience - waited;
    }
}

fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Body {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Body").field("bytes", &self.bytes().map(Bytes::len)).finish_non_exhaustive()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.get_mut().0 {
            Holder::Own(inner) => inner.poll(cx),
            Holder::Watched(watched) => {
                let mut state = lock(watched);
                let Some(inner) = &mut state.inner else { return Poll::Ready(None) };
                let polled = inner.poll(cx);
                // While the work has nothing to say, nobody is late.
                state.since = polled.is_ready().then(Instant::now);
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Holder::Own(inner) => inner.is_over(),
            Holder::Watched(watched) => lock(watched).inner.as_ref().is_none_or(Inner::is_over),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Holder::Own(inner) => inner.size(),
            Holder::Watched(watched) => lock(watched).inner.as_ref().map(Inner::size).unwrap_or_default(),
        }
    }
}

impl Inner {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.content {
            Content::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            // In pieces: the server library copies what it is given, and a client may be slow to take it.
            Content::Whole(bytes) => {
                let piece = bytes.split_to(bytes.len().min(PIECE));
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Content::Written { work, pieces, broken } => {
                let polled = match work {
                    Some(running) => catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx))),
                    None => Ok(Poll::Ready(())),
                };
                if !matches!(polled, Ok(Poll::Pending)) {
                    // Drops the pen too, so that the last piece is followed by the end.
                    *work = None;
                }
                broken.1 |= polled.is_err();
                match pieces.poll_recv(cx) {
                    // The work waits for room in the channel, which this made.
                    Poll::Ready(Some(piece)) => Poll::Ready(Some(Ok(Frame::data(piece)))),
                    Poll::Ready(None) if broken.1 => {
                        broken.1 = false;
                        if let Some((record, _)) = &mut self.kept {
                            record.broke();
                        }
                        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut broken.0)))))
                    }
                    Poll::Ready(None) => {
                        if let Some((record, _)) = &mut self.kept {
                            record.complete();
                        }
                        Poll::Ready(None)
                    }
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        matches!(&self.content, Content::Whole(bytes) if bytes.is_empty())
    }

    fn size(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Written { .. } => SizeHint::default(),
        }
    }
}
