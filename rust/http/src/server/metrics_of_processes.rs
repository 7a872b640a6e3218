//! The metrics of all processes that serve together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use rustix::fs::FlockOperation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::acceptor::Acceptor;
use super::ended_processes::{EndedProcesses, read_or_empty, replace};
use super::listener::Listener;
use super::metrics_sum::{sum, totals};
use super::trouble_report::report;
use crate::observe::{AccessLog, metrics_text};

/// How long one process waits for another.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longest page of a process, in bytes.
const MAX_PAGE: u64 = 16 << 20;

/// What the names of their sockets end with, and those of the files with the last page that each has given.
const SOCKET: &str = "sock";
const PAGE: &str = "page";

/// The processes that serve together: each has a socket in one folder, on which it gives its metrics, and a file with the last
/// page that it gave, for those who ask while it does not answer. What it has counted stays there when it ends.
#[derive(Debug)]
pub(super) struct Peers {
    folder: PathBuf,
    ended: EndedProcesses,
    name: String,
    log: AccessLog,
    /// Whether the file with the last page is written: until what was counted is handed over. Pages are made and written one
    /// after the other.
    keeps_page: Mutex<bool>,
}

impl Peers {
    /// This process and those of the same folder.
    pub(super) fn of(folder: &Path, log: AccessLog) -> Self {
        // Another process may have had the same number before.
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let name = format!("{}-{now}", std::process::id());
        let (folder, ended) = (folder.to_owned(), EndedProcesses::of(folder));
        Self { folder, ended, name, log, keeps_page: Mutex::new(true) }
    }

    /// The socket on which [`give`] gives the metrics of this process. To be called in the runtime.
    ///
    /// # Errors
    /// There can be none, or another server of this process has it.
    pub(super) fn listen(&self) -> io::Result<Acceptor> {
        Acceptor::new(Listener::unix(&self.file(&self.name, SOCKET))?, PATIENCE)
    }

    /// The metrics of all, added up. Suspends for at most a second: of who does not answer by then the last page is taken, of
    /// who has died what is counted there.
    ///
    /// # Errors
    /// What others have counted cannot be read: without it the sums would fall, which counters must not.
    pub(super) async fn metrics_text(&self) -> io::Result<String> {
        let mut asked = JoinSet::new();
        for name in self.others()? {
            let (socket, last) = (self.file(&name, SOCKET), self.file(&name, PAGE));
            asked.spawn(async move { page_of(&socket, &last).await.map(|page| (name, page)) });
        }
        let mut pages = asked.join_all().await.into_iter().collect::<io::Result<Vec<_>>>()?;
        pages.push((self.name.clone(), Page::Last(self.page())));
        // Read when all were asked: a process that has ended by now is in it, and counts once.
        let ended = self.ended.read()?;
        pages.retain(|(name, _)| !ended.has(name));
        let sum = sum(pages.iter().map(|(_, page)| page.text()).chain([ended.page()]));
        for (name, page) in &pages {
            if let Page::OfTheDead(page) = page
                && let Err(error) = self.inherit(name, page)
            {
                report(self.log, &format!("what a process that has died had counted stays in its file: {error}"));
            }
        }
        Ok(sum)
    }

    /// Adds what a process had counted that has died to what is there of those that have ended, and removes its files.
    fn inherit(&self, name: &str, page: &str) -> io::Result<()> {
        if page.is_empty() {
            // It may be about to begin.
            return Ok(());
        }
        match self.ended.add(name, page, FlockOperation::NonBlockingLockExclusive) {
            // The runtime's thread does not wait for other processes: it is added when somebody asks again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            added => added?,
        }
        let _ = fs::remove_file(self.file(name, SOCKET));
        let _ = fs::remove_file(self.file(name, PAGE));
        Ok(())
    }

    /// The metrics of this process, which stay in its file for those who get no answer later.
    pub(super) fn page(&self) -> String {
        let keeps_page = self.keeps_page.lock().unwrap_or_else(PoisonError::into_inner);
        let page = metrics_text();
        if *keeps_page && let Err(error) = replace(&self.file(&self.name, PAGE), &page) {
            report(self.log, &format!("the metrics of this process cannot be kept for others: {error}"));
        }
        page
    }

    /// Leaves what this process has counted to the others, while they can still ask it. What cannot be left stays in the file of
    /// its last page.
    pub(super) fn hand_over(&self) {
        let page = self.page();
        let mut keeps_page = self.keeps_page.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.ended.add(&self.name, &page, FlockOperation::LockExclusive) {
            report(self.log, &format!("the metrics of this process cannot be left to others: {error}"));
            return;
        }
        *keeps_page = false;
        let _ = fs::remove_file(self.file(&self.name, PAGE));
    }

    fn file(&self, name: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{name}.{kind}"))
    }

    /// The names of the other processes that have a socket here, or have left a page.
    fn others(&self) -> io::Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?.file_name();
            if let Some((name, SOCKET | PAGE)) = entry.to_str().and_then(|entry| entry.rsplit_once('.'))
                && name != self.name
            {
                names.insert(name.to_owned());
            }
        }
        Ok(names)
    }
}

/// The metrics of one process.
#[derive(Debug)]
enum Page {
    /// What it tells, or told last.
    Last(String),
    /// What one that has died had counted.
    OfTheDead(String),
}

impl Page {
    fn text(&self) -> &str {
        match self {
            Self::Last(text) | Self::OfTheDead(text) => text,
        }
    }
}

/// The page of another process: the one that it gives, else its last one.
///
/// # Errors
/// It does not answer, and its last page cannot be read.
async fn page_of(socket: &Path, last: &Path) -> io::Result<Page> {
    let has_died = match timeout(PATIENCE, ask(socket)).await {
        Ok(Ok(page)) => return Ok(Page::Last(page)),
        Ok(Err(error)) => matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound),
        Err(_) => false,
    };
    let page = read_or_empty(last)?;
    Ok(if has_died { Page::OfTheDead(totals([&*page])) } else { Page::Last(page) })
}

async fn ask(socket: &Path) -> io::Result<String> {
    let mut page = String::new();
    UnixStream::connect(socket).await?.take(MAX_PAGE).read_to_string(&mut page).await?;
    Ok(page)
}

/// Gives the metrics of this process to each that connects.
pub(super) async fn give(page: impl Fn() -> String, socket: Acceptor) {
    let Acceptor::Unix(socket, _) = &socket else { return };
    let mut given = JoinSet::new();
    loop {
        while given.try_join_next().is_some() {}
        match socket.accept().await {
            Ok((mut peer, _)) => {
                let page = page();
                given.spawn(timeout(PATIENCE, async move {
                    peer.write_all(page.as_bytes()).await?;
                    peer.shutdown().await
                }));
            }
            // For want of files or memory.
            Err(_) => tokio::time::sleep(PATIENCE).await,
        }
    }
}
