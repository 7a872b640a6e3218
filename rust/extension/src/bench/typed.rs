//! The built-in demo handler's request and item as a Rust host would declare them.

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChatMessage {
    role: String,
    content: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChatRequest {
    model: String,
    messages: Vec<ChatMessage>,
    max_tokens: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delay: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens_per_step: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Delta {
    content: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Choice {
    index: u32,
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChatChunk {
    id: String,
    object: String,
    created: u64,
    model: String,
    choices: Vec<Choice>,
}
