//! Options of a server that a host sets: waits, limits, TLS.

use std::path::PathBuf;
use std::time::Duration;

use super::tls::Tls;
use crate::guard::ApiKeys;
use crate::observe::AccessLog;
use crate::protocol::ProtocolOptions;

/// What a host sets of a server; [`serve`](crate::serve) checks it.
///
/// ```
/// use std::time::Duration;
/// use pybridge_http::{ProtocolOptions, ServerOptions};
///
/// let options = ServerOptions::default().drain_timeout(Duration::from_secs(5)).max_connections(100);
/// assert_eq!((options.protocol.health, options.max_streams), (true, 256));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// What is served; the pages of health and metrics are there unless they are switched off.
    pub protocol: ProtocolOptions,
    /// How long live calls may go on once the server drains: 30 s.
    pub drain_timeout: Duration,
    /// How long the server still takes calls after it was told to drain, while it says that it is not ready: zero.
    pub drain_settle: Duration,
    /// Within what time a client has to finish a TLS handshake and the head of a request, from its first byte on, or from
    /// accept on for the first one: 5 s. Over HTTP/2 that is for the preface and the first frame: clients connect before they have a
    /// request. Each head has it from its first byte on, whatever else runs on the connection.
    pub header_timeout: Duration,
    /// Within what time a client has to send the next 4 KiB of a body, or its end: 30 s. HTTP/2 and TLS hand on what comes in pieces
    /// of up to 16 KiB: as long as 4 KiB come for each body of the connection in that time, a piece may take eight times as long.
    pub body_timeout: Duration,
    /// How long a connection may stay open between requests, and over HTTP/2 before the first one: 60 s.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of an answer that waits for it: 30 s. One that has vanished from the network without a
    /// word is probed, and dropped in about that time, in less than twice of it at the latest.
    pub write_timeout: Duration,
    /// Most connections at once: 10,000. What comes above waits to be accepted.
    pub max_connections: usize,
    /// Most requests at once on one HTTP/2 connection: 256.
    pub max_streams: u32,
    /// Certificate and key; none: the server speaks no TLS.
    pub tls: Option<Tls>,
    /// A path in front of all others, as a proxy sees them, which is taken off; requests without it are served as well.
    pub root_path: String,
    /// The origins whose pages may use the service from a browser (CORS), as `https://app.example.org`; `*`: all. None unless set.
    pub cors_origins: Vec<String>,
    /// The keys that clients may have; none: they need none. Those who ask for the pages of health need none either.
    pub api_keys: ApiKeys,
    /// The proxies whose `X-Forwarded-For` and `Forwarded` the access log believes: addresses, networks, or `*`. 127.0.0.1, which the
    /// other end of a Unix socket counts as, and `::1` unless set.
    pub forwarded_allow_ips: Vec<String>,
    /// What is written of each request to standard error: nothing unless set.
    pub access_log: AccessLog,
    /// A folder in which each of the processes that serve together has a socket for its metrics; `/metrics` then tells of all.
    pub peers: Option<PathBuf>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            protocol: ProtocolOptions::default().health(true).metrics(true),
            drain_timeout: Duration::from_secs(30),
            drain_settle: Duration::ZERO,
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            max_connections: 10_000,
            max_streams: 256,
            tls: None,
            root_path: String::new(),
            cors_origins: Vec::new(),
            api_keys: ApiKeys::default(),
            forwarded_allow_ips: ["127.0.0.1", "::1"].map(str::to_owned).into(),
            access_log: AccessLog::Off,
            peers: None,
        }
    }
}

impl ServerOptions {
    /// Sets what is served.
    #[must_use]
    pub fn protocol(self, protocol: ProtocolOptions) -> Self {
        Self { protocol, ..self }
    }

    /// Sets how long live calls may go on once the server drains.
    #[must_use]
    pub fn drain_timeout(self, drain_timeout: Duration) -> Self {
        Self { drain_timeout, ..self }
    }

    /// Sets how long the server still takes calls after it was told to drain.
    #[must_use]
    pub fn drain_settle(self, drain_settle: Duration) -> Self {
        Self { drain_settle, ..self }
    }

    /// Sets within what time a client has to finish a TLS handshake and the head of a request.
    #[must_use]
    pub fn header_timeout(self, header_timeout: Duration) -> Self {
        Self { header_timeout, ..self }
    }

    /// Sets within what time a client has to send the next 4 KiB of a body, or its end.
    #[must_use]
    pub fn body_timeout(self, body_timeout: Duration) -> Self {
        Self { body_timeout, ..self }
    }

    /// Sets how long a connection may stay open between requests.
    #[must_use]
    pub fn idle_timeout(self, idle_timeout: Duration) -> Self {
        Self { idle_timeout, ..self }
    }

    /// Sets how long a client may take nothing of an answer that waits for it.
    #[must_use]
    pub fn write_timeout(self, write_timeout: Duration) -> Self {
        Self { write_timeout, ..self }
    }

    /// Sets the most connections at once.
    #[must_use]
    pub fn max_connections(self, max_connections: usize) -> Self {
        Self { max_connections, ..self }
    }

    /// Sets the most requests at once on one HTTP/2 connection.
    #[must_use]
    pub fn max_streams(self, max_streams: u32) -> Self {
        Self { max_streams, ..self }
    }

    /// Sets certificate and key.
    #[must_use]
    pub fn tls(self, tls: impl Into<Option<Tls>>) -> Self {
        Self { tls: tls.into(), ..self }
    }

    /// Sets the path in front of all others.
    #[must_use]
    pub fn root_path(self, root_path: impl Into<String>) -> Self {
        Self { root_path: root_path.into(), ..self }
    }

    /// Sets the origins whose pages may use the service from a browser.
    #[must_use]
    pub fn cors_origins(self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { cors_origins: origins.into_iter().map(Into::into).collect(), ..self }
    }

    /// Sets the keys that clients may have.
    #[must_use]
    pub fn api_keys(self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { api_keys: keys.into_iter().collect(), ..self }
    }

    /// Sets the proxies whose word on their clients the access log believes.
    #[must_use]
    pub fn forwarded_allow_ips(self, proxies: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { forwarded_allow_ips: proxies.into_iter().map(Into::into).collect(), ..self }
    }

    /// Sets what is written of each request to standard error.
    #[must_use]
    pub fn access_log(self, access_log: AccessLog) -> Self {
        Self { access_log, ..self }
    }

    /// Sets the folder in which the processes that serve together find each other.
    #[must_use]
    pub fn peers(self, peers: impl Into<Option<PathBuf>>) -> Self {
        Self { peers: peers.into(), ..self }
    }
}
