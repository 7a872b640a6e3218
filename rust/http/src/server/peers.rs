//! The metrics of all processes that serve together.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, iter};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::accept::Acceptor;
use super::listener::Listener;
use super::sum::sum;
use crate::observe::metrics_text;

/// How long one process waits for another.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longest page of a process, in bytes.
const MAX_PAGE: u64 = 16 << 20;

/// The processes that serve together: each has a socket in one folder, on which it gives its metrics.
#[derive(Debug)]
pub(super) struct Peers {
    folder: PathBuf,
    own: PathBuf,
}

impl Peers {
    /// This process and those of the same folder.
    pub(super) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), own: folder.join(format!("{}.sock", std::process::id())) }
    }

    /// The socket on which [`give`] gives the metrics of this process. To be called in the runtime.
    ///
    /// # Errors
    /// There can be none, or another server of this process has it.
    pub(super) fn listen(&self) -> io::Result<Acceptor> {
        Acceptor::new(Listener::unix(&self.own)?, PATIENCE)
    }

    /// The metrics of all, added up. Suspends for at most a second: who does not answer by then is left out.
    pub(super) async fn metrics_text(&self) -> String {
        let mut asked = JoinSet::new();
        for socket in self.others().unwrap_or_default() {
            asked.spawn(async move { timeout(PATIENCE, ask(&socket)).await.ok()?.ok() });
        }
        let others = asked.join_all().await;
        let own = metrics_text();
        sum(iter::once(&own).chain(others.iter().flatten()).map(String::as_str))
    }

    fn others(&self) -> io::Result<Vec<PathBuf>> {
        let mut sockets = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "sock") && path != self.own {
                sockets.push(path);
            }
        }
        Ok(sockets)
    }
}

async fn ask(socket: &Path) -> io::Result<String> {
    let mut page = String::new();
    UnixStream::connect(socket).await?.take(MAX_PAGE).read_to_string(&mut page).await?;
    Ok(page)
}

/// Gives the metrics of this process to each that connects.
pub(super) async fn give(socket: Acceptor) {
    let Acceptor::Unix(socket, _) = &socket else { return };
    let mut given = JoinSet::new();
    loop {
        while given.try_join_next().is_some() {}
        match socket.accept().await {
            Ok((mut peer, _)) => {
                given.spawn(timeout(PATIENCE, async move {
                    peer.write_all(metrics_text().as_bytes()).await?;
                    peer.shutdown().await
                }));
            }
            // For want of files or memory.
            Err(_) => tokio::time::sleep(PATIENCE).await,
        }
    }
}
