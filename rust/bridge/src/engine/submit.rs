//! The way from a call to a started stream, through the engine's admission.

use std::sync::Arc;

use crate::state::{AdmissionOutcome, EngineState, StartRequest};

/// Has `go` start a call whose place is there, that of the permit with the number `permit` if there is one; others wait.
///
/// # Errors
/// The engine has no place, and its queue is full; why.
pub(super) fn submit(
    start: Box<StartRequest>,
    permit: Option<u64>,
    nested: bool,
    go: impl FnOnce(Box<StartRequest>),
) -> Result<(), String> {
    let stream = Arc::clone(&start.stream);
    let engine = &stream.engine;
    let outcome = match permit {
        Some(ticket) => engine.admission.acquire_with_permit(start, ticket),
        None => engine.admission.acquire(start, nested),
    };
    match outcome {
        AdmissionOutcome::Admitted(start) => {
            stream.register();
            go(start);
        }
        AdmissionOutcome::Waiting => stream.register(),
        AdmissionOutcome::Refused(_start, reason) => return Err(no_place(engine, &reason)),
    }
    Ok(())
}

/// What is said of a call that is refused.
pub(super) fn no_place(engine: &EngineState, reason: &str) -> String {
    format!("engine {} has no place for one more call: {reason}", engine.name)
}
