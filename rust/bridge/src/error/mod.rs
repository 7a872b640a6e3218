//! Kinds of failures and reasons of cancellations, a failure on its way to a consumer, and failures as Python exceptions.

mod cancel_reasons;
mod failure;
mod failure_kinds;
pub(crate) mod handler_exit;
mod public_text;
pub(crate) mod py_errors;
mod raised_stop_iteration;
pub(crate) mod traceback;

pub use cancel_reasons::Reason;
pub use failure::Failure;
pub use failure_kinds::{FailureKind, PublicAnswer};
pub(crate) use public_text::INTERNAL;
