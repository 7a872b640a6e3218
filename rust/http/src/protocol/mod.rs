//! The protocol between HTTP clients and an engine, without a server: what a request asks for, and its answer.

mod accept_header;
mod check_options;
mod content_type;
mod form;
mod incoming;
mod openai;
mod options;
mod pages;
mod paths;
mod plain;
mod prepared;
mod refusals;
mod representation;
mod route;
mod terms;

pub use check_options::ProtocolError;
pub(crate) use check_options::{check_letters, check_time};
pub use incoming::Incoming;
pub use options::ProtocolOptions;
#[cfg(feature = "server")]
pub(crate) use pages::no_metrics_page;
pub use pages::{Page, live_page, metrics_page, ready_page};
pub use plain::Plain;
pub use prepared::Prepared;
pub use route::{Protocol, Route};
