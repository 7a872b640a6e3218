//! The catalogue of failures, a failure on its way to a consumer, and failures as Python exceptions.

mod catalogue;
mod failure;
pub(crate) mod py_errors;
mod raised_stop_iteration;
pub(crate) mod traceback;

pub(crate) use catalogue::INTERNAL;
pub use catalogue::{FailureKind, PublicAnswer, Reason};
pub use failure::Failure;
