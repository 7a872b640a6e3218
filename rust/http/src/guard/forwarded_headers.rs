//! The clients behind proxies.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word on their clients is believed.
#[derive(Debug, Default)]
pub(crate) struct Forwarded {
    all: bool,
    networks: Vec<IpNet>,
}

impl Forwarded {
    /// `proxies`: addresses, networks as `10.0.0.0/8`, or `*`, which is all.
    ///
    /// # Errors
    /// One that is none of those.
    pub(crate) fn new(proxies: &[String]) -> Result<Self, String> {
        let mut forwarded = Self::default();
        for proxy in proxies {
            if proxy == "*" {
                forwarded.all = true;
                continue;
            }
            let network = proxy.parse().or_else(|_| proxy.parse::<IpAddr>().map(IpNet::from));
            forwarded.networks.push(network.map_err(|_| format!("{proxy:?} is no address, no network and not *"))?);
        }
        Ok(forwarded)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.all || self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client of a request: the peer, or whom trusted proxies name. Each proxy adds the one before it at the end of the
    /// list, so that it is read from there, as far as those who wrote it are trusted.
    ///
    /// `peer`: none on a Unix socket, whose other end counts as 127.0.0.1. `Forwarded` is read where there is no
    /// `X-Forwarded-For`.
    pub(crate) fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.map(|address| address.to_canonical());
        let mut client = peer;
        let mut writer = peer.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let mut entries = entries(headers);
        while self.trusts(writer) {
            // What is no address, as `unknown`, ends the list.
            let Some(address) = entries.next().flatten() else { break };
            client = Some(address);
            writer = address;
        }
        client
    }
}

/// The entries of the list from its end on; `None`: one that is no address.
fn entries(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let (name, read): (_, fn(&str) -> Option<IpAddr>) = if headers.contains_key(X_FORWARDED_FOR) {
        (X_FORWARDED_FOR, address)
    } else {
        (header::FORWARDED, |element| address(node(element)?))
    };
    let values = headers.get_all(name).into_iter().rev().map(HeaderValue::to_str);
    values.flat_map(|value| value.unwrap_or_default().rsplit(',')).map(read)
}

/// The client in an element of `Forwarded` (RFC 7239).
fn node(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value)
    })
}

/// The address in `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `"[2001:db8::1]:80"`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn forwarded(proxies: &[&str]) -> Forwarded {
        Forwarded::new(&proxies.iter().map(|proxy| (*proxy).to_owned()).collect::<Vec<_>>()).expect("proxies")
    }

    fn client(proxies: &[&str], peer: Option<&str>, headers: &[(&'static str, &str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), value.parse().expect("a value"));
        }
        let peer = peer.map(|peer| peer.parse().expect("an address"));
        forwarded(proxies).client(peer, &map).map(|client| client.to_string())
    }

    #[track_caller]
    fn assert_client(expected: &str, proxies: &[&str], headers: &[(&'static str, &str)]) {
        assert_eq!(client(proxies, Some(PROXY), headers).as_deref(), Some(expected), "{headers:?}");
    }

    /// Guarantee D-21.
    #[test]
    fn a_peer_that_is_no_proxy_is_the_client_whatever_it_says() {
        let says = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.2")];
        for proxies in [&[][..], &["10.0.0.2"], &["192.0.2.0/24"], &["::1"]] {
            assert_client(PROXY, proxies, &says);
        }
        assert_client(PROXY, &["*"], &[]);
    }

    #[test]
    fn the_client_is_the_last_entry_that_no_proxy_wrote_of_a_proxy() {
        let list = [("x-forwarded-for", "1.1.1.1, 192.0.2.1"), ("x-forwarded-for", "10.9.9.9 ,10.0.0.7")];
        assert_client("192.0.2.1", &["10.0.0.0/8"], &list);
        assert_client("10.0.0.7", &[PROXY], &list);
        assert_client("1.1.1.1", &["*"], &list);
        assert_client("10.0.0.8", &["10.0.0.0/8"], &[("x-forwarded-for", "10.0.0.8, 10.0.0.7")]);
    }

    #[test]
    fn addresses_are_read_in_all_their_forms() {
        for (text, expected) in [
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("\"192.0.2.1\"", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_client(expected, &[PROXY], &[("x-forwarded-for", text)]);
            let element = format!("proto=https;For=\"{}\"; by=_here", text.trim_matches('"'));
            assert_client(expected, &[PROXY], &[("forwarded", &element)]);
        }
    }

    #[test]
    fn what_is_no_address_ends_the_list() {
        for garbage in ["", "unknown", "_hidden", "1.2.3", "for=1.2.3.4", "1.2.3.4.5", "[::1", ":80", "\""] {
            assert_client(
                "10.0.0.2",
                &["10.0.0.0/8"],
                &[("x-forwarded-for", &format!("192.0.2.1, {garbage}, 10.0.0.2"))],
            );
        }
        for garbage in ["", "unknown", "for", "for=", "by=1.2.3.4", "for=unknown", "for=\"_a\""] {
            let list = format!("for=192.0.2.1, {garbage}, for=10.0.0.2");
            assert_client("10.0.0.2", &["10.0.0.0/8"], &[("forwarded", &list)]);
        }
    }

    #[test]
    fn of_two_lists_the_older_header_counts() {
        let both = [("forwarded", "for=192.0.2.2"), ("x-forwarded-for", "192.0.2.1")];
        assert_client("192.0.2.1", &[PROXY], &both);
    }

    #[test]
    fn the_other_end_of_a_unix_socket_is_as_local_as_loopback() {
        let says = [("x-forwarded-for", "192.0.2.1")];
        assert_eq!(client(&["127.0.0.1"], None, &says).as_deref(), Some("192.0.2.1"));
        assert_eq!(client(&["127.0.0.1"], None, &[]), None);
        assert_eq!(client(&[PROXY], None, &says), None);
        assert_eq!(client(&["127.0.0.0/8"], Some("::ffff:127.0.0.1"), &says).as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn what_is_no_proxy_is_refused_by_name() {
        for wrong in ["", "localhost", "10.0.0.0/33", "10.0.0", "**"] {
            let refused = Forwarded::new(&[PROXY.to_owned(), wrong.to_owned()]).expect_err(wrong);
            assert!(refused.starts_with(&format!("{wrong:?} is no address")), "{refused}");
        }
    }
}
