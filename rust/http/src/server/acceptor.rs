//! Sockets that accept connections, with the options that those inherit.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, UnixListener};

use super::listener::{Bound, Listener, SocketFile};
use super::transport::Transport;

/// Longest time before a probe that the kernel takes; it may be shorter than asked for.
const LONGEST_SILENCE: Duration = Duration::from_secs(32_767);

/// Longest time for which the kernel keeps what the peer does not take, in milliseconds of 31 bits.
#[cfg(target_os = "linux")]
const LONGEST_UNSENT: Duration = Duration::from_millis(i32::MAX as u64);

/// Most bytes of one connection that the kernel keeps beyond what is on its way to the peer.
#[cfg(target_os = "linux")]
const MAX_UNSENT: u32 = 128 << 10;

/// A socket that connections are accepted from.
#[derive(Debug)]
pub(super) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener, #[expect(dead_code, reason = "the file goes when this is dropped")] Option<SocketFile>),
}

impl Acceptor {
    /// To be called in the runtime.
    ///
    /// # Errors
    /// The socket cannot be registered with the runtime, or does not take its options.
    pub(super) fn new(listener: Listener, write_timeout: Duration) -> io::Result<Self> {
        let Listener { socket, file } = listener;
        match socket {
            Bound::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                // Connections inherit all of it.
                let options = SockRef::from(&socket);
                options.set_tcp_nodelay(true)?;
                options.set_tcp_keepalive(&probes(write_timeout))?;
                #[cfg(target_os = "linux")]
                {
                    // Without it the kernel sends to a peer that has vanished for a quarter of an hour, and does not probe it.
                    // Later than the server's own deadline: the kernel ends a connection without a word to the peer.
                    options.set_tcp_user_timeout(Some((write_timeout.saturating_mul(3) / 2).min(LONGEST_UNSENT)))?;
                    // Without it that is megabytes, which a peer that takes nothing has to be sent before it is seen to. Not all
                    // that passes for Linux has it.
                    let _ = options.set_tcp_notsent_lowat(MAX_UNSENT);
                }
                Ok(Self::Tcp(TcpListener::from_std(socket)?))
            }
            Bound::Unix(socket) => {
                socket.set_nonblocking(true)?;
                Ok(Self::Unix(UnixListener::from_std(socket)?, file))
            }
        }
    }

    /// The next connection.
    pub(super) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Transport>> {
        match self {
            Self::Tcp(socket) => {
                socket.poll_accept(context).map_ok(|(stream, address)| Transport::Tcp(stream, address.ip()))
            }
            Self::Unix(socket, _) => socket.poll_accept(context).map_ok(|(stream, _)| Transport::Unix(stream)),
        }
    }
}

/// How the kernel finds out that a silent peer has vanished, in about `write_timeout`.
fn probes(write_timeout: Duration) -> TcpKeepalive {
    // The kernel counts in seconds.
    let [time, interval] =
        [write_timeout * 2 / 3, write_timeout / 6].map(|wait| wait.clamp(Duration::from_secs(1), LONGEST_SILENCE));
    TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(2)
}
