//! `Annotated`: an item with the fields of server-sent events beside its data.

use serde::{Deserialize, Serialize};

/// An item with the fields that protocols such as server-sent events have beside the data.
///
/// A handler yields it as a mapping; fields that it leaves out are `None`. What has none of them is refused, for it is an
/// item of another kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields<T>", bound(deserialize = "T: Deserialize<'de>"))]
pub struct Annotated<T> {
    /// The payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<T>,
    /// Identifier that a client sends back when it connects again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Name of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Comments for people and proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comments: Option<Vec<String>>,
    /// What went wrong with this item, the stream going on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Fields<T> {
    #[serde(default = "none")]
    data: Option<T>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    comments: Option<Vec<String>>,
    #[serde(default)]
    error: Option<String>,
}

fn none<T>() -> Option<T> {
    None
}

impl<T> TryFrom<Fields<T>> for Annotated<T> {
    type Error = &'static str;

    fn try_from(fields: Fields<T>) -> Result<Self, Self::Error> {
        let Fields { data, id, event, comments, error } = fields;
        let annotated = Self { data, id, event, comments, error };
        let empty = annotated.data.is_none()
            && annotated.id.is_none()
            && annotated.event.is_none()
            && annotated.comments.is_none()
            && annotated.error.is_none();
        if empty { Err("an item with none of data, id, event, comments and error") } else { Ok(annotated) }
    }
}
