//! Where a JSON string stops being plain.

/// Bytes looked at together; a width that vectorises on every target.
const LANE: usize = 32;

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Index of the first byte that must be escaped, or ends a string, at or after `from`; the length if there is none.
#[inline]
pub(super) fn find_special(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(lane) = text.get(at..at + LANE) {
        if lane.iter().fold(false, |any, &byte| any | is_special(byte)) {
            break;
        }
        at += LANE;
    }
    while at < text.len() && !is_special(text[at]) {
        at += 1;
    }
    at
}
