//! Foundations of every layer: locks, logging, the runtime, forks, references, the interpreter's end.

pub(crate) mod attach_counts;
pub(crate) mod context_vars;
pub(crate) mod coroutine_introspection;
pub(crate) mod deferred_release;
pub(crate) mod fork;
pub(crate) mod interpreter;
pub(crate) mod log;
pub(crate) mod refused_interpreters;
pub mod runtime;

pub(crate) use pybridge_base::{exit_parking, fault, lock};
