//! The loop that accepts connections: caps, fairness, and what it does when the process has no files left.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::acceptor::Acceptor;
use super::connection;
use super::server_state::Site;
use super::transport::Transport;
use super::trouble_report::report;

/// Longest pause after an accept that failed for want of memory or files.
const PAUSE: Duration = Duration::from_millis(100);

/// Least time between two lines about such failures.
const LINES_APART: Duration = Duration::from_secs(10);

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
