//! Objects that are neither deltas nor chunks.

use super::*;
use crate::openai::endpoint::Endpoint::{Chat, Completions};

const TOKEN: &str = r#"{"token":"Hello"}"#;
const CHUNK: &str = r#"{"choices":[{"index":0,"delta":{"content":"x"}}]}"#;
const DUE: &str = r#"where the text of an answer, a delta ("content": …) or a chunk ("choices": …) is due"#;

/// Guarantee W-36.
#[test]
fn an_object_without_a_key_of_deltas_or_chunks_is_refused_wherever_it_comes() {
    for endpoint in [Chat, Completions] {
        for items in
            [&[TOKEN][..], &[TOKEN, TOKEN], &["\"a\"", TOKEN], &["null", TOKEN], &["{}", TOKEN], &[CHUNK, TOKEN]]
        {
            let number = items.iter().position(|item| *item == TOKEN).expect("it is there") + 1;
            let expected =
                format!(r#"the handler yielded an object with the keys "token" {DUE} (item {number}: {TOKEN})"#);
            let written = Events::new(endpoint, asked(), "r7", 17).write(&mut batch(items));
            assert_eq!(logged(&written.failure.expect("a failure")), expected, "streamed: {items:?}");
            assert!(!String::from_utf8_lossy(&written.bytes).contains("token"), "{items:?}");
            assert_eq!(logged(&try_answer(endpoint, items).expect_err("a failure")), expected, "merged: {items:?}");
        }
    }
}

#[test]
fn a_value_that_is_none_is_refused_and_an_item_that_is_none_holds_nothing() {
    let expected =
        "the handler returned None where the text of an answer, a delta or a chunk is due: has it no `yield`?";
    for endpoint in [Chat, Completions] {
        let written = Events::new(endpoint, asked(), "r7", 17).unary(true).write(&mut batch(&["null"]));
        assert_eq!((logged(&written.failure.expect("a failure")), &*written.bytes), (expected.into(), &b""[..]));
        let mut merger = Merger::new(endpoint, asked(), "r7", 17).unary(true);
        assert_eq!(logged(&merger.add(b" null ").expect_err("a failure")), expected);
        for value in ["\"\"", "{}", CHUNK] {
            let mut merger = Merger::new(endpoint, asked(), "r7", 17).unary(true);
            merger.add(value.as_bytes()).expect("an answer");
            merger.finish().expect("an answer");
        }
        assert_eq!(answer(endpoint, &["null"]), answer(endpoint, &[""; 0]));
    }
}

#[test]
fn other_keys_pass_beside_a_key_that_deltas_have() {
    for known in ["content", "text", "role", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call"]
    {
        for value in ["\"x\"", "null"].into_iter().filter(|value| known != "tool_calls" || *value == "null") {
            let item = format!(r#"{{"token":7,"{known}":{value}}}"#);
            assert!(streamed(Chat, asked(), &[&item]).contains("\"token\":7"), "{item}");
        }
    }
    for nothing in ["{}", r#"{"content":null}"#] {
        assert_eq!(streamed(Chat, asked(), &[nothing]), streamed(Chat, asked(), &[]), "{nothing}");
        assert_eq!(answer(Chat, &[nothing]), answer(Chat, &[""; 0]), "{nothing}");
    }
}

#[test]
fn the_failure_names_few_keys_and_only_the_beginning_of_long_ones() {
    let few = try_answer(Chat, &[r#"{"a":1,"b":null}"#]).expect_err("a failure");
    assert!(logged(&few).starts_with(&format!(r#"the handler yielded an object with the keys "a", "b" {DUE}"#)));
    let members: Vec<_> = (0..1000).map(|number| format!("\"{number}{}\":1", "é".repeat(1000))).collect();
    let many = logged(&try_answer(Chat, &[format!("{{{}}}", members.join(","))]).expect_err("a failure"));
    assert!(many.contains("…\", … where the text"), "{many}");
    assert!(many.chars().count() < 500, "{many}");
}
