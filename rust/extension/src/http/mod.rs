//! HTTP as Python fronts use it: the protocol's layer for `engine.asgi()` and `engine.response()`, and the server.

mod answer;
mod descriptor;
mod exchange;
mod exit_deadline;
mod head;
mod options;
mod protocol;
mod server;
mod stop_signals;
mod supervisor_watch;

pub(crate) use protocol::register;
