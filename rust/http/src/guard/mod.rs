//! The guards of a public service: keys, origins of pages, and the clients behind proxies.

mod api_keys;
mod cors;
mod forwarded_headers;

pub use api_keys::ApiKeys;
pub(crate) use cors::Cors;
pub(crate) use forwarded_headers::Forwarded;
