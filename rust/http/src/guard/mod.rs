//! The guards of a public service: keys, origins of pages, and the clients behind proxies.

mod api_keys;
mod cors;
mod forwarded;

pub use api_keys::ApiKeys;
pub(crate) use cors::Cors;
pub(crate) use forwarded::Forwarded;
