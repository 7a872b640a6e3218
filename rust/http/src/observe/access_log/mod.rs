//! The access log: a line for each request, written by a thread of its own.

mod entry;
mod format;
mod writer;

pub(crate) use entry::{End, Entry};
pub use format::AccessLog;
pub(crate) use writer::LogWriter;
