//! A client of HTTP/1.1 that sends what it is told, byte for byte.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// One connection.
pub(crate) struct Raw<S = TcpStream> {
    pub(crate) stream: S,
    read: Vec<u8>,
}

/// A request of `chat` for events.
pub(crate) fn chat(id: &str, prompt: &str) -> String {
    let body = format!(r#"{{"prompt":"{prompt}"}}"#);
    let headers = format!("x-request-id: {id}\r\naccept: text/event-stream\r\ncontent-length: {}\r\n", body.len());
    format!("POST /generate HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n{body}")
}

/// A request for a page.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

impl Raw {
    pub(crate) async fn connect(address: &str) -> Self {
        Self::of(TcpStream::connect(address).await.expect("it listens"))
    }

    /// Closes the connection by a reset.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().expect("an option");
    }
}

impl Raw<UnixStream> {
    pub(crate) async fn connect_unix(path: &std::path::Path) -> Self {
        Self::of(UnixStream::connect(path).await.expect("it listens"))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(crate) fn of(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("it takes bytes");
    }

    /// Reads until `end` has come; gives what came before it, and it.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|part| part == end.as_bytes()) {
                let rest = self.read.split_off(at + end.len());
                return String::from_utf8(std::mem::replace(&mut self.read, rest)).expect("text");
            }
            let so_far = String::from_utf8_lossy(&self.read).into_owned();
            assert!(self.more().await, "the connection ended after {so_far:?}");
        }
    }

    /// The head of an answer.
    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// Status, head and body of an answer: of one that is not there when its head goes, the chunks are joined.
    pub(crate) async fn answer(&mut self) -> (u16, String, String) {
        let head = self.head().await;
        let body = match header(&head, "content-length") {
            Some(length) => self.exactly(length.parse().expect("a number")).await,
            None => self.chunks().await,
        };
        (status(&head), head, body)
    }

    async fn chunks(&mut self) -> String {
        let mut body = String::new();
        loop {
            let length = self.until("\r\n").await;
            let length = usize::from_str_radix(length.trim_end(), 16).expect("a length");
            body += &self.exactly(length).await;
            assert_eq!(self.until("\r\n").await, "\r\n");
            if length == 0 {
                return body;
            }
        }
    }

    async fn exactly(&mut self, length: usize) -> String {
        while self.read.len() < length {
            assert!(self.more().await, "the connection ended");
        }
        let rest = self.read.split_off(length);
        String::from_utf8(std::mem::replace(&mut self.read, rest)).expect("text")
    }

    /// What comes until the connection ends, however.
    pub(crate) async fn rest(mut self) -> String {
        while self.more().await {}
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// How long it takes until the connection ends.
    pub(crate) async fn ended(self) -> Duration {
        let started = std::time::Instant::now();
        self.rest().await;
        started.elapsed()
    }

    /// Reads what there is; false at the end.
    async fn more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.read).await, Ok(1..))
    }
}

pub(crate) fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{head:?} is no head"))
}

/// A header of a head, by its name in lower case.
pub(crate) fn header<'head>(head: &'head str, name: &str) -> Option<&'head str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
