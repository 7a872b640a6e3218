//! A certificate of the tests' own, and clients that trust it.

use std::sync::Arc;

use pybridge_http::Tls;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::raw::Raw;

/// A certificate for `localhost`, its own authority.
pub(crate) struct Certificate {
    pub(crate) text: String,
    pub(crate) key: String,
    roots: RootCertStore,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a certificate");
        Self { text: made.cert.pem(), key: made.signing_key.serialize_pem(), roots }
    }

    pub(crate) fn server(&self) -> Tls {
        Tls::from_pem(self.text.as_bytes(), self.key.as_bytes()).expect("it fits")
    }

    /// Connects, and offers these protocols.
    pub(crate) async fn stream(&self, address: &str, protocols: &[&str]) -> TlsStream<TcpStream> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("versions");
        let mut config = config.with_root_certificates(self.roots.clone()).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("it speaks TLS")
    }

    pub(crate) async fn raw(&self, address: &str) -> Raw<TlsStream<TcpStream>> {
        Raw::of(self.stream(address, &["http/1.1"]).await)
    }
}
