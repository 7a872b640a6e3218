//! Formats, and the options of each.
//!
//! A new format is a variant here, a folder beside `json/` with its reader and serializer, and an arm wherever the
//! compiler misses one.

use pybridge_pool::setters;

/// Wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// `MessagePack`.
    #[default]
    Msgpack,
    /// JSON (RFC 8259).
    Json,
    /// Bytes or text as they are.
    Raw,
}

impl Format {
    /// The format of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Msgpack, Self::Json, Self::Raw].into_iter().find(|format| format.name() == name)
    }

    /// `"msgpack"`, `"json"` or `"raw"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Msgpack => "msgpack",
            Self::Json => "json",
            Self::Raw => "raw",
        }
    }
}

/// A format and its options; one per engine or call, shared by reference. Holds no Python object, so that frames and
/// threads without the interpreter may share it: what needs the `default` hook is given it by the hook's owner.
///
/// An option that the format does not have is refused when the engine is made.
///
/// ```
/// use pybridge_codec::{CodecSpec, Format};
///
/// let codec = CodecSpec::json().bytes_base64(true).nonfinite_null(true);
/// assert_eq!(codec.format, Format::Json);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "options that do not depend on each other")]
pub struct CodecSpec {
    /// Wire format.
    pub format: Format,
    /// msgpack: map keys may be `int` and `bytes` as well as `str`. JSON: what has a text of its own is written as that.
    pub any_keys: bool,
    /// JSON: everything but printable ASCII is escaped.
    pub ascii: bool,
    /// JSON: bytes become base64 text instead of an error.
    pub bytes_base64: bool,
    /// JSON: NaN and infinities become null instead of an error.
    pub nonfinite_null: bool,
}

impl CodecSpec {
    /// `MessagePack`, without options.
    #[must_use]
    pub fn msgpack() -> Self {
        Self::from(Format::Msgpack)
    }

    /// JSON, without options.
    #[must_use]
    pub fn json() -> Self {
        Self::from(Format::Json)
    }

    /// Bytes or text as they are.
    #[must_use]
    pub fn raw() -> Self {
        Self::from(Format::Raw)
    }
}

impl From<Format> for CodecSpec {
    fn from(format: Format) -> Self {
        Self { format, ..Self::default() }
    }
}

setters!(CodecSpec { any_keys: bool, ascii: bool, bytes_base64: bool, nonfinite_null: bool });
