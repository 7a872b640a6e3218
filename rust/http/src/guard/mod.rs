//! What a public service asks of clients before their requests are read, and who they are.

mod api_keys;
mod cors;
mod forwarded;

pub use api_keys::ApiKeys;
pub(crate) use cors::Cors;
pub(crate) use forwarded::Forwarded;
