//! Passive state of engines and streams; nothing here knows an event loop.

mod command;
mod start_request;

pub(crate) use command::{Command, CommandSink, Notify};
pub(crate) use start_request::{ItemCodec, Request, RequestCodec, StartRequest};
