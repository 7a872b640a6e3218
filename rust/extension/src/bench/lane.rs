//! Lanes from a handler to tokio: their trait, and the engine and the two reference bridges as such lanes.

use std::future::Future;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::naive::{Bridge, BridgeError, Responses, decode_request, encode_response};
use pybridge::Engine;
use pybridge::codec::Format;
use pybridge::{CallOptions, FrameStream, StreamError};

/// Why a lane could not receive a stream to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaneError {
    /// A reference bridge failed.
    #[error(transparent)]
    Reference(#[from] BridgeError),
    /// The engine's stream failed.
    #[error(transparent)]
    Engine(#[from] StreamError),
}

/// One way from a Python handler to a tokio task.
pub(crate) trait Lane: Send + Sync + 'static {
    /// The frames that answer one request.
    type Frames: Frames;

    /// Runtime that the consumers run on.
    fn runtime(&self) -> Handle;

    /// Starts the handler for one request, encoded in `body`; takes its own copy, as a server reads each from its socket.
    fn start(&self, body: &[u8]) -> impl Future<Output = Result<Self::Frames, LaneError>> + Send;
}

/// The frames of one stream; dropping it abandons the stream.
pub(crate) trait Frames: Send + 'static {
    /// Waits for what comes next and passes each frame to `each`; returns how many there were, 0 at the end.
    fn receive(
        &mut self,
        each: &mut (impl FnMut(&[u8]) + Send),
    ) -> impl Future<Output = Result<usize, LaneError>> + Send;
}

/// The product, with its frames as they cross.
#[derive(Debug)]
pub(crate) struct Pooled {
    pub(crate) engine: Engine,
    pub(crate) runtime: Handle,
}

impl Lane for Pooled {
    type Frames = FrameStream;

    fn runtime(&self) -> Handle {
        self.runtime.clone()
    }

    async fn start(&self, body: &[u8]) -> Result<Self::Frames, LaneError> {
        Ok(self.engine.frames(self.engine.body(body)?, CallOptions::default())?)
    }
}

impl Frames for FrameStream {
    async fn receive(&mut self, each: &mut (impl FnMut(&[u8]) + Send)) -> Result<usize, LaneError> {
        let Some(batch) = self.next_batch().await.transpose()? else { return Ok(0) };
        for range in (0..batch.frames()).filter_map(|index| batch.range(index)) {
            each(&batch.bytes()[range]);
        }
        Ok(batch.frames())
    }
}

/// A reference bridge's typed answers, encoded by the consumer.
#[derive(Debug)]
pub(crate) struct Encoded<T> {
    responses: Responses<T>,
    format: Format,
}

impl<T: Serialize + Send + 'static> Frames for Encoded<T>
where
    Responses<T>: Stream<Item = Result<T, BridgeError>> + Unpin,
{
    async fn receive(&mut self, each: &mut (impl FnMut(&[u8]) + Send)) -> Result<usize, LaneError> {
        let Some(response) = self.responses.next().await else { return Ok(0) };
        each(&encode_response(self.format, &response?)?);
        Ok(1)
    }
}

fn receive_request<T: DeserializeOwned>(format: Format, body: &[u8]) -> Result<T, BridgeError> {
    decode_request(format, &Bytes::copy_from_slice(body))
}

/// Either reference bridge, with the format that its host speaks.
#[derive(Debug)]
pub(crate) struct Reference<B> {
    pub(crate) bridge: B,
    pub(crate) format: Format,
}

impl<B: Bridge> Lane for Reference<B> {
    type Frames = Encoded<B::Response>;

    fn runtime(&self) -> Handle {
        pyo3_async_runtimes::tokio::get_runtime().handle().clone()
    }

    async fn start(&self, body: &[u8]) -> Result<Self::Frames, LaneError> {
        let request = receive_request(self.format, body)?;
        Ok(Encoded { responses: self.bridge.generate(request).await?, format: self.format })
    }
}
