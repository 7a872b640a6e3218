//! Tests of reading Rust values from JSON, against `serde_json`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::DecodeError;
use crate::{Format, Limits, from_frame};

fn read<T: DeserializeOwned>(text: &str) -> Result<T, DecodeError> {
    from_frame(Format::Json, &Limits::default(), text.as_bytes())
}

#[derive(Debug, PartialEq, Deserialize)]
struct Record {
    id: u32,
    name: Option<String>,
    #[serde(default)]
    tags: Vec<(String, f64)>,
    kind: Kind,
}

#[derive(Debug, PartialEq, Deserialize)]
enum Kind {
    Unit,
    One(i8),
    Two(i8, bool),
    Named { a: Option<char> },
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Loose {
    Number(f64),
    Text(String),
    List(Vec<Loose>),
    Map(BTreeMap<String, Loose>),
    Nothing(()),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Tagged {
    Delta { text: String },
    Done,
}

#[derive(Debug, PartialEq, Eq, Hash, Deserialize)]
struct Wrapped(u8);

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    A,
    B(u8),
    C { x: Option<f32> },
}

#[derive(Debug, PartialEq, Deserialize)]
struct Flat {
    a: i64,
    #[serde(flatten)]
    rest: HashMap<String, Value>,
}

const TEXTS: [&str; 88] = [
    "null",
    "true",
    "false",
    "0",
    "-0.0",
    "1",
    "-1",
    "127",
    "128",
    "255",
    "256",
    "65536",
    "4294967296",
    "-9223372036854775808",
    "18446744073709551615",
    "0.1",
    "1e3",
    "1.5e-7",
    "3.4028236e38",
    "16777217.0",
    "1.00000017881393432617187499",
    "1e308",
    r#""""#,
    r#""a""#,
    r#""\u00e9\n\ud83d\ude00""#,
    r#""é""#,
    r#""Unit""#,
    r#""One""#,
    "[]",
    "[ ]",
    "[1]",
    "[1, 2]",
    "[1,true]",
    "[1,2,3]",
    "[[],[[]]]",
    r#"["a",1.5]"#,
    "{}",
    "{ }",
    r#"{"a":1}"#,
    r#"{"One":3}"#,
    r#"{"One":300}"#,
    r#"{"Two":[1,true]}"#,
    r#"{"Two":[1]}"#,
    r#"{"Named":{"a":"x"}}"#,
    r#"{"Named":{"a":null,"b":[{}]}}"#,
    r#"{"Unit":null}"#,
    r#"{"One":1,"Two":2}"#,
    r#"{"1":2,"-3":4}"#,
    r#"{"true":1}"#,
    r#" { "id" : 7 , "name" : "n" , "tags" : [ [ "t" , 1.5 ] ] , "kind" : "Unit" } "#,
    r#"{"id":7,"name":null,"kind":{"Named":{"a":"\""}},"more":{"x":["}","\\",{"y":"]"}]}}"#,
    r#"{"id":7,"kind":{"Two":[-1,false]},"tags":[]}"#,
    r#"{"id":-7,"kind":"Unit"}"#,
    r#"{"type":"delta","text":"x"}"#,
    r#"{"text":"\t","type":"delta"}"#,
    r#"{"type":"done","more":1}"#,
    r#"{"01":2}"#,
    r#"{"-01":2}"#,
    r#"{"1.":1}"#,
    r#"{"1e2":1}"#,
    r#"{"+1":1}"#,
    r#"{"1 ":1}"#,
    r#"{"":1}"#,
    r#"{"340282366920938463463374607431768211455":1}"#,
    "1e39",
    r#"{"Named":["x"]}"#,
    r#"{"One":[1]}"#,
    r#"["Unit"]"#,
    r#"["delta","x"]"#,
    r#"[7,null,[],"Unit"]"#,
    "[7]",
    r#"[7,null,[],"Unit",1]"#,
    r#"{"Two":{"0":1}}"#,
    r#"{"Unit":[]}"#,
    r#"{"Unit":{}}"#,
    r#"{"a":1,"b":{"c":[1,{"d":null}]},"e":-0.0}"#,
    r#"{"\u0061":1,"\u0062":"\\\""}"#,
    "[null,[null]]",
    "5e-324",
    "123456789012345678901234567890e-20",
    r#"{"Named":{"a":"x","zz":[[[["]"]]]]}}"#,
    r#"{"t":"B","c":4}"#,
    r#"{"c":{"x":1.5},"t":"C"}"#,
    r#"{"t":"A"}"#,
    r#"{"secs":1,"nanos":2}"#,
    r#"{"Ok":3}"#,
    r#"{"end":3,"start":1}"#,
    r#"{"type":"other"}"#,
];

/// Where the two differ: each gives the same value, or refuses the text.
fn differences<T: DeserializeOwned + PartialEq + Debug>() -> Vec<String> {
    let compare = |text: &&str| match (read::<T>(text), serde_json::from_str::<T>(text)) {
        (Ok(ours), Ok(theirs)) if ours == theirs => None,
        (Err(DecodeError::Mismatch { .. }), Err(_)) => None,
        (ours, theirs) => Some(format!("{text} as {}: {ours:?}, {theirs:?}", std::any::type_name::<T>())),
    };
    TEXTS.iter().filter_map(compare).collect()
}

#[test]
fn types_are_read_from_json_as_serde_json_reads_them() {
    let found = [
        differences::<()>(),
        differences::<bool>(),
        differences::<(i8, i16)>(),
        differences::<i8>(),
        differences::<u8>(),
        differences::<i64>(),
        differences::<u64>(),
        differences::<i128>(),
        differences::<u128>(),
        differences::<f32>(),
        differences::<f64>(),
        differences::<char>(),
        differences::<String>(),
        differences::<Option<Option<u8>>>(),
        differences::<Vec<u8>>(),
        differences::<(String, f64)>(),
        differences::<[u8; 2]>(),
        differences::<Wrapped>(),
        differences::<HashMap<i32, Value>>(),
        differences::<HashMap<Wrapped, u8>>(),
        differences::<HashMap<bool, u8>>(),
        differences::<BTreeMap<Option<String>, Value>>(),
        differences::<Value>(),
        differences::<HashMap<u128, Value>>(),
        differences::<HashMap<i64, Value>>(),
        differences::<Vec<Option<u8>>>(),
        differences::<(Option<()>, Vec<Option<u8>>)>(),
        differences::<HashMap<char, Value>>(),
        differences::<HashMap<String, Option<Adjacent>>>(),
        differences::<Vec<Adjacent>>(),
        differences::<Adjacent>(),
        differences::<std::time::Duration>(),
        differences::<std::ops::Range<u8>>(),
        differences::<Result<u8, String>>(),
        differences::<Record>(),
        differences::<Kind>(),
        differences::<Loose>(),
        differences::<Tagged>(),
        differences::<Flat>(),
    ];
    assert_eq!(found.concat(), [""; 0]);
}

#[test]
fn what_a_type_leaves_out_is_passed_over() {
    for text in TEXTS {
        assert!(read::<IgnoredAny>(text).is_ok(), "{text}");
        let pair = read::<(IgnoredAny, u8)>(&format!("[{text}, 7]"));
        assert_eq!(pair.unwrap().1, 7, "{text}");
    }
}

#[test]
fn the_text_of_a_value_may_be_asked_for_as_it_stands() {
    for text in TEXTS {
        let text = text.trim();
        let raw: HashMap<String, Box<RawValue>> = read(&format!(r#"{{"a": {text} , "b":0}}"#)).unwrap();
        assert_eq!((raw["a"].get(), raw["b"].get()), (text, "0"));
    }
}

#[test]
fn a_mismatch_says_what_was_found_what_was_wanted_and_how_far_it_came() {
    for (text, wanted) in [
        (r#"{"id": "x", "kind": "Unit"}"#, "invalid type: string \"x\", expected u32 before byte 10"),
        (r#"{"id": 1}"#, "missing field `kind` before byte 8"),
        (
            r#"{"id": 1, "kind": "Three"}"#,
            "unknown variant `Three`, expected one of `Unit`, `One`, `Two`, `Named` before byte 25",
        ),
        ("[1, null, \"Unit\", 4, 5]", "invalid type"),
    ] {
        let error = read::<Record>(text).unwrap_err().to_string();
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

/// A float of 32 bits is the one nearest to the text, which the way through 64 bits would miss.
#[test]
fn short_floats_are_rounded_once() {
    let text = "1.00000017881393432617187499";
    assert_eq!(read::<f32>(text).unwrap().to_bits(), text.parse::<f32>().unwrap().to_bits());
    assert_ne!(text.parse::<f32>().unwrap().to_bits(), (text.parse::<f64>().unwrap() as f32).to_bits());
}
