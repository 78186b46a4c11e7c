//! The byte stream under hyper: tells when bytes come in, and closes so that the peer can read the last answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

use super::activity::Activity;

/// A stream over TCP, or what stands for one.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// What lies under it.
    type Raw: AsyncRead + Unpin;

    /// What lies under it, whose bytes are as they came.
    fn raw(&mut self) -> &mut Self::Raw;
}

impl Transport for TcpStream {
    type Raw = Self;

    fn raw(&mut self) -> &mut Self {
        self
    }
}

impl Transport for Box<TlsStream<TcpStream>> {
    type Raw = TcpStream;

    fn raw(&mut self) -> &mut TcpStream {
        self.as_mut().get_mut().0
    }
}

/// A transport that reports to an [`Activity`].
///
/// If a request was answered before all of it had come, closing takes in and discards what still comes, within
/// bounds: a socket that is closed over unread bytes makes TCP reset the connection, and the answer is lost.
pub(super) struct Observed<T> {
    transport: T,
    activity: Arc<Activity>,
    closing: Closing,
}

enum Closing {
    Open,
    /// The write side is closed; `left` bytes may still come until the timer ends.
    Discarding {
        left: usize,
        timer: Pin<Box<Sleep>>,
    },
}

impl<T> Observed<T> {
    pub(super) fn new(transport: T, activity: Arc<Activity>) -> Self {
        Self {
            transport,
            activity,
            closing: Closing::Open,
        }
    }
}

impl<T: Transport> AsyncRead for Observed<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut this.transport).poll_read(context, buffer));
        let received = buffer.filled().len() - before;
        if received > 0 {
            this.activity.received(received);
        }
        Poll::Ready(result)
    }
}

impl<T: Transport> AsyncWrite for Observed<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.closing {
                Closing::Open => {
                    ready!(Pin::new(&mut this.transport).poll_shutdown(context))?;
                    if !this.activity.left_unread() {
                        return Poll::Ready(Ok(()));
                    }
                    this.closing = Closing::Discarding {
                        left: MAX_DISCARDED,
                        timer: Box::pin(sleep(MAX_DISCARD_TIME)),
                    };
                }
                Closing::Discarding { left, timer } => {
                    if *left == 0 || timer.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Ok(()));
                    }
                    let mut scratch = [0; 4_096];
                    let mut buffer = ReadBuf::new(&mut scratch);
                    let raw = Pin::new(this.transport.raw());
                    ready!(raw.poll_read(context, &mut buffer))?;
                    match buffer.filled().len() {
                        0 => return Poll::Ready(Ok(())),
                        n => *left = left.saturating_sub(n),
                    }
                }
            }
        }
    }
}

const MAX_DISCARDED: usize = 1 << 20;
const MAX_DISCARD_TIME: Duration = Duration::from_secs(2);
