//! The loop that accepts connections: caps, fairness, and what it does when the process has no files left.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::connection;
use super::listener::{Bound, Listener, SocketFile};
use super::report::report;
use super::site::Site;
use super::socket::Transport;

/// Longest pause after an accept that failed for want of memory or files.
const PAUSE: Duration = Duration::from_millis(100);

/// Least time between two lines about such failures.
const LINES_APART: Duration = Duration::from_secs(10);

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

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Transport>> {
        match self {
            Self::Tcp(socket) => {
                socket.poll_accept(context).map_ok(|(stream, address)| Transport::Tcp(stream, address.ip()))
            }
            Self::Unix(socket, _) => socket.poll_accept(context).map_ok(|(stream, _)| Transport::Unix(stream)),
        }
    }
}

/// Accepts from all sockets in turn, and runs each connection as a task of `connections`.
pub(super) async fn accept(site: &Arc<Site>, acceptors: &mut [Acceptor], connections: &mut JoinSet<()>) -> Infallible {
    let mut told: Option<Instant> = None;
    loop {
        while connections.try_join_next().is_some() {}
        while connections.len() >= site.options.max_connections {
            connections.join_next().await;
        }
        let accepted = tokio::select! {
            accepted = poll_fn(|context| poll_any(acceptors, context)) => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok(stream) => {
                connections.spawn(connection::run(Arc::clone(site), stream));
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                if told.is_none_or(|told| told.elapsed() >= LINES_APART) {
                    told = Some(Instant::now());
                    let what = format!("no connection can be accepted: {error}; trying again");
                    report(site.options.access_log, &what);
                }
                // A connection that ends gives back what there was too little of.
                tokio::select! {
                    () = sleep(PAUSE) => {}
                    Some(_) = connections.join_next() => {}
                }
            }
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

/// The next connection; the socket that gave it is asked last the next time.
fn poll_any(acceptors: &mut [Acceptor], context: &mut Context<'_>) -> Poll<io::Result<Transport>> {
    for index in 0..acceptors.len() {
        if let Poll::Ready(accepted) = acceptors[index].poll_accept(context) {
            acceptors[index..].rotate_left(1);
            return Poll::Ready(accepted);
        }
    }
    Poll::Pending
}

/// Whether the connection failed before it was accepted: the next one may do.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable
    )
}
