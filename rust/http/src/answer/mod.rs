//! Bodies of answers: their beginning, their pieces and their end.

mod answer_body;
mod answer_head;
mod answer_pieces;
mod answer_timer;
mod buffered_answer;
mod chunk_body;
mod keep_alive;
mod released_pieces;

pub use answer_body::AnswerBody;
pub(crate) use answer_head::{COMMIT_AFTER, KEEP_ALIVE_AFTER, answer, failed, named, stream, streamed, whole};
pub(crate) use answer_pieces::Source;
#[cfg(feature = "server")]
pub(crate) use answer_timer::{Timer, after};
pub(crate) use buffered_answer::{array, merged, value};
pub(crate) use chunk_body::Failures;
pub use chunk_body::{ChunkBody, Interrupted};
