//! Texts of JSON that have one reading, and those that have not.

use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;

use super::JsonProblemKind as Kind;
use super::MAX_DEPTH;
use super::fold_case;
use super::parse;
use super::write;

#[test]
fn what_has_one_meaning_is_read() {
    let cases: &[(&str, Value)] = &[
        (" null\n", json!(null)),
        ("true", json!(true)),
        ("-1", json!(-1)),
        ("0", json!(0)),
        ("18446744073709551615", json!(u64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("10.0", json!(10.0)),
        ("1e2", json!(100.0)),
        ("0e0", json!(0.0)),
        ("-0", json!(-0.0)),
        ("5e-324", json!(5e-324)),
        ("0.1000000000000000055511151231257827", json!(0.1)),
        (r#""a\u00e9\/\n""#, json!("aé/\n")),
        (r#""\ud83d\ude00""#, json!("😀")),
        ("[ ]", json!([])),
        ("[1 , 2]", json!([1, 2])),
        (r#"{ "b" : 1 , "a" : { } }"#, json!({"b": 1, "a": {}})),
        (
            r#"{"a":{"x":1},"b":{"x":2}}"#,
            json!({"a": {"x": 1}, "b": {"x": 2}}),
        ),
        (r#"{"":1}"#, json!({"": 1})),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text.as_bytes()).as_ref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_has_two_meanings_or_none_is_refused_with_its_place() {
    let cases: &[(&str, Kind, &str, usize)] = &[
        ("", Kind::Malformed, "", 0),
        ("tru", Kind::Malformed, "", 0),
        ("nul", Kind::Malformed, "", 0),
        ("NaN", Kind::Malformed, "", 0),
        ("'a'", Kind::Malformed, "", 0),
        ("01", Kind::Malformed, "", 0),
        ("-01", Kind::Malformed, "", 0),
        ("+1", Kind::Malformed, "", 0),
        (".5", Kind::Malformed, "", 0),
        ("1.", Kind::Malformed, "", 2),
        ("1e", Kind::Malformed, "", 2),
        ("-", Kind::Malformed, "", 1),
        ("[1,]", Kind::Malformed, "/1", 3),
        ("[1 2]", Kind::Malformed, "", 3),
        ("[1", Kind::Malformed, "", 2),
        (r#"{"a":1,}"#, Kind::Malformed, "", 7),
        (r#"{"a" 1}"#, Kind::Malformed, "", 5),
        ("{a:1}", Kind::Malformed, "", 1),
        (r#"{"a":"#, Kind::Malformed, "/a", 5),
        ("// x\n1", Kind::Malformed, "", 0),
        (r#""a"#, Kind::Malformed, "", 2),
        ("\"a\nb\"", Kind::Malformed, "", 2),
        (r#""\x""#, Kind::Malformed, "", 1),
        (r#""\u+123""#, Kind::Malformed, "", 1),
        (r#""\u12"#, Kind::Malformed, "", 1),
        ("1 2", Kind::TrailingBytes, "", 2),
        ("{}x", Kind::TrailingBytes, "", 2),
        ("1\0", Kind::TrailingBytes, "", 1),
        ("\u{feff}1", Kind::NotUtf8, "", 0),
        (r#"{"qty":1,"qty":9}"#, Kind::DuplicateKey, "", 9),
        (
            r#"{"a":[{"qty":1,"\u0071ty":9}]}"#,
            Kind::DuplicateKey,
            "/a/0",
            15,
        ),
        (r#"{"qty":1,"Qty":9}"#, Kind::DuplicateKey, "", 9),
        ("{\"s\":1,\"\u{17f}\":9}", Kind::DuplicateKey, "", 7),
        ("{\"k\":1,\"\u{212a}\":9}", Kind::DuplicateKey, "", 7),
        ("{\"É\":1,\"é\":9}", Kind::DuplicateKey, "", 8),
        (r#""\ud800""#, Kind::LoneSurrogate, "", 1),
        (r#""\udc00\ud800""#, Kind::LoneSurrogate, "", 1),
        (r#""\ud800A""#, Kind::LoneSurrogate, "", 1),
        (r#""\ud800\u0041""#, Kind::LoneSurrogate, "", 1),
        (r#"["\u0000"]"#, Kind::NullCharacter, "/0", 2),
        (r#"{"a\u0000":1}"#, Kind::NullCharacter, "", 3),
        ("\"\0\"", Kind::NullCharacter, "", 1),
        ("18446744073709551616", Kind::NumberRange, "", 0),
        ("-9223372036854775809", Kind::NumberRange, "", 0),
        (r#"{"a/b":1e309}"#, Kind::NumberRange, "/a~1b", 7),
        ("1e-400", Kind::NumberRange, "", 0),
    ];
    for (text, kind, pointer, offset) in cases {
        let problem = parse(text.as_bytes()).expect_err(text);
        let found = (problem.kind, problem.pointer.as_str(), problem.offset);
        assert_eq!(found, (*kind, *pointer, *offset), "{text}");
    }
}

#[test]
fn a_repeated_key_is_found_in_objects_of_any_size() {
    for size in 1..20 {
        for repeated in 0..size {
            let keys = (0..size)
                .map(|at| format!("\"k{at}\":0,"))
                .collect::<String>();
            let once = format!("{{{keys}\"other\":0}}");
            assert!(parse(once.as_bytes()).is_ok(), "{once}");
            let twice = format!("{{{keys}\"\u{212a}{repeated}\":0}}");
            assert_eq!(
                parse(twice.as_bytes()).unwrap_err().kind,
                Kind::DuplicateKey,
                "{twice}"
            );
        }
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    for bytes in [
        &b"\"\xff\""[..],
        b"\"\xed\xa0\x80\"",
        b"\"\xc0\xaf\"",
        b"\xff\xfe1\0",
    ] {
        assert_eq!(parse(bytes).unwrap_err().kind, Kind::NotUtf8, "{bytes:?}");
    }
}

#[test]
fn nesting_ends_at_the_cap() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
    let problem = parse(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err();
    assert_eq!((problem.kind, problem.offset), (Kind::TooDeep, MAX_DEPTH));
    assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
}

#[test]
fn a_problem_never_quotes_the_text() {
    for text in [
        r#"{"a":"hunter2"#,
        r#"["hunter2",]"#,
        r#""hunter2" hunter2"#,
    ] {
        assert!(
            !parse(text.as_bytes())
                .unwrap_err()
                .to_string()
                .contains("hunter2")
        );
    }
}

#[test]
fn only_what_must_be_escaped_is_written_escaped() {
    let mut out = b"> ".to_vec();
    write(
        &json!({"b": "é\u{7f}\u{2028}/\"\\\n\u{1}", "a": [1.5, null]}),
        &mut out,
    );
    let expected = "> {\"b\":\"é\u{7f}\u{2028}/\\\"\\\\\\n\\u0001\",\"a\":[1.5,null]}";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn case_folds_as_the_loosest_reader_does() {
    for (one, other) in [
        ("Qty", "qTY"),
        ("\u{17f}ku", "SKU"),
        ("s\u{212a}u", "sku"),
        ("Éa", "éA"),
    ] {
        assert_eq!(fold_case(one), fold_case(other));
    }
    assert_ne!(fold_case("qty"), fold_case("qtys"));
}

/// Any value that `parse` can return: no U+0000, no keys that differ only in case.
fn values() -> impl Strategy<Value = Value> {
    let text = "[^\u{0}]{0,8}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        let members = prop::collection::vec((text, inner.clone()), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Value::from),
            members.prop_map(|members| {
                let mut seen = std::collections::HashSet::new();
                let once = members
                    .into_iter()
                    .filter(|(key, _)| seen.insert(fold_case(key)));
                Value::Object(once.collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(value in values()) {
        let mut out = Vec::new();
        write(&value, &mut out);
        prop_assert_eq!(parse(&out), Ok(value));
    }

    #[test]
    fn nothing_is_accepted_that_a_common_reader_refuses(bytes in "[\\[\\]{}\",:0-9eE.+\\-\\\\ua tfnrlse]{0,12}") {
        if parse(bytes.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<Value>(&bytes).is_ok());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse(&bytes);
    }
}
