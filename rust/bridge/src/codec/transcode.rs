//! Python's wider text storages into UTF-8.

use super::object::Text;

/// A surrogate, which no encoding of Unicode can hold.
pub(super) struct Surrogate(pub(super) u32);

/// Appends `text` to `out` as UTF-8.
pub(super) fn append(text: &Text<'_>, out: &mut Vec<u8>) -> Result<(), Surrogate> {
    match text {
        Text::Utf8(text) => out.extend_from_slice(text.as_bytes()),
        Text::Latin1(points) => {
            out.reserve(points.len() * 2);
            for &point in *points {
                if point < 0x80 {
                    out.push(point);
                } else {
                    out.extend_from_slice(&[0xc0 | point >> 6, 0x80 | point & 0x3f]);
                }
            }
        }
        Text::Ucs2(points) => {
            out.reserve(points.len() * 3);
            for &point in *points {
                push(u32::from(point), out)?;
            }
        }
        Text::Ucs4(points) => {
            out.reserve(points.len() * 4);
            for &point in *points {
                push(point, out)?;
            }
        }
    }
    Ok(())
}

#[inline]
fn push(point: u32, out: &mut Vec<u8>) -> Result<(), Surrogate> {
    let char = char::from_u32(point).ok_or(Surrogate(point))?;
    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(())
}
