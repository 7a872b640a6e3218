//! The access log: a line for each request, written by a thread of its own.

mod entry;
mod format;
mod writer;

pub(super) use entry::{End, Entry};
pub use format::AccessLog;
pub(super) use writer::LogWriter;
