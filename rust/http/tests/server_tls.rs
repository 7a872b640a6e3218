//! The server behind TLS.
#![cfg(feature = "server")]

mod support;

use http::Request;
use pybridge_http::{ProtocolOptions, ServerError, ServerOptions, Tls};
use support::raw::{Raw, chat, get, status};
use support::service::Service;
use support::tls::Certificate;
use support::{Version, engine, run};

async fn service(certificate: &Certificate) -> Service {
    let protocol = ProtocolOptions::default().max_body(1000).health(true);
    let options = ServerOptions::default().protocol(protocol).tls(certificate.server());
    Service::serve(Version::Http1, engine("chat"), options).await
}

#[test]
fn clients_choose_their_version_by_alpn() {
    run(async {
        let certificate = Certificate::new();
        let service = service(&certificate).await;
        for protocols in [&["http/1.1"][..], &[]] {
            let mut client = Raw::of(certificate.stream(&service.address, protocols).await);
            client.send(chat("tls", "Hello megabyte! world")).await;
            assert_eq!(status(&client.head().await), 200);
            client.until("world").await;
        }
        let stream = certificate.stream(&service.address, &["h2", "http/1.1"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) = h2::client::handshake(stream).await.expect("it speaks");
        tokio::spawn(connection);
        let page = Request::get("https://localhost/health/live").body(()).expect("a request");
        let (answer, _) = sender.send_request(page, true).expect("room");
        assert_eq!(answer.await.expect("an answer").status(), 200);
    });
}

/// Guarantee D-20.
#[test]
fn limits_hold_over_tls_as_well() {
    run(async {
        let certificate = Certificate::new();
        let service = service(&certificate).await;
        let body = "x".repeat(300 << 10);
        let mut client = certificate.raw(&service.address).await;
        client
            .send(format!("POST /generate HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
            .await;
        assert_eq!(client.answer().await.0, 413);
        assert_eq!(client.rest().await, "");
        let mut client = certificate.raw(&service.address).await;
        client
            .send(format!("GET /health/live HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(70 << 10)))
            .await;
        assert_eq!(status(&client.rest().await), 431);
    });
}

#[test]
fn who_speaks_no_tls_is_not_answered() {
    run(async {
        let certificate = Certificate::new();
        let service = service(&certificate).await;
        let mut client = Raw::connect(&service.address).await;
        client.send(get("/health/live")).await;
        assert!(!client.rest().await.contains("HTTP"));
        let mut client = certificate.raw(&service.address).await;
        client.send(get("/health/live")).await;
        assert_eq!(client.answer().await.0, 200, "others are served");
    });
}

#[test]
fn a_certificate_or_key_that_cannot_be_is_named() {
    let (first, second) = (Certificate::new(), Certificate::new());
    let table = [
        ("tls_cert", "", &*first.key),
        ("tls_cert", "-----BEGIN CERTIFICATE-----\nno base64!\n-----END CERTIFICATE-----\n", &first.key),
        ("tls_cert", &first.key, &first.key),
        ("tls_key", &first.text, ""),
        ("tls_key", &first.text, &first.text),
        ("tls_key", &first.text, &second.key),
    ];
    for (named, certificates, key) in table {
        match Tls::from_pem(certificates.as_bytes(), key.as_bytes()) {
            Err(ServerError::Option { option, reason }) => assert_eq!(option, named, "{reason}"),
            other => panic!("{named}: {other:?}"),
        }
    }
}
