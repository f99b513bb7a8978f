//! Deadlines of a connection that no server library keeps: the header, the silence between requests, and a client that
//! does not read its answer. They live in the transport, so every server has the same ones.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::limits::Limits;

/// Counts the requests under way on one connection, so that the transport knows whether the next byte begins a header.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace(Arc<AtomicUsize>);

/// A request under way.
#[derive(Debug)]
pub(crate) struct Paced(Pace);

impl Pace {
    pub(crate) fn enter(&self) -> Paced {
        self.0.fetch_add(1, Ordering::AcqRel);
        Paced(self.clone())
    }

    fn busy(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A transport with deadlines.
#[derive(Debug)]
pub(crate) struct PacedIo<T, P> {
    inner: T,
    pace: Pace,
    header_time: Duration,
    idle_time: Duration,
    write_time: Duration,
    /// Running while no request is under way.
    reading: Option<Pin<Box<Sleep>>>,
    /// Whether the first byte of a header has come.
    in_header: bool,
    /// Running while the other side does not read.
    writing: Option<Pin<Box<Sleep>>>,
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
            reading: None,
            in_header: false,
            writing: None,
            _place: place,
        }
    }
}

/// Whether this timer, started when it is first asked, has run out.
fn expired(timer: &mut Option<Pin<Box<Sleep>>>, after: Duration, cx: &mut Context<'_>) -> bool {
    timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(after))).as_mut().poll(cx).is_ready()
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
        let polled = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if this.pace.busy() {
            (this.reading, this.in_header) = (None, false);
            return polled;
        }
        match polled {
            Poll::Ready(Ok(())) if buffer.filled().len() > before && !this.in_header => {
                this.in_header = true;
                let until = Instant::now() + this.header_time;
                this.reading = Some(Box::pin(tokio::time::sleep_until(until)));
            }
            Poll::Pending if expired(&mut this.reading, this.idle_time, cx) => {
                return Poll::Ready(Err(late("no request came in time")));
            }
            _ => {}
        }
        polled
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
            self.writing = None;
        } else if expired(&mut self.writing, self.write_time, cx) {
            return Poll::Ready(Err(late("the client does not read")));
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin, P: Unpin> AsyncWrite for PacedIo<T, P> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().timed(cx, |inner, cx| inner.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().timed(cx, T::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().timed(cx, T::poll_shutdown)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().timed(cx, |inner, cx| inner.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
