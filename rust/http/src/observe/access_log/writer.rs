//! The thread that writes the access log.

use std::fmt;
use std::io::{self, Write};
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use tokio::sync::oneshot;

use super::entry::{End, Entry};
use super::format::AccessLog;

/// Lines that wait to be written; more are lost.
const MAX_WAITING: usize = 4096;

/// What is written at once, in bytes: pipes do not tear it, so that several processes can write to one.
const PIECE: usize = 4096;

enum Message {
    Line(Box<Entry>, End),
    /// All that came before is to be written now.
    Flush(oneshot::Sender<()>),
}

/// Hands lines to the thread that writes them. That ends with the last clone, after what waits.
#[derive(Clone)]
pub(crate) struct LogWriter {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogWriter")
    }
}

impl LogWriter {
    /// Starts to write to `out`. `None`: there is to be no log.
    ///
    /// # Errors
    /// There can be no thread.
    pub(crate) fn start(log: AccessLog, out: impl Write + Send + 'static) -> io::Result<Option<Self>> {
        if log == AccessLog::Off {
            return Ok(None);
        }
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let lost = Arc::<AtomicU64>::default();
        let writing = Writing { log, out, piece: Vec::with_capacity(PIECE), lost: Arc::clone(&lost) };
        thread::Builder::new().name("pybridge-log".to_owned()).spawn(move || writing.run(&receiver))?;
        Ok(Some(Self { sender, lost }))
    }

    /// Has a line written. Does not wait: if too many do, it is lost, and counted.
    pub(crate) fn write(&self, entry: Box<Entry>, end: End) {
        if self.sender.try_send(Message::Line(entry, end)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Suspends until all lines so far are written.
    pub(crate) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        let mut message = Message::Flush(done);
        while let Err(TrySendError::Full(back)) = self.sender.try_send(message) {
            message = back;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        drop(written.await);
    }
}

/// The state of the thread.
struct Writing<W> {
    log: AccessLog,
    out: W,
    piece: Vec<u8>,
    lost: Arc<AtomicU64>,
}

impl<W: Write> Writing<W> {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(first) = messages.recv() {
            let mut flushes = Vec::new();
            for message in iter::once(first).chain(messages.try_iter().take(MAX_WAITING)) {
                match message {
                    Message::Line(entry, end) => self.add(&self.log.line(&entry, &end)),
                    Message::Flush(done) => flushes.push(done),
                }
            }
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                self.add(&self.log.lost(lost));
            }
            self.write();
            for done in flushes {
                let _ = done.send(());
            }
        }
    }

    fn add(&mut self, line: &[u8]) {
        if self.piece.len() + line.len() > PIECE {
            self.write();
        }
        self.piece.extend_from_slice(line);
    }

    /// A log that cannot be written, as its pipe is closed, stops no server.
    fn write(&mut self) {
        drop(self.out.write_all(&self.piece));
        drop(self.out.flush());
        self.piece.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, pipe};
    use std::time::Duration;

    use http::{Request, StatusCode};

    use super::*;
    use crate::observe::Outcome;

    fn write(log: &LogWriter, path: &str) {
        let head = Request::get(path).body(()).expect("a request").into_parts().0;
        let end = End {
            status: StatusCode::OK,
            items: 0,
            bytes: 0,
            first_item: None,
            duration: Duration::ZERO,
            outcome: Outcome::Finished,
        };
        log.write(Box::new(Entry::new(&head)), end);
    }

    fn started(log: AccessLog, out: impl Write + Send + 'static) -> LogWriter {
        LogWriter::start(log, out).expect("a thread").expect("a log")
    }

    #[test]
    fn no_log_has_no_thread() {
        assert!(LogWriter::start(AccessLog::Off, io::sink()).expect("nothing to fail").is_none());
    }

    #[tokio::test]
    async fn flushed_lines_are_there_in_their_order() {
        let (read, written) = pipe().expect("a pipe");
        let log = started(AccessLog::Text, written);
        let count = 100;
        let lines = thread::spawn(move || BufReader::new(read).lines().collect::<io::Result<Vec<_>>>().expect("lines"));
        for number in 0..count {
            write(&log, &format!("/{number}"));
        }
        log.flush().await;
        drop(log);
        let lines = lines.join().expect("read");
        assert_eq!(lines.len(), count);
        for (number, line) in lines.iter().enumerate() {
            assert!(line.contains(&format!("\"GET /{number} ")), "{line}");
        }
    }

    #[test]
    fn lines_that_cannot_be_written_in_time_are_lost_and_counted() {
        for log in [AccessLog::Text, AccessLog::Json] {
            let (read, written) = pipe().expect("a pipe");
            let writer = started(log, written);
            let count = 20_000;
            // Nobody reads: the pipe holds some, the queue holds some.
            (0..count).for_each(|_| write(&writer, "/"));
            drop(writer);
            let lines: Vec<String> = BufReader::new(read).lines().collect::<io::Result<_>>().expect("lines");
            let (said, written): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.contains("lost"));
            assert!(written.len() > MAX_WAITING && written.len() < count, "{}", written.len());
            let number = |line: &&String| {
                line.split(|letter: char| !letter.is_ascii_digit()).find_map(|n| n.parse::<usize>().ok())
            };
            let lost: usize = said.iter().filter_map(number).sum();
            assert_eq!(lost + written.len(), count, "{said:?}");
        }
    }

    #[tokio::test]
    async fn a_log_that_nobody_reads_any_more_stops_nothing() {
        let (read, written) = pipe().expect("a pipe");
        drop(read);
        let log = started(AccessLog::Text, written);
        write(&log, "/");
        log.flush().await;
    }
}
