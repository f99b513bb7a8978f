//! Deadlines of a connection that no server library keeps: the header, the silence between requests, and a client that
//! does not read its answer. They live in the transport, so every server has the same ones.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::limits::Limits;
use crate::own_answer::{self, TooLarge};

/// Bytes that are read of what comes behind a request that is under way, beside what the library has read with its body.
const AHEAD: usize = 16 << 10;
/// A header is read in pieces of so many bytes. The library makes more room than it is used to need once it is given all
/// that it asked for, 8 KiB at first: so its buffer is never larger than what has come, and a piece.
const HEADER_PIECE: usize = 4 << 10;

/// Counts the requests of one connection, so that the transport knows whether the next byte begins a header.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    under_way: AtomicUsize,
    begun: AtomicUsize,
    /// When the last one ended.
    ended: Mutex<Option<Instant>>,
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Paced(Pace);

impl Pace {
    pub(crate) fn enter(&self) -> Paced {
        self.0.under_way.fetch_add(1, Ordering::AcqRel);
        self.0.begun.fetch_add(1, Ordering::AcqRel);
        Paced(self.clone())
    }

    fn busy(&self) -> bool {
        self.0.under_way.load(Ordering::Acquire) > 0
    }

    fn begun(&self) -> usize {
        self.0.begun.load(Ordering::Acquire)
    }

    fn ended(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        *self.0.ended() = Some(Instant::now());
        self.0.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A moment by which something must have happened.
///
/// The clock behind it is armed for the first such moment and looks at the later ones when it rings, so a connection that
/// is busy costs no timer per request.
#[derive(Debug, Default)]
struct Deadline {
    end: Option<Instant>,
    clock: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// Whether `end` has passed; if not, the task is woken then or before.
    fn passed(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(end) = self.end else { return false };
        let clock = self.clock.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        if clock.deadline() > end {
            clock.as_mut().reset(end);
        }
        while clock.as_mut().poll(cx).is_ready() {
            if Instant::now() >= end {
                return true;
            }
            clock.as_mut().reset(end);
        }
        false
    }
}

/// Begins every connection of HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Begins no request of any kind.
const NO_REQUEST: &[u8] = b"\0";

/// What the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    /// It has said this much of the preface.
    Unknown(usize),
    /// Every byte between two requests begins a header.
    Http1,
    /// There are frames that belong to no request.
    Http2,
}

impl Speech {
    fn after(mut self, bytes: &[u8]) -> Self {
        self.hear(bytes);
        self
    }

    fn hear(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let Self::Unknown(heard) = *self else { return };
            *self = match PREFACE.get(heard) == Some(byte) {
                true if heard + 1 == PREFACE.len() => Self::Http2,
                true => Self::Unknown(heard + 1),
                false => Self::Http1,
            };
        }
    }
}

/// How much of a header has come, and how long its first line is.
#[derive(Debug, Default)]
struct Head {
    line: usize,
    ended: bool,
    bytes: usize,
    lines: usize,
}

impl Head {
    /// Takes what has come of a header. Empty lines before it are no part of it.
    fn take(&mut self, mut bytes: &[u8]) {
        if self.line == 0 {
            let first = bytes.iter().position(|byte| !b"\r\n".contains(byte));
            bytes = &bytes[first.unwrap_or(bytes.len())..];
        }
        if !self.ended {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            self.line += end.unwrap_or(bytes.len());
            self.ended = end.is_some();
        }
        self.bytes += bytes.len();
        self.lines += bytes.iter().filter(|byte| **byte == b'\n').count();
    }
}

/// A transport with deadlines. It takes no list of slices: an answer's head and body go out as one piece, which is cheaper
/// than telling the system of two.
#[derive(Debug)]
pub(crate) struct PacedIo<T, P> {
    inner: T,
    pace: Pace,
    header_time: Duration,
    idle_time: Duration,
    write_time: Duration,
    /// Set while no request is under way.
    reading: Deadline,
    /// Whether the first byte of a header has come.
    in_header: bool,
    speech: Speech,
    head: Head,
    /// Whether HTTP/2 is spoken.
    http2: bool,
    /// What a header may be: its first line, all of it, its fields.
    most: (usize, usize, usize),
    /// Requests that had begun when this was last looked at.
    begun: usize,
    /// Set while the other side does not read.
    writing: Deadline,
    /// What has come behind a request that is under way, and whether the end has.
    ahead: BytesMut,
    left: bool,
    /// The library has asked for bytes and got none.
    starved: bool,
    /// What is left of an answer that is written instead of what was to be written.
    instead: Bytes,
    /// Whatever is to be given back with the connection.
    _place: P,
}

impl<T, P> PacedIo<T, P> {
    pub(crate) fn new(inner: T, pace: Pace, limits: &Limits, place: P) -> Self {
        Self {
            inner,
            pace,
            header_time: limits.header_time,
            idle_time: limits.idle_time,
            write_time: limits.write_time,
            reading: Deadline::default(),
            in_header: false,
            speech: Speech::Unknown(0),
            head: Head::default(),
            http2: limits.http2,
            most: (limits.uri_bytes, limits.header_bytes, limits.headers),
            begun: 0,
            writing: Deadline::default(),
            ahead: BytesMut::new(),
            left: false,
            starved: false,
            instead: Bytes::new(),
            _place: place,
        }
    }
}

impl<T, P> PacedIo<T, P> {
    /// What of a header the library can mean when it says that one is too large.
    fn what_is_too_large(&self) -> TooLarge {
        let (line, bytes, fields) = self.most;
        if self.head.line > line {
            TooLarge::Line
        } else if self.head.bytes > bytes || self.head.lines > fields {
            TooLarge::Fields
        } else {
            TooLarge::Length
        }
    }

    /// A header has come to its end, even if nobody read from here while its request was under way.
    fn count_requests(&mut self) {
        let begun = self.pace.begun();
        if self.begun != begun {
            (self.begun, self.reading.end, self.in_header) = (begun, None, false);
        }
    }

    /// Whether the time for silence, or for the rest of a header, has passed while no request is under way; if not, the
    /// task is woken then. Silence begins with the end of the last request.
    fn silent_for_too_long(&mut self, cx: &mut Context<'_>) -> bool {
        let (pace, idle_time) = (&self.pace, self.idle_time);
        self.reading.end.get_or_insert_with(|| pace.ended().unwrap_or_else(Instant::now) + idle_time);
        self.reading.passed(cx)
    }
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<T: AsyncRead + Unpin, P: Unpin> AsyncRead for PacedIo<T, P> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = if !this.ahead.is_empty() {
            buffer.put_slice(&this.ahead.split_to(buffer.remaining().min(this.ahead.len())));
            Poll::Ready(Ok(()))
        } else if this.left {
            Poll::Ready(Ok(()))
        } else if this.pace.busy() || this.speech == Speech::Http2 {
            Pin::new(&mut this.inner).poll_read(cx, buffer)
        } else {
            let mut space = [MaybeUninit::uninit(); HEADER_PIECE];
            let mut piece = ReadBuf::uninit(&mut space[..HEADER_PIECE.min(buffer.remaining())]);
            let polled = Pin::new(&mut this.inner).poll_read(cx, &mut piece);
            let begun = this.speech.after(piece.filled()) == Speech::Http2;
            // Where it is not spoken, its preface is no request; the library says nothing to it, but to this it does.
            buffer.put_slice(if begun && !this.http2 { NO_REQUEST } else { piece.filled() });
            polled
        };
        this.starved = polled.is_pending();
        this.count_requests();
        if this.pace.busy() {
            return polled;
        }
        match polled {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                this.speech.hear(&buffer.filled()[before..]);
                if this.speech == Speech::Http2 {
                    // Silence goes on, whatever else is said; the preface was taken for a header.
                    if std::mem::take(&mut this.in_header) {
                        this.reading.end = None;
                    }
                    return polled;
                }
                if !this.in_header {
                    this.in_header = true;
                    this.head = Head::default();
                    this.reading.end = Some(Instant::now() + this.header_time);
                }
                this.head.take(&buffer.filled()[before..]);
            }
            Poll::Pending => {
                if this.silent_for_too_long(cx) {
                    return Poll::Ready(Err(late("no request came in time")));
                }
            }
            Poll::Ready(_) => {}
        }
        polled
    }
}

impl<T: AsyncRead + Unpin, P> PacedIo<T, P> {
    /// Looks whether the client is still there while its request is under way. The library does not once it has bytes of a
    /// further request, be it an empty line.
    fn look_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.pace.busy() && !self.left && self.ahead.len() < AHEAD {
            let mut space = [0; 1 << 10];
            let mut buffer = ReadBuf::new(&mut space);
            let Poll::Ready(read) = Pin::new(&mut self.inner).poll_read(cx, &mut buffer) else { break };
            read?;
            self.left = buffer.filled().is_empty();
            self.ahead.extend_from_slice(buffer.filled());
            if std::mem::take(&mut self.starved) {
                cx.waker().wake_by_ref();
            }
        }
        let gone = self.left && self.pace.busy();
        if gone {
            Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client has left"))
        } else {
            Ok(())
        }
    }
}

impl<T: AsyncWrite + Unpin, P> PacedIo<T, P> {
    /// Lets the time run while nothing can be written.
    fn timed<R>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let polled = write(Pin::new(&mut self.inner), cx);
        if polled.is_ready() {
            self.writing.end = None;
        } else {
            self.writing.end.get_or_insert_with(|| Instant::now() + self.write_time);
            if self.writing.passed(cx) {
                return Poll::Ready(Err(late("the client does not read")));
            }
        }
        polled
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin, P: Unpin> AsyncWrite for PacedIo<T, P> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.instead.is_empty() {
            match own_answer::completed(bytes, this.what_is_too_large()) {
                None => {
                    let polled = this.timed(cx, |inner, cx| inner.poll_write(cx, bytes));
                    if polled.is_pending() {
                        this.look_ahead(cx)?;
                    }
                    return polled;
                }
                Some(whole) => this.instead = whole.into(),
            }
        }
        while !this.instead.is_empty() {
            let piece = this.instead.clone();
            match ready!(this.timed(cx, |inner, cx| inner.poll_write(cx, &piece)))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => this.instead.advance(written),
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = this.timed(cx, T::poll_flush);
        // An answer has gone out. The library read in vain while it was written, and does not do so again before it is
        // woken: so the time for silence is told from here.
        this.count_requests();
        this.look_ahead(cx)?;
        if !this.pace.busy() && this.silent_for_too_long(cx) {
            cx.waker().wake_by_ref();
        }
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().timed(cx, T::poll_shutdown)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::{HEADER_PIECE, Pace, PacedIo};
    use crate::limits::Limits;

    /// A client that never stops sending; how many bytes were taken of it.
    struct Endless(usize);

    impl AsyncRead for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.get_mut().0 += buffer.remaining();
            buffer.initialize_unfilled().fill(b'a');
            buffer.set_filled(buffer.capacity());
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Endless {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn read(io: &mut PacedIo<Endless, ()>, bytes: usize) -> usize {
        let mut space = vec![0; bytes];
        let mut buffer = ReadBuf::new(&mut space);
        let polled = Pin::new(io).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer);
        assert!(matches!(polled, Poll::Ready(Ok(()))));
        buffer.filled().len()
    }

    #[tokio::test]
    async fn row_118_a_header_is_read_in_pieces() {
        let pace = Pace::default();
        let mut io = PacedIo::new(Endless(0), pace.clone(), &Limits::default(), ());
        assert_eq!(read(&mut io, 100), 100);
        assert_eq!(read(&mut io, 8 << 10), HEADER_PIECE);
        // A body is not.
        let _busy = pace.enter();
        assert_eq!(read(&mut io, 100_000), 100_000);
    }

    #[tokio::test]
    async fn row_124_a_client_that_sends_on_is_not_read_without_end() {
        let pace = Pace::default();
        let mut io = PacedIo::new(Endless(0), pace.clone(), &Limits::default(), ());
        let _busy = pace.enter();
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..1000 {
            assert!(Pin::new(&mut io).poll_write(&mut context, b"an answer").is_pending());
            assert!(matches!(Pin::new(&mut io).poll_flush(&mut context), Poll::Ready(Ok(()))));
        }
        // The library has at most one buffer beside it, of as much as a header may be.
        let buffer = Limits::default().uri_bytes + Limits::default().header_bytes + (2 << 10);
        assert!(io.inner.0 > 8 << 10 && io.inner.0 + buffer <= 64 << 10, "{} bytes ahead", io.inner.0);
    }
}
