//! The way from a call to a started stream, through the engine's admission.

use std::sync::Arc;

use crate::state::{EngineCore, Entry, StartRequest};

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
    let core = Arc::clone(&start.core);
    let engine = &core.engine;
    let entry = match permit {
        Some(ticket) => engine.admission.enter_with(start, ticket),
        None => engine.admission.enter(start, nested),
    };
    match entry {
        Entry::Admitted(start) => {
            core.register();
            go(start);
        }
        Entry::Waiting => core.register(),
        Entry::Refused(_start, reason) => return Err(no_place(engine, &reason)),
    }
    Ok(())
}

/// What is said of a call that is refused.
pub(super) fn no_place(engine: &EngineCore, reason: &str) -> String {
    format!("engine {} has no place for one more call: {reason}", engine.name)
}
