//! The obvious repair of the usual bridge: one thread does all conversions, one job per request and per item.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::mpsc as jobs;
use std::thread;

use futures_util::StreamExt;
use pyo3::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::naive::{Bridge, BridgeError, Handler, Responses, convert};
use pybridge::extension::attach;

type Job = Box<dyn FnOnce(Python<'_>) + Send>;

/// A bridge whose conversions all happen on one dedicated thread.
#[derive(Debug, Clone)]
pub(crate) struct BridgeThread<Request, Response> {
    handler: Arc<Handler>,
    jobs: jobs::Sender<Job>,
    types: PhantomData<fn(Request) -> Response>,
}

impl<Request, Response> BridgeThread<Request, Response>
where
    Request: Serialize + Send + 'static,
    Response: DeserializeOwned + Send + 'static,
{
    /// A bridge to `handler`; its thread ends with the last clone.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn new(handler: Handler) -> std::io::Result<Self> {
        let (sender, receiver) = jobs::channel::<Job>();
        thread::Builder::new().name("bridge-thread".into()).spawn(move || {
            for job in receiver {
                attach(job);
            }
        })?;
        Ok(Self { handler: Arc::new(handler), jobs: sender, types: PhantomData })
    }
}

impl<Request, Response> Bridge for BridgeThread<Request, Response>
where
    Request: Serialize + DeserializeOwned + Send + 'static,
    Response: Serialize + DeserializeOwned + Send + 'static,
{
    type Request = Request;
    type Response = Response;

    async fn generate(&self, request: Request) -> Result<Responses<Response>, BridgeError> {
        let handler = Arc::clone(&self.handler);
        let started = run(&self.jobs, move |py| handler.call(py, &request)).await?;
        let mut items = started.map_err(BridgeError::Raised)?;
        let jobs = self.jobs.clone();
        let (sender, responses) = Responses::channel();
        tokio::spawn(async move {
            while let Some(item) = items.next().await {
                let response = match item {
                    Ok(item) => {
                        let converted = run(&jobs, move |py| pythonize::depythonize(&item.into_bound(py))).await;
                        converted.and_then(|response| response.map_err(convert))
                    }
                    Err(raised) => Err(BridgeError::Raised(raised)),
                };
                let failed = response.is_err();
                if sender.send(response).await.is_err() || failed {
                    break;
                }
            }
        });
        Ok(responses)
    }
}

async fn run<T: Send + 'static>(
    jobs: &jobs::Sender<Job>,
    work: impl FnOnce(Python<'_>) -> T + Send + 'static,
) -> Result<T, BridgeError> {
    let (sender, receiver) = oneshot::channel();
    let job: Job = Box::new(move |py| {
        let _ = sender.send(work(py));
    });
    jobs.send(job).map_err(|_| BridgeError::Gone)?;
    receiver.await.map_err(|_| BridgeError::Gone)
}
