//! Heads of requests and answers between ASGI's form and that of the `http` crate.

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::Body;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

/// What a path may hold as it is (RFC 3986, `pchar` and the slash); ASGI's paths are decoded.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=');

/// What stands for a method that HTTP does not have.
const NO_METHOD: &[u8] = b"NONE";

/// True of an escaped path that is found: the one that [`request_head`] makes of what it stands for.
pub(super) fn is_as_escaped(path: &str) -> bool {
    percent_decode_str(path).decode_utf8().is_ok_and(|decoded| utf8_percent_encode(&decoded, PATH).to_string() == path)
}

/// The head of a request; `None`: it has more headers than any server should take. What HTTP does not have is left out, or is
/// something that nobody asks for.
pub(super) fn request_head(method: &str, path: &str, headers: &Bound<'_, PyAny>) -> PyResult<Option<Parts>> {
    let (mut head, ()) = Request::new(()).into_parts();
    let no_method = || Method::from_bytes(NO_METHOD).unwrap_or_default();
    head.method = Method::from_bytes(method.as_bytes()).unwrap_or_else(|_| no_method());
    if let Ok(path) = PathAndQuery::try_from(utf8_percent_encode(path, PATH).to_string()) {
        head.uri = Uri::from(path);
    }
    let Some(headers) = header_map(headers)? else { return Ok(None) };
    head.headers = headers;
    Ok(Some(head))
}

fn header_map(headers: &Bound<'_, PyAny>) -> PyResult<Option<HeaderMap>> {
    let mut map = HeaderMap::with_capacity(headers.len().unwrap_or_default().min(64));
    for pair in headers.try_iter()? {
        let pair = pair?;
        let (name, value) = (pair.get_item(0)?, pair.get_item(1)?);
        let (name, value) = (name.cast::<PyBytes>()?, value.cast::<PyBytes>()?);
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes()))
            && map.try_append(name, value).is_err()
        {
            return Ok(None);
        }
    }
    Ok(Some(map))
}

/// Status and headers of an answer: `(status, [(name, value), …])`, names and values as bytes. The length is told where it is
/// known.
pub(super) fn answer_head<'py>(py: Python<'py>, response: &Response<impl Body>) -> PyResult<Bound<'py, PyAny>> {
    let headers = PyList::empty(py);
    if let Some(length) = response.body().size_hint().exact() {
        let pair = [PyBytes::new(py, b"content-length"), PyBytes::new(py, length.to_string().as_bytes())];
        headers.append(PyTuple::new(py, pair)?)?;
    }
    for (name, value) in response.headers() {
        let pair = [PyBytes::new(py, name.as_str().as_bytes()), PyBytes::new(py, value.as_bytes())];
        headers.append(PyTuple::new(py, pair)?)?;
    }
    Ok((response.status().as_u16(), headers).into_pyobject(py)?.into_any())
}
