//! The counts of processes that have ended, which stay in the sums of those that serve on.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::{FlockOperation, flock};

use super::metrics_sum::totals;

/// The file of the folder with what they had counted. Its first line has their names.
const FILE: &str = "ended";

/// The file that is locked by who writes that one.
const LOCK: &str = "lock";

/// How many names that line keeps: of all processes that end while one is asked for its metrics.
const MAX_NAMES: usize = 64;

/// The file in which processes that serve together leave what they have counted.
#[derive(Debug)]
pub(super) struct EndedProcesses {
    folder: PathBuf,
}

impl EndedProcesses {
    pub(super) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// What there is now.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read(&self) -> io::Result<Ended> {
        Ok(Ended { text: read_or_empty(&self.folder.join(FILE))? })
    }

    /// Adds the metrics of a process, unless they are there. `how`: whether it waits for others that do the same.
    ///
    /// # Errors
    /// It cannot be read or written; another process adds to it, and `how` does not wait.
    pub(super) fn add(&self, name: &str, page: &str, how: FlockOperation) -> io::Result<()> {
        // Others do the same, until this is dropped.
        let lock = fs::File::create(self.folder.join(LOCK))?;
        flock(&lock, how)?;
        let before = self.read()?;
        if before.has(name) {
            return Ok(());
        }
        let mut names: Vec<_> = before.names().chain([name]).collect();
        names.drain(..names.len().saturating_sub(MAX_NAMES));
        let text = format!("# {}\n{}", names.join(" "), totals([before.page(), page]));
        replace(&self.folder.join(FILE), &text)
    }
}

/// The metrics of processes that have ended, with the names of the last of them.
#[derive(Debug)]
pub(super) struct Ended {
    text: String,
}

impl Ended {
    /// Whether those of this process are in it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names().any(|ended| ended == name)
    }

    /// The sums, in Prometheus' text format; the names are in a comment.
    pub(super) fn page(&self) -> &str {
        &self.text
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.text.lines().next().unwrap_or_default().split(' ').skip(1)
    }
}

/// The text of a file, empty if there is none.
pub(super) fn read_or_empty(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

/// Puts a file with this text into the place of the one at `path`. Nobody else may write that one meanwhile.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text).and_then(|()| fs::rename(&new, path))
}
