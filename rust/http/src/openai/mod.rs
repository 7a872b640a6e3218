//! `OpenAI`'s API as text: what a request asks for, chunks and answers, models and errors.
//!
//! Nothing here calls an engine or does I/O. Items are JSON as the encoder wrote it: what need not change is passed on as it
//! lies, and what has to is spliced, never decoded and encoded again.
//!
//! Text and deltas make one choice, whatever `n` a request asks for: a handler that gives several choices yields whole chunks, which
//! say by `index` whose they are.

mod chunk_from_delta;
mod endpoint;
mod finish_reason;
mod handler_made_chunks;
mod item_shape;
mod json_walk;
mod merge_chunks;
mod model_list;
mod openai_error;
mod request_members;
mod streamed_answer;
mod tool_call_index;
mod whole_answer;
mod wrong_item;

#[cfg(test)]
mod tests;

pub(crate) use endpoint::Endpoint;
pub(crate) use model_list::{model_page, models_page};
pub(crate) use openai_error::OpenAiError;
pub(crate) use request_members::{Asked, look};
pub(crate) use streamed_answer::{Events, Written};
pub(crate) use whole_answer::Merger;
