//! HTTP as Python fronts use it: the protocol's layer for `engine.asgi()` and `engine.response()`, and the server.

mod asgi_answer;
mod asgi_exchange;
mod asgi_heads;
mod descriptor;
mod exit_deadline;
mod options;
mod protocol;
mod server;
mod stop_signals;
mod supervisor_watch;

pub(crate) use protocol::register;
