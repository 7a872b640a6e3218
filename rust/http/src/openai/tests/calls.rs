//! Calls of tools in deltas, and the index that each element gets.

use serde_json::json;

use super::*;
use crate::openai::endpoint::Endpoint::Chat;

fn deltas(lists: &[Value]) -> Vec<String> {
    lists.iter().map(|calls| json!({ "tool_calls": calls }).to_string()).collect()
}

/// The lists of calls that a stream tells, and what its chunks and the deltas merge into, which has to be the same.
fn told(lists: &[Value]) -> (Vec<Value>, Value) {
    let items = deltas(lists);
    let chunks = data(&streamed(Chat, asked(), &items.iter().map(String::as_str).collect::<Vec<_>>()));
    let merged = |items: &[String]| {
        let mut answer: Value = serde_json::from_str(&answer(Chat, items)).expect("JSON");
        answer["choices"][0]["message"]["tool_calls"].take()
    };
    let whole = merged(&items);
    assert_eq!(merged(&chunks.iter().map(Value::to_string).collect::<Vec<_>>()), whole);
    let calls = chunks.into_iter().map(|mut chunk| chunk["choices"][0]["delta"]["tool_calls"].take());
    (calls.filter(|calls| !calls.is_null()).collect(), whole)
}

/// The indexes of elements, each list's in one list.
fn indexes(lists: &[Value]) -> Vec<Vec<u64>> {
    let all = |list: &Value| {
        list.as_array().expect("a list").iter().map(|call| call["index"].as_u64().expect("an index")).collect()
    };
    told(lists).0.iter().map(all).collect()
}

fn begin(id: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "f", "arguments": ""}})
}

fn more(arguments: &str) -> Value {
    json!({"function": {"arguments": arguments}})
}

#[test]
fn a_new_id_begins_the_next_call_and_no_id_continues_the_last() {
    let lists = [json!([begin("a")]), json!([more("{")]), json!([more("}")]), json!([begin("b")]), json!([more("[]")])];
    assert_eq!(indexes(&lists), [[0], [0], [0], [1], [1]]);
    let call = |id, arguments| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    assert_eq!(told(&lists).1, json!([call("a", "{}"), call("b", "[]")]));
}

#[test]
fn elements_of_one_list_are_numbered_as_those_of_many() {
    assert_eq!(
        indexes(&[json!([begin("a"), more("{}"), begin("b"), more("[]")]), json!([more(" ")])]),
        [vec![0, 0, 1, 1], vec![1]]
    );
}

#[test]
fn an_id_that_was_seen_continues_its_call_and_is_told_once() {
    let again = |id| json!({"id": id, "function": {"arguments": "1"}});
    let lists = [json!([begin("a"), begin("b")]), json!([again("a")]), json!([more("2")]), json!([again("b")])];
    assert_eq!(indexes(&lists), [vec![0, 1], vec![0], vec![0], vec![1]]);
    let (calls, whole) = told(&lists);
    assert!(calls[1..].iter().all(|list| list[0].get("id").is_none()), "{calls:?}");
    assert_eq!([&whole[0]["function"]["arguments"], &whole[1]["function"]["arguments"]], ["12", "1"]);
}

#[test]
fn an_element_keeps_its_index_and_those_without_go_on_from_it() {
    let with = |index: Value, mut call: Value| {
        call["index"] = index;
        call
    };
    let lists = [
        json!([with(json!(2), begin("a"))]),
        json!([more("x")]),
        json!([begin("b"), with(json!(0), begin("c")), more("y")]),
        json!([begin("d"), {"id": "b"}]),
    ];
    assert_eq!(indexes(&lists), [vec![2], vec![2], vec![3, 0, 0], vec![4, 3]]);
    let list = r#"[ {"index": 1, "id":"a"} , {"function":{}, "index":0} ]"#;
    let item = format!(r#"{{"tool_calls":{list}}}"#);
    assert!(streamed(Chat, asked(), &[&item]).contains(list), "what has all goes as it lies");
    for none in [json!(null), json!("0"), json!(-1), json!(1.5)] {
        assert_eq!(indexes(&[json!([begin("a")]), json!([with(none, begin("b"))])]), [[0], [1]]);
    }
    let most = json!([{"index": u64::MAX, "id": "a"}]);
    assert_eq!(indexes(&[most, json!([more("x")])]), [[u64::MAX], [u64::MAX]]);
}

#[test]
fn whole_calls_without_ids_in_one_list_are_calls_of_their_own() {
    let call = |name| json!({"function": {"name": name, "arguments": "{}"}});
    assert_eq!(indexes(&[json!([call("f"), call("g"), more(" ")]), json!([more(" ")])]), [vec![0, 1, 1], vec![1]]);
    assert_eq!(indexes(&[json!([more("x"), {"id": "", "custom": {"name": "f"}}])]), [[0, 0]]);
}

#[test]
fn what_is_null_in_a_list_of_calls_is_absent() {
    let part = json!({"index": 0, "id": null, "type": null, "function": {"name": null, "arguments": "{}"}});
    let lists = [json!([null, begin("a"), null]), json!([null]), json!([part, null, begin("b")])];
    let expected = [
        json!([{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]),
        json!([]),
        json!([
            {"index": 0, "function": {"name": null, "arguments": "{}"}},
            {"index": 1, "id": "b", "type": "function", "function": {"name": "f", "arguments": ""}},
        ]),
    ];
    assert_eq!(told(&lists).0, expected);
    assert!(streamed(Chat, asked(), &[r#"{"tool_calls":[null]}"#]).contains(r#""finish_reason":"stop""#));
}

#[test]
fn an_element_that_is_no_object_is_the_handlers_failure_in_both_kinds_of_answer() {
    let item = r#"{"tool_calls":[{"id":"a"},17]}"#;
    let expected = format!("the handler yielded a call of a tool that is no object (item 1: {item})");
    let written = Events::new(Chat, asked(), "r7", 17).write(&mut batch(&[item]));
    assert!(written.bytes.is_empty());
    assert_eq!(logged(&written.failure.expect("a failure")), expected);
    assert_eq!(logged(&try_answer(Chat, &[item]).expect_err("a failure")), expected);
}
