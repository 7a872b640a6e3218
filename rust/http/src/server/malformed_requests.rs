//! Heads of HTTP/1.1 that hyper passes and that RFC 9112 has a server refuse.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use http::{HeaderMap, HeaderValue, StatusCode, Version, header, request};

use crate::failure_answer::Refusal;

/// The code of what is no message of HTTP/1.1.
const MALFORMED: &str = "malformed_request";

/// Looks at what hyper leaves to the server: whom the request is for, and how its body is coded. Proxies before this server that
/// are less strict may see another request.
///
/// # Errors
/// What is wrong with the head: status 400, or 501 for a coding that is not understood.
pub(super) fn check(head: &request::Parts) -> Result<(), Refusal> {
    if head.version != Version::HTTP_11 {
        return Ok(());
    }
    check_host(&head.headers)?;
    check_coding(&head.headers)
}

/// The answer to a body that cannot be told from what follows it.
pub(super) fn broken_body() -> Refusal {
    refusal(StatusCode::BAD_REQUEST, MALFORMED, "the body of the request is not in the chunks that it should be", None)
}

/// Section 3.2: there is one, and it is valid; an empty one is.
fn check_host(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let fault = match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host) => return Ok(()),
        (Some(_), None) => "the header Host must be a name or an address, and may have a port",
        (None, _) => "the header Host is missing",
        (Some(_), Some(_)) => "the header Host must be given once",
    };
    Err(refusal(StatusCode::BAD_REQUEST, MALFORMED, fault, Some("host")))
}

/// True for `uri-host [ ":" port ]` of RFC 3986.
fn is_host(value: &HeaderValue) -> bool {
    let Ok(value) = value.to_str() else { return false };
    let (is_name, port) = if let Some(literal) = value.strip_prefix('[') {
        let Some((address, port)) = literal.split_once(']') else { return false };
        (is_literal(address), port)
    } else {
        let (name, port) = value.split_at(value.find(':').unwrap_or(value.len()));
        (name.bytes().all(|byte| byte == b'%' || is_plain(byte)), port)
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    is_name && (port.is_empty() || port.starts_with(':')) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// True for what may stand in the brackets of `uri-host`: an address of IPv6, which may have a zone (RFC 6874), or of a later
/// version of IP.
fn is_literal(address: &str) -> bool {
    if let Some(later) = address.strip_prefix(['v', 'V']) {
        return later.split_once('.').is_some_and(|(version, address)| {
            !version.is_empty()
                && version.bytes().all(|byte| byte.is_ascii_hexdigit())
                && !address.is_empty()
                && address.bytes().all(|byte| byte == b':' || is_plain(byte))
        });
    }
    let (address, zone) = address.split_once('%').unwrap_or((address, "zone"));
    let is_zone = !zone.is_empty() && zone.bytes().all(|byte| byte == b'%' || is_plain(byte));
    is_zone && address.parse::<Ipv6Addr>().is_ok()
}

/// True for what is `unreserved` or one of `sub-delims` in RFC 3986.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

/// Section 6.1: a body is in chunks, which is said once, or its coding is not understood.
fn check_coding(headers: &HeaderMap) -> Result<(), Refusal> {
    if !headers.contains_key(header::TRANSFER_ENCODING) {
        return Ok(());
    }
    let lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    let codings = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    let (mut chunked, mut others) = (0, 0);
    for coding in codings.map(<[u8]>::trim_ascii) {
        if coding.eq_ignore_ascii_case(b"chunked") {
            chunked += 1;
        } else if !coding.is_empty() {
            others += 1;
        }
    }
    let (status, code, fault) = match (chunked, others) {
        (1, 0) => return Ok(()),
        (1, _) => {
            (StatusCode::NOT_IMPLEMENTED, "unsupported_transfer_encoding", "the only coding that is taken is chunked")
        }
        _ => (StatusCode::BAD_REQUEST, MALFORMED, "the header Transfer-Encoding must say chunked once"),
    };
    Err(refusal(status, code, fault, Some("transfer-encoding")))
}

fn refusal(status: StatusCode, code: &'static str, message: &'static str, param: Option<&'static str>) -> Refusal {
    Refusal { status, code, message: Cow::Borrowed(message), param, allow: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_a_port_or_without() {
        let names = ["", "localhost", "a_b.example:8000", "127.0.0.1:80", "[::1]", "[::1]:80", "a:", "xn--a.example"];
        let zones = ["[fe80::1%25eth0]", "[fe80::1%25eth0]:80", "[fe80::1%eth0]", "[fe80::1%25en%2D0]"];
        for host in names.into_iter().chain(zones).chain(["[v1.fe80::a+en1]", "[vF.a]:80"]) {
            assert!(is_host(&HeaderValue::from_static(host)), "{host}");
        }
        let names =
            ["a b", "a/b", "user@a", "a:b", "a:1:2", "a:-1", "::1", "[::1", "[a]", "[::1]80", "a?b", "a#b", "a,\tb"];
        let literals =
            ["[fe80::1%]", "[%25eth0]", "[fe80::1%25a/b]", "[]", "[v1]", "[v.a]", "[v1.]", "[vg.a]", "[v1.a%]"];
        for host in names.into_iter().chain(literals) {
            assert!(!is_host(&HeaderValue::from_static(host)), "{host}");
        }
        assert!(!is_host(&HeaderValue::from_bytes(b"\xff").expect("a value")));
    }
}
