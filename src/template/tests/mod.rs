//! What templates mean, in tables. Generated templates are compared in [`differential`], round trips in [`properties`].

mod bodies;
mod differential;
mod inversion;
mod properties;

use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Value, json};

use super::*;
use crate::schema::ScalarType;

/// What the tests declare: the first letter says whether a parameter is certain.
pub(super) fn with_scope<T>(run: impl FnOnce(&Scope<'_>) -> T) -> T {
    let statics = HashMap::from([("PROJECT".to_owned(), "EX".to_owned())]);
    let text = Kind::Scalar(ScalarType::String);
    let context = |kind, sensitive| Context { kind, sensitive };
    let context = HashMap::from([
        ("contact.first_name".to_owned(), context(text, false)),
        ("contact.email".to_owned(), context(text, true)),
        ("clash".to_owned(), context(text, false)),
    ]);
    run(&Scope {
        parameters: &declared,
        statics: &statics,
        context: &context,
    })
}

fn declared(names: &[&str]) -> Option<Parameter> {
    let scalar = |kind, certain, truthy| Parameter {
        certain,
        truthy,
        kind: Kind::Scalar(kind),
    };
    let untyped = Parameter {
        kind: Kind::Untyped,
        ..Parameter::ASSUMED
    };
    Some(match names {
        ["unsure" | "agent_id"] => Parameter::ASSUMED,
        ["id" | "city" | "environment" | "clash"] => scalar(ScalarType::String, true, false),
        ["count"] => scalar(ScalarType::Integer, true, false),
        ["ratio"] => scalar(ScalarType::Number, true, false),
        ["flag"] => scalar(ScalarType::Boolean, true, false),
        ["email" | "phone"] => scalar(ScalarType::String, false, true),
        ["note"] => scalar(ScalarType::String, false, false),
        ["any" | "a" | "b" | "c" | "user-id" | "odd.name"] => untyped,
        ["tags" | "customer"] => Parameter {
            kind: Kind::Structured,
            ..untyped
        },
        ["customer", "name"] => scalar(ScalarType::String, true, false),
        ["customer", "nick"] => scalar(ScalarType::String, false, false),
        _ => return None,
    })
}

pub(super) fn known(known: Known) -> Option<String> {
    match known {
        Known::CurrentDatetime => Some("2026-11-20T08:00:00Z".into()),
        Known::AgentName => Some("Bot \"B\"".into()),
        Known::Environment => Some("production".into()),
        Known::AgentId => Some("bot".into()),
        Known::SessionId | Known::ConversationId => None,
    }
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}

/// Runs with these parameters, and one variable of each other kind.
pub(super) fn with_values<T>(parameters: &Value, run: impl FnOnce(&Values<'_>) -> T) -> T {
    let parameters = object(parameters.clone());
    let session = object(json!({"ticket": {"key": "EX-7", "parts": ["a", "b"]}}));
    let context = object(json!({"contact.first_name": "Ada"}));
    run(&Values {
        parameters: &parameters,
        session: &session,
        context: &context,
        known: &known,
    })
}

fn parse(text: &str) -> Result<Template, TemplateProblem> {
    with_scope(|scope| Template::parse(text, scope))
}

fn render(text: &str, parameters: &Value) -> Result<String, Unrendered> {
    let template = parse(text).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
    with_values(parameters, |values| template.render(values))
}

#[test]
fn names_are_resolved_at_load() {
    let text = |text: &str| Part::Text(text.into());
    let id = || Part::Parameter("id".into());
    for (template, expected) in [
        ("", vec![]),
        ("plain", vec![text("plain")]),
        ("{{id}}", vec![id()]),
        (
            "a-{{ .parameters.id }}-b",
            vec![text("a-"), id(), text("-b")],
        ),
        ("{{index .parameters \"id\"}}", vec![id()]),
        (
            "{{index .parameters \"odd.name\"}}",
            vec![Part::Parameter("odd.name".into())],
        ),
        ("{{user-id}}", vec![Part::Parameter("user-id".into())]),
        ("{{with .parameters}}{{end}}", vec![Part::Computed]),
        ("{{$v := .parameters.id}}{{$v}}", vec![id()]),
        ("{{$p := .parameters}}{{$p.id}}", vec![id()]),
        ("{{$.parameters.id}}", vec![id()]),
        ("{{(.parameters).id}}", vec![id()]),
        ("p-{{.static_variables.PROJECT}}-q", vec![text("p-EX-q")]),
        ("{{\"a\"}}{{1}}{{true}}", vec![text("a1true")]),
        ("{{/* why */}}x", vec![text("x")]),
        ("{{- /* why */ -}} x", vec![text("x")]),
        (
            "{{current_datetime}}",
            vec![Part::Known(Known::CurrentDatetime)],
        ),
        (
            "{{.variables.stellar.conversation_id}}",
            vec![Part::Known(Known::ConversationId)],
        ),
        (
            "{{contact.first_name}}",
            vec![Part::Context("contact.first_name".into())],
        ),
        (
            "{{.variables.contact.first_name}}",
            vec![Part::Context("contact.first_name".into())],
        ),
        ("{{.variables.ticket.key}}", vec![Part::Computed]),
        (
            "{{.parameters.customer.name}}",
            vec![Part::Property(vec!["customer".into(), "name".into()])],
        ),
        ("{{unsure}}", vec![Part::Parameter("unsure".into())]),
        ("{{agent_id}}", vec![Part::Known(Known::AgentId)]),
        ("{{.variables.unsure}}", vec![Part::Computed]),
        ("} {", vec![text("} {")]),
        (" a {{- id -}} b ", vec![text(" a"), id(), text("b ")]),
        ("{{\"}}\"}}", vec![text("}}")]),
    ] {
        assert_eq!(parse(template).unwrap().parts(), expected, "{template}");
    }
}

const MISTAKES: &[(&str, Range<usize>, &str)] = &[
    ("a{{id", 1..5, "not closed"),
    ("{{nope}}", 2..6, "neither"),
    ("x{{.parameters.nope}}", 3..19, "no parameter"),
    (
        "{{.parameters.customer.nmae}}",
        2..27,
        "no parameter `customer.nmae`",
    ),
    ("{{.static_variables.X}}", 2..21, "no static variable"),
    ("{{environment}}", 2..13, "both a parameter and a built-in"),
    (
        "{{clash}}",
        2..7,
        "both a parameter and a variable of the context",
    ),
    ("{{.variables.id}}", 2..15, "is a parameter"),
    ("{{.variables.contact}}", 0..22, "group"),
    ("{{odd.name}}", 2..10, "bare name"),
    (
        "{{range .parameters.tags}}{{.}}{{end}}",
        0..26,
        "`range` is not part",
    ),
    ("{{template \"x\"}}", 0..16, "`template` is not part"),
    ("{{define \"x\"}}{{end}}", 0..14, "`define` is not part"),
    ("{{block \"x\" .}}{{end}}", 0..15, "`block` is not part"),
    ("{{break}}", 0..9, "`break` is not part"),
    ("{{id | upper}}", 5..6, "pipes"),
    ("{{printf \"%s\" .parameters.id}}", 2..8, "not a function"),
    ("{{$v := id}}{{$v = id}}", 17..18, "assigned"),
    ("{{$v}}", 2..4, "no variable"),
    ("{{if id}}{{$v := id}}{{end}}{{$v}}", 30..32, "no variable"),
    ("{{with id}}{{else with id}}{{end}}", 11..27, "`else with`"),
    ("{{if id}}", 0..9, "not closed"),
    ("{{if id}}{{else}}{{else}}{{end}}", 17..25, "second `else`"),
    ("{{end}}", 0..7, "without a block"),
    ("{{else}}", 0..8, "without a block"),
    ("{{if}}{{end}}", 0..6, "value is missing"),
    ("{{}}", 0..4, "value is missing"),
    ("{{.}}", 0..5, "group"),
    ("{{.parameters}}", 0..15, "group"),
    ("{{if .parameters}}{{end}}", 0..18, "group"),
    ("{{.contact.first_name}}", 2..21, "is nothing"),
    (
        "{{index .parameters .parameters.id}}",
        2..7,
        "known when the policy is loaded",
    ),
    ("{{eq id}}", 2..4, "with 1 arguments"),
    ("{{lt 1 2 3}}", 2..4, "with 3 arguments"),
    ("{{id city}}", 5..9, "no arguments"),
    ("{{(id}}", 2..3, "not closed"),
    ("{{id)}}", 4..5, "without `(`"),
    ("{{\"\\q\"}}", 2..4, "cannot be read"),
    ("{{'a'}}", 2..3, "no meaning"),
    ("{{0x10}}", 2..6, "not a number"),
    ("{{/* a */ id}}", 0..14, "whole of its action"),
    ("{{- id}}{{.parameters.a..b}}", 10..24, "without a name"),
];

#[test]
fn a_mistake_has_a_place_and_a_reason() {
    for (template, at, says) in MISTAKES {
        let problem = parse(template).unwrap_err();
        assert!(problem.message.contains(says), "{template}: {problem:?}");
        assert_eq!(&problem.at, at, "{template}: {problem:?}");
        assert!(problem.remedy.is_some(), "{template}");
    }
}

const MEANINGS: &[(&str, &str)] = &[
    ("{{if a}}y{{else}}n{{end}}", "n"),
    ("{{if city}}y{{else if b}}b{{else}}n{{end}}", "b"),
    ("{{if note}}y{{else}}n{{end}}", "n"),
    ("{{if .variables.nothing.here}}y{{else}}n{{end}}", "n"),
    ("{{with b}}{{.}}{{end}}", "x"),
    ("{{with a}}{{.}}{{else}}none{{end}}", "none"),
    (
        "{{with .parameters.customer}}{{.name}}-{{$.parameters.id}}{{end}}",
        "Ada-7",
    ),
    (
        "{{with $c := .parameters.customer}}{{$c.name}}{{end}}",
        "Ada",
    ),
    (
        "{{with index .parameters \"note\"}}{{.}}{{else}}Customer{{end}}",
        "Customer",
    ),
    ("{{if $x := or a b}}{{$x}}{{end}}", "x"),
    ("{{or note \"none\"}}", "none"),
    ("{{or a b}}", "x"),
    ("{{and b a}}", "0"),
    ("{{and a .variables.missing}}", "0"),
    ("{{or b .variables.missing}}", "x"),
    ("{{not a}}", "true"),
    ("{{eq count 3}}", "true"),
    ("{{eq count 3.0}}", "true"),
    ("{{eq ratio 2.5}}", "true"),
    ("{{eq b \"w\" \"x\"}}", "true"),
    ("{{eq note \"x\"}}", "false"),
    ("{{ne note \"x\"}}", "true"),
    ("{{eq note note}}", "false"),
    ("{{eq c nil}}", "true"),
    ("{{eq b nil}}", "false"),
    (
        "{{lt count 3.5}}{{le 3 count}}{{gt count 2}}{{ge 2 count}}",
        "truetruetruefalse",
    ),
    ("{{lt \"a\" \"b\"}}", "true"),
    ("{{index .parameters.tags 1}}", "u"),
    (
        "{{index .parameters.tags (index .parameters.tags 9)}}{{id}}",
        "?",
    ),
    ("{{if index .parameters.tags 9}}y{{else}}n{{end}}", "n"),
    ("{{index .variables.ticket.parts 0}}", "a"),
    ("{{(index .parameters \"customer\").name}}", "Ada"),
    (
        "{{$v := and flag count}}{{$v}}{{if flag}}{{$v := \"in\"}}{{$v}}{{end}}{{$v}}",
        "3in3",
    ),
    ("{{agent_name}}", "Bot \"B\""),
];

#[test]
fn values_mean_what_they_mean_in_go() {
    let parameters = json!({
        "a": 0, "b": "x", "c": null, "id": "7", "count": 3, "ratio": 2.5, "flag": true, "tags": ["t", "u"],
        "customer": {"name": "Ada"}, "city": ""
    });
    for (template, expected) in MEANINGS {
        match render(template, &parameters) {
            Ok(text) => assert_eq!(&text, expected, "{template}"),
            Err(_) => assert_eq!(*expected, "?", "{template}"),
        }
    }
}

#[test]
fn what_is_missing_is_named_and_never_printed() {
    let missing = |name: &str| Unrendered::ParameterMissing(name.into());
    let variable = |name: &str| Unrendered::VariableMissing(name.into());
    for (template, expected) in [
        ("{{id}}", missing("id")),
        ("{{.parameters.customer.name}}", missing("customer.name")),
        ("{{index .parameters.tags 2}}", missing("tags.2")),
        (
            "{{index .parameters.tags .parameters.count}}",
            missing("tags.1"),
        ),
        ("{{.variables.ticket.id}}", variable("ticket.id")),
        ("{{contact.email}}", variable("contact.email")),
        ("{{conversation_id}}", variable("conversation_id")),
        ("{{if lt note 1}}{{end}}", missing("note")),
        ("{{or note city}}", missing("city")),
        ("{{with or id city}}{{else}}{{id}}{{end}}", missing("id")),
    ] {
        let found = render(template, &json!({"count": 1, "tags": ["x"]}));
        assert_eq!(found, Err(expected), "{template}");
    }
}

#[test]
fn values_that_do_not_compare_or_fit_are_errors() {
    let parameters = json!({"a": 1, "b": "x", "c": null, "tags": [1]});
    for (template, name) in [
        ("{{eq a b}}", "a"),
        ("{{eq 1 b}}", "b"),
        ("{{lt a b}}", "a"),
        ("{{eq .parameters.tags 1}}", "tags"),
        ("{{lt true false}}", "a value of the template"),
        ("{{c}}", "c"),
        ("{{.parameters.tags}}", "tags"),
    ] {
        let found = render(template, &parameters);
        assert!(
            matches!(&found, Err(Unrendered::Unfit { name: it, .. }) if it == name),
            "{template}: {found:?}"
        );
    }
}

#[test]
fn an_unguarded_optional_parameter_is_seen() {
    for (template, expected) in [
        ("{{note}}", Some("note")),
        ("{{if note}}{{note}}{{end}}", None),
        ("{{if index .parameters \"note\"}}{{note}}{{end}}", None),
        ("{{with note}}{{.}}{{end}}", None),
        ("{{if note}}{{else}}{{note}}{{end}}", Some("note")),
        ("{{if not note}}{{else}}{{note}}{{end}}", None),
        ("{{if and note email}}{{note}}{{email}}{{end}}", None),
        ("{{if or note email}}{{note}}{{end}}", Some("note")),
        ("{{if eq note \"x\"}}{{note}}{{end}}", None),
        ("{{if eq (and note id) \"\"}}{{note}}{{end}}", Some("note")),
        ("{{if email}}{{end}}{{email}}", Some("email")),
        ("{{or note \"x\"}}", None),
        ("{{or \"\" note}}", Some("note")),
        ("{{and note id}}", Some("note")),
        ("{{.parameters.customer.nick}}", Some("customer.nick")),
        ("{{with .parameters.customer.nick}}{{.}}{{end}}", None),
    ] {
        let template_read = parse(template).unwrap();
        let found = template_read.unguarded().map(|it| it.name.as_str());
        assert_eq!(found, expected, "{template}");
    }
}

#[test]
fn a_rendering_can_be_read_back() {
    let customer_name = ["customer".to_owned(), "name".to_owned()];
    for (template, text, expected) in [
        ("Token {{id}}", "Token 7", Inverted::Parameter("id", "7")),
        ("{{id}}.json", "7.json", Inverted::Parameter("id", "7")),
        ("{{id}}.json", "7", Inverted::Different),
        ("a{{id}}a", "a", Inverted::Different),
        ("{{id}}{{id}}", "77", Inverted::Different),
        ("{{if flag}}{{id}}{{end}}", "7", Inverted::Different),
        ("{{id}} {{city}}", "7 a", Inverted::Different),
        ("{{id}} {{current_datetime}}", "7 now", Inverted::Different),
        ("{{or id \"x\"}}", "7", Inverted::Different),
        (
            "v/{{.parameters.customer.name}}",
            "v/Ada",
            Inverted::Property(customer_name.as_slice(), "Ada"),
        ),
        ("fixed", "fixed", Inverted::Equal),
        ("fixed", "fixed2", Inverted::Different),
        ("", "", Inverted::Equal),
        (
            "{{.variables.environment}}/x",
            "production/x",
            Inverted::Different,
        ),
        ("{{agent_id}}/x", "bot/x", Inverted::Equal),
        (
            "{{contact.first_name}}-{{id}}",
            "Ada-7",
            Inverted::Parameter("id", "7"),
        ),
        ("{{.variables.ticket.key}}", "EX-7", Inverted::Equal),
        (
            "{{if contact.email}}a{{else}}b{{end}}",
            "b",
            Inverted::Equal,
        ),
    ] {
        let Ok(read) = parse(template) else {
            assert_eq!(expected, Inverted::Different, "{template}");
            continue;
        };
        let found = with_values(&json!({}), |values| match read.invert(text, values) {
            Inverted::Parameter(name, value) => Some((name.to_owned(), value.to_owned())),
            Inverted::Property(names, value) => Some((names.join("."), value.to_owned())),
            Inverted::Equal => Some((String::new(), String::new())),
            Inverted::Different => None,
        });
        let expected = match expected {
            Inverted::Parameter(name, value) => Some((name.to_owned(), value.to_owned())),
            Inverted::Property(names, value) => Some((names.join("."), value.to_owned())),
            Inverted::Equal => Some((String::new(), String::new())),
            Inverted::Different => None,
        };
        assert_eq!(found, expected, "{template}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    for (template, says) in [
        ("{{if id}}".repeat(7_000), "nest deeper"),
        (
            "{{with id}}".repeat(40) + &"{{end}}".repeat(40),
            "nest deeper",
        ),
        (format!("{{{{{}id}}}}", "(".repeat(60_000)), "nest deeper"),
        (
            format!("{{{{{}id}}}}", "not (".repeat(12_000)),
            "nest deeper",
        ),
        (
            format!("{{{{.parameters.a{}}}}}", ".x".repeat(20_000)),
            "declared",
        ),
        (
            format!("{{{{.variables.t{}}}}}", ".x".repeat(20_000)),
            "more than",
        ),
        ("x".repeat(70_000), "bytes"),
    ] {
        let problem = parse(&template).unwrap_err();
        assert!(problem.message.contains(says), "{:?}", problem.message);
    }
    let chain = format!("{{{{if a}}}}{}{{{{end}}}}", "{{else if b}}".repeat(4_000));
    assert!(parse(&chain).is_ok());
}
