//! Options of a call from the headers of its request.
#![cfg(feature = "http")]

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use pybridge::CallOptions;
use pybridge_http::{FromHeaders, HeaderError, HttpError};

fn options(headers: &[(&str, &[u8])]) -> Result<CallOptions, HeaderError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::try_from(*name).expect("a name");
        map.append(name, HeaderValue::from_bytes(value).expect("a value"));
    }
    CallOptions::from_headers(&map)
}

fn refused(headers: &[(&str, &[u8])]) -> String {
    options(headers).expect_err("it cannot be used").to_string()
}

/// Guarantee W-19.
#[test]
fn headers_become_the_options_of_these_names() {
    let options = options(&[
        ("X-Request-Id", b"r-7"),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", b"vendor=1"),
        ("tracestate", b"other=2"),
        ("X-Request-Timeout", b"0.25"),
        ("X-Meta-Tenant", "grün".as_bytes()),
        ("X-Meta-Tag", b"a"),
        ("X-Meta-Tag", b"b"),
        ("baggage", b"user=7"),
        ("Authorization", b"secret"),
    ])
    .expect("all can be used");
    assert_eq!(options.request_id.as_deref(), Some("r-7"));
    assert_eq!(options.traceparent.as_deref(), Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    assert_eq!(options.tracestate.as_deref(), Some("vendor=1,other=2"));
    assert_eq!((options.timeout, options.idle_timeout), (Some(Duration::from_millis(250)), None));
    let mut metadata: Vec<_> = options.metadata.iter().map(|(key, value)| (&**key, &**value)).collect();
    metadata.sort_unstable();
    assert_eq!(metadata, [("baggage", "user=7"), ("tag", "a,b"), ("tenant", "grün")]);
}

#[test]
fn headers_that_are_missing_or_empty_say_nothing() {
    for headers in [&[][..], &[("x-request-id", b"".as_slice()), ("traceparent", b""), ("x-meta-tenant", b"")]] {
        let options = options(headers).expect("nothing to refuse");
        assert_eq!((options.request_id, options.traceparent, options.timeout), (None, None, None));
        assert!(options.metadata.is_empty());
    }
}

#[test]
fn a_timeout_is_a_number_of_seconds_above_zero() {
    for text in ["0", "-1", "soon", "inf", "NaN", "1e300", "1,5"] {
        assert_eq!(
            refused(&[("x-request-timeout", text.as_bytes())]),
            "header x-request-timeout: must be a number of seconds above 0",
            "{text}"
        );
    }
    let longest = options(&[("x-request-timeout", b"1e9")]).expect("a long time");
    assert_eq!(longest.timeout, Some(Duration::from_secs(1_000_000_000)));
}

/// Guarantee L-08.
#[test]
fn what_would_leave_its_line_or_is_no_text_is_refused() {
    assert_eq!(refused(&[("x-request-id", b"a\tb")]), "header x-request-id: must not hold control characters");
    assert_eq!(refused(&[("x-meta-tenant", b"\xff")]), "header x-meta-tenant: must be UTF-8");
    assert_eq!(refused(&[("traceparent", b"\xc2\x85")]), "header traceparent: must not hold control characters");
}

#[test]
fn what_has_one_value_is_refused_with_two() {
    assert_eq!(refused(&[("x-request-id", b"a"), ("x-request-id", b"b")]), "header x-request-id: must be given once");
}

/// A proxy sets `baggage`, and no client may replace it.
#[test]
fn one_header_does_not_replace_the_metadata_of_another() {
    let [own, prefixed] = [("baggage", b"user=7".as_slice()), ("x-meta-baggage", b"user=1")];
    assert!(refused(&[own, prefixed]).ends_with("must be given once, with or without the prefix"));
    assert!(refused(&[prefixed, own]).ends_with("must be given once, with or without the prefix"));
    assert_eq!(options(&[prefixed, ("baggage", b"")]).expect("one").metadata["baggage"], "user=1");
}

#[test]
fn values_are_bounded() {
    let long = |len: usize| vec![b'x'; len];
    assert!(options(&[("x-request-id", &long(256)), ("tracestate", &long(1024))]).is_ok());
    assert_eq!(refused(&[("x-request-id", &long(257))]), "header x-request-id: is too long");
    assert_eq!(refused(&[("tracestate", &long(1000)), ("tracestate", &long(24))]), "header tracestate: is too long");
    assert_eq!(refused(&[("x-meta-a", &long(8193))]), "header x-meta-a: is too long");
    let (half, rest) = (long(4096), long(4093));
    assert!(options(&[("x-meta-a", &half), ("x-meta-b", &rest)]).is_ok());
    let too_much = "is more metadata than a request may have";
    assert!(refused(&[("x-meta-a", &half), ("x-meta-bc", &rest), ("x-meta-d", b"e")]).ends_with(too_much));
}

#[test]
fn entries_of_metadata_are_counted() {
    let names: Vec<String> = (0..65).map(|number| format!("x-meta-{number}")).collect();
    let headers: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, b"v".as_slice())).collect();
    assert_eq!(options(&headers[..64]).expect("as many as may be").metadata.len(), 64);
    assert!(refused(&headers).ends_with("is more metadata than a request may have"));
    assert_eq!(refused(&[("x-meta-", b"v")]), "header x-meta-: must say which metadata");
}

/// Guarantee W-20.
#[test]
fn a_header_that_cannot_be_used_is_the_clients_fault_and_named() {
    let error = options(&[("x-request-timeout", b"soon")]).expect_err("it cannot be used");
    assert_eq!((error.status().as_u16(), error.name().as_str()), (400, "x-request-timeout"));
    let answer = HttpError::from(error).with_request_id("r-1").into_http();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["x-request-id"], "r-1");
    assert!(!answer.headers().contains_key("x-should-retry"));
    let expected = r#"{"error":{"type":"invalid_request_error","message":"header x-request-timeout: must be a number of seconds above 0","code":"invalid_header","param":"x-request-timeout","request_id":"r-1"}}"#;
    assert_eq!(answer.body(), expected);
}
