//! The keys of clients.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use subtle::{Choice, ConstantTimeEq};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

const SCHEME: &str = "bearer ";

/// The keys that clients of a service may have; none: they need none.
///
/// A client sends its key as `Authorization: Bearer KEY` or `X-API-Key: KEY`. The keys are compared in a time that tells nothing
/// of their content, and `Debug` does not show them.
#[derive(Clone, Default)]
pub struct ApiKeys(Arc<[Box<[u8]>]>);

impl<K: Into<String>> FromIterator<K> for ApiKeys {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        Self(keys.into_iter().map(|key| key.into().into_bytes().into_boxed_slice()).collect())
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({} of them)", self.0.len())
    }
}

impl ApiKeys {
    /// # Errors
    /// One that no header could hold.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self.0.iter().position(|key| key.is_empty() || !key.iter().all(u8::is_ascii_graphic)) {
            None => Ok(()),
            // The key itself is no text for a log.
            Some(index) => Err(format!("number {} is empty, or holds what is not printable ASCII", index + 1)),
        }
    }

    /// Whether a request with these headers may pass.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        self.0.is_empty() || given(headers).any(|key| self.has(key))
    }

    /// Compares with all keys, whichever fits.
    fn has(&self, given: &[u8]) -> bool {
        self.0.iter().fold(Choice::from(0), |found, key| found | key.ct_eq(given)).into()
    }
}

/// The keys that a client sends. A header that is there twice says nothing: nobody knows which one a proxy in between has read.
fn given(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let single = |name| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).map(HeaderValue::as_bytes)
    };
    let bearer = single(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.split_at_checked(SCHEME.len())?;
        scheme.eq_ignore_ascii_case(SCHEME.as_bytes()).then(|| key.trim_ascii())
    });
    bearer.into_iter().chain(single(API_KEY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> ApiKeys {
        ["first", "second"].into_iter().collect()
    }

    fn admits(headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), value.parse().expect("a value"));
        }
        keys().admit(&map)
    }

    #[test]
    fn a_request_with_any_of_the_keys_passes() {
        for headers in [
            &[("authorization", "Bearer first")][..],
            &[("authorization", "bearer second")],
            &[("authorization", "BEARER  second ")],
            &[("x-api-key", "first")],
            &[("authorization", "Basic dTpw"), ("x-api-key", "second")],
            &[("authorization", "Bearer wrong"), ("x-api-key", "second")],
        ] {
            assert!(admits(headers), "{headers:?}");
        }
    }

    #[test]
    fn a_request_without_one_does_not() {
        for headers in [
            &[][..],
            &[("authorization", "")],
            &[("authorization", "Bearer ")],
            &[("authorization", "Bearer")],
            &[("authorization", "first")],
            &[("authorization", "Bearer firs")],
            &[("authorization", "Bearer first second")],
            &[("authorization", "Bearer firstsecond")],
            &[("authorization", "Bearer FIRST")],
            &[("authorization", "Basic first")],
            &[("authorization", "Bearer first"), ("authorization", "Bearer first")],
            &[("x-api-key", "")],
            &[("x-api-key", "Bearer first")],
            &[("x-api-key", "first"), ("x-api-key", "second")],
            &[("proxy-authorization", "Bearer first")],
        ] {
            assert!(!admits(headers), "{headers:?}");
        }
    }

    #[test]
    fn a_service_without_keys_is_open() {
        assert!(ApiKeys::default().admit(&HeaderMap::new()));
    }

    #[test]
    fn keys_that_no_client_could_send_are_refused_and_none_is_shown() {
        assert!(keys().check().is_ok());
        for wrong in ["", "a b", "schlüssel", "line\nend"] {
            let keys: ApiKeys = ["first", wrong].into_iter().collect();
            assert_eq!(keys.check(), Err("number 2 is empty, or holds what is not printable ASCII".to_owned()));
        }
        assert_eq!(format!("{:?}", keys()), "ApiKeys(2 of them)");
    }
}
