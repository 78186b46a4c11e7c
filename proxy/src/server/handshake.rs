//! TLS handshakes: their deadline, and their turn.
//!
//! A handshake costs as much as ten requests. If all that come were served at once, those who wait would leave before their
//! handshake ends, come back with another, and nobody would be served any more. So only a few are computed at a
//! time, and the requests of those who are connected have their turn in between.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// Nothing is wrong: load balancers look so whether the port is open.
    #[error("a client left during the TLS handshake")]
    Left,
    #[error("a TLS handshake failed: {0}")]
    Broken(io::Error),
    #[error("a TLS handshake did not end in time")]
    TimedOut,
    /// The server hands over, and nothing came that it would have to wait for.
    #[error("a connection said nothing before the server handed over")]
    LeftBehind,
}

/// One handshake, from the accepted connection to the stream. Its first message is waited for until `left_behind`.
//= xks §Authentication R31, R34
pub(super) async fn handshake(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    limit: Duration,
    left_behind: impl Future<Output = ()>,
    turns: &Arc<Turns>,
) -> Result<Box<TlsStream<TcpStream>>, Failed> {
    let whole = async {
        let first = tokio::select! {
            biased;
            first = LazyConfigAcceptor::new(Acceptor::default(), stream) => first,
            () = left_behind => return Err(Failed::LeftBehind),
        };
        let mut start = first.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Failed::Left,
            _ => Failed::Broken(error),
        })?;
        let turn = match turns.try_take() {
            Some(turn) => turn,
            None => tokio::select! {
                biased;
                () = closed(&mut start.io) => return Err(Failed::Left),
                turn = turns.take() => turn,
            },
        };
        // Signs and agrees on keys: what a handshake costs is spent in here.
        let rest = start.into_stream(config);
        let pass_on = async {
            yield_now().await;
            drop(turn);
        };
        match tokio::join!(rest, pass_on) {
            (Ok(stream), ()) => Ok(Box::new(stream)),
            (Err(error), ()) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Failed::Left),
            (Err(error), ()) => Err(Failed::Broken(error)),
        }
    };
    timeout(limit, whole).await.unwrap_or(Err(Failed::TimedOut))
}

/// Waits until the peer closes the connection. After its first message it has nothing to send until it is answered.
async fn closed(stream: &mut TcpStream) {
    let mut byte = [0];
    std::future::poll_fn(|context| {
        let mut buffer = ReadBuf::new(&mut byte);
        match stream.poll_peek(context, &mut buffer) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            // More than was due stops the watch, and is the handshake's to judge.
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Hands out turns. Where many wait, the newest is next: the oldest is the likeliest to have left.
pub(super) struct Turns(Mutex<Waiting>);

struct Waiting {
    free: usize,
    line: Vec<oneshot::Sender<Turn>>,
}

/// Passed on when it is dropped.
struct Turn(Arc<Turns>);

impl Turns {
    /// As many as keep all threads of the runtime busy that this is called in.
    pub(super) fn of_this_runtime() -> Arc<Self> {
        Self::new(TURNS_PER_THREAD * Handle::current().metrics().num_workers())
    }

    fn new(free: usize) -> Arc<Self> {
        let line = Vec::new();
        Arc::new(Self(Mutex::new(Waiting { free, line })))
    }

    fn try_take(self: &Arc<Self>) -> Option<Turn> {
        let mut waiting = self.lock();
        waiting.free = waiting.free.checked_sub(1)?;
        Some(Turn(Arc::clone(self)))
    }

    async fn take(self: &Arc<Self>) -> Turn {
        loop {
            let turn = {
                let mut waiting = self.lock();
                if let Some(free) = waiting.free.checked_sub(1) {
                    waiting.free = free;
                    return Turn(Arc::clone(self));
                }
                let line = &mut waiting.line;
                if line.len() == line.capacity() {
                    line.retain(|next| !next.is_closed());
                }
                let (next, turn) = oneshot::channel();
                line.push(next);
                turn
            };
            if let Ok(turn) = turn.await {
                return turn;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut waiting = self.0.lock();
            loop {
                match waiting.line.pop() {
                    Some(next) if next.is_closed() => {}
                    Some(next) => break next,
                    None => {
                        waiting.free += 1;
                        return;
                    }
                }
            }
        };
        // If it has just left, the turn comes back and is passed on from here once more.
        drop(next.send(Self(Arc::clone(&self.0))));
    }
}

const TURNS_PER_THREAD: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_go_to_the_newest_and_none_is_lost() {
        let turns = Turns::new(1);
        let first = turns.try_take().expect("a turn");
        assert!(turns.try_take().is_none());
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(turns.take())).collect();
        for one in &mut waiting {
            assert!(poll_once(one).await.is_none());
        }
        // The newest has left.
        drop(waiting.pop());
        drop(first);
        assert!(poll_once(&mut waiting[0]).await.is_none(), "the oldest");
        let second = poll_once(&mut waiting[1]).await.expect("the newer one");
        // One that has its turn and leaves before it knows.
        drop(second);
        drop(waiting.remove(0));
        assert!(turns.try_take().is_some());
        assert_eq!(turns.lock().free, 1);
    }

    async fn poll_once<F: Future<Output = Turn> + Unpin>(future: &mut F) -> Option<Turn> {
        std::future::poll_fn(|context| {
            Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
                Poll::Ready(turn) => Some(turn),
                Poll::Pending => None,
            })
        })
        .await
    }

    #[tokio::test]
    async fn whoever_leaves_while_waiting_is_seen() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let client = client.await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut closed = Box::pin(closed(&mut stream));
        let early = timeout(Duration::from_millis(10), &mut closed).await;
        assert!(early.is_err(), "it is still there");
        drop(client);
        closed.await;
    }
}
