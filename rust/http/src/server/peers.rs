//! The metrics of all processes that serve together.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::accept::Acceptor;
use super::listener::Listener;
use super::sum::{sum, totals};
use crate::observe::metrics_text;

/// How long one process waits for another.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longest page of a process, in bytes.
const MAX_PAGE: u64 = 16 << 20;

/// The file of the folder with what processes had counted that have ended. Its first line has the names of their sockets.
const ENDED: &str = "ended";

/// How many names that line keeps: of all processes that end while one is asked for its metrics.
const MAX_NAMES: usize = 64;

/// The processes that serve together: each has a socket in one folder, on which it gives its metrics. What it has counted stays
/// there when it ends.
#[derive(Debug)]
pub(super) struct Peers {
    folder: PathBuf,
    own: PathBuf,
}

impl Peers {
    /// This process and those of the same folder.
    pub(super) fn of(folder: &Path) -> Self {
        // Another process may have had the same number before.
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        Self { folder: folder.to_owned(), own: folder.join(format!("{}-{now}.sock", std::process::id())) }
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
            asked.spawn(async move {
                let page = timeout(PATIENCE, ask(&socket)).await.ok()?.ok()?;
                Some((socket, page))
            });
        }
        let mut pages: Vec<_> = asked.join_all().await.into_iter().flatten().collect();
        pages.push((self.own.clone(), metrics_text()));
        // Read when all were asked: a process that has ended by now is in it, and counts once.
        let ended = self.ended();
        pages.retain(|(socket, _)| names(&ended).all(|name| name != name_of(socket)));
        sum(pages.iter().map(|(_, page)| &**page).chain([&*ended]))
    }

    /// Leaves what this process has counted to the others, while they can still ask it. What cannot be written is lost. At a
    /// reload one process ends after the other; of two that end at the same time one may be lost.
    pub(super) fn hand_over(&self) {
        let before = self.ended();
        let mut ended: Vec<_> = names(&before).chain([name_of(&self.own)]).collect();
        ended.drain(..ended.len().saturating_sub(MAX_NAMES));
        let page = metrics_text();
        let text = format!("# {}\n{}", ended.join(" "), totals([&*before, &*page]));
        let new = self.own.with_extension("new");
        let _ = fs::write(&new, text).and_then(|()| fs::rename(&new, self.folder.join(ENDED)));
    }

    fn ended(&self) -> String {
        fs::read_to_string(self.folder.join(ENDED)).unwrap_or_default()
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

/// The names in the first line of the file of those that have ended.
fn names(ended: &str) -> impl Iterator<Item = &str> {
    ended.lines().next().unwrap_or_default().split(' ').skip(1)
}

fn name_of(socket: &Path) -> &str {
    socket.file_name().and_then(|name| name.to_str()).unwrap_or_default()
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
