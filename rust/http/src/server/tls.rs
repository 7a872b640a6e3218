//! TLS of a server: its certificate, its key, the protocols that it offers, and the handshake.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::server_error::ServerError;

/// TLS 1.2 and 1.3 with one certificate; clients choose HTTP/2 or HTTP/1.1 by ALPN.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// `certificates`: the server's certificate, then those that signed it; `key`: its private key; both as the text of PEM
    /// files.
    ///
    /// # Errors
    /// [`ServerError::Option`] of `tls_cert` or `tls_key`.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, ServerError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(|error| ServerError::option("tls_cert", format!("is no PEM text: {error}")))?;
        if chain.is_empty() {
            return Err(ServerError::option("tls_cert", "holds no certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| ServerError::option("tls_key", format!("holds no private key: {error}")))?;
        let mut config = configured(chain, key).map_err(|error| match error {
            rustls::Error::InvalidCertificate(_) => ServerError::option("tls_cert", format!("cannot be used: {error}")),
            rustls::Error::InconsistentKeys(_) => ServerError::option("tls_key", "is not the key of the certificate"),
            _ => ServerError::option("tls_key", format!("cannot be used: {error}")),
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands with a client, which has so much time for it. `None`: it failed, or was too late.
    pub(super) async fn handshake<S>(&self, socket: S, within: Duration) -> Option<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        timeout(within, self.0.accept(socket)).await.ok()?.ok()
    }
}

fn configured(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    builder.with_safe_default_protocol_versions()?.with_no_client_auth().with_single_cert(chain, key)
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
