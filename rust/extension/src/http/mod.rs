//! HTTP's protocol layer as Python fronts use it: `engine.asgi()` and `engine.response()`.

mod answer;
mod exchange;
mod head;
mod protocol;

pub(crate) use protocol::register;
