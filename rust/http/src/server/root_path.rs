//! The path of a request without what a proxy puts in front of it.

use http::Uri;
use http::uri::PathAndQuery;

/// The same without `root` in front of its path; `None`: it has none, or none that may go.
pub(super) fn below(root: &str, uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(root).filter(|_| !root.is_empty())?;
    let path = match rest.as_bytes().first() {
        Some(b'/') => PathAndQuery::try_from(rest),
        None | Some(b'?') => PathAndQuery::try_from(format!("/{rest}")),
        Some(_) => return None,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_path_is_taken_off_where_it_is() {
        let table = [
            ("/llm", "/llm/generate?a=1", Some("/generate?a=1")),
            ("/llm", "http://host/llm/generate", Some("http://host/generate")),
            ("/llm", "/llm", Some("/")),
            ("/llm", "/llm?a=1", Some("/?a=1")),
            ("/llm", "/llms/generate", None),
            ("/llm", "/generate", None),
            ("/llm", "*", None),
            ("", "/generate", None),
        ];
        for (root, uri, expected) in table {
            let uri: Uri = uri.parse().expect("a target");
            assert_eq!(below(root, &uri).map(|uri| uri.to_string()).as_deref(), expected, "{root} {uri}");
        }
    }
}
