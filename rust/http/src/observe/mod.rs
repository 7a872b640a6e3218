//! The record of each request and its answer, the metrics of all, and the access log.

mod access_log;
mod exposition;
mod histogram;
mod metrics;
mod observer;
mod outcome;
mod record;
mod tally;

pub use access_log::AccessLog;
#[cfg(feature = "server")]
pub(crate) use metrics::Breach;
pub use metrics::{Connected, metrics_text};
pub use observer::Observer;
pub(crate) use outcome::Outcome;
pub use record::Record;
pub(crate) use tally::Tally;
