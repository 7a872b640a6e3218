//! Metrics of requests and their answers, and the record of each.

mod exposition;
mod histogram;
mod metrics;
mod observer;
mod record;

#[cfg(feature = "server")]
pub(crate) use metrics::Breach;
pub use metrics::{Connected, metrics_text};
pub use observer::Observer;
pub use record::Record;
