//! Bodies of answers: their beginning, their pieces and their end.

mod answer_body;
mod body;
mod buffered;
mod head;
mod source;
mod timer;
mod watch;

pub use answer_body::AnswerBody;
pub(crate) use body::Failures;
pub use body::{ChunkBody, Interrupted};
pub(crate) use buffered::{array, merged, value};
pub(crate) use head::{COMMIT_AFTER, KEEP_ALIVE_AFTER, answer, failed, named, stream, streamed, whole};
pub(crate) use source::Source;
#[cfg(feature = "server")]
pub(crate) use timer::{Timer, after};
