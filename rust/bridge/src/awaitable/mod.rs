//! Coroutines made in Rust: what `await` and asyncio's tasks drive for streams, calls, contexts and engines.

mod coroutine;
mod goal;
mod inspected;
mod single;
mod slots;

pub(crate) use coroutine::Awaited;
pub(crate) use goal::Goal;
pub(crate) use inspected::{stand_in, state_name};
pub(crate) use single::Single;
pub(crate) use slots::prepare;
