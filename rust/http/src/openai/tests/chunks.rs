//! Chunks that the handler makes itself.

use super::*;
use crate::openai::endpoint::Endpoint::{Chat, Completions};

const FIRST: &str = r#"{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
const MORE: &str = r#"{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a [] \"\" b"},"finish_reason":null}]}"#;
const END: &str = r#"{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"id":"x","choices":[],"usage":{"total_tokens":3}}"#;
const DONE: &str = "data: [DONE]\n\n";

fn events(items: &[&str]) -> String {
    items.iter().flat_map(|item| ["data: ", item, "\n\n"]).collect()
}

#[test]
fn a_chunk_that_needs_no_change_is_passed_on_as_it_lies() {
    let spaced = r#" { "choices" : [ { "delta" : { } } ] , "x" : [ ] } "#.trim();
    let items = [FIRST, MORE, spaced, MORE, r#"{"choices":[{"text":"x","finish_reason":"length"}]}"#, END];
    assert_eq!(streamed(Chat, asked(), &items), events(&items) + DONE);
    assert_eq!(streamed(Completions, asked_for_usage(), &items), events(&items) + DONE);
}

#[test]
fn chunks_that_need_no_change_share_the_memory_of_their_batch() {
    let mut stream = Events::new(Chat, asked(), "r7", 17);
    let mut items = batch(&[FIRST, MORE, END, MORE, MORE, MORE, MORE, MORE]);
    let at = items.bytes().as_ptr_range();
    let written = stream.write(&mut items);
    assert_eq!(written.bytes.as_ptr_range(), at);
}

#[test]
fn the_chunk_of_the_usage_comes_last_if_it_was_asked_for_and_else_not_at_all() {
    let without = events(&[FIRST, END]);
    for items in [[USAGE, FIRST, END], [FIRST, USAGE, END], [FIRST, END, USAGE]] {
        assert_eq!(streamed(Chat, asked(), &items), without.clone() + DONE);
        assert_eq!(streamed(Chat, asked_for_usage(), &items), without.clone() + &events(&[USAGE]) + DONE);
        let mut stream = Events::new(Chat, asked(), "r7", 17);
        assert_eq!(stream.write(&mut batch(&items)).bytes, without, "in one batch");
    }
    let spaced = r#"{"usage": {"total_tokens": 3}, "choices": []}"#;
    assert_eq!(streamed(Chat, asked(), &[spaced]), DONE);
    let mut stream = Events::new(Chat, asked(), "r7", 17);
    assert!(stream.write(&mut batch(&[USAGE])).bytes.is_empty());
}

#[test]
fn chunks_without_choices_that_tell_no_usage_keep_their_place() {
    let filter = r#"{"choices":[],"prompt_filter_results":[]}"#;
    let null = r#"{"choices":[],"usage":null}"#;
    let both = r#"{"choices":[{"index":0,"delta":{"content":""}}],"usage":{"total_tokens":3}}"#;
    let items = [filter, FIRST, null, both, r#"{"error":{"message":"no"}}"#, r#"{"choices":null}"#];
    assert_eq!(streamed(Chat, asked(), &items), events(&items) + DONE);
}

#[test]
fn an_empty_finish_reason_becomes_null() {
    let chunk = |reason: &str| {
        format!(
            r#"{{"choices":[{{"finish_reason":{reason},"delta":{{"content":""}}}},{{"index":1, "finish_reason": {reason} }}]}}"#
        )
    };
    let (empty, null) = (chunk("\"\""), chunk("null"));
    let items = [FIRST, &empty, MORE, &empty, END];
    let expected = events(&[FIRST, &null, MORE, &null, END]);
    assert_eq!(streamed(Chat, asked(), &items), expected.clone() + DONE);
    let mut stream = Events::new(Chat, asked(), "r7", 17);
    assert_eq!(stream.write(&mut batch(&items)).bytes, expected, "in one batch");
}

#[test]
fn what_is_no_chunk_ends_the_stream_after_those_before_it() {
    let table = [
        ("17", "a number where the text of an answer, a delta or a chunk is due"),
        ("null", "null where the text of an answer, a delta or a chunk is due"),
        ("true", "a boolean where the text of an answer, a delta or a chunk is due"),
        ("[1]", "an array where the text of an answer, a delta or a chunk is due"),
        ("", "nothing where the text of an answer, a delta or a chunk is due"),
        ("Hi", "text that is no JSON where the text of an answer, a delta or a chunk is due"),
        ("\"x\"", "text among chunks"),
        (r#"{"content":"x"}"#, "a delta among chunks"),
        (r#"{"choices":["#, "an item that is no JSON in one line"),
        ("{\ndata: }", "an item that is no JSON in one line"),
    ];
    for (item, what) in table {
        let mut stream = Events::new(Chat, asked(), "r7", 17);
        let written = stream.write(&mut batch(&[FIRST, item, END]));
        assert_eq!(written.bytes, events(&[FIRST]), "{item}");
        assert_eq!(
            logged(&written.failure.expect("a failure")),
            format!("the handler yielded {what} (item 2: {})", item.replace('\n', " "))
        );
    }
}

#[test]
fn a_whole_answer_cannot_be_streamed() {
    let whole = r#"{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"content":"x"}}]}"#;
    let written = Events::new(Chat, asked(), "r7", 17).write(&mut batch(&[whole]));
    let reason = logged(&written.failure.expect("a failure"));
    assert!(
        reason.starts_with("the handler yielded a whole answer where its chunks are due (item 1: {\"id\":\"x\""),
        "{reason}"
    );
}

#[test]
fn a_failure_tells_the_number_of_its_item_in_the_whole_stream() {
    for before in [[FIRST, MORE], ["\"a\"", "null"]] {
        let mut stream = Events::new(Chat, asked(), "r7", 17);
        for batched in [&before[..], &before[1..]] {
            assert!(stream.write(&mut batch(batched)).failure.is_none());
        }
        let written = stream.write(&mut batch(&[before[0], "17", before[0]]));
        let reason = logged(&written.failure.expect("a failure"));
        assert!(reason.ends_with("(item 5: 17)"), "{reason}");
    }
}
