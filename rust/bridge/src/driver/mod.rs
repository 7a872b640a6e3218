//! The run of one handler: the coroutine that advances its generator, encodes what it yields, and ends it.

mod awaitable_step;
mod cancellation;
mod closing;
mod coroutine;
mod current_stream;
mod fairness;
mod flush_policy;
mod handler;
mod handler_failure;
mod item_source;
mod opening;
mod output;
mod py_bytes_owner;
mod start;
mod state_machine;
mod wrong_result;

pub(crate) use coroutine::Driver;
pub(crate) use current_stream::{copy_outside, current_driver, current_stream};
pub(crate) use handler::{Handler, HasHandler};
pub(crate) use start::start_stream;
