//! The choice among the types that an answer can have, by the `Accept` of its request.

use std::cmp::Reverse;

use http::{HeaderMap, HeaderValue, header};
use mediatype::{MediaType, MediaTypeList, ReadParams};

/// A type that an answer can have.
pub(super) trait Offer {
    /// Its type and subtype.
    fn names(&self) -> (&'static str, &'static str);
}

/// How well a client's range fits an offer; the better one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    /// Quality in thousandths.
    quality: u16,
    /// 0: `*/*`, 1: `type/*`, 2: `type/subtype`.
    specificity: u8,
    /// Of what is as good the client prefers what it names first.
    position: Reverse<usize>,
}

/// The offer that these headers ask for; among those that they like as much, the one they name, then the first. Parameters are
/// not looked at, and ranges that are none do not count. `None`: they exclude all.
///
/// As RFC 9110 says, the most specific range that fits an offer decides how much it is liked.
pub(super) fn choose<'offers, O: Offer>(headers: &HeaderMap, offers: &'offers [O]) -> Option<&'offers O> {
    if let Some(named) = named_alone(headers, offers) {
        return Some(named);
    }
    let mut fits = vec![None; offers.len()];
    let mut position = 0;
    let texts = headers.get_all(header::ACCEPT).iter().map(HeaderValue::to_str).filter_map(Result::ok);
    for range in texts.flat_map(MediaTypeList::new).filter_map(Result::ok) {
        let Some(quality) = quality_of(&range) else { continue };
        position += 1;
        for (offer, best) in offers.iter().zip(&mut fits) {
            let Some(specificity) = specificity_for(&range, offer.names()) else { continue };
            let fit = Fit { quality, specificity, position: Reverse(position) };
            if best.is_none_or(|best: Fit| best.specificity < specificity) {
                *best = Some(fit);
            }
        }
    }
    if position == 0 {
        return offers.first();
    }
    let liked = fits.into_iter().zip(offers).rev().filter_map(|(fit, offer)| Some((fit?, offer)));
    liked.filter(|(fit, _)| fit.quality > 0).max_by_key(|(fit, _)| *fit).map(|(_, offer)| offer)
}

/// The offer that is all these headers name, as most clients' do: nothing has to be parsed then.
fn named_alone<'offers, O: Offer>(headers: &HeaderMap, offers: &'offers [O]) -> Option<&'offers O> {
    let mut values = headers.get_all(header::ACCEPT).iter();
    let (value, None) = (values.next()?.as_bytes(), values.next()) else { return None };
    offers.iter().find(|offer| {
        let (main, sub) = offer.names();
        value.strip_prefix(main.as_bytes()).and_then(|rest| rest.strip_prefix(b"/")) == Some(sub.as_bytes())
    })
}

fn specificity_for(range: &MediaType<'_>, (main, sub): (&str, &str)) -> Option<u8> {
    if range.suffix.is_some() {
        return None;
    }
    match (range.ty == main, range.subty == sub) {
        (true, true) => Some(2),
        (true, false) if range.subty == "*" => Some(1),
        _ if range.ty == "*" && range.subty == "*" => Some(0),
        _ => None,
    }
}

/// The weight of a range in thousandths; `None`: it has one that is none.
fn quality_of(range: &MediaType<'_>) -> Option<u16> {
    let Some((_, value)) = range.params().find(|(name, _)| *name == "q") else { return Some(1000) };
    let (whole, fraction) = value.as_str().split_once('.').unwrap_or((value.as_str(), ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Offer for (&'static str, &'static str) {
        fn names(&self) -> (&'static str, &'static str) {
            *self
        }
    }

    const OFFERS: [(&str, &str); 3] = [("application", "x-ndjson"), ("text", "event-stream"), ("application", "json")];

    fn chosen(accept: &[&str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, value.parse().expect("a value"));
        }
        choose(&headers, &OFFERS).map(|offer| offer.1)
    }

    #[test]
    fn without_a_range_the_first_offer_is_taken() {
        let overlong = "x".repeat(300) + "/y";
        for accept in [&[][..], &[""], &["garbage"], &["text/event-stream;q=high, json"], &["\u{7}\t"], &[&overlong]] {
            if accept.iter().all(|value| value.parse::<HeaderValue>().is_ok()) {
                assert_eq!(chosen(accept), Some("x-ndjson"), "{accept:?}");
            }
        }
    }

    #[test]
    fn the_best_liked_offer_is_taken() {
        let table = [
            ("*/*", Some("x-ndjson")),
            ("text/event-stream", Some("event-stream")),
            ("TEXT/Event-Stream; charset=utf-8", Some("event-stream")),
            ("text/*", Some("event-stream")),
            ("application/*", Some("x-ndjson")),
            ("application/json", Some("json")),
            ("application/json, */*", Some("json")),
            ("*/*, application/json", Some("json")),
            ("application/json, text/event-stream", Some("json")),
            ("text/event-stream, application/json", Some("event-stream")),
            ("application/json;q=0.5, text/event-stream;q=0.7", Some("event-stream")),
            ("application/json;q=0.5, */*;q=0.1", Some("json")),
            ("application/json;q=0.5, */*", Some("x-ndjson")),
            ("application/*;q=0, */*", Some("event-stream")),
            ("application/*;q=0.3, application/json;q=0.2, text/*;q=0.1", Some("x-ndjson")),
            ("application/x-ndjson;q=0, */*;q=0.001", Some("event-stream")),
            ("application/json;q=1.000, application/x-ndjson;q=0.999", Some("json")),
            ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", Some("x-ndjson")),
            ("text/html", None),
            ("text/html;q=high, text/html", None),
            ("application/json;q=0", None),
            ("*/*;q=0", None),
            ("*/json", None),
            ("application/json+json", None),
        ];
        for (accept, expected) in table {
            assert_eq!(chosen(&[accept]), expected, "{accept}");
        }
        assert_eq!(chosen(&["text/html", "application/json"]), Some("json"), "several headers are one list");
    }

    #[test]
    fn ranges_with_a_weight_that_is_none_do_not_count() {
        for quality in ["", "2", "1.001", "-1", "0.0001", "1e-1", "0,5", ".5", "nan", "0.x", "01", "\"0.5\""] {
            let accept = format!("application/json;q={quality}, text/event-stream;q=0.1");
            assert_eq!(chosen(&[&accept]), Some("event-stream"), "{accept}");
        }
        for quality in ["0.5", "1", "1.", "0.500", "1.0"] {
            let accept = format!("application/json;q={quality}, text/event-stream;q=0.1");
            assert_eq!(chosen(&[&accept]), Some("json"), "{accept}");
        }
    }

    /// Guarantee L-07.
    #[test]
    fn hostile_lists_take_time_in_proportion_to_their_length() {
        let entries = [
            "text/html;q=0.1,",
            "a/b;c=\"d,e\\\"f\",",
            ";;;;=\"",
            ",",
            "*/*;q=0;q=0;q=0,",
            "application/json;q=0.0.0.0,",
            "a/b; ; ; ;",
            "\"",
        ];
        for entry in entries {
            let took = |count: usize| {
                let accept = [entry.repeat(count), "application/json".to_owned()];
                let started = std::time::Instant::now();
                let chosen = chosen(&[&accept[0], &accept[1]]);
                assert!(chosen == Some("json") || chosen == Some("x-ndjson"), "{entry}: {chosen:?}");
                started.elapsed()
            };
            // A megabyte is more than servers take; what grows with the square would take minutes.
            assert!(took((1 << 20) / entry.len()).as_secs() < 5, "{entry}");
        }
    }
}
