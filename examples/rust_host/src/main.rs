//! Embeds Python, and serves the typed stream of a Python handler to standard output.
//!
//! In this folder, so that `handler.py` is found: `cargo run -- Hello pooled world`

use std::error::Error;
use std::time::Duration;

use futures_util::StreamExt;
use pybridge::{Annotated, CallOptions, Engine, FailureKind, PoolConfig, StreamError, embed, runtime};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
struct ChatRequest {
    prompt: String,
}

#[derive(Debug, Deserialize)]
struct Token {
    text: String,
    index: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let prompt = if words.is_empty() { "Hello pooled world".to_owned() } else { words.join(" ") };

    // The bridge runs on this runtime; without this line it would start one of its own.
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime::use_handle(tokio.handle().clone())?;

    embed::initialize()?; // starts Python, in the virtual environment if there is one
    let served = tokio.block_on(serve(&prompt));
    embed::shutdown_blocking(Duration::from_secs(3)); // waits for the handlers' cleanup
    served
}

/// The handlers are imported and run on a worker thread; the runtime's threads never touch Python.
async fn serve(prompt: &str) -> Result<(), Box<dyn Error>> {
    let chat = Engine::import("handler:chat").pool(PoolConfig::default().large_parked_bytes(8 << 20)).await?;
    let annotated = Engine::import("handler:annotated").await?;
    print_tokens(&chat, prompt).await?;
    print_annotated(&annotated, prompt).await?;
    stop_early(&chat, prompt).await?;
    Ok(print_failures(&chat).await?)
}

fn request(prompt: &str) -> ChatRequest {
    ChatRequest { prompt: prompt.to_owned() }
}

/// The request is serialised and the items are decoded here, on the runtime's threads, without the interpreter.
async fn print_tokens(chat: &Engine, prompt: &str) -> Result<(), StreamError> {
    let mut tokens = chat.generate::<ChatRequest, Token>(request(prompt), CallOptions::default())?;
    while let Some(token) = tokens.next().await {
        let token = token?;
        println!("token {}: {}", token.index, token.text);
    }
    Ok(())
}

async fn print_annotated(engine: &Engine, prompt: &str) -> Result<(), StreamError> {
    let mut items = engine.generate::<ChatRequest, Annotated<Token>>(request(prompt), CallOptions::default())?;
    while let Some(item) = items.next().await {
        match item? {
            Annotated { comments: Some(comments), .. } => println!(": {}", comments.join(", ")),
            Annotated { event, data: Some(token), .. } => println!("{}: {}", event.unwrap_or_default(), token.text),
            Annotated { event, .. } => println!("{}", event.unwrap_or_default()),
        }
    }
    Ok(())
}

/// Dropping the stream cancels the handler, whose `finally` runs.
async fn stop_early(chat: &Engine, prompt: &str) -> Result<(), StreamError> {
    let prompt = format!("{prompt} wait!");
    let mut tokens = chat.generate::<ChatRequest, Token>(request(&prompt), CallOptions::default())?;
    if let Some(token) = tokens.next().await {
        println!("enough after: {}", token?.text);
    }
    Ok(())
}

/// A stream ends with `None` only when the handler finished; every other ending is an error with a name.
async fn print_failures(chat: &Engine) -> Result<(), StreamError> {
    for prompt in ["some raise!", "some wait!", "some odd!"] {
        let options = CallOptions::default().timeout(Duration::from_millis(500));
        let mut tokens = chat.generate::<ChatRequest, Token>(request(prompt), options)?;
        while let Some(token) = tokens.next().await {
            match token {
                Ok(token) => println!("token {}: {}", token.index, token.text),
                Err(StreamError::Failed(failure)) if failure.kind == FailureKind::Handler => {
                    println!("the handler raised {}: {}", failure.class, failure.message); // for logs; `Display` is for clients
                }
                Err(StreamError::Cancelled(reason)) => println!("cancelled: {}", reason.as_str()),
                Err(StreamError::Response(failure)) => println!("not a token: {}", failure.message),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
