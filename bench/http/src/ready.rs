//! Events that are ready, written by hyper: what the network half of a gateway costs where nothing has to be made.
//!
//! It writes as often as the handler's items can leave: once for what one step of the handler gives.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

/// How a handler makes items.
#[derive(Debug, Clone, Copy)]
struct Steps {
    together: usize,
    pace: Option<Duration>,
}

pub(crate) fn serve(handler: &str, port: u16) -> Result<(), Box<dyn Error>> {
    let steps = match handler {
        "awaiting" => Steps { together: 1, pace: None },
        "bursts" => Steps { together: 8, pace: None },
        "paced" => Steps { together: 1, pace: Some(Duration::from_millis(20)) },
        _ => return Err(format!("no events are ready for {handler}").into()),
    };
    crate::runtime()?.block_on(async {
        let listener = crate::listen(port).await?;
        tokio::select! {
            served = accept(listener, steps) => served,
            () = crate::input_closed() => Ok(()),
        }
    })
}

async fn accept(listener: tokio::net::TcpListener, steps: Steps) -> Result<(), Box<dyn Error>> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service_fn(move |request| answer(request, steps));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(
    request: Request<Incoming>,
    steps: Steps,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, Box<dyn Error + Send + Sync>> {
    let body = request.into_body().collect().await?.to_bytes();
    let asked: crate::Request = serde_json::from_slice(&body)?;
    let step = Bytes::from(crate::EVENT.repeat(steps.together));
    let events = stream::iter((0..asked.items).step_by(steps.together)).then(move |made| {
        let event = step.slice(..steps.together.min(asked.items - made) * crate::EVENT.len());
        async move {
            match steps.pace {
                Some(pace) => tokio::time::sleep(pace).await,
                None => tokio::task::yield_now().await,
            }
            Ok(Frame::data(event))
        }
    });
    Ok(Response::builder().header(CONTENT_TYPE, "text/event-stream").body(StreamBody::new(events))?)
}
