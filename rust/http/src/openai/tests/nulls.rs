//! Members and items that are `null`, as models of pydantic and handlers that pass on `delta.content` make them.

use serde_json::json;

use super::*;
use crate::openai::endpoint::Endpoint::{Chat, Completions};

const NOTHING: &str = r#"{"content":null,"function_call":null,"refusal":null,"role":null,"tool_calls":null}"#;

/// The choices of the chunks.
fn choices(endpoint: Endpoint, items: &[&str]) -> Vec<Value> {
    data(&streamed(endpoint, asked(), items)).into_iter().map(|mut chunk| chunk["choices"][0].take()).collect()
}

fn delta(delta: Value, finish_reason: Value) -> Value {
    json!({"index": 0, "delta": delta, "finish_reason": finish_reason})
}

fn whole(endpoint: Endpoint, items: &[&str]) -> Value {
    serde_json::from_str::<Value>(&answer(endpoint, items)).expect("JSON")["choices"][0].take()
}

#[test]
fn a_member_of_a_delta_that_is_null_is_absent() {
    let items = [
        r#"{"role":null,"content":"a","tool_calls":null,"refusal":null,"finish_reason":null,"usage":null,"choices":null}"#,
        r#"{"content":"b", "error":null ,"logprobs":null,"x":null}"#,
    ];
    let expected = [
        delta(json!({"role": "assistant", "content": "a"}), json!(null)),
        delta(json!({"content": "b"}), json!(null)),
        delta(json!({}), json!("stop")),
    ];
    assert_eq!(choices(Chat, &items), expected);
    let message = json!({"role": "assistant", "content": "ab"});
    assert_eq!(whole(Chat, &items), json!({"index": 0, "message": message, "finish_reason": "stop"}));
    assert_eq!(whole(Completions, &items), json!({"index": 0, "text": "ab", "finish_reason": "stop"}));
}

#[test]
fn the_role_of_the_assistant_is_told_where_the_first_delta_has_none() {
    for first in [NOTHING, r#"{"role":null}"#, r#"{"role":null,"reasoning":"r"}"#] {
        let all = choices(Chat, &[first, r#"{"role":null,"content":"a"}"#]);
        assert_eq!(all[0]["delta"]["role"], "assistant", "{first}");
        assert!(all[1..].iter().all(|choice| choice["delta"].get("role").is_none()), "{first}");
    }
    let all = choices(Chat, &[r#"{"role":null}"#, r#"{"role":"tool"}"#]);
    assert_eq!(all[0]["delta"], json!({"role": "tool"}));
}

#[test]
fn a_delta_of_which_nothing_is_left_gives_no_chunk() {
    for endpoint in [Chat, Completions] {
        let expected = streamed(endpoint, asked(), &["\"a\"", "\"b\""]);
        assert_eq!(streamed(endpoint, asked(), &[NOTHING, "\"a\"", NOTHING, "\"b\"", NOTHING]), expected);
        assert_eq!(streamed(endpoint, asked(), &[NOTHING]), streamed(endpoint, asked(), &[]));
        assert_eq!(answer(endpoint, &[NOTHING]), answer(endpoint, &[""; 0]));
    }
}

#[test]
fn an_item_that_is_null_is_passed_over_among_text_and_deltas() {
    for endpoint in [Chat, Completions] {
        for (with, without) in [
            (["null", "\"a\"", "null"].as_slice(), ["\"a\""].as_slice()),
            (&[r#"{"content":"a"}"#, "null", "\"b\"", "null"], &[r#"{"content":"a"}"#, "\"b\""]),
            (&["null", "null", r#"{"content":"a"}"#], &[r#"{"content":"a"}"#]),
            (&["null"], &[]),
        ] {
            assert_eq!(streamed(endpoint, asked(), with), streamed(endpoint, asked(), without), "{with:?}");
            assert_eq!(answer(endpoint, with), answer(endpoint, without), "{with:?}");
        }
    }
}

#[test]
fn a_chunk_after_a_first_null_is_a_chunk_among_deltas() {
    let chunk = r#"{"choices":[{"delta":{"content":"x"}}]}"#;
    let written = Events::new(Chat, asked(), "r7", 17).write(&mut batch(&["null", chunk]));
    let expected = format!("the handler yielded a chunk among deltas (item 2: {chunk})");
    assert_eq!(logged(&written.failure.expect("a failure")), expected);
    assert_eq!(logged(&try_answer(Chat, &["null", chunk]).expect_err("a failure")), expected);
}
