//! Bodies: reading one under limits of size and time, and writing one whole or piece by piece.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::limits::Limits;
use crate::pace::Paced;
use crate::record::Record;
use crate::refusal::Refusal;

/// A parsed body takes up to this many times its bytes.
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
    /// Gives back all but so many bytes.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let wanted = bytes.div_ceil(UNIT);
        if let Some(permit) = &mut self.permit {
            drop(permit.split(self.units.saturating_sub(wanted)));
        }
        self.units = self.units.min(wanted);
    }
}

/// Reads a request's body. Trailers are dropped.
pub(crate) async fn read<B>(body: B, limits: &Limits, memory: &Memory) -> Result<(Vec<u8>, Reserved), Refusal>
where
    B: http_body::Body,
{
    let mut body = std::pin::pin!(body);
    let start = Instant::now();
    let (mut bytes, mut held) = (Vec::new(), Reserved::default());
    loop {
        let gap = limits.body_gap.min(limits.body_time.saturating_sub(start.elapsed()));
        let frame = match tokio::time::timeout(gap, body.frame()).await {
            Err(_) => return Err(Refusal::BodyTimeout),
            Ok(None) => return Ok((bytes, held)),
            Ok(Some(frame)) => frame.map_err(|_| Refusal::BodyBroken)?,
        };
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
pub struct Body {
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
        Self { content: Content::Whole(bytes.into()), _held: Reserved::default(), kept: None }
    }

    /// Keeps a part of the memory until all of the body is on its way.
    pub(crate) fn hold(mut self, held: Reserved) -> Self {
        self._held = held;
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
        let content = Content::Written { work: Some(work), pieces, broken };
        Self { content, _held: Reserved::default(), kept: None }
    }

    pub(crate) fn keep(mut self, mut record: Record, paced: Option<Paced>) -> Self {
        if matches!(self.content, Content::Whole(_)) {
            record.complete();
        }
        self.kept = Some((record, paced));
        self
    }

    /// The bytes of a body that is not a stream.
    #[must_use]
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Whole(bytes) => Some(bytes),
            Content::Written { .. } => None,
        }
    }
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
        let this = self.get_mut();
        match &mut this.content {
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
                        if let Some((record, _)) = &mut this.kept {
                            record.broke();
                        }
                        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut broken.0)))))
                    }
                    Poll::Ready(None) => {
                        if let Some((record, _)) = &mut this.kept {
                            record.complete();
                        }
                        Poll::Ready(None)
                    }
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Written { .. } => SizeHint::default(),
        }
    }
}
