//! Calls of handlers that return one value.

use pybridge::{CallOptions, Engine, Reason};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure_answer::HttpError;

/// Calls a `unary` handler with a value and gives what it returns: [`Engine::call`] for routes.
///
/// A failure names the request. Dropping the future, as servers do when the client goes, cancels the handler with the reason
/// `client`. Suspends until the handler has ended.
///
/// ```no_run
/// use axum::http::HeaderMap;
/// use axum::extract::State;
/// use axum::Json;
/// use pybridge::{CallOptions, Engine};
/// use pybridge_http::{FromHeaders, HttpError};
///
/// async fn count(
///     State(engine): State<Engine>,
///     headers: HeaderMap,
///     Json(text): Json<String>,
/// ) -> Result<Json<u64>, HttpError> {
///     let options = CallOptions::from_headers(&headers)?;
///     Ok(Json(pybridge_http::call(&engine, text, options).await?))
/// }
/// ```
///
/// # Errors
/// Those of [`Engine::call`].
pub async fn call<Req, Resp>(engine: &Engine, request: Req, options: CallOptions) -> Result<Resp, HttpError>
where
    Req: Serialize,
    Resp: DeserializeOwned,
{
    let id = options.request_id.clone();
    let items = engine.generate(request, options).map_err(|error| HttpError::of(error, id))?;
    let id = items.request_id();
    items.on_drop(Reason::Client).only().await.map_err(|error| HttpError::from(error).with_request_id(id))
}
