//! The watch of a serving process for the end of its supervisor, which it does not outlive.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::stop_signals::Stopping;

/// Begins the end of this process, within this time, when the supervisor's end of this channel is closed.
pub(super) async fn end_with(mut supervisor: UnixStream, stopping: Arc<Stopping>, within: Duration) {
    let mut unread = [0; 64];
    while let Ok(1..) = supervisor.read(&mut unread).await {}
    stopping.begin(within);
}
