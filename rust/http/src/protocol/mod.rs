//! The protocol between HTTP clients and an engine, without a server: what a request asks for, and its answer.

mod accept_header;
mod check_options;
mod content_type;
mod deliver_answer;
mod health_and_metrics;
mod host_routes;
mod incoming_call;
mod openai_routes;
mod options;
mod paths;
mod prepared_call;
mod representation;
mod request_refusals;
mod route;
mod service_state;

pub use check_options::ProtocolError;
pub(crate) use check_options::{check_letters, check_time};
#[cfg(feature = "server")]
pub(crate) use health_and_metrics::no_metrics_page;
pub use health_and_metrics::{Page, live_page, metrics_page, ready_page};
pub use host_routes::Plain;
pub use incoming_call::Incoming;
pub use options::ProtocolOptions;
pub use prepared_call::Prepared;
pub use route::{Protocol, Route};
