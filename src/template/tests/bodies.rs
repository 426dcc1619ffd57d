//! JSON bodies: escaping by place, and what is not JSON on some branch.

use std::ops::Range;

use serde_json::{Value, json};

use super::{with_scope, with_values};
use crate::template::{BodyTemplate, TemplateProblem, Unrendered};

pub(super) fn parse(text: &str) -> Result<BodyTemplate, Vec<TemplateProblem>> {
    with_scope(|scope| BodyTemplate::parse(text, scope))
}

pub(super) fn render(text: &str, parameters: &Value) -> Result<String, Unrendered> {
    let body = parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
    with_values(parameters, |values| body.render(values))
}

/// `api-call-actions.txt`, "Conditional fields".
const CONDITIONAL: &str = r#"{
  "name": "{{.parameters.id}}",
  {{- if .parameters.email}}
  "email": "{{.parameters.email}}",
  {{- end}}
  "source": "voice_agent"
}"#;

#[test]
fn each_value_is_written_for_its_place() {
    let all = json!({
        "id": "a\"b\\\n\u{e9}", "count": 10.0, "ratio": 2.5, "flag": false, "any": null, "city": "x",
        "tags": ["t", {"u": 1}], "customer": {"name": "Ada"}, "email": "e@x"
    });
    for (template, expected) in [
        (r#"{"id": "{{id}}"}"#, r#"{"id":"a\"b\\\né"}"#),
        (r#"{"id": {{id}}}"#, r#"{"id":"a\"b\\\né"}"#),
        (
            r#"{"n": {{count}}, "t": "{{count}}-{{ratio}}-{{flag}}"}"#,
            r#"{"n":10,"t":"10-2.5-false"}"#,
        ),
        (
            r#"[{{tags}}, {{any}}, {{flag}}]"#,
            r#"[["t",{"u":1}],null,false]"#,
        ),
        (r#"{{customer}}"#, r#"{"name":"Ada"}"#),
        (
            r#"{"s": {{.static_variables.PROJECT}}, "k": "{{.static_variables.PROJECT}}-1"}"#,
            r#"{"s":"EX","k":"EX-1"}"#,
        ),
        (
            r#"{"a": "{{agent_name}}", "t": "{{.variables.ticket.key}}"}"#,
            r#"{"a":"Bot \"B\"","t":"EX-7"}"#,
        ),
        (r#"{"c": "caf\u00e9 \/ {{"{"}}"}"#, r#"{"c":"café / {"}"#),
        (
            CONDITIONAL,
            r#"{"name":"a\"b\\\né","email":"e@x","source":"voice_agent"}"#,
        ),
        (
            r#"{"h": "Hi {{if flag}}{{city}}{{else}}you{{end}}!"}"#,
            r#"{"h":"Hi you!"}"#,
        ),
        (r#"{"a": 1{{if flag}}, "b": 2{{end}}}"#, r#"{"a":1}"#),
        (r#"{ {{if city}}"b": 2{{end}} }"#, r#"{"b":2}"#),
        (r#"{ {{if flag}}"b": 2,{{end}} "c": 3}"#, r#"{"c":3}"#),
        (r#"[{{if flag}}1,{{else}}2,{{end}} 3]"#, "[2,3]"),
        (r#"{{if flag}}{"a": 1}{{else}}[{{count}}]{{end}}"#, "[10]"),
        (r#"{"x": {{if flag}}1{{else}}null{{end}}}"#, r#"{"x":null}"#),
        (
            r#"{"p": {{with customer}}{{.name}}{{end}}{{if not customer}}1{{end}}}"#,
            "?",
        ),
        (r#" 1.50 "#, "1.50"),
        (r#""{{id}}""#, r#""a\"b\\\né""#),
    ] {
        if expected == "?" {
            assert!(parse(template).is_err(), "{template}");
            continue;
        }
        assert_eq!(render(template, &all).unwrap(), expected, "{template}");
    }
    let without = json!({"id": "x"});
    assert_eq!(
        render(CONDITIONAL, &without).unwrap(),
        r#"{"name":"x","source":"voice_agent"}"#
    );
}

const NOT_JSON: &[(&str, Range<usize>, &str)] = &[
    (r#"{"{{id}}": 1}"#, 2..2, "place of a key"),
    (r#"{{"{"}}{{id}}: 1}"#, 7..13, "beside a number"),
    (r#"{ {{id}}: 1}"#, 2..8, "place of a key"),
    (r#"{"a": 1{{count}}}"#, 7..16, "beside a number"),
    (r#"{"a": {{count}}0}"#, 15..16, "not JSON here"),
    (r#"{"a": -{{count}}}"#, 6..7, "no JSON value"),
    (r#"{"a": {{id}}{{id}}}"#, 12..18, "another value"),
    (r#"{"a": "{{tags}}"}"#, 7..15, "list or an object"),
    (
        r#"{"a": "{{or .parameters.tags "x"}}"}"#,
        7..34,
        "list or an object",
    ),
    (r#"{"a": "{{note}}"}"#, 7..15, "may be missing"),
    (
        r#"{"a": "{{if id}}x", {{end}} "b": 1}"#,
        7..16,
        "same place",
    ),
    (r#"{"a": {{if id}}1{{end}}}"#, 6..15, "same place"),
    (r#"{{if id}}{}{{end}}"#, 0..9, "same place"),
    (
        r#"{"a": 1{{if id}}, "a": 2{{end}}}"#,
        19..20,
        "stands twice",
    ),
    (r#"{"a": 1, {{if id}}"b": 2{{end}}}"#, 9..18, "same place"),
    (
        r#"{"a": 1, {{if id}}"b": 2,{{end}}}"#,
        32..33,
        "after a comma",
    ),
    (
        r#"{ {{if id}}"b": 2{{end}}, "c": 3}"#,
        24..25,
        "on some branch",
    ),
    (r#"{{if id}}[{{else}}{ {{end}}"#, 0..9, "same place"),
    (
        r#"{"a" {{if id}}: 1{{else}}: 2{{end}}}"#,
        5..14,
        "inside a key",
    ),
    (r#"{"a": tru}"#, 6..9, "no JSON value"),
    (r#"{"a": 01}"#, 6..8, "no JSON value"),
    (r#"{"a": 99999999999999999999}"#, 6..26, "64 bits"),
    (r#"{"a": 1e999}"#, 6..11, "no JSON value"),
    (r#"{"a": "\{{id}}"}"#, 7..8, "inside of a JSON string"),
    (r#"{"a": "\ud800{{id}}"}"#, 7..13, "inside of a JSON string"),
    (r#"{"a": "\u0000"}"#, 7..13, "inside of a JSON string"),
    ("{\"a\": \"x\ny\"}", 7..10, "inside of a JSON string"),
    (r#"{"a": "x"#, 8..8, "string is not closed"),
    (r#"{"a": 1"#, 7..7, "object is not closed"),
    ("[1", 2..2, "list is not closed"),
    ("", 0..0, "empty"),
    ("{} é", 3..5, "nothing stands after"),
    ("{'a': 1}", 1..2, "key in quotes"),
    (r#"{"a": "{{nil}}"}"#, 7..14, "cannot be printed"),
];

#[test]
fn what_is_not_json_is_told_with_its_place() {
    for (template, at, says) in NOT_JSON {
        let problems = parse(template).unwrap_err();
        let found = problems.iter().find(|it| it.message.contains(says));
        let found = found.unwrap_or_else(|| panic!("{template}: {problems:?}"));
        assert_eq!(&found.at, at, "{template}: {problems:?}");
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    let problems =
        parse(r#"{"a": {{nope}}, "b": {{nor.this}}, "c": {{range id}}{{x}}{{end}}}"#).unwrap_err();
    assert_eq!(problems.len(), 3, "{problems:?}");
    let problems = parse(r#"{"a": "{{note}}", "b": "{{email}}", "c": "{{tags}}"}"#).unwrap_err();
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn a_value_cannot_leave_its_place() {
    for hostile in [
        r#"", "admin": true, "x": ""#,
        "\\",
        "\u{0}\u{1f}\u{7f}\u{2028}",
        "{{.parameters.id}}",
        "\"}",
    ] {
        let text = render(r#"{"a": "{{id}}", "b": [{{id}}]}"#, &json!({"id": hostile})).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, json!({"a": hostile, "b": [hostile]}));
    }
}

#[test]
fn lists_found_only_at_run_time_do_not_stand_in_text() {
    for value in [json!([1]), json!({"a": 1}), json!(null)] {
        let found = render(r#"{"a": "{{any}}"}"#, &json!({"any": value}));
        assert!(matches!(found, Err(Unrendered::Unfit { name, .. }) if name == "any"));
    }
}

#[test]
fn a_body_knows_whether_it_is_an_object() {
    for (template, expected) in [
        ("{}", true),
        ("[1]", false),
        ("{{customer}}", false),
        (r#"{{if id}}{"a": 1}{{else}}{"a": 2}{{end}}"#, true),
        (r#"{{if id}}{"a": 1}{{else}}[2]{{end}}"#, false),
    ] {
        assert_eq!(parse(template).unwrap().is_object(), expected, "{template}");
    }
}

#[test]
fn deep_bodies_are_refused() {
    let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    assert!(parse(&deep).unwrap_err()[0].message.contains("deeper"));
}
