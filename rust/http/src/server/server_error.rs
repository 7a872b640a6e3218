//! The reasons why a server cannot be started.

use std::{fmt, io};

use pybridge::runtime::RuntimeError;

use crate::protocol::ProtocolError;

/// Why a server cannot be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// An option that cannot be.
    Option {
        /// The field of [`ServerOptions`](crate::ServerOptions) or [`ProtocolOptions`](crate::ProtocolOptions).
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A socket that cannot be accepted from.
    Listener(io::Error),
    /// The bridge has no runtime to serve on.
    Runtime(RuntimeError),
}

impl ServerError {
    pub(super) fn option(option: &'static str, reason: impl Into<String>) -> Self {
        Self::Option { option, reason: reason.into() }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option { option, reason } => write!(f, "{option}: {reason}"),
            Self::Listener(error) => write!(f, "the socket cannot be accepted from: {error}"),
            Self::Runtime(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Option { .. } => None,
            Self::Listener(error) => Some(error),
            Self::Runtime(error) => Some(error),
        }
    }
}

impl From<ProtocolError> for ServerError {
    fn from(error: ProtocolError) -> Self {
        Self::option(error.option(), error.reason())
    }
}

impl From<RuntimeError> for ServerError {
    fn from(error: RuntimeError) -> Self {
        Self::Runtime(error)
    }
}
