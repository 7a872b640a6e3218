//! Rules that hold for every split, every text and every garbage.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::*;
use crate::openai::endpoint::Endpoint::{Chat, Completions};
use crate::openai::look;

/// The text in as many pieces as there are cuts, and one more.
fn pieces<'t>(text: &'t str, cuts: &[Index]) -> Vec<&'t str> {
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut.get(&starts)).collect();
    cuts.sort_unstable();
    let ends = cuts.iter().copied().chain([text.len()]);
    let starts = [0].into_iter().chain(cuts.iter().copied());
    starts.zip(ends).map(|(start, end)| &text[start..end]).collect()
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..6)
}

/// The parts of one choice: key of a text, or a tool's number, with the text and its cuts.
type Part = (bool, String, Vec<Index>);

/// Deltas of one choice and the message that they make.
fn choice(index: usize, texts: &[Part], tools: &[Part], reason: &str) -> (Vec<Value>, Value) {
    let keys = ["content", "reasoning_content", "refusal", "reasoning"];
    let mut message = json!({"role": "assistant", "content": null});
    let mut deltas = vec![json!({"role": "assistant"})];
    for (key, (there, text, cuts)) in keys.into_iter().zip(texts) {
        if *there {
            deltas.extend(pieces(text, cuts).into_iter().map(|piece| json!({ key: piece })));
            message[key] = json!(text);
        }
    }
    let mut calls = Vec::new();
    for (place, (custom, text, cuts)) in tools.iter().enumerate() {
        let (kind, field) = if *custom { ("custom", "input") } else { ("function", "arguments") };
        let id = format!("call_{place}");
        deltas.push(json!({"tool_calls": [{"index": place, "id": id, "type": kind, kind: {"name": "f", field: ""}}]}));
        let piece = |piece| json!({"tool_calls": [{"index": place, kind: {field: piece}}]});
        deltas.extend(pieces(text, cuts).into_iter().map(piece));
        calls.push(json!({"id": id, "type": kind, kind: {"name": "f", field: text}}));
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    let chunk = |delta| json!({"index": index, "delta": delta, "finish_reason": null});
    let mut chunks: Vec<_> = deltas.into_iter().map(chunk).collect();
    chunks.push(json!({"index": index, "delta": {}, "finish_reason": reason}));
    (chunks, json!({"index": index, "message": message, "finish_reason": reason}))
}

fn part() -> impl Strategy<Value = Part> {
    (any::<bool>(), any::<String>(), cuts())
}

/// The chunks of all choices, which take turns in any order, and the answer.
fn split(choices: &[(Vec<Part>, Vec<Part>)], turns: &[Index]) -> (Vec<String>, Value) {
    let (mut chunks, mut whole) = (Vec::new(), Vec::new());
    for (index, (texts, tools)) in choices.iter().enumerate() {
        let (deltas, message) = choice(index, texts, tools, "stop");
        chunks.push(deltas.into_iter());
        whole.push(message);
    }
    let mut items = Vec::new();
    let mut turns = turns.iter().cycle();
    while !chunks.is_empty() {
        let turn = turns.next().map_or(0, |turn| turn.index(chunks.len()));
        match chunks[turn].next() {
            Some(chunk) => items.push(json!({"object": "chat.completion.chunk", "choices": [chunk]}).to_string()),
            None => drop(chunks.remove(turn)),
        }
    }
    (items, json!({"object": "chat.completion", "choices": whole}))
}

fn choices() -> impl Strategy<Value = (Vec<String>, Value)> {
    let one = (vec(part(), 4), vec(part(), 0..3));
    (vec(one, 1..4), vec(any::<Index>(), 0..50)).prop_map(|(choices, turns)| split(&choices, &turns))
}

/// Items that are text, deltas, chunks or garbage, and bytes that were changed in them.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        r#""text \"x\"""#,
        r#"{"content":"x","usage":{"a":1},"finish_reason":"stop","logprobs":{}}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a"}]},"finish_reason":""}]}"#,
        r#"{"choices":[],"usage":{}}"#,
        r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
        r#"{"tool_calls":[{"id":"a"},null,{"index":1,"id":null}],"role":null}"#,
        "null",
        "17",
    ];
    let changed = (proptest::sample::select(known.to_vec()), vec((any::<Index>(), any::<u8>()), 0..4));
    let changed = changed.prop_map(|(text, changes)| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, byte) in changes {
            *at.get_mut(&mut bytes) = byte;
        }
        bytes
    });
    let lively = vec(proptest::sample::select(b"{}[]\",:\\ \n0tn".to_vec()), 0..40);
    prop_oneof![changed, lively, vec(any::<u8>(), 0..100)]
}

proptest! {
    #[test]
    fn merging_any_split_of_a_message_gives_the_message((items, whole) in choices()) {
        prop_assert_eq!(serde_json::from_str::<Value>(&answer(Chat, &items)).expect("JSON"), whole);
    }

    /// Guarantee W-32.
    #[test]
    fn chunks_that_need_no_change_leave_as_they_came((items, _) in choices(), size in 1..20_usize) {
        let mut events = Events::new(Chat, asked(), "r7", 17);
        for items in items.chunks(size) {
            let mut batch = batch(items);
            let expected = batch.bytes().to_vec();
            let written = events.write(&mut batch);
            prop_assert!(written.failure.is_none());
            prop_assert_eq!(written.bytes, expected);
        }
    }

    /// Guarantee W-32.
    #[test]
    fn a_streamed_answer_says_what_one_that_is_not_says(texts in vec(any::<String>(), 0..10), text_only: bool, chat: bool) {
        let endpoint = if chat { Chat } else { Completions };
        let item = |text: &String| if text_only { json!(text) } else { json!({"content": text}) };
        let items: Vec<_> = texts.iter().map(|text| item(text).to_string()).collect();
        let items: Vec<_> = items.iter().map(String::as_str).collect();
        let events = streamed(endpoint, asked(), &items);
        let chunks: Vec<_> = data(&events).iter().map(Value::to_string).collect();
        let merged: Value = serde_json::from_str(&answer(endpoint, &chunks)).expect("JSON");
        prop_assert_eq!(&merged, &serde_json::from_str::<Value>(&answer(endpoint, &items)).expect("JSON"));
        let text = if chat { &merged["choices"][0]["message"]["content"] } else { &merged["choices"][0]["text"] };
        prop_assert_eq!(text, &json!(texts.concat()));
    }

    #[test]
    fn calls_without_an_index_make_the_message_of_those_with_one(texts in vec(part(), 4), tools in vec(part(), 0..4)) {
        let (chunks, whole) = choice(0, &texts, &tools, "stop");
        let mut items = vec![json!({"finish_reason": "stop"}).to_string()];
        for mut delta in chunks.into_iter().map(|mut chunk| chunk["delta"].take()) {
            for call in delta["tool_calls"].as_array_mut().into_iter().flatten() {
                call.as_object_mut().expect("a call").remove("index");
            }
            items.push(delta.to_string());
        }
        let streamed = data(&streamed(Chat, asked(), &items.iter().map(String::as_str).collect::<Vec<_>>()));
        for items in [items, streamed.iter().map(Value::to_string).collect()] {
            let merged: Value = serde_json::from_str(&answer(Chat, &items)).expect("JSON");
            prop_assert_eq!(&merged["choices"][0], &whole);
        }
    }

    #[test]
    fn garbage_is_refused_or_passed_on_and_never_panics(items in vec(garbage(), 0..6), usage: bool) {
        for endpoint in [Chat, Completions] {
            let mut events = Events::new(endpoint, Asked { include_usage: usage, ..asked() }, "r7", 17);
            let written = events.write(&mut batch(&items));
            prop_assert!(written.failure.is_none_or(|failure| failure.status() == 500));
            prop_assert!(events.finish().ends_with(b"data: [DONE]\n\n"));
            drop(try_answer(endpoint, &items));
        }
        for item in items {
            drop(look(&item, &[]));
        }
    }
}
