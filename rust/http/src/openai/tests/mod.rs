//! Requests, events and answers as a client sends and gets them.

mod answers;
mod calls;
mod chunks;
mod deltas;
mod errors;
mod nulls;
mod properties;
mod requests;
mod unknown;

use pybridge::{Batch, Pool, PoolConfig, StreamError};
use serde_json::Value;

use super::{Asked, Endpoint, Events, Merger};

/// A request for a stream of model `m`, without usage.
fn asked() -> Asked {
    Asked { model: "m".into(), stream: true, include_usage: false }
}

fn asked_for_usage() -> Asked {
    Asked { include_usage: true, ..asked() }
}

/// Items as the engine frames them for server-sent events.
fn batch(items: &[impl AsRef<[u8]>]) -> Batch {
    let pool = Pool::new(PoolConfig::default()).expect("the defaults are valid");
    let mut writer = pool.writer();
    for item in items {
        writer.begin(0);
        for part in [b"data: ".as_slice(), item.as_ref(), b"\n\n"] {
            writer.put(part);
        }
        writer.commit();
    }
    let mut sealed = None;
    writer.seal(|batch| sealed = Some(batch));
    sealed.unwrap_or_default()
}

/// What a client gets of a stream of one item a batch.
fn streamed(endpoint: Endpoint, asked: Asked, items: &[&str]) -> String {
    let mut events = Events::new(endpoint, asked, "r7", 17);
    let mut out = Vec::new();
    for item in items {
        let written = events.write(&mut batch(&[item]));
        assert!(written.failure.is_none(), "{:?}", written.failure);
        out.extend_from_slice(&written.bytes);
    }
    out.extend_from_slice(&events.finish());
    String::from_utf8(out).expect("text")
}

/// The data of events, but for `[DONE]`, which has to be there and last.
fn data(events: &str) -> Vec<Value> {
    let events = events.strip_suffix("data: [DONE]\n\n").expect("it is done");
    let data = |event: &str| serde_json::from_str(event.strip_prefix("data: ").expect("data")).expect("JSON");
    events.split_terminator("\n\n").map(data).collect()
}

fn try_answer(endpoint: Endpoint, items: &[impl AsRef<[u8]>]) -> Result<Vec<u8>, StreamError> {
    let mut merger = Merger::new(endpoint, Asked { stream: false, ..asked() }, "r7", 17);
    for item in items {
        merger.add(item.as_ref())?;
    }
    merger.finish()
}

/// The answer that is not streamed.
fn answer(endpoint: Endpoint, items: &[impl AsRef<[u8]>]) -> String {
    String::from_utf8(try_answer(endpoint, items).expect("an answer")).expect("text")
}

/// What logs are told of a failure that is the handler's and whose reason no client sees.
fn logged(failure: &StreamError) -> String {
    assert_eq!((failure.status(), failure.retryable(), failure.to_string()), (500, false, "the handler failed".into()));
    failure.detail().expect("a failure").message.clone()
}
