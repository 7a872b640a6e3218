//! Connections as they were accepted, over TCP or a Unix socket.

use std::net::IpAddr;

use tokio::net::{TcpStream, UnixStream};

/// A connection as it was accepted.
#[derive(Debug)]
pub(super) enum Transport {
    /// With the address of the other end, which the system forgets when that resets the connection.
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream),
}

impl Transport {
    /// The address of the other end; `None` on a Unix socket.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(_, address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}
