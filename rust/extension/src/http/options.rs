//! Options of protocol and server, read off the checked settings of the Python package.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use pybridge_http::{AccessLog, Api, ProtocolOptions, ServerError, ServerOptions, Tls};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// What Python gets of an option that cannot be.
pub(super) fn refused(option: &str, reason: impl Into<String>) -> PyErr {
    PyValueError::new_err((option.to_owned(), reason.into()))
}

/// What Python gets of a server that cannot be started.
pub(super) fn not_started(error: ServerError) -> PyErr {
    match error {
        ServerError::Option { option, reason } => refused(option, reason),
        ServerError::Listener(error) => PyOSError::new_err(error.to_string()),
        error => PyRuntimeError::new_err(error.to_string()),
    }
}

pub(super) fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// The protocol's options, off an `HttpOptions`.
///
/// Raises `ValueError(option, reason)`.
pub(super) fn protocol_options(settings: &Bound<'_, PyAny>) -> PyResult<ProtocolOptions> {
    let time = |name: &str| seconds(settings.getattr(name)?.extract()?);
    let name = |name: &String| {
        HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| refused("pass_headers", format!("{name:?} is no name of a header")))
    };
    let pass_headers: Vec<String> = settings.getattr("pass_headers")?.extract()?;
    let is_openai = settings.getattr("protocol")?.extract::<String>()? == "openai";
    Ok(ProtocolOptions::default()
        .api(if is_openai { Api::OpenAi } else { Api::Generic })
        .path(settings.getattr("path")?.extract::<Option<String>>()?)
        .models(settings.getattr("models")?.extract::<Vec<String>>()?)
        .health(settings.getattr("health")?.extract()?)
        .metrics(settings.getattr("metrics")?.extract()?)
        .max_body(settings.getattr("max_body")?.extract()?)
        .max_timeout(time("max_timeout")?)
        .commit_after(time("commit_after")?)
        .keep_alive(time("keepalive")?)
        .flush_interval(time("flush_interval")?)
        .pass_headers(pass_headers.iter().map(name).collect::<PyResult<Vec<_>>>()?))
}

/// A server's options, off a `ServerSettings`; `tls`: certificate chain and key, in PEM; `peers`: the folder of the processes
/// that serve together.
///
/// Raises `ValueError(option, reason)`.
pub(super) fn server_options(
    settings: &Bound<'_, PyAny>,
    tls: Option<(Vec<u8>, Vec<u8>)>,
    peers: Option<PathBuf>,
) -> PyResult<ServerOptions> {
    let time = |name: &str| seconds(settings.getattr(name)?.extract()?);
    let texts = |name: &str| settings.getattr(name)?.extract::<Vec<String>>();
    let tls = tls.map(|(certificates, key)| Tls::from_pem(&certificates, &key)).transpose().map_err(not_started)?;
    Ok(ServerOptions::default()
        .protocol(protocol_options(settings)?)
        .root_path(settings.getattr("root_path")?.extract::<String>()?)
        .drain_timeout(time("drain_timeout")?)
        .drain_settle(time("drain_settle")?)
        .header_timeout(time("header_timeout")?)
        .body_timeout(time("body_timeout")?)
        .idle_timeout(time("idle_timeout")?)
        .write_timeout(time("write_timeout")?)
        .max_connections(settings.getattr("max_connections")?.extract()?)
        .tls(tls)
        .cors_origins(texts("cors_origins")?)
        .api_keys(texts("api_keys")?)
        .forwarded_allow_ips(texts("forwarded_allow_ips")?)
        .access_log(match settings.getattr("access_log")?.extract::<String>()?.as_str() {
            "text" => AccessLog::Text,
            "json" => AccessLog::Json,
            _ => AccessLog::Off,
        })
        .peers(peers))
}
