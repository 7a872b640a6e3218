//! Bodies of answers: their beginning, their pieces and their end.

mod answer_body;
mod buffered;
mod chunk_body;
mod head;
mod source;
mod timer;
mod watch;

pub use answer_body::AnswerBody;
pub(crate) use buffered::{array, merged, value};
pub(crate) use chunk_body::Failures;
pub use chunk_body::{ChunkBody, Interrupted};
pub(crate) use head::{COMMIT_AFTER, KEEP_ALIVE_AFTER, answer, failed, named, stream, streamed, whole};
pub(crate) use source::Source;
#[cfg(feature = "server")]
pub(crate) use timer::{Timer, after};
