//! From bodies back to parameters.

use serde_json::{Value, json};

use super::bodies::parse;
use super::{inverted, with_values};
use crate::template::MismatchKind::{Different, Undeclared};
use crate::template::{Mismatch, MismatchKind};

fn invert(template: &str, body: &Value) -> Result<Value, Mismatch> {
    let template = parse(template).unwrap_or_else(|problems| panic!("{template}: {problems:?}"));
    assert_eq!(template.is_invertible(), Ok(()));
    with_values(&json!({}), |values| inverted(&template, body, values)).map(Value::Object)
}

const TICKET: &str = r#"{"fields": {
    "project": {"key": "{{.static_variables.PROJECT}}"},
    "summary": "{{.parameters.id}} from {{agent_id}}",
    "parts": [{"type": "text", "text": "{{.parameters.city}}"}, {{count}}],
    "size": "{{count}}", "at": "{{current_datetime}}", "by": "{{.variables.ticket.key}}", "who": {{customer}}
}}"#;

#[test]
fn a_rendering_gives_its_parameters_back() {
    let parameters = json!({"id": "s", "city": "d", "count": 7, "customer": {"name": "Ada"}});
    let template = parse(TICKET).unwrap();
    let body = with_values(&parameters, |values| template.render(values)).unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(invert(TICKET, &body), Ok(parameters));
}

#[test]
fn what_is_absent_is_left_to_defaults_and_rendering() {
    for (body, expected) in [
        (json!({}), json!({})),
        (json!({"fields": {}}), json!({})),
        (json!({"fields": {"size": "7"}}), json!({"count": 7})),
        (
            json!({"fields": {"at": 5, "parts": [{"text": "x"}, 1], "size": "1"}}),
            json!({"city": "x", "count": 1}),
        ),
    ] {
        assert_eq!(invert(TICKET, &body), Ok(expected), "{body}");
    }
}

const OTHERS: &[(&str, &str, MismatchKind, &str)] = &[
    (r#"[]"#, "", Different, "an object"),
    (r#"{"x": 1}"#, "/x", Undeclared, "one of fields"),
    (
        r#"{"fields": {"a/b": 1}}"#,
        "/fields/a~1b",
        Undeclared,
        "one of project",
    ),
    (
        r#"{"fields": {"project": {"key": "OTHER"}}}"#,
        "/fields/project/key",
        Different,
        "\"EX\"",
    ),
    (
        r#"{"fields": {"summary": "s"}}"#,
        "/fields/summary",
        Different,
        "id with the text",
    ),
    (
        r#"{"fields": {"summary": 3}}"#,
        "/fields/summary",
        Different,
        "a string",
    ),
    (
        r#"{"fields": {"size": "07"}}"#,
        "/fields/size",
        Different,
        "written as 7",
    ),
    (
        r#"{"fields": {"size": 7}}"#,
        "/fields/size",
        Different,
        "a string",
    ),
    (
        r#"{"fields": {"parts": [{}]}}"#,
        "/fields/parts",
        Different,
        "a list of 2",
    ),
    (
        r#"{"fields": {"parts": [{}, 1], "size": "2"}}"#,
        "/fields/size",
        Different,
        "other places of count",
    ),
    (
        r#"{"fields": {"by": "EX-8"}}"#,
        "/fields/by",
        Different,
        "left out",
    ),
    (
        r#"{"fields": {"parts": [{"type": "code"}, 1]}}"#,
        "/fields/parts/0/type",
        Different,
        "\"text\"",
    ),
];

#[test]
fn another_body_is_refused_at_its_place() {
    for (body, pointer, kind, expected) in OTHERS {
        let mismatch = invert(TICKET, &serde_json::from_str(body).unwrap()).unwrap_err();
        assert_eq!(
            (mismatch.pointer.as_str(), mismatch.kind),
            (*pointer, *kind),
            "{body}"
        );
        assert!(mismatch.expected.contains(expected), "{body}: {mismatch:?}");
    }
}

const OPTIONAL: &str = r#"{"id": "{{id}}",
    {{- if .parameters.email}} "email": "{{.parameters.email}}", "kind": "mail", {{- end}}
    {{- if index .parameters "phone"}} "phone": {"number": "{{phone}}"}, {{- end}} "v": 1}"#;

#[test]
fn members_of_a_block_come_and_go_with_their_parameter() {
    for (body, expected) in [
        (json!({"id": "1", "v": 1}), json!({"id": "1"})),
        (
            json!({"id": "1", "email": "e"}),
            json!({"id": "1", "email": "e"}),
        ),
        (
            json!({"phone": {"number": "5"}, "kind": "mail", "email": "e"}),
            json!({"email": "e", "phone": "5"}),
        ),
    ] {
        assert_eq!(invert(OPTIONAL, &body), Ok(expected), "{body}");
    }
    let mismatch = invert(OPTIONAL, &json!({"kind": "mail"})).unwrap_err();
    assert_eq!(mismatch.pointer, "/kind");
    let mismatch = invert(OPTIONAL, &json!({"phone": {}})).unwrap_err();
    assert_eq!(mismatch.pointer, "/phone");
}

#[test]
fn a_template_without_one_answer_is_not_inverted() {
    for (template, why) in [
        (r#"{"a": "{{id}} {{city}}"}"#, "two parameters"),
        (r#"{"a": "{{id}} {{current_datetime}}"}"#, "beside the time"),
        (r#"{"a": {{or id "x"}}}"#, "computed from a parameter"),
        (
            r#"{"a": "{{index .parameters.tags 0}}"}"#,
            "computed from a parameter",
        ),
        (r#"{"a": {{if flag}}1{{else}}2{{end}}}"#, "else"),
        (
            r#"{"a": 1{{if note}}, "b": "{{note}}"{{end}}}"#,
            "may be false",
        ),
        (
            r#"{"a": 1{{if eq email "x"}}, "b": "{{email}}"{{end}}}"#,
            "more than",
        ),
        (r#"{"a": 1{{if email}}, "b": 2{{end}}}"#, "does not print"),
        (
            r#"{"a": 1{{if email}}, "b": "{{email}}", "c": "{{id}}"{{end}}}"#,
            "another parameter",
        ),
        (
            r#"{"a": 1{{if email}}, "b": "{{email}}"{{if phone}}, "c": "{{phone}}"{{end}}{{end}}}"#,
            "inside a block",
        ),
        (r#"{"a": "x{{if email}}{{email}}{{end}}"}"#, "whole members"),
        (r#"[1{{if email}}, "{{email}}"{{end}}]"#, "whole members"),
        (
            r#"{"a": {{customer}}, "b": "{{.parameters.customer.name}}"}"#,
            "whole and in part",
        ),
        (r#"{{$v := or id "x"}}{"a": "{{$v}}"}"#, "computed variable"),
    ] {
        let template_read =
            parse(template).unwrap_or_else(|problems| panic!("{template}: {problems:?}"));
        let found = template_read.is_invertible().unwrap_err();
        assert!(found.why.contains(why), "{template}: {found:?}");
        let parameters = with_values(&json!({}), |values| {
            inverted(&template_read, &json!({}), values)
        });
        assert!(parameters.is_err(), "{template}");
    }
}

#[test]
fn a_part_of_a_parameter_is_put_in_its_place() {
    let found = invert(
        r#"{"n": "{{.parameters.customer.name}}"}"#,
        &json!({"n": "Ada"}),
    );
    assert_eq!(found, Ok(json!({"customer": {"name": "Ada"}})));
}
