//! Heads of requests, and what the protocol makes of them without a server.

use bytes::Bytes;
use http::{Request, Response};
use pybridge::{EngineProfile, Format};
use pybridge_http::{Incoming, Prepared, Protocol, ProtocolOptions, Route};

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

pub(crate) fn profile(format: Format, unary: bool) -> EngineProfile {
    let mut profile = EngineProfile::default();
    (profile.format, profile.unary) = (format, unary);
    profile
}

pub(crate) fn protocol(options: ProtocolOptions) -> Protocol {
    Protocol::new(options, profile(Format::Msgpack, false)).expect("options that can be")
}

pub(crate) fn of_format(format: Format, unary: bool) -> Protocol {
    Protocol::new(ProtocolOptions::default(), profile(format, unary)).expect("options that can be")
}

pub(crate) fn route(protocol: &Protocol, method: &str, path: &str, headers: &[(&str, &str)]) -> Route {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    protocol.route(&request.body(()).expect("a request").into_parts().0)
}

pub(crate) fn called(route: Route) -> Incoming {
    match route {
        Route::Call(incoming) => incoming,
        other => panic!("{other:?} is no call"),
    }
}

pub(crate) fn answered(route: Route) -> Response<Bytes> {
    match route {
        Route::Answer(answer) => answer,
        other => panic!("{other:?} is no answer"),
    }
}

pub(crate) fn post(protocol: &Protocol, headers: &[(&str, &str)]) -> Route {
    route(protocol, "POST", "/generate", headers)
}

pub(crate) fn prepared(protocol: &Protocol, headers: &[(&str, &str)]) -> Prepared {
    called(post(protocol, headers)).body(Bytes::from_static(b"{}")).expect("a body that fits")
}

pub(crate) fn status(protocol: &Protocol, headers: &[(&str, &str)]) -> u16 {
    match post(protocol, headers) {
        Route::Call(_) => 200,
        other => answered(other).status().as_u16(),
    }
}

pub(crate) fn text(answer: &Response<Bytes>) -> &str {
    std::str::from_utf8(answer.body()).expect("text")
}
