//! Pieces of an answer on their way out of the server: when it has let go of them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;

/// Knows when a server has dropped every piece that was made here: what it has written it drops.
#[derive(Debug)]
pub(super) struct Watch {
    /// Every piece has a clone; `None`: no more follow.
    held: Option<Arc<oneshot::Sender<()>>>,
    released: oneshot::Receiver<()>,
}

/// Bytes that hold what tells of their end.
struct Watched<T> {
    bytes: T,
    _held: Option<Arc<oneshot::Sender<()>>>,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Watched<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl Default for Watch {
    fn default() -> Self {
        let (held, released) = oneshot::channel();
        Self { held: Some(Arc::new(held)), released }
    }
}

impl Watch {
    /// The same bytes, whose end is watched. One allocation.
    pub(super) fn piece(&self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        Bytes::from_owner(Watched { bytes, _held: self.held.clone() })
    }

    /// No more pieces follow.
    pub(super) fn close(&mut self) {
        self.held = None;
    }

    /// Ready when the server has dropped all pieces, once no more follow.
    pub(super) fn poll_released(&mut self, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.released).poll(context).map(drop)
    }
}
