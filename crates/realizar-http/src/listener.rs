//! Taking connections: a bounded number in all and from each address, and no busy loop when the system has no more.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::error::HttpError;
use crate::limits::Limits;
use crate::pace::{Pace, PacedIo};

/// Connections that the system holds for us while we are busy.
const BACKLOG: u32 = 1024;
/// How long to wait when the system has no file descriptor left.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Files that are not for connections: the model, its tokenizer, and what the system libraries open.
const OTHER_FILES: usize = 64;

/// A bound socket that hands out connections within the limits.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    limits: Limits,
    open: Arc<Open>,
}

/// Connections by address.
#[derive(Debug, Default)]
struct Open(Mutex<HashMap<IpAddr, usize>>);

impl Open {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a connection, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    open: Arc<Open>,
    address: IpAddr,
}

/// A connection within the limits.
pub(crate) type Connection = PacedIo<TcpStream, Place>;

/// The other end of a connection, as handlers see it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) pace: Pace,
}

impl Listener {
    /// Binds an address; port 0 lets the system choose one.
    ///
    /// # Errors
    /// The address is not ours or is taken.
    pub fn bind(address: SocketAddr, limits: &Limits) -> Result<Self, HttpError> {
        let bind = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // A restart need not wait for connections of the one before.
            socket.set_reuseaddr(true)?;
            // Accepted connections inherit it: the kernel does not hoard an answer for a client that does not read.
            socket.set_send_buffer_size(limits.send_buffer)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        let socket = bind().map_err(|source| HttpError::Listen { address, source })?;
        let mut limits = limits.clone();
        limits.connections = limits.connections.min(open_files().map_or(usize::MAX, for_connections));
        Ok(Self { socket, limits, open: Arc::default() })
    }

    /// The address, with the port that was chosen.
    ///
    /// # Errors
    /// The system does not know it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next connection. Those over a limit are closed at once.
    pub(crate) async fn take(&self) -> (Connection, Peer) {
        loop {
            match self.socket.accept().await {
                Ok((stream, address)) => {
                    if let Some(connection) = self.admit(stream, address) {
                        return connection;
                    }
                }
                // Out of descriptors, or the client is gone already: neither is a reason to stop or to spin.
                Err(_) => tokio::time::sleep(BACK_OFF).await,
            }
        }
    }

    fn admit(&self, stream: TcpStream, address: SocketAddr) -> Option<(Connection, Peer)> {
        let mut open = self.open.lock();
        let all: usize = open.values().sum();
        let here = open.get(&address.ip()).copied().unwrap_or(0);
        if all >= self.limits.connections || here >= self.limits.connections_per_address {
            return None;
        }
        // A token is a packet: waiting for more of them would be felt.
        stream.set_nodelay(true).ok()?;
        *open.entry(address.ip()).or_default() += 1;
        let pace = Pace::default();
        let place = Place { open: Arc::clone(&self.open), address: address.ip() };
        Some((PacedIo::new(stream, pace.clone(), &self.limits, place), Peer { address, pace }))
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// So many connections leave files for everything else.
fn for_connections(files: usize) -> usize {
    files.saturating_sub(OTHER_FILES).max(files / 2)
}

/// Files that this process may have open, where the system tells.
fn open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    // `unlimited` is no number, and none is needed.
    line.split_whitespace().next()?.parse().ok()
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn row_123_files_are_left_for_what_is_no_connection() {
        let cases = [(1_048_576, 1_048_512), (1024, 960), (256, 192), (128, 64), (64, 32), (40, 20), (1, 0)];
        for (files, connections) in cases {
            assert_eq!(super::for_connections(files), connections, "{files}");
        }
        #[cfg(target_os = "linux")]
        assert!(super::open_files().is_none_or(|files| files > 3), "this process has more than those");
    }
}
