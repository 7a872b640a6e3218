//! Errors of calls that are refused, for Rust hosts.

use crate::base::runtime::RuntimeError;
use crate::codec::{Format, Limits};
use crate::consumer::StreamError;
use crate::error::{Failure, FailureKind};

pub(super) fn failed(kind: FailureKind, class: &str, message: impl Into<String>) -> StreamError {
    StreamError::Failed(Box::new(Failure::new(kind, class, message)))
}

pub(super) fn forked() -> StreamError {
    failed(FailureKind::Fork, "ForkError", RuntimeError::Forked.to_string())
}

pub(super) fn closed() -> StreamError {
    failed(FailureKind::Closed, "EngineClosed", "the engine is closed")
}

/// `message`: which engine has no place, and why.
pub(super) fn overloaded(message: String) -> StreamError {
    let public = "the engine has no place for one more call";
    let failure = Failure { message, ..Failure::new(FailureKind::Overloaded, "Overloaded", public) };
    StreamError::Failed(Box::new(failure))
}

pub(super) fn too_large(message: String, limit: &str) -> StreamError {
    StreamError::Failed(Box::new(Failure::over(FailureKind::TooLarge, limit, message)))
}

/// Refuses an encoded request that the worker would refuse, before it is copied or sent anywhere.
pub(super) fn check_size(limits: &Limits, len: usize, format: Format) -> Result<(), StreamError> {
    let most = limits.max_frame_bytes;
    if len > most && format != Format::Raw {
        return Err(too_large(format!("a request of {len} bytes is over max_frame_bytes = {most}"), "max_frame_bytes"));
    }
    Ok(())
}
