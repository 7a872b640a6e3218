//! The record of each request and its answer, the metrics of all, and the access log.

mod access_log;
mod answer_outcome;
mod exposition;
mod histogram;
mod http_metrics;
mod item_times;
mod observer;
mod request_record;

pub use access_log::AccessLog;
pub(crate) use answer_outcome::Outcome;
#[cfg(feature = "server")]
pub(crate) use http_metrics::Breach;
pub use http_metrics::{Connected, metrics_text};
pub(crate) use item_times::Tally;
pub use observer::Observer;
pub use request_record::Record;
