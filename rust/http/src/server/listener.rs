//! Sockets that a server accepts from.

use std::fs;
use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// Connections that the kernel keeps ready for accept, at most.
const BACKLOG: i32 = 4096;

/// A socket that a server accepts from: TCP or a Unix socket.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: Bound,
    /// The file that goes with the listener.
    pub(super) file: Option<SocketFile>,
}

#[derive(Debug)]
pub(super) enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Self {
        Self { socket: Bound::Tcp(socket), file: None }
    }
}

impl From<UnixListener> for Listener {
    fn from(socket: UnixListener) -> Self {
        Self { socket: Bound::Unix(socket), file: None }
    }
}

impl Listener {
    /// A TCP socket on the first address of this host that can be had; port 0 takes a free one. Blocks while a name is looked up.
    ///
    /// # Errors
    /// The host is not known, or no address can be had.
    pub fn bind(host: &str, port: u16) -> io::Result<Self> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in (host, port).to_socket_addrs()? {
            let bound = || {
                let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
                socket.set_reuse_address(true)?;
                socket.bind(&address.into())?;
                socket.listen(BACKLOG)?;
                Ok(socket)
            };
            match bound() {
                Ok(socket) => return Ok(TcpListener::from(socket).into()),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// A Unix socket at this path. The file of a server that has died is replaced; the listener removes its own when it is
    /// dropped.
    ///
    /// # Errors
    /// Another server listens there, something else is there, or no socket can be made.
    pub fn unix(path: &Path) -> io::Result<Self> {
        if is_stale(path) {
            fs::remove_file(path)?;
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let file = SocketFile::of(path)?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket: Bound::Unix(UnixListener::from(socket)), file: Some(file) })
    }

    /// A socket that another process has bound, and that listens.
    ///
    /// # Errors
    /// It is no socket, no stream of TCP or Unix, or it does not listen.
    pub fn from_fd(socket: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(socket);
        let refused = |reason| Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        if socket.r#type()? != Type::STREAM {
            return refused("the socket is no stream");
        }
        if !socket.is_listener()? {
            return refused("the socket does not listen");
        }
        match socket.domain()? {
            Domain::IPV4 | Domain::IPV6 => Ok(TcpListener::from(socket).into()),
            Domain::UNIX => Ok(UnixListener::from(socket).into()),
            _ => refused("the socket is neither TCP nor Unix"),
        }
    }

    /// Where clients find it: `http://127.0.0.1:8000`, `unix:/run/chat.sock`. `tls`: whether it is served with TLS.
    pub fn url(&self, tls: bool) -> String {
        let scheme = if tls { "https" } else { "http" };
        match &self.socket {
            Bound::Tcp(socket) => socket.local_addr().map(|address| format!("{scheme}://{address}")),
            Bound::Unix(socket) => socket.local_addr().map(|address| {
                let path = address.as_pathname().unwrap_or_else(|| Path::new(""));
                format!("unix:{}", path.display())
            }),
        }
        .unwrap_or_default()
    }
}

/// Whether a Unix socket is at this path on which nobody listens.
fn is_stale(path: &Path) -> bool {
    let is_refused = || {
        let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A server that is busy does not hold this one up.
        probe.set_nonblocking(true)?;
        let asked = probe.connect(&SockAddr::unix(path)?);
        io::Result::Ok(asked.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
    };
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket && is_refused().unwrap_or(false)
}

/// The file of a Unix socket, which is removed with this unless another has replaced it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let file = fs::symlink_metadata(path)?;
        Ok(Self { path: std::path::absolute(path)?, device: file.dev(), inode: file.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours =
            fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == (self.device, self.inode));
        if is_ours {
            // If it cannot be removed, the next server replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}
