//! The life of a server, from its start to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pybridge::{Drained, Engine, runtime};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::accept_loop::accept;
use super::acceptor::Acceptor;
use super::control::Control;
use super::drain::{drain, leave};
use super::listener::Listener;
use super::metrics_of_processes::{Peers, give};
use super::server_error::ServerError;
use super::server_options::ServerOptions;
use super::server_phase::Phase;
use super::server_state::Site;

/// How long connections have at least to send what is left of their answers when all calls are over.
const LAST_WRITES: Duration = Duration::from_millis(500);

/// Starts to serve an engine on the bridge's runtime, and does not wait. The engine ends with the server, for others as well.
/// Nothing of a server needs the interpreter but the handler itself: while Python is stuck, connections are accepted, and the
/// pages of health and metrics are served.
///
/// A runtime of the host's own ([`runtime::use_handle`]) must have its input and output enabled (`enable_io`).
///
/// ```no_run
/// # async fn run(engine: pybridge::Engine) -> Result<(), Box<dyn std::error::Error>> {
/// use pybridge_http::{Listener, ServerOptions, serve};
///
/// let listener = Listener::bind("127.0.0.1", 8000)?;
/// println!("serving on {}", listener.url(false));
/// let server = serve(engine, [listener], ServerOptions::default())?;
/// let control = server.control();
/// tokio::spawn(async move {
///     tokio::signal::ctrl_c().await.ok();
///     control.drain();
/// });
/// let drained = server.await;
/// println!("{} calls finished, {} were cut off", drained.finished, drained.cancelled);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// An option that cannot be, a socket that cannot be accepted from, no runtime.
pub fn serve(
    engine: Engine,
    listeners: impl IntoIterator<Item = Listener>,
    options: ServerOptions,
) -> Result<Server, ServerError> {
    let site = Arc::new(Site::new(engine, options)?);
    let handle = runtime::start()?;
    let write_timeout = site.options.write_timeout;
    let entered = handle.enter();
    let acceptors: Result<Vec<_>, _> =
        listeners.into_iter().map(|listener| Acceptor::new(listener, write_timeout)).collect();
    let acceptors = acceptors.map_err(ServerError::Listener)?;
    let sharing = site.peers.as_ref().map(Peers::listen).transpose();
    let sharing = sharing.map_err(|error| ServerError::option("peers", error.to_string()))?;
    drop(entered);
    let control = Control::new(Arc::clone(&site));
    Ok(Server { control, task: handle.spawn(run(site, acceptors, sharing)) })
}

/// A server that runs. The future is ready when it has ended, with what became of the calls that were live when it was told
/// to; dropping it ends it at once, as [`Control::stop`] does.
#[derive(Debug)]
#[must_use = "a server ends when it is dropped"]
pub struct Server {
    control: Control,
    task: JoinHandle<Drained>,
}

impl Server {
    /// What ends it.
    pub fn control(&self) -> Control {
        self.control.clone()
    }
}

impl Future for Server {
    type Output = Drained;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Drained> {
        // It fails if the runtime has stopped, which ended every call.
        Pin::new(&mut self.task).poll(context).map(Result::unwrap_or_default)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control.stop();
    }
}

/// The whole life of a server; gives what became of the calls that were live at its end. `sharing`: the socket for its peers.
async fn run(site: Arc<Site>, acceptors: Vec<Acceptor>, sharing: Option<Acceptor>) -> Drained {
    let mut given = JoinSet::new();
    if let Some(socket) = sharing {
        let site = Arc::clone(&site);
        given.spawn(give(move || site.peers.as_ref().map(Peers::page).unwrap_or_default(), socket));
    }
    let drained = run_connections(&site, acceptors).await;
    // The socket's file has gone before the server has ended.
    given.shutdown().await;
    drained
}

/// Accepts connections until the server is told to end, and ends what is left of them.
async fn run_connections(site: &Arc<Site>, mut acceptors: Vec<Acceptor>) -> Drained {
    let mut connections = JoinSet::new();
    let drained = tokio::select! {
        biased;
        () = site.phases.reached(Phase::Stopped) => None,
        drained = drain(site) => Some(drained),
        () = site.leaving.begun() => {
            acceptors.clear();
            leave(site, &mut connections).await
        }
        never = accept(site, &mut acceptors, &mut connections) => match never {},
    };
    drop(acceptors);
    if let Some((drained, by)) = drained {
        site.phases.advance(Phase::Closing);
        tokio::select! {
            () = site.phases.reached(Phase::Stopped) => {}
            () = sleep_until(by.max(Instant::now() + LAST_WRITES)) => {}
            () = async { while connections.join_next().await.is_some() {} } => {}
        }
        connections.shutdown().await;
        flush(site).await;
        if let Some(peers) = &site.peers {
            peers.hand_over();
        }
        return drained;
    }
    connections.shutdown().await;
    flush(site).await;
    site.engine.drain(Duration::ZERO).await
}

/// Waits until the access log is written, but no longer than a moment.
async fn flush(site: &Site) {
    // A log that nobody reads keeps no server.
    let _ = timeout(LAST_WRITES, site.observer.flush()).await;
}
