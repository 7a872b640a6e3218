//! Streams as Python and Rust consumers read them, and the coroutines that await them.

mod annotated;
mod awaitable;
mod batch_cursor;
mod blocking_stream;
mod canceller;
pub(crate) mod detached_wait;
mod flush_interval;
mod frame;
mod handler_context;
mod kept_frame_limit;
mod py_stream;
mod read_results;
mod reader_tasks;
mod rust_stream;
mod stream_error;

pub use annotated::Annotated;
pub(crate) use awaitable::{Awaited, Goal, Single, prepare};
pub use awaitable::{Polled, coroutine};
pub(crate) use blocking_stream::BlockingStream;
pub use canceller::Canceller;
pub use frame::Frame;
pub(crate) use frame::{PyFrame, Terms, Usual, restore_frame};
pub(crate) use handler_context::{Context, context_of, current_context};
pub(crate) use kept_frame_limit::may_keep;
pub(crate) use py_stream::{ItemForm, Opened, PyStream, Unopened};
pub use rust_stream::{ChunkStream, FrameStream, ItemStream};
pub use stream_error::StreamError;
