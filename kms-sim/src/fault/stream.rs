//! A connection on which an answer trickles, or breaks off in its middle. Sound unless it is told otherwise.

use std::io;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::Fault;

/// A stream above TLS: what is counted is the answer itself.
pub(crate) struct Unreliable<S> {
    stream: S,
    reading: Option<Box<Reading>>,
    was_reset: bool,
}

/// What happens to what is read.
struct Reading {
    /// Bytes until the reset.
    left: Option<u64>,
    /// Between two bytes.
    interval: Option<Duration>,
    pause: Option<Pin<Box<Sleep>>>,
    /// More has come than is let through.
    broken: bool,
}

impl<S> Unreliable<S> {
    /// A stream that does as the fault says, or a sound one.
    pub(crate) fn new(stream: S, fault: &Fault) -> Self {
        let interval = |rate: NonZeroU32| Duration::from_secs(1) / rate.get();
        let reading = Reading {
            left: fault.reset_after,
            interval: fault.bytes_per_second.map(interval),
            pause: None,
            broken: false,
        };
        let is_sound = reading.left.is_none() && reading.interval.is_none();
        Self {
            stream,
            reading: (!is_sound).then(|| Box::new(reading)),
            was_reset: false,
        }
    }

    /// The stream below.
    pub(crate) const fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Whether it broke off; then there is nothing left to be closed properly.
    pub(crate) const fn was_reset(&self) -> bool {
        self.was_reset
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unreliable<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(reading) = &mut this.reading else {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        };
        if let Some(pause) = &mut reading.pause {
            ready!(pause.as_mut().poll(cx));
            reading.pause = None;
        }
        if reading.broken {
            this.was_reset = true;
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let mut chunk = [0; 1024];
        let most = match reading.interval {
            Some(_) => 1,
            None => chunk.len(),
        };
        let (chunk, _) = chunk.split_at_mut(most.min(buffer.remaining()));
        let mut read = ReadBuf::new(chunk);
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read))?;
        let mut bytes = read.filled();
        if let Some(left) = &mut reading.left {
            let fits = usize::try_from(*left).unwrap_or(usize::MAX);
            if let Some((last, _)) = bytes.split_at_checked(fits)
                && last.len() < bytes.len()
            {
                reading.broken = true;
                bytes = last;
            }
            *left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        }
        if reading.broken && bytes.is_empty() {
            this.was_reset = true;
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        reading.pause = reading.interval.map(|interval| Box::pin(sleep(interval)));
        buffer.put_slice(bytes);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unreliable<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::time::Instant;

    use super::*;

    fn fault(reset_after: Option<u64>, bytes_per_second: Option<u32>) -> Fault {
        Fault {
            reset_after,
            bytes_per_second: bytes_per_second.and_then(NonZeroU32::new),
            ..Fault::default()
        }
    }

    #[tokio::test]
    async fn it_breaks_off_after_so_many_bytes() {
        for (reset_after, expected) in [(0, ""), (3, "ans"), (6, "answer"), (7, "answer")] {
            let mut stream = Unreliable::new(&b"answer"[..], &fault(Some(reset_after), None));
            let mut text = String::new();
            let result = stream.read_to_string(&mut text).await;
            let broken = reset_after < 6;
            assert_eq!(result.is_err(), broken, "{reset_after}");
            assert_eq!(stream.was_reset(), broken);
            if !broken {
                assert_eq!(text, expected);
            }
        }
    }

    #[tokio::test]
    async fn it_trickles() {
        let start = Instant::now();
        let mut stream = Unreliable::new(&b"answer"[..], &fault(None, Some(50)));
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "answer");
        assert!(start.elapsed() >= Duration::from_millis(5 * 20));
    }
}
