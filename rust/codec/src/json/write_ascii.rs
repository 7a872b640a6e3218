//! Escaping of all but printable ASCII in JSON that is already written, in place.

use super::write_string::HEX;
use crate::encode::frame_sink::{Halt, Sink};

/// Bytes of `\uXXXX`.
const ESCAPE: usize = 6;

/// Escapes everything in the sink's item but printable ASCII; such characters stand in strings only.
///
/// # Errors
/// The frame would be longer than it may be, or is no UTF-8.
pub(super) fn escape(sink: &mut Sink<'_>) -> Result<(), Halt> {
    let item = sink.item();
    let len = item.len();
    if item.iter().all(|byte| *byte < 0x7f) {
        return Ok(());
    }
    let text = std::str::from_utf8(item).map_err(|_| Halt::Text)?;
    let more = text.chars().filter(|char| *char > '~').map(|char| ESCAPE * char.len_utf16() - char.len_utf8()).sum();
    sink.put_max(more, more, |_| more)?;
    spread(sink.item(), len);
    Ok(())
}

/// Moves the first `len` bytes of `item` to its end, from the last on, each character as it is escaped.
fn spread(item: &mut [u8], len: usize) {
    let (mut from, mut to) = (len, item.len());
    while from < to {
        let end = from;
        from -= 1;
        while item[from] & 0xc0 == 0x80 {
            from -= 1;
        }
        let char = std::str::from_utf8(&item[from..end]).ok().and_then(|text| text.chars().next()).unwrap_or_default();
        if char <= '~' {
            to -= 1;
            item[to] = char as u8;
            continue;
        }
        for unit in char.encode_utf16(&mut [0; 2]).iter().rev() {
            to -= ESCAPE;
            let digit = |place: u32| HEX[usize::from(unit >> (4 * place)) & 15];
            item[to..to + ESCAPE].copy_from_slice(&[b'\\', b'u', digit(3), digit(2), digit(1), digit(0)]);
        }
    }
}
