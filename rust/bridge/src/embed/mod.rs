//! Programs that have only the Rust crate: the interpreter's start, the Python package inside the program, the end.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use pybridge::{Engine, embed};
//!
//! # async fn serve(engine: Engine) {}
//! # async fn example() -> Result<(), pybridge::SetupError> {
//! embed::initialize()?;
//! let engine = Engine::import("handlers:chat").await?;
//! serve(engine).await;
//! embed::shutdown(Duration::from_secs(10)).await;
//! # Ok(())
//! # }
//! ```

mod engine_setup;
mod environment;
mod initialize;
mod interpreter;
mod library;
mod package;
mod shutdown;

pub use initialize::initialize;
pub use package::install;
pub use shutdown::{shutdown, shutdown_blocking};
