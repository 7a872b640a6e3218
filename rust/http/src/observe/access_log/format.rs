//! The two forms of a line in the access log.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use http::HeaderValue;
use pybridge::codec::{self, Format};
use serde::Serialize;
use time::OffsetDateTime;

use super::entry::{End, Entry, RequestLine};

/// Longest text of a client's in a line, in bytes: what is over that is cut off.
const MAX_TEXT: usize = 1024;

/// What a server writes of each request to standard error, when its answer has ended. Requests for pages of health and metrics have
/// no line.
///
/// `ending` is `finished`, `failed`, `refused` (the handler was not called) or the [`Reason`](pybridge::Reason) of a cancellation; an
/// answer that was begun keeps its status. What comes in place of a request and is none of HTTP's has a line with the `reason` why,
/// and without what is not known of it. Lines that cannot be written in time are lost, and a line says how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AccessLog {
    /// Nothing.
    #[default]
    Off,
    /// A line as in the combined format of web servers, and what came of the request as `name=value`:
    ///
    /// ```text
    /// 192.0.2.7 - - [28/May/2026:20:26:40 +0000] "POST /generate HTTP/1.1" 200 345 "-" "curl/8.5" request_id="r-7" items=12 ending=finished first_item_ms=12 duration_ms=340.125
    /// ```
    Text,
    /// An object of JSON in a line, with `time`, `client`, `method`, `path`, `version`, `status`, `bytes`, `items`, `ending`,
    /// `first_item_ms`, `duration_ms`, `request_id`, `referer` and `user_agent`; what is not known is null. `reason` is there only if
    /// there is one.
    Json,
}

#[derive(Serialize)]
struct Object<'entry> {
    time: String,
    client: Option<IpAddr>,
    method: Option<&'entry str>,
    path: Option<String>,
    version: Option<String>,
    status: u16,
    bytes: u64,
    items: u64,
    ending: &'static str,
    first_item_ms: Option<f64>,
    duration_ms: f64,
    request_id: Option<String>,
    referer: Option<String>,
    user_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'entry str>,
}

/// As a line of Python's log in JSON.
#[derive(Serialize)]
struct Notice<'text> {
    time: String,
    level: &'static str,
    logger: &'static str,
    message: &'text str,
}

#[derive(Serialize)]
struct Lost {
    lost_lines: u64,
}

impl AccessLog {
    /// The line of a request that has ended, with its line end.
    pub(super) fn line(self, entry: &Entry, end: &End) -> Vec<u8> {
        if self == Self::Json { json(entry, end) } else { text(entry, end).into_bytes() }
    }

    /// A line of the server's own about itself, on one line, as it stands beside those of requests; with its line end.
    #[cfg(feature = "server")]
    #[doc(hidden)]
    pub fn notice(self, message: &str) -> Vec<u8> {
        if self == Self::Json {
            let time = stamp(OffsetDateTime::now_utc());
            return object(&Notice { time, level: "warning", logger: "pybridge.server", message });
        }
        format!("pybridge: {message}\n").into()
    }

    /// The line that tells of others which could not be written.
    pub(super) fn lost(self, lines: u64) -> Vec<u8> {
        if self == Self::Json {
            return object(&Lost { lost_lines: lines });
        }
        format!("pybridge: {lines} lines of the access log are lost, because they could not be written in time\n")
            .into()
    }
}

fn text(entry: &Entry, end: &End) -> String {
    let time = OffsetDateTime::from(entry.time);
    let month = time.month().to_string();
    let client = entry.client.map_or_else(|| "-".to_owned(), |client| client.to_string());
    let mut line = format!(
        "{client} - - [{:02}/{}/{}:{:02}:{:02}:{:02} +0000] ",
        time.day(),
        &month[..3],
        time.year(),
        time.hour(),
        time.minute(),
        time.second()
    );
    match &entry.line {
        Some(RequestLine { method, uri, version }) => {
            let (method, path) = (escaped(method.as_str().as_bytes()), escaped(uri.path().as_bytes()));
            let _ = write!(line, "\"{method} {path} {version:?}\"");
        }
        None => line.push_str("\"-\""),
    }
    let _ = write!(line, " {} {}", end.status.as_u16(), end.bytes);
    let header = |value: &Option<HeaderValue>| value.as_ref().map_or("-".into(), |value| escaped(value.as_bytes()));
    let _ = write!(line, " \"{}\" \"{}\"", header(&entry.referer), header(&entry.user_agent));
    let _ = write!(line, " request_id=\"{}\" items={}", header(&entry.request_id), end.items);
    let _ = write!(line, " ending={} first_item_ms=", end.outcome.as_str());
    match end.first_item {
        Some(first) => drop(write!(line, "{}", millis(first))),
        None => line.push('-'),
    }
    let _ = write!(line, " duration_ms={}", millis(end.duration));
    if let Some(reason) = &entry.reason {
        let _ = write!(line, " reason=\"{}\"", escaped(reason.as_bytes()));
    }
    line.push('\n');
    line
}

fn json(entry: &Entry, end: &End) -> Vec<u8> {
    let header = |value: &Option<HeaderValue>| value.as_ref().map(|value| clean(value.as_bytes()));
    let request = entry.line.as_ref();
    object(&Object {
        time: stamp(entry.time.into()),
        client: entry.client,
        method: request.map(|request| request.method.as_str()),
        path: request.map(|request| clean(request.uri.path().as_bytes())),
        version: request.map(|request| format!("{:?}", request.version)),
        status: end.status.as_u16(),
        bytes: end.bytes,
        items: end.items,
        ending: end.outcome.as_str(),
        first_item_ms: end.first_item.map(millis),
        duration_ms: millis(end.duration),
        request_id: header(&entry.request_id),
        referer: header(&entry.referer),
        user_agent: header(&entry.user_agent),
        reason: entry.reason.as_deref(),
    })
}

fn stamp(time: OffsetDateTime) -> String {
    let (date, (hour, minute, second)) = (time.date(), time.to_hms());
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{:03}Z", time.millisecond())
}

fn object(content: &impl Serialize) -> Vec<u8> {
    let mut line = codec::to_bytes(Format::Json, content).unwrap_or_default();
    line.push(b'\n');
    line
}

fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// A client's text between quotation marks: what is not plain ASCII stands as `\xHH`.
fn escaped(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for &byte in &text[..text.len().min(MAX_TEXT)] {
        match byte {
            b'"' | b'\\' => drop(write!(out, "\\x{byte:02X}")),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => drop(write!(out, "\\x{byte:02X}")),
        }
    }
    out
}

/// A client's text without what controls a terminal.
fn clean(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(MAX_TEXT)]);
    text.chars().map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http::{Request, StatusCode};
    use pybridge::Reason;
    use serde_json::{Value, json};

    use super::*;
    use crate::observe::Outcome;

    fn entry(path: &str, headers: &[(&str, &[u8])]) -> Entry {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value).expect("a value"));
        }
        let mut entry = Entry::new(&request.body(()).expect("a request").into_parts().0);
        entry.time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_780_000_000_042);
        entry
    }

    fn end(first_item: Option<Duration>, outcome: Outcome) -> End {
        let duration = Duration::from_micros(340_125);
        End { status: StatusCode::OK, items: 12, bytes: 345, first_item, duration, outcome }
    }

    fn text_of(entry: &Entry, end: &End) -> String {
        String::from_utf8(AccessLog::Text.line(entry, end)).expect("text")
    }

    #[test]
    fn a_line_of_text_begins_as_the_combined_format_does() {
        let mut entry = entry("/v1/chat?key=secret", &[("user-agent", b"curl/8.5"), ("x-request-id", b"r-7")]);
        entry.client = Some([192, 0, 2, 7].into());
        assert_eq!(
            text_of(&entry, &end(Some(Duration::from_millis(12)), Outcome::Finished)),
            "192.0.2.7 - - [28/May/2026:20:26:40 +0000] \"POST /v1/chat HTTP/1.1\" 200 345 \"-\" \"curl/8.5\" \
             request_id=\"r-7\" items=12 ending=finished first_item_ms=12 duration_ms=340.125\n"
        );
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        let line = text_of(&entry("/", &[]), &end(None, Outcome::Cancelled(Reason::Client)));
        assert!(line.starts_with("- - - [") && line.contains(" \"-\" \"-\" request_id=\"-\""), "{line}");
        assert!(line.ends_with(" ending=client first_item_ms=- duration_ms=340.125\n"), "{line}");
    }

    #[test]
    fn a_line_of_json_is_one_object() {
        let mut entry = entry("/generate", &[("referer", b"https://example.org/"), ("x-request-id", b"r-7")]);
        entry.client = Some("2001:db8::1".parse().expect("an address"));
        let line = AccessLog::Json.line(&entry, &end(Some(Duration::from_micros(1500)), Outcome::Failed));
        assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
        assert_eq!(
            serde_json::from_slice::<Value>(&line).expect("JSON"),
            json!({
                "time": "2026-05-28T20:26:40.042Z", "client": "2001:db8::1", "method": "POST", "path": "/generate",
                "version": "HTTP/1.1", "status": 200, "bytes": 345, "items": 12, "ending": "failed",
                "first_item_ms": 1.5, "duration_ms": 340.125, "request_id": "r-7",
                "referer": "https://example.org/", "user_agent": null,
            })
        );
    }

    /// Guarantee D-22.
    #[test]
    fn no_client_gets_a_control_character_into_a_line() {
        let hostile = "\t\"\\ \u{9b}31m\u{85}\u{2028}ü".as_bytes();
        let entry = entry("/%0a%1b", &[("user-agent", hostile), ("referer", hostile), ("x-request-id", hostile)]);
        let end = end(None, Outcome::Finished);
        let text = text_of(&entry, &end);
        assert!(text.contains(r#""\x09\x22\x5C \xC2\x9B31m\xC2\x85\xE2\x80\xA8\xC3\xBC""#), "{text}");
        assert!(text.trim_end_matches('\n').bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        let object: Value = serde_json::from_slice(&AccessLog::Json.line(&entry, &end)).expect("JSON");
        assert_eq!(object["user_agent"], "\u{fffd}\"\\ \u{fffd}31m\u{fffd}\u{2028}ü");
    }

    #[test]
    fn long_texts_are_cut_off() {
        let long = vec![b'x'; 60_000];
        let entry = entry(&format!("/{}", "y".repeat(60_000)), &[("user-agent", &long), ("x-request-id", &long)]);
        for log in [AccessLog::Text, AccessLog::Json] {
            assert!(log.line(&entry, &end(None, Outcome::Refused)).len() < 4 * MAX_TEXT);
        }
    }
}
