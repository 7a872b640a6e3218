//! Passive state of engines and streams; nothing here knows an event loop.

mod owner;
mod start_request;

pub(crate) use owner::{Command, Notify, Owner};
pub(crate) use start_request::{ItemCodec, Request, RequestCodec, StartRequest, fail};
