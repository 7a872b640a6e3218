//! Text and deltas that get their envelope here.

use serde_json::json;

use super::*;
use crate::openai::endpoint::Endpoint::{Chat, Completions};

const OPEN: &str = r#"data: {"id":"chatcmpl-r7","object":"chat.completion.chunk","created":17,"model":"m","choices":[{"index":0,"delta":{"#;
const TEXT: &str =
    r#"data: {"id":"cmpl-r7","object":"text_completion","created":17,"model":"m","choices":[{"index":0,"#;

/// Chunks of a chat with these deltas and finish reasons.
fn chat(chunks: &[(&str, &str)]) -> String {
    let chunk = |(delta, reason): &(&str, &str)| format!("{OPEN}{delta}}},\"finish_reason\":{reason}}}]}}\n\n");
    chunks.iter().map(chunk).collect::<String>() + "data: [DONE]\n\n"
}

fn completions(chunks: &[(&str, &str)]) -> String {
    let chunk = |(members, reason): &(&str, &str)| format!("{TEXT}{members},\"finish_reason\":{reason}}}]}}\n\n");
    chunks.iter().map(chunk).collect::<String>() + "data: [DONE]\n\n"
}

const STOP: (&str, &str) = ("", r#""stop""#);

#[test]
fn text_is_spliced_in_as_it_lies() {
    let items = [r#""Hi \"you\"\n\u00e9""#, "\"\"", r#"" []""#];
    let expected = [
        (r#""role":"assistant","content":"Hi \"you\"\n\u00e9""#, "null"),
        (r#""content":"""#, "null"),
        (r#""content":" []""#, "null"),
        STOP,
    ];
    assert_eq!(streamed(Chat, asked(), &items), chat(&expected));
    let expected = [
        (r#""text":"Hi \"you\"\n\u00e9""#, "null"),
        (r#""text":"""#, "null"),
        (r#""text":" []""#, "null"),
        (r#""text":"""#, r#""stop""#),
    ];
    assert_eq!(streamed(Completions, asked(), &items), completions(&expected));
}

#[test]
fn deltas_keep_their_members_and_the_text_gets_the_name_it_has_at_its_endpoint() {
    let items = [
        r#"{"content":"a","reasoning_content":"b"}"#,
        r#"{ "text" : "c" , "x": [1] }"#,
        "{}",
        r#"{"refusal":""}"#,
        "\"d\"",
    ];
    let expected = [
        (r#""role":"assistant","content":"a","reasoning_content":"b""#, "null"),
        (r#""content":"c","x":[1]"#, "null"),
        (r#""refusal":"""#, "null"),
        (r#""content":"d""#, "null"),
        STOP,
    ];
    assert_eq!(streamed(Chat, asked(), &items), chat(&expected));
    let expected = [
        (r#""text":"a","reasoning_content":"b""#, "null"),
        (r#""text" : "c" , "x": [1]"#, "null"),
        (r#""text":"","refusal":"""#, "null"),
        (r#""text":"d""#, "null"),
        (r#""text":"""#, r#""stop""#),
    ];
    assert_eq!(streamed(Completions, asked(), &items), completions(&expected));
}

#[test]
fn the_role_is_told_once() {
    let items = [r#"{"role":"tool"}"#, r#"{"role":"tool","content":"a"}"#, r#"{"role":"tool"}"#];
    let expected = [(r#""role":"tool""#, "null"), (r#""content":"a""#, "null"), STOP];
    assert_eq!(streamed(Chat, asked(), &items), chat(&expected));
    let expected = [(r#""text":"","x":1"#, "null"), (r#""text":"""#, r#""stop""#)];
    assert_eq!(streamed(Completions, asked(), &[r#"{"role":"tool","x":1}"#]), completions(&expected));
}

#[test]
fn the_finish_reason_is_null_until_the_last_chunk() {
    let first = (r#""role":"assistant","content":"a""#, "null");
    let given = [r#"{"content":"a","finish_reason":null}"#, r#"{"finish_reason":"length"}"#, r#"{"finish_reason":""}"#];
    assert_eq!(streamed(Chat, asked(), &given), chat(&[first, ("", r#""length""#)]));
    let empty = [r#"{"content":"a","finish_reason":""}"#];
    assert_eq!(streamed(Chat, asked(), &empty), chat(&[first, STOP]));
    let with_text = [r#"{"finish_reason":"content_filter","content":"a"}"#];
    assert_eq!(streamed(Chat, asked(), &with_text), chat(&[first, ("", r#""content_filter""#)]));
    let calls = r#"{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]}"#;
    let call = format!(r#""role":"assistant",{}"#, &calls[1..calls.len() - 1]);
    assert_eq!(streamed(Chat, asked(), &[calls]), chat(&[(&call, "null"), ("", r#""tool_calls""#)]));
    for none in [r#"{"content":"a","tool_calls":null}"#, r#"{"content":"a","tool_calls":[]}"#] {
        assert!(streamed(Chat, asked(), &[none]).contains(r#""finish_reason":"stop""#), "{none}");
    }
}

#[test]
fn usage_is_held_back_until_the_end_and_told_to_those_who_asked() {
    let items = [r#"{"content":"a","usage":{"total_tokens":1}}"#, r#"{"usage":{"total_tokens":2}}"#, "\"b\""];
    let texts = [(r#""role":"assistant","content":"a""#, "null"), (r#""content":"b""#, "null"), STOP];
    assert_eq!(streamed(Chat, asked(), &items), chat(&texts));
    let all = data(&streamed(Chat, asked_for_usage(), &items));
    assert!(all[..3].iter().all(|chunk| chunk["usage"] == Value::Null && chunk.get("usage").is_some()));
    let last = json!({
        "id": "chatcmpl-r7", "object": "chat.completion.chunk", "created": 17, "model": "m", "choices": [],
        "usage": {"total_tokens": 2},
    });
    assert_eq!(all[3..], [last]);
    let unknown = data(&streamed(Chat, asked_for_usage(), &["\"a\"", r#"{"usage":null}"#]));
    assert_eq!(unknown.len(), 2, "no usage is known");
}

#[test]
fn log_probabilities_belong_to_the_choice() {
    let items =
        [r#"{"content":"a","logprobs":{"content":[]}}"#, r#"{"logprobs":{"content":[1]}}"#, r#"{"logprobs":null}"#];
    let all = data(&streamed(Chat, asked(), &items));
    assert_eq!(all.len(), 3);
    let choice = json!({"index": 0, "delta": {"role": "assistant", "content": "a"}, "logprobs": {"content": []}, "finish_reason": null});
    assert_eq!(all[0]["choices"], json!([choice]));
    assert_eq!(
        all[1]["choices"],
        json!([{"index": 0, "delta": {}, "logprobs": {"content": [1]}, "finish_reason": null}])
    );
    let all = data(&streamed(Completions, asked(), &[r#"{"text":"a","logprobs":{"tokens":["a"]}}"#]));
    let choice = json!({"index": 0, "text": "a", "logprobs": {"tokens": ["a"]}, "finish_reason": null});
    assert_eq!(all[0]["choices"], json!([choice]));
}

#[test]
fn a_handler_that_yields_nothing_gives_an_empty_message() {
    let expected = chat(&[(r#""role":"assistant","content":"""#, "null"), STOP]);
    assert_eq!(streamed(Chat, asked(), &[]), expected);
    assert_eq!(streamed(Chat, asked(), &[r#"{"usage":{}}"#]), expected);
    let expected = completions(&[(r#""text":"""#, "null"), (r#""text":"""#, r#""stop""#)]);
    assert_eq!(streamed(Completions, asked(), &[]), expected);
}

#[test]
fn an_error_among_deltas_is_passed_on() {
    let error = r#"{"error":{"message":"no"},"content":"x"}"#;
    let all = streamed(Chat, asked(), &["\"a\"", error]);
    assert!(all.contains(&format!("\n\ndata: {error}\n\n")), "{all}");
}

#[test]
fn names_from_outside_are_escaped() {
    let asked = Asked { model: "a\"\n\u{2028}b".into(), ..asked() };
    let mut stream = Events::new(Chat, asked, "r\"\r\n7", 17);
    let written = stream.write(&mut batch(&["\"x\""]));
    let text = String::from_utf8(written.bytes.to_vec()).expect("text");
    let chunk = &data(&format!("{text}data: [DONE]\n\n"))[0];
    assert_eq!((&chunk["model"], &chunk["id"]), (&json!("a\"\n\u{2028}b"), &json!("chatcmpl-r\"\r\n7")));
}

#[test]
fn what_is_neither_text_nor_a_delta_ends_the_stream_after_what_was_before_it() {
    let table = [
        ("17", "a number where the text of an answer, a delta or a chunk is due"),
        (r#""x"#, "a string where the text of an answer, a delta or a chunk is due"),
        (r#"{"content":"x","choices":[]}"#, "a chunk among deltas"),
        (r#"{"content":"#, "an item that is no JSON in one line"),
    ];
    for (item, what) in table {
        let written = Events::new(Chat, asked(), "r7", 17).write(&mut batch(&["\"a\"", item, "\"b\""]));
        let text = String::from_utf8(written.bytes.to_vec()).expect("text");
        assert_eq!(data(&format!("{text}data: [DONE]\n\n")).len(), 1, "{item}");
        assert_eq!(
            logged(&written.failure.expect("a failure")),
            format!("the handler yielded {what} (item 2: {item})")
        );
    }
    for item in ["17", "[]", ""] {
        let written = Events::new(Chat, asked(), "r7", 17).write(&mut batch(&[item]));
        assert!(written.failure.is_some() && written.bytes.is_empty(), "{item}");
    }
}
