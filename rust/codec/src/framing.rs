//! Framings: what marks the beginning and the end of a frame on the wire.

use pybridge_pool::Writer;

/// Written around each item while it is encoded, in the same buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Framing {
    /// The encoded item alone.
    #[default]
    None,
    /// One server-sent event: `data: …\n\n`.
    Sse,
    /// One line.
    Ndjson,
    /// Big-endian u32 length before the item.
    Length,
}

/// Bytes of the length before an item.
const LENGTH: usize = size_of::<u32>();

impl Framing {
    /// The framing of this name: `"none"`, `"sse"`, `"ndjson"` or `"length"`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Self::None,
            "sse" => Self::Sse,
            "ndjson" => Self::Ndjson,
            "length" => Self::Length,
            _ => return None,
        })
    }

    /// True where an item must be text of one line, or be split into lines.
    #[doc(hidden)]
    pub fn is_text(self) -> bool {
        matches!(self, Self::Sse | Self::Ndjson)
    }

    /// What goes before the item.
    #[inline]
    pub(super) fn open(self, out: &mut Writer) {
        match self {
            Self::None | Self::Ndjson => {}
            Self::Sse => out.put(b"data: "),
            Self::Length => out.put(&[0; LENGTH]),
        }
    }

    /// What goes after the item.
    #[inline]
    pub(super) fn close(self, out: &mut Writer) {
        match self {
            Self::None => {}
            Self::Sse => out.put(b"\n\n"),
            Self::Ndjson => out.put_u8(b'\n'),
            Self::Length => {
                let len = (out.frame_len() - LENGTH) as u32;
                out.frame_mut()[..LENGTH].copy_from_slice(&len.to_be_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Framing;

    #[test]
    fn each_framing_has_a_name() {
        let names = ["none", "sse", "ndjson", "length", "json", ""];
        let framings =
            [Some(Framing::None), Some(Framing::Sse), Some(Framing::Ndjson), Some(Framing::Length), None, None];
        assert_eq!(names.map(Framing::from_name), framings);
    }
}
