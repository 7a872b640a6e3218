//! An engine made ready before its first call: its lifespan is entered.

use std::sync::Arc;

use super::core::Life;
use super::host::Engine;
use super::python::PyEngine;
use super::refusals::{closed, forked};
use crate::runtime;
use crate::stream::StreamError;
use crate::worker;

impl Engine {
    /// Has the engine's lifespan entered on its worker, as its first call would. Suspends until that is done; an engine without
    /// a lifespan is ready when its worker has answered.
    ///
    /// For servers: what a lifespan loads is there before the first request, and what fails is known at the start. After a
    /// failure the next call, of this or of the handler, enters it again. Dropped before, it leaves the entering to go on.
    ///
    /// ```no_run
    /// # async fn begin() -> Result<(), Box<dyn std::error::Error>> {
    /// let engine = pybridge::Engine::import("app:engine").await?;
    /// engine.ready().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the lifespan raised; [`FailureKind::Closed`](crate::FailureKind): the engine drains or is closed, or its worker ends.
    pub async fn ready(&self) -> Result<(), StreamError> {
        if runtime::forked() {
            return Err(forked());
        }
        if self.core.life() != Life::Serving {
            return Err(closed());
        }
        match worker::enter_lifespan::<PyEngine>(&self.mailbox, Arc::clone(&self.object), false).await {
            Ok(entered) => entered.map_err(StreamError::Failed),
            Err(_) => Err(closed()),
        }
    }
}
