//! A server: sockets, connections and requests around the protocol.

mod accept;
mod check;
mod connection;
mod control;
mod deadlines;
mod error;
mod faults;
mod frames;
mod hangup;
mod inbound;
mod leftover;
mod listener;
mod messages;
mod options;
mod pace;
mod peers;
mod phase;
mod progress;
mod receive;
mod report;
mod sent;
mod serve;
mod service;
mod settings;
mod site;
mod socket;
mod streams;
mod sum;
mod target;
mod tls;

pub use control::Control;
pub use error::ServerError;
pub use listener::Listener;
pub use options::ServerOptions;
pub use serve::{Server, serve};
pub use tls::Tls;
