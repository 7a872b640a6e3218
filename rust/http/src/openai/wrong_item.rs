//! The failure of a handler whose items are no part of an answer.

use std::fmt::Display;

use pybridge::{Failure, FailureKind, StreamError};

/// What a remote client is told of it.
const PUBLIC: &str = "the handler failed";

/// Characters of an item that logs show.
const SHOWN: usize = 80;

/// A failure of the handler's; `reason` is for logs and goes on from "the handler yielded".
#[cold]
pub(super) fn yielded(reason: impl Display) -> StreamError {
    failed(format!("the handler yielded {reason}"))
}

/// The failure of a handler that is called for one value and returned none.
#[cold]
pub(super) fn returned_none() -> StreamError {
    failed(
        "the handler returned None where the text of an answer, a delta or a chunk is due: has it no `yield`?".into(),
    )
}

fn failed(message: String) -> StreamError {
    let mut failure = Failure::new(FailureKind::Handler, "TypeError", message);
    PUBLIC.clone_into(&mut failure.public_message);
    StreamError::Failed(Box::new(failure))
}

/// As [`yielded`], for what is wrong with one item. `number`: of the item, from 1 on.
#[cold]
pub(super) fn yielded_item(reason: impl Display, number: usize, item: &[u8]) -> StreamError {
    yielded(format_args!("{reason} (item {number}: {})", shown(item, SHOWN)))
}

/// The beginning of an item or a key in one line of at most `limit` characters.
pub(super) fn shown(item: &[u8], limit: usize) -> String {
    // No character is longer than four bytes.
    let start = String::from_utf8_lossy(&item[..item.len().min(4 * (limit + 1))]);
    let line = |char: char| if char.is_control() { ' ' } else { char };
    if start.chars().nth(limit).is_none() {
        return start.chars().map(line).collect();
    }
    start.chars().take(limit - 1).map(line).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_eighty_characters_of_an_item_are_shown_in_one_line() {
        let exact = "é".repeat(80);
        assert_eq!(shown(exact.as_bytes(), SHOWN), exact);
        for long in ["é".repeat(81), "🙂".repeat(1000)] {
            let shown = shown(long.as_bytes(), SHOWN);
            assert_eq!((shown.chars().count(), shown.chars().last()), (80, Some('…')), "{shown}");
            assert!(long.starts_with(shown.trim_end_matches('…')), "{shown}");
        }
        assert_eq!(shown(b"a\r\nb\x1b\xff", SHOWN), "a  b \u{fffd}");
        assert_eq!(shown(b"", SHOWN), "");
    }
}
