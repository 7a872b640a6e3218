//! Tests of reading requests and of the pages of models.

use super::*;
use crate::openai::openai_error::OpenAiError;
use crate::openai::{look, model_page, models_page};

fn names() -> [String; 2] {
    ["m".to_owned(), "org/größer \"x\"".to_owned()]
}

/// Status, then message, param and code as JSON.
fn told(error: OpenAiError) -> (u16, String, Value, Value) {
    let answer = error.into_http();
    let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
    let error = &body["error"];
    let message = error["message"].as_str().expect("text").to_owned();
    assert_eq!(
        (error["type"].as_str(), error.as_object().map(serde_json::Map::len)),
        (Some("invalid_request_error"), Some(4))
    );
    (answer.status().as_u16(), message, error["param"].clone(), error["code"].clone())
}

#[test]
fn three_keys_are_read_and_all_else_is_passed_over() {
    let table = [
        (r#"{"model":"m"}"#, (false, false)),
        (r#"{"model":"m","stream":null,"stream_options":null}"#, (false, false)),
        (r#" { "messages" : [{"stream":true}] , "stream" : true , "model":"m" } "#, (true, false)),
        (r#"{"model":"m","stream":true,"stream_options":{}}"#, (true, false)),
        (r#"{"model":"m","stream_options":{"include_usage":null},"stream":true}"#, (true, false)),
        (r#"{"model":"m","stream_options":{"x":1,"include_usage":true},"stream":true}"#, (true, true)),
        (r#"{"model":"x","model":"m","stream":true,"stream":false}"#, (false, false)),
        (r#"{"m\u006fdel":"\u006d","str\u0065am":true,"stream_options":{"include\u005fusage":true}}"#, (true, true)),
    ];
    for (body, (stream, include_usage)) in table {
        let expected = Asked { model: "m".into(), stream, include_usage };
        assert_eq!(look(body.as_bytes(), &names()).ok(), Some(expected), "{body}");
    }
}

#[test]
fn any_model_will_do_where_none_are_named() {
    let body = r#"{"model":"a \"b\" \ud83d\ude00 ä"}"#;
    assert_eq!(look(body.as_bytes(), &[]).expect("it is fine").model, "a \"b\" 😀 ä");
    assert_eq!(told(look(body.as_bytes(), &names()).expect_err("it is none of them")).0, 404);
}

#[test]
fn a_name_that_would_swell_each_chunk_is_refused() {
    for (longest, letter) in [(256, "m"), (128, "\u{e4}"), (256, "\\u006d")] {
        let body = |count: usize| format!(r#"{{"model":"{}"}}"#, letter.repeat(count));
        assert_eq!(look(body(longest).as_bytes(), &[]).expect("it fits").model.len(), 256);
        for count in [longest + 1, 10 << 20] {
            let (status, _, param, code) = told(look(body(count).as_bytes(), &[]).expect_err("it is too long"));
            assert_eq!((status, param, code), (400, "model".into(), "string_above_max_length".into()));
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_its_name() {
    let table = [
        ("[1]", "The body of your request is an array, not a JSON object.", None, None),
        (" 1", "The body of your request is a number, not a JSON object.", None, None),
        ("{}", "You must provide a model parameter.", Some("model"), Some("missing_required_parameter")),
        (r#"{"model":""}"#, "You must provide a model parameter.", Some("model"), Some("missing_required_parameter")),
        (
            r#"{"model":7}"#,
            "Invalid type for 'model': expected a string, but got a number instead.",
            Some("model"),
            Some("invalid_type"),
        ),
        (
            r#"{"model":null}"#,
            "Invalid type for 'model': expected a string, but got null instead.",
            Some("model"),
            Some("invalid_type"),
        ),
        (
            r#"{"model":"m","stream":"yes"}"#,
            "Invalid type for 'stream': expected a boolean, but got a string instead.",
            Some("stream"),
            Some("invalid_type"),
        ),
        (
            r#"{"model":"m","stream":1}"#,
            "Invalid type for 'stream': expected a boolean, but got a number instead.",
            Some("stream"),
            Some("invalid_type"),
        ),
        (
            r#"{"model":"m","stream":true,"stream_options":[]}"#,
            "Invalid type for 'stream_options': expected an object, but got an array instead.",
            Some("stream_options"),
            Some("invalid_type"),
        ),
        (
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":{}}}"#,
            "Invalid type for 'stream_options.include_usage': expected a boolean, but got an object instead.",
            Some("stream_options.include_usage"),
            Some("invalid_type"),
        ),
        (
            r#"{"model":"m","stream_options":{}}"#,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            Some("stream_options"),
            None,
        ),
    ];
    for (body, message, param, code) in table {
        let expected =
            (400, message.to_owned(), param.map_or(Value::Null, Value::from), code.map_or(Value::Null, Value::from));
        assert_eq!(told(look(body.as_bytes(), &names()).expect_err("it is refused")), expected, "{body}");
    }
}

#[test]
fn what_is_no_json_is_refused() {
    let bodies: [&[u8]; 11] = [
        b"",
        b"{",
        b"Hi",
        b"{\"model\":\"m\"",
        b"{\"model\":\"m\"} x",
        b"{\"model\":\"m\"}{}",
        b"{\"model\":\"m\",}",
        b"{'model':1}",
        b"{\"model\":\"\xff\"}",
        b"{\"model\":\"\\x\"}",
        b"\xef\xbb\xbf{}",
    ];
    for body in bodies {
        let expected = (400, "We could not parse the JSON body of your request.".to_owned(), Value::Null, Value::Null);
        assert_eq!(told(look(body, &[]).expect_err("it is refused")), expected, "{}", body.escape_ascii());
    }
}

#[test]
fn large_and_deep_bodies_are_passed_over() {
    let large = "1,".repeat(16 << 20);
    let deep = ["[".repeat(16 << 20), "]".repeat(16 << 20)].concat();
    for value in [format!("[{large}1]"), deep] {
        assert!(look(format!(r#"{{"x":{value},"model":"m"}}"#).as_bytes(), &names()).is_ok());
    }
    assert_eq!(told(look("[".repeat(32 << 20).as_bytes(), &names()).expect_err("no object")).0, 400);
    assert_eq!(told(look("{\"\":".repeat(6 << 20).as_bytes(), &names()).expect_err("it breaks off")).0, 400);
}

#[test]
fn a_model_that_there_is_not_is_404_and_its_name_is_cut() {
    let not_found = |name: String| {
        let body = serde_json::json!({"model": name}).to_string();
        told(look(body.as_bytes(), &names()).expect_err("it is not there"))
    };
    let expected = (404, "The model 'gpt' does not exist.".to_owned(), "model".into(), "model_not_found".into());
    assert_eq!(not_found("gpt".into()), expected);
    assert_eq!(not_found("ä".repeat(120)).1, format!("The model '{}…' does not exist.", "ä".repeat(100)));
}

#[test]
fn models_are_listed_and_found_by_name() {
    let page: Value = serde_json::from_slice(&models_page(&names(), 17)).expect("JSON");
    let model = |name: &str| serde_json::json!({"id": name, "object": "model", "created": 17, "owned_by": "pybridge"});
    let both = names().map(|name| model(&name));
    assert_eq!(page, serde_json::json!({"object": "list", "data": both}));
    assert_eq!(models_page(&[], 17), br#"{"object":"list","data":[]}"#);
    for (models, name) in [(names().as_slice(), names()[1].as_str()), (&[], "any")] {
        let page = model_page(name, models, 17).expect("it is there");
        assert_eq!(serde_json::from_slice::<Value>(&page).expect("JSON"), model(name));
    }
    let (status, _, param, code) = told(model_page("x", &names(), 17).expect_err("it is not there"));
    assert_eq!((status, param, code), (404, "model".into(), "model_not_found".into()));
}
