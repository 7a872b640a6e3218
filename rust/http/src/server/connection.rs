//! One connection from accept to its end.

use std::error::Error;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::StatusCode;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::unconstrained;
use tokio_util::io::InspectReader;

use super::client_bytes::Inbound;
use super::connection_progress::Progress;
use super::deadlines::Deadlines;
use super::server_state::Site;
use super::service::answer;
use super::socket::Socket;
use super::tls::Tls;
use super::transport::Transport;
use crate::observe::Breach;

/// Serves one connection until the client ends it, lets a deadline pass, or the server closes.
pub(super) async fn run(site: Arc<Site>, transport: Transport) {
    let _counted = site.observer.connected();
    let peer = transport.peer();
    let progress = Arc::new(Progress::default());
    let socket = Socket::new(transport, Arc::clone(&site), Arc::clone(&progress));
    match &site.options.tls {
        None => drive(&site, &progress, peer, socket).await,
        Some(tls) => serve_tls(&site, &progress, peer, socket, tls).await,
    }
}

async fn serve_tls(site: &Arc<Site>, progress: &Arc<Progress>, peer: Option<IpAddr>, socket: Socket, tls: &Tls) {
    let stream = tokio::select! {
        done = tls.handshake(socket, site.options.header_timeout) => match done {
            Some(stream) => stream,
            // Its own fault: there is nobody to tell.
            None => return site.observer.broken(Breach::Handshake),
        },
        () = site.closing() => return,
    };
    drive(site, progress, peer, stream).await;
}

async fn drive<S>(site: &Arc<Site>, progress: &Arc<Progress>, peer: Option<IpAddr>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| answer(site, progress, peer, request));
    let mut inbound = Inbound::new(Arc::clone(progress));
    let stream = InspectReader::new(stream, move |bytes: &[u8]| inbound.received(bytes));
    let mut connection = pin!(site.http.serve_connection(TokioIo::new(stream), service));
    // Unconstrained: what gives way when it is polled for the first time would not be waiting.
    let mut closing = pin!(unconstrained(site.closing()));
    let mut deadlines = Deadlines::new(progress, &site.options);
    let (mut is_open, mut is_waiting) = (true, false);
    let ended = poll_fn(|context| {
        progress.turns();
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            return Poll::Ready(Some(ended));
        }
        // Once it waits, a look at what it waits for is cheaper than to poll it.
        let looks = is_open && !(is_waiting && site.serves_on());
        is_waiting = true;
        if looks && closing.as_mut().poll(context).is_ready() {
            is_open = false;
            deadlines.close();
            connection.as_mut().graceful_shutdown();
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(Some(ended));
            }
        }
        deadlines.poll(context).map(|()| None)
    });
    let Some(ended) = ended.await else {
        if !deadlines.is_closing() {
            progress.exceeds();
            progress.breach().into_iter().for_each(|breach| site.observer.broken(breach));
        }
        return;
    };
    progress.ends();
    // What else fails here is the client's: there is nobody to tell.
    let Err(error) = ended else { return };
    let Some(error) = error.downcast_ref::<hyper::Error>() else { return };
    if error.is_parse() {
        // hyper has answered so, without a body.
        let status = if error.is_parse_too_large() {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        } else {
            StatusCode::BAD_REQUEST
        };
        site.observer.without_head(peer, status, &error.to_string());
    }
    if error.is_parse() || is_of_http2(error) {
        site.observer.broken(Breach::Protocol);
    }
}

/// Whether the server has ended a connection of HTTP/2 because its client does not speak that as it should.
fn is_of_http2(error: &hyper::Error) -> bool {
    let error = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    error.is_some_and(|error| error.is_library() && error.reason() != Some(h2::Reason::NO_ERROR))
}
