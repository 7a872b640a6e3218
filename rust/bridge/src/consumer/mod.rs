//! One stream: driver, output, queue, ending; and the consumers' sides of it.

mod canceller;
mod consumer;
mod core;
mod credit;
mod current;
mod cursor;
mod dispatcher;
mod drive;
mod driver;
mod ending;
mod error;
mod failure;
mod gather;
mod given;
mod handler;
mod iterate;
mod kept;
mod options;
mod outbox;
mod output;
mod pace;
mod python;
mod queue;
mod readers;
mod resume;
mod source;
#[cfg(feature = "tracing")]
mod span;
mod start;
mod timers;
mod wait;
mod waiter;
mod wakers;

pub use canceller::Canceller;
pub use consumer::{ChunkStream, FrameStream, ItemStream};
pub use ending::{Cancellation, Ending};
pub use error::StreamError;
pub use failure::Failure;
pub use options::CallOptions;

pub(crate) use core::{ConsumerKind, StreamCore};
pub(crate) use credit::{FRAME_OVERHEAD, Marks};
pub(crate) use current::{copy_outside, current_driver, current_stream};
pub(crate) use dispatcher::dispatch;
pub(crate) use driver::Driver;
pub(crate) use handler::{Handler, HasHandler};
pub(crate) use iterate::BlockingStream;
pub(crate) use outbox::Outbox;
pub(crate) use python::{Kind, Opened, PyStream, Unopened};
pub(crate) use start::start_stream;
pub(crate) use wait::Wait;
pub(crate) use waiter::Waiter;
pub(crate) use wakers::Wakers;
