//! `OpenAI`'s API as text: what a request asks for, chunks and answers, models and errors.
//!
//! Nothing here calls an engine or does I/O. Items are JSON as the encoder wrote it: what need not change is passed on as it
//! lies, and what has to is spliced, never decoded and encoded again.
//!
//! Text and deltas make one choice, whatever `n` a request asks for: a handler that gives several choices yields whole chunks, which
//! say by `index` whose they are.

mod calls;
mod delta;
mod endpoint;
mod error;
mod events;
mod failure;
mod merge;
mod merged;
mod models;
mod pass;
mod request;
mod shape;
mod text;

#[cfg(test)]
mod tests;

pub(crate) use endpoint::Endpoint;
pub(crate) use error::OpenAiError;
pub(crate) use events::{Events, Written};
pub(crate) use merge::Merger;
pub(crate) use models::{model_page, models_page};
pub(crate) use request::{Asked, look};
