//! A TCP relay that counts: put in front of a server, it proves what reaches it and what does not.
//!
//! Bytes are counted when they arrive at the relay, before they are passed on, so "none counted" means that the peer
//! sent none. It can cut every connection, refuse new ones, slow down, and stall (hold what arrives without losing it).

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Accepts on a loopback port of its own and relays to a target; ends on drop.
pub struct ByteCounter {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// TCP connections that were accepted.
    pub connections: u64,
    /// Bytes from clients.
    pub to_target: u64,
    /// Bytes from the target.
    pub to_client: u64,
}

impl ByteCounter {
    /// Relays a free loopback port to `target`, which need not listen yet.
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let mut counter = Self {
            address,
            shared: Arc::new(Shared::new(target)),
            acceptor: None,
        };
        counter.listen(listener);
        counter
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Totals so far.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Connections that are open now, by the client's address.
    pub fn open_connections(&self) -> Vec<SocketAddr> {
        self.shared
            .lock()
            .open
            .values()
            .map(|pair| pair.peer)
            .collect()
    }

    /// Sends new connections elsewhere; open ones stay.
    pub fn set_target(&self, target: SocketAddr) {
        self.shared.lock().target = target;
    }

    /// Stops listening: new connections are refused, as by a host whose server is gone; open ones stay.
    pub fn refuse(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            self.shared.refusing.store(true, Ordering::SeqCst);
            // Wakes the acceptor, which then sees the flag.
            drop(TcpStream::connect(self.address));
            drop(acceptor.join());
        }
    }

    /// Listens again on the same port.
    pub fn accept_again(&mut self) {
        if self.acceptor.is_none() {
            let listener = TcpListener::bind(self.address).expect("the relay's port, bound again");
            self.listen(listener);
        }
    }

    fn listen(&mut self, listener: TcpListener) {
        self.shared.refusing.store(false, Ordering::SeqCst);
        let shared = Arc::clone(&self.shared);
        self.acceptor = Some(std::thread::spawn(move || accept(&listener, &shared)));
    }

    /// Ends every open connection, in both directions.
    pub fn cut(&self) {
        let state = self.shared.lock();
        for pair in state.open.values() {
            pair.end();
        }
    }

    /// Holds all bytes from now on, connections included, until [`resume`](Self::resume).
    pub fn stall(&self) {
        self.shared.lock().stalled = true;
    }

    /// Passes on everything that arrives from now on this much later, in both directions.
    pub fn slow_down(&self, delay: Duration) {
        self.shared.lock().delay = delay;
    }

    /// Passes on what was held.
    pub fn resume(&self) {
        self.shared.lock().stalled = false;
        self.shared.changed.notify_all();
    }
}

impl Drop for ByteCounter {
    fn drop(&mut self) {
        self.refuse();
        self.shared.ended.store(true, Ordering::SeqCst);
        self.resume();
        self.cut();
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// The acceptor ends; open connections go on.
    refusing: AtomicBool,
    /// Everything ends.
    ended: AtomicBool,
}

struct State {
    target: SocketAddr,
    counts: Counts,
    stalled: bool,
    delay: Duration,
    open: BTreeMap<u64, Pair>,
}

/// The two sockets of one relayed connection.
struct Pair {
    peer: SocketAddr,
    client: TcpStream,
    target: TcpStream,
}

impl Pair {
    fn end(&self) {
        // Either may be closed already.
        drop(self.client.shutdown(Shutdown::Both));
        drop(self.target.shutdown(Shutdown::Both));
    }
}

impl Shared {
    fn new(target: SocketAddr) -> Self {
        let state = State {
            target,
            counts: Counts::default(),
            stalled: false,
            delay: Duration::ZERO,
            open: BTreeMap::new(),
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            refusing: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while stalled.
    fn flowing(&self) {
        let state = self.lock();
        drop(
            self.changed
                .wait_while(state, |state| state.stalled)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        let accepted = listener.accept();
        if shared.refusing.load(Ordering::SeqCst) {
            return;
        }
        let Ok((client, peer)) = accepted else {
            continue;
        };
        let number = {
            let mut state = shared.lock();
            state.counts.connections += 1;
            state.counts.connections
        };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || relay(&shared, number, client, peer));
    }
}

fn relay(shared: &Arc<Shared>, number: u64, client: TcpStream, peer: SocketAddr) {
    shared.flowing();
    let address = shared.lock().target;
    // A target that does not answer is, to the client, a connection that ends at once.
    let Ok(target) = TcpStream::connect(address) else {
        return;
    };
    for socket in [&client, &target] {
        drop(socket.set_nodelay(true));
    }
    let clones = client
        .try_clone()
        .and_then(|c| Ok((c, target.try_clone()?)));
    let Ok((client_kept, target_kept)) = clones else {
        return;
    };
    shared.lock().open.insert(
        number,
        Pair {
            peer,
            client: client_kept,
            target: target_kept,
        },
    );
    if shared.ended.load(Ordering::SeqCst) {
        return;
    }

    std::thread::scope(|scope| {
        scope.spawn(|| pass(shared, &client, &target, |counts| &mut counts.to_target));
        pass(shared, &target, &client, |counts| &mut counts.to_client);
    });
    shared.lock().open.remove(&number);
}

/// Copies one direction until its end, then closes that half.
fn pass(
    shared: &Shared,
    mut from: &TcpStream,
    mut to: &TcpStream,
    total: fn(&mut Counts) -> &mut u64,
) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let delay = {
            let mut state = shared.lock();
            *total(&mut state.counts) += read as u64;
            state.delay
        };
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        shared.flowing();
        if to.write_all(&buffer[..read]).is_err() {
            // The other side is gone: tell this one too, as the kernel would.
            drop(from.shutdown(Shutdown::Both));
            break;
        }
    }
    drop(to.shutdown(Shutdown::Write));
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::wait_for;

    /// Sends back what it gets, on any number of connections.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                std::thread::spawn(move || std::io::copy(&mut &socket, &mut &socket));
            }
        });
        address
    }

    fn client(counter: &ByteCounter) -> TcpStream {
        let socket = TcpStream::connect(counter.address()).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        socket
    }

    fn round_trip(socket: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
        socket.write_all(bytes).unwrap();
        let mut back = vec![0; bytes.len()];
        socket.read_exact(&mut back).unwrap();
        back
    }

    #[test]
    fn what_is_slowed_down_arrives_later_and_whole() {
        let counter = ByteCounter::start(echo());
        let mut socket = client(&counter);
        counter.slow_down(Duration::from_millis(50));
        let start = Instant::now();
        assert_eq!(
            round_trip(&mut socket, b"there and back"),
            b"there and back"
        );
        assert!(start.elapsed() >= Duration::from_millis(100));
    }

    #[test]
    fn every_byte_is_counted_in_its_direction() {
        let counter = ByteCounter::start(echo());
        let mut socket = client(&counter);
        assert_eq!(round_trip(&mut socket, b"12345"), b"12345");
        assert_eq!(
            counter.counts(),
            Counts {
                connections: 1,
                to_target: 5,
                to_client: 5
            }
        );
        assert_eq!(counter.open_connections(), [socket.local_addr().unwrap()]);
        drop(socket);
        wait_for("the closed connection", Duration::from_secs(5), || {
            counter.open_connections().is_empty().then_some(())
        });
    }

    #[test]
    fn cut_ends_open_connections_and_refuse_keeps_new_ones_out() {
        let mut counter = ByteCounter::start(echo());
        let mut socket = client(&counter);
        round_trip(&mut socket, b"x");
        counter.refuse();
        assert!(TcpStream::connect(counter.address()).is_err());
        assert_eq!(round_trip(&mut socket, b"y"), b"y");
        counter.cut();
        assert!(matches!(socket.read(&mut [0]), Ok(0) | Err(_)));
        counter.accept_again();
        assert_eq!(round_trip(&mut client(&counter), b"z"), b"z");
        assert_eq!(counter.counts().connections, 2);
    }

    #[test]
    fn a_stall_holds_bytes_and_loses_none() {
        let counter = ByteCounter::start(echo());
        let mut socket = client(&counter);
        round_trip(&mut socket, b"x");
        counter.stall();
        socket.write_all(b"held").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        assert!(socket.read(&mut [0]).is_err());
        counter.resume();
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let mut back = [0; 4];
        socket.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"held");
    }
}
