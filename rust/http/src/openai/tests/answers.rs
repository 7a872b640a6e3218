//! Answers that are not streamed.

use serde_json::json;

use super::*;
use crate::openai::endpoint::Endpoint::{Chat, Completions};

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Chunks with these choices.
fn chunks(choices: &[Value]) -> Vec<String> {
    choices.iter().map(|choice| json!({"object": "chat.completion.chunk", "choices": [choice]}).to_string()).collect()
}

fn refused(items: &[impl AsRef<[u8]>]) -> String {
    logged(&try_answer(Chat, items).expect_err("it is refused"))
}

#[test]
fn an_only_item_that_is_an_answer_is_the_answer_as_it_is() {
    let whole =
        r#"{"object": "chat.completion" ,"choices":[ {"message":{"content":"x"},"finish_reason":""}], "z": 1, "a": 2}"#;
    assert_eq!(answer(Chat, &[whole]), whole);
    assert_eq!(answer(Chat, &[format!("  {whole}\n")]), whole);
    let text = r#"{"object": "text_completion","choices":[{"text":"x"}]}"#;
    assert_eq!(answer(Completions, &[text]), text);
    let error = r#"{"error":{"message":"no"}}"#;
    assert_eq!(answer(Chat, &[error]), error);
}

#[test]
fn an_only_chunk_becomes_an_answer() {
    let chunk = r#"{"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    let expected = r#"{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"content":"a","role":"assistant"},"finish_reason":"stop"}]}"#;
    assert_eq!(answer(Chat, &[chunk]), expected);
}

#[test]
fn text_of_every_kind_is_joined_as_it_lies() {
    let deltas = [
        r#"{"role":"assistant","content":"","refusal":null}"#,
        r#"{"content":"a\"\n","reasoning_content":"r","reasoning":"R"}"#,
        r#"{"content":null,"reasoning_content":"\u00e9","refusal":"no"}"#,
        r#"{"content":"\ud83d","role":"user","reasoning":"S"}"#,
        r#"{"content":"\ude00","refusal":"pe"}"#,
    ];
    let items = deltas.map(|delta| format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#));
    let message = r#"{"role":"assistant","content":"a\"\n\ud83d\ude00","refusal":"nope","reasoning_content":"r\u00e9","reasoning":"RS"}"#;
    assert_eq!(answer(Chat, &items), format!(r#"{{"choices":[{{"message":{message}}}],"object":"chat.completion"}}"#));
    let texts = ["a", "", "b"].map(|text| json!({"choices": [{"index": 0, "text": text}], "object": "x"}).to_string());
    let expected = json!({"choices": [{"index": 0, "text": "ab"}], "object": "text_completion"});
    assert_eq!(value(&answer(Completions, &texts)), expected);
}

#[test]
fn at_the_top_the_first_name_and_the_last_of_the_rest_count() {
    let items = [
        r#"{"id":null,"object":"chat.completion.chunk","created":1,"model":"","choices":[],"service_tier":"a","x":[1],"z":""}"#,
        r#"{"id":"1","created":2,"model":"m","choices":[],"system_fingerprint":"f","usage":{"n":1},"x":null}"#,
        r#"{"id":"2","model":"n","choices":[],"system_fingerprint":"g","usage":{"n":2},"service_tier":"b","error":null,"z":"z"}"#,
        r#"{"choices":[],"usage":null,"y":{"k":"v"},"z":""}"#,
    ];
    let expected = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[],"service_tier":"b","x":[1],"z":"","system_fingerprint":"f","usage":{"n":2},"y":{"k":"v"}}"#;
    assert_eq!(answer(Chat, &items), expected);
}

#[test]
fn the_last_finish_reason_counts_and_empty_is_null() {
    let with = |reasons: &[Value]| {
        let choices: Vec<_> = reasons.iter().map(|reason| json!({"delta": {}, "finish_reason": reason})).collect();
        value(&answer(Chat, &chunks(&choices)))["choices"][0]["finish_reason"].clone()
    };
    assert_eq!(with(&[json!(null), json!(""), json!("length")]), json!("length"));
    assert_eq!(with(&[json!("stop"), json!("length"), json!(""), json!(null)]), json!("length"));
    assert_eq!(with(&[json!(""), json!("")]), json!(null));
}

#[test]
fn choices_are_merged_by_their_index() {
    let items = chunks(&[
        json!({"index": 1, "delta": {"content": "b"}}),
        json!({"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}),
        json!({"index": 1, "delta": {"content": "c"}, "finish_reason": "length"}),
    ]);
    let both = json!({"choices": [{"index": 0, "delta": {"content": "A"}}, {"index": 1, "delta": {"content": "C"}}]});
    let merged = value(&answer(Chat, &[items, vec![both.to_string()]].concat()));
    let choice = |index, text, reason| json!({"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": reason});
    assert_eq!(merged["choices"], json!([choice(0, "aA", "stop"), choice(1, "bcC", "length")]));
}

#[test]
fn calls_of_tools_are_merged_by_their_index() {
    let calls = [
        json!([{"index": 0, "id": "c0", "type": "function", "function": {"name": "f", "arguments": ""}}]),
        json!([{"index": 0, "function": {"arguments": "{\"a\""}}, {"index": 1, "id": "c1", "type": "function", "function": {"name": "g", "arguments": "{"}}]),
        json!([{"index": 0, "id": "c0", "type": "function", "function": {"name": "f", "arguments": ":1}"}}]),
        json!([{"index": 1, "id": null, "function": {"name": null, "arguments": "}"}, "x": 1}]),
        json!([{"index": 1, "id": "", "function": {"name": ""}}]),
        json!(null),
    ];
    let choices = calls.map(|calls| json!({"index": 0, "delta": {"tool_calls": calls}}));
    let merged = value(&answer(Chat, &chunks(&choices)));
    let expected = json!([
        {"id": "c0", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
        {"id": "c1", "type": "function", "function": {"name": "g", "arguments": "{}"}, "x": 1},
    ]);
    assert_eq!(merged["choices"][0]["message"]["tool_calls"], expected);
    assert_eq!(merged["choices"][0]["message"]["content"], Value::Null);
}

#[test]
fn a_new_id_on_a_used_index_is_the_handlers_failure() {
    let call = |id| json!({"delta": {"tool_calls": [{"index": 0, "id": id, "function": {}}]}});
    let all = chunks(&[call("a"), call("b")]);
    let start: String = all[1].chars().take(79).collect();
    assert_eq!(refused(&all), format!("the handler yielded a second id for a tool call (item 2: {start}…)"));
    let deltas = ["a", "b"].map(|id| json!({"tool_calls": [{"index": 0, "id": id}]}).to_string());
    assert_eq!(refused(&deltas), format!("the handler yielded a second id for a tool call (item 2: {})", deltas[1]));
}

#[test]
fn lists_of_log_probabilities_are_appended() {
    let choices = [
        json!({"delta": {}, "logprobs": null}),
        json!({"delta": {}, "logprobs": {"content": [], "refusal": null}}),
        json!({"delta": {}, "logprobs": {"content": [{"token": "a"}, {"token": "b"}], "refusal": null}}),
        json!({"delta": {}, "logprobs": {"content": [{"token": "]"}], "refusal": [1]}}),
        json!({"delta": {}, "logprobs": null}),
    ];
    let expected = json!({"content": [{"token": "a"}, {"token": "b"}, {"token": "]"}], "refusal": [1]});
    assert_eq!(value(&answer(Chat, &chunks(&choices)))["choices"][0]["logprobs"], expected);
    let texts = [json!([0.5]), json!([1, null])].map(|list| json!({"text": "x", "logprobs": {"token_logprobs": list}}));
    let merged = value(&answer(Completions, &chunks(&texts)));
    assert_eq!(merged["choices"][0]["logprobs"], json!({"token_logprobs": [0.5, 1, null]}));
}

#[test]
fn members_that_are_not_known_keep_their_last_value() {
    let choices = [
        json!({"delta": {"content": [{"type": "text"}], "x": {"a": 1}, "function_call": {"name": "f", "arguments": "a"}}, "stop_reason": 1}),
        json!({"delta": {"x": {"b": 2}, "function_call": {"name": "f", "arguments": "b"}}, "stop_reason": null}),
    ];
    let expected = json!({
        "message": {
            "role": "assistant", "content": [{"type": "text"}], "x": {"b": 2},
            "function_call": {"name": "f", "arguments": "ab"},
        },
        "stop_reason": 1,
    });
    assert_eq!(value(&answer(Chat, &chunks(&choices)))["choices"][0], expected);
}

#[test]
fn text_and_deltas_become_the_message_of_an_envelope_made_here() {
    let items = ["\"a\\n\"", r#"{"content":"b","usage":{"total_tokens":2}}"#, r#"{"finish_reason":"length"}"#];
    let expected = r#"{"id":"chatcmpl-r7","object":"chat.completion","created":17,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a\nb"},"finish_reason":"length"}],"usage":{"total_tokens":2}}"#;
    assert_eq!(answer(Chat, &items), expected);
    let expected = r#"{"id":"cmpl-r7","object":"text_completion","created":17,"model":"m","choices":[{"index":0,"text":"a\nb","finish_reason":"length"}],"usage":{"total_tokens":2}}"#;
    assert_eq!(answer(Completions, &items), expected);
    let expected = r#"{"id":"chatcmpl-r7","object":"chat.completion","created":17,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"stop"}]}"#;
    assert_eq!(answer(Chat, &[""; 0]), expected);
    let call = r#"{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}"#;
    let choice = json!({
        "index": 0, "finish_reason": "tool_calls",
        "message": {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ]},
    });
    assert_eq!(value(&answer(Chat, &[call]))["choices"], json!([choice]));
}

#[test]
fn what_is_no_part_of_an_answer_is_the_handlers_failure() {
    let whole = r#"{"choices":[{"message":{"content":"x"}}]}"#;
    let chunk = r#"{"choices":[{"delta":{"content":"x"}}]}"#;
    let error = r#"{"error":{"message":"no"}}"#;
    let table: [(&[&str], &str); 10] = [
        (&["17"], "a number where the text of an answer, a delta or a chunk is due"),
        (&["[1]"], "an array where the text of an answer, a delta or a chunk is due"),
        (&["\"a\"", "false"], "a boolean where the text of an answer, a delta or a chunk is due"),
        (&["{"], "an item that is no JSON in one line"),
        (&[chunk, whole], "a whole answer among others"),
        (&[chunk, error], "an error among chunks"),
        (&["\"a\"", error], "an error among chunks"),
        (&[chunk, "\"a\""], "text among chunks"),
        (&["\"a\"", chunk], "a chunk among deltas"),
        (&[chunk, "null"], "null where the text of an answer, a delta or a chunk is due"),
    ];
    for (items, what) in table {
        let number = items.len();
        let item = items[number - 1];
        assert_eq!(refused(items), format!("the handler yielded {what} (item {number}: {item})"));
    }
    let second = format!("the handler yielded a whole answer among others (item 1: {whole})");
    assert_eq!(refused(&[whole, whole]), second, "it is the second that makes the first no answer");
    let odd = [r#"{"choices":[1]}"#, r#"{"choices":[1]}"#];
    let what = "a chunk with something else where an object is due";
    assert_eq!(refused(&odd), format!("the handler yielded {what} (item 1: {})", odd[0]));
}
