//! Foundations of every layer: locks, logging, the runtime, forks, references, the interpreter's end.

pub(crate) mod attach_counts;
pub(crate) mod context_vars;
pub(crate) mod coroutine_introspection;
pub(crate) mod deferred_release;
pub(crate) mod exit_parking;
#[cfg(not(feature = "fault"))]
pub(crate) mod fault;
#[cfg(feature = "fault")]
pub mod fault;
pub(crate) mod fork;
pub(crate) mod interpreter;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod refused_interpreters;
pub mod runtime;
