//! The rules for pages of other origins that use a service from a browser.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header, request};

/// How long a browser may keep the answer to a preflight, in seconds: as long as browsers do at most.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// What of an answer's headers a page may see; clients of `OpenAI`'s interface follow the last two.
const EXPOSED: HeaderValue = HeaderValue::from_static("x-request-id, retry-after, x-should-retry");

const PREFLIGHT_VARIES: HeaderValue =
    HeaderValue::from_static("access-control-request-method, access-control-request-headers");

/// The origins whose pages may use a service.
#[derive(Debug, Default)]
pub(crate) enum Cors {
    /// None but the service's own.
    #[default]
    Off,
    All,
    These(Vec<HeaderValue>),
}

impl Cors {
    /// `origins`: as browsers say them, `https://app.example.org`; `*`: all.
    ///
    /// # Errors
    /// One that is none.
    pub(crate) fn new(origins: &[String]) -> Result<Self, String> {
        let no_origin =
            |origin: &str| format!("{origin:?} is no origin: it must look like https://app.example.org, or be *");
        let mut these = Vec::with_capacity(origins.len());
        for origin in origins.iter().filter(|origin| *origin != "*") {
            let uri: Uri = origin.parse().map_err(|_| no_origin(origin))?;
            let is_origin = uri.scheme().is_some()
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && uri.path_and_query().is_none_or(|path| path == "/")
                && !origin.ends_with('/');
            let value = HeaderValue::try_from(origin.to_ascii_lowercase()).ok().filter(|_| is_origin);
            these.push(value.ok_or_else(|| no_origin(origin))?);
        }
        Ok(match origins {
            [] => Self::Off,
            origins if origins.iter().any(|origin| origin == "*") => Self::All,
            _ => Self::These(these),
        })
    }

    /// What a browser is told that may read the answer to a request with these headers; `None`: it says of no origin, or of one
    /// that may not.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        match self {
            Self::Off => None,
            Self::All => Some(HeaderValue::from_static("*")),
            Self::These(these) => these.contains(origin).then(|| origin.clone()),
        }
    }

    /// The answer to a browser's question whether a page may send a request, if it is one. `methods`: those of its path;
    /// without any the service answers.
    pub(crate) fn preflight(
        &self,
        head: &request::Parts,
        methods: impl FnOnce() -> Option<&'static str>,
    ) -> Option<Response<Bytes>> {
        let is_preflight = head.method == Method::OPTIONS
            && head.headers.contains_key(header::ORIGIN)
            && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if matches!(self, Self::Off) || !is_preflight {
            return None;
        }
        let methods = methods()?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::VARY, PREFLIGHT_VARIES);
        if self.allowed(&head.headers).is_some() {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
            for asked in head.headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS) {
                headers.append(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
        }
        Some(response)
    }

    /// Tells the browser in the head of an answer who may read it. `asked`: the headers of the request.
    pub(crate) fn mark(&self, asked: &HeaderMap, answer: &mut HeaderMap) {
        if let Self::These(_) = self {
            answer.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(allowed) = self.allowed(asked) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const PAGE: &str = "https://app.example.org";

    fn cors(origins: &[&str]) -> Result<Cors, String> {
        Cors::new(&origins.iter().map(|origin| (*origin).to_owned()).collect::<Vec<_>>())
    }

    fn head(method: &str, headers: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::builder().method(method).uri("/generate");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    /// What an answer says to a request of a page of this origin.
    fn marked(cors: &Cors, origin: &str) -> HeaderMap {
        let mut answer = HeaderMap::new();
        cors.mark(&head("POST", &[("origin", origin)]).headers, &mut answer);
        answer
    }

    #[test]
    fn pages_of_listed_origins_may_read_answers() {
        let cors = cors(&[PAGE, "http://localhost:3000", "chrome-extension://abc"]).expect("origins");
        for origin in [PAGE, "http://localhost:3000", "chrome-extension://abc"] {
            let answer = marked(&cors, origin);
            assert_eq!(answer["access-control-allow-origin"], origin);
            assert_eq!(answer["vary"], "origin");
            assert_eq!(answer["access-control-expose-headers"], "x-request-id, retry-after, x-should-retry");
        }
    }

    #[test]
    fn pages_of_other_origins_may_not() {
        let cors = cors(&[PAGE]).expect("origins");
        for origin in [
            "https://example.org",
            "http://app.example.org",
            "https://app.example.org:8443",
            "https://app.example.org.evil.net",
            "null",
            "*",
            "",
        ] {
            let answer = marked(&cors, origin);
            assert_eq!(answer.len(), 1, "{origin}: {answer:?}");
            assert_eq!(answer["vary"], "origin", "a cache must not give them the answer of another");
        }
    }

    #[test]
    fn all_pages_may_where_all_origins_are_listed() {
        for origins in [&["*"][..], &[PAGE, "*"]] {
            let answer = marked(&cors(origins).expect("origins"), "https://elsewhere.net");
            assert_eq!(answer["access-control-allow-origin"], "*");
            assert_eq!(answer.get("vary"), None);
        }
    }

    #[test]
    fn without_origins_nothing_is_said_and_no_preflight_answered() {
        let cors = cors(&[]).expect("origins");
        assert!(marked(&cors, PAGE).is_empty());
        let head = head("OPTIONS", &[("origin", PAGE), ("access-control-request-method", "POST")]);
        assert!(cors.preflight(&head, || Some("POST")).is_none());
    }

    #[test]
    fn a_preflight_is_told_the_methods_and_given_back_the_headers() {
        let asked = [
            ("origin", PAGE),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let answer =
            cors(&[PAGE]).expect("origins").preflight(&head("OPTIONS", &asked), || Some("POST")).expect("an answer");
        assert_eq!((answer.status(), answer.body().len()), (StatusCode::NO_CONTENT, 0));
        let headers = answer.headers();
        assert_eq!(headers["access-control-allow-methods"], "POST");
        assert_eq!(headers["access-control-allow-headers"], "authorization,content-type");
        assert_eq!(headers["access-control-max-age"], "7200");
        let others =
            cors(&["https://example.net"]).expect("origins").preflight(&head("OPTIONS", &asked), || Some("POST"));
        assert_eq!(others.expect("an answer").headers().len(), 1, "nothing but what it depends on");
        assert!(cors(&["*"]).expect("origins").preflight(&head("OPTIONS", &asked), || None).is_none(), "no such path");
    }

    #[test]
    fn what_is_no_preflight_is_left_to_the_service() {
        let cors = cors(&["*"]).expect("origins");
        let method = ("access-control-request-method", "POST");
        for (name, headers) in
            [("POST", &[("origin", PAGE), method][..]), ("OPTIONS", &[("origin", PAGE)]), ("OPTIONS", &[method])]
        {
            assert!(cors.preflight(&head(name, headers), || Some("POST")).is_none(), "{name} {headers:?}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for origin in [
            "",
            "app.example.org",
            "https://",
            "https://a/",
            "https://a/b",
            "https://a?b",
            "https://u@a",
            "/a",
            "null",
            "https://a b",
        ] {
            let refused = cors(&[PAGE, origin]).expect_err(origin);
            assert!(refused.starts_with(&format!("{origin:?} is no origin")), "{refused}");
        }
    }
}
