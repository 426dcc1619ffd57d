//! Generated templates against an independent implementation of Go's text/template, where the language page does not
//! differ from Go: every name has a value, numbers are integers, and lists and objects are not printed.

use gotmpl::Template as Oracle;
use gotmpl::Value as Foreign;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::with_values;
use super::{Template, with_scope};

/// Names whose values are generated.
const NAMES: [&str; 3] = ["a", "b", "c"];

fn foreign(value: &Value) -> Foreign {
    match value {
        Value::Null => Foreign::Nil,
        Value::Bool(flag) => Foreign::Bool(*flag),
        Value::Number(number) => Foreign::Int(number.as_i64().unwrap()),
        Value::String(text) => Foreign::String(text.as_str().into()),
        Value::Array(items) => items.iter().map(foreign).collect::<Vec<_>>().into(),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(key, value)| (key.as_str().into(), foreign(value)));
            Foreign::Map(std::sync::Arc::new(members.collect()))
        }
    }
}

/// Three values, mostly of one type: values of different types do not compare.
fn scalars() -> impl Strategy<Value = Vec<Value>> {
    let flag = || any::<bool>().prop_map(Value::from);
    let number = || (-1_i64..3).prop_map(Value::from);
    let text = || prop_oneof![Just(""), Just("x"), Just("y z")].prop_map(Value::from);
    prop_oneof![
        2 => prop::collection::vec(flag(), 3),
        4 => prop::collection::vec(number(), 3),
        8 => prop::collection::vec(text(), 3),
        1 => prop::collection::vec(prop_oneof![flag(), number(), text()], 3),
    ]
}

fn parameters() -> impl Strategy<Value = Map<String, Value>> {
    scalars().prop_map(|scalars| {
        let values = NAMES.iter().zip(scalars);
        let mut parameters: Map<String, Value> = values
            .map(|(name, value)| ((*name).into(), value))
            .collect();
        parameters.insert("customer".into(), json!({"name": "Ada"}));
        parameters.insert("tags".into(), json!(["t", "u"]));
        parameters
    })
}

fn operand() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(|name| format!(".parameters.{name}")),
        prop_oneof![Just("a"), Just("b"), Just("c")]
            .prop_map(|name| format!("$.parameters.{name}")),
        prop_oneof![Just("a"), Just("b")].prop_map(|name| format!("(index .parameters {name:?})")),
        Just("(index .parameters.tags 1)".to_owned()),
        Just(".parameters.customer.name".to_owned()),
        Just("$v".to_owned()),
        Just("\"x\"".to_owned()),
        prop_oneof![Just("1"), Just("`raw`"), Just("true")].prop_map(str::to_owned),
    ];
    let leaves = leaf.clone().boxed();
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let compare = || {
            prop_oneof![
                Just("eq"),
                Just("ne"),
                Just("lt"),
                Just("le"),
                Just("gt"),
                Just("ge")
            ]
        };
        let choose = prop_oneof![Just("and"), Just("or")];
        let leaf = || leaves.clone();
        prop_oneof![
            2 => (compare(), leaf(), leaf()).prop_map(|(name, a, b)| format!("({name} {a} {b})")),
            1 => (leaf(), leaf(), leaf()).prop_map(|(a, b, c)| format!("(eq {a} {b} {c})")),
            1 => (compare(), inner.clone(), inner.clone()).prop_map(|(name, a, b)| format!("({name} {a} {b})")),
            3 => (choose, inner.clone(), inner.clone()).prop_map(|(name, a, b)| format!("({name} {a} {b})")),
            2 => inner.prop_map(|it| format!("(not {it})")),
        ]
    })
}

fn template() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just("t"),
        Just(" \n u "),
        Just("{ }"),
        Just("{{/* c */}}"),
        Just(" {{- /* d */ -}} ")
    ];
    let leaf = prop_oneof![
        text.prop_map(str::to_owned),
        operand().prop_map(|it| format!("{{{{{it}}}}}")),
        operand().prop_map(|it| format!("p {{{{- {it} -}}}} q")),
        operand().prop_map(|it| format!("{{{{$v := {it}}}}}")),
    ];
    let tree = leaf.prop_recursive(3, 16, 3, |inner| {
        // The dot is rebound inside `with`, so that names begin at `$` there.
        let rooted = inner.clone().prop_map(|it| {
            it.replace("$.parameters", ".parameters")
                .replace(".parameters", "$.parameters")
        });
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("{one}{other}")),
            (operand(), inner.clone(), inner.clone()).prop_map(|(c, one, other)| format!(
                "{{{{if {c}}}}}{one}{{{{else}}}}{other}{{{{end}}}}"
            )),
            (operand(), operand(), inner.clone(), inner.clone()).prop_map(
                |(c, d, one, other)| format!(
                    "{{{{if $v := {c}}}}}{one}{{{{else if {d}}}}}{other}{{{{end}}}}"
                )
            ),
            (operand(), rooted, inner).prop_map(|(c, one, other)| format!(
                "{{{{with {c}}}}}{{{{.}}}}{one}{{{{else}}}}{other}{{{{end}}}}"
            )),
        ]
    });
    tree.prop_map(|it| format!("{{{{$v := .parameters.a}}}}{it}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_template_means_what_it_means_in_go(text in template(), parameters in parameters()) {
        // Inside `with`, the generated dot may be a string, whose fields Go refuses and we take for missing.
        let data = foreign(&json!({"parameters": parameters}));
        let expected = Oracle::new("t").parse(&text).and_then(|it| it.execute_to_string(&data));
        let ours = with_scope(|scope| Template::parse(&text, scope));
        let ours = ours.map_err(|problem| format!("{problem:?}"));
        let ours = ours.and_then(|template| {
            with_values(&Value::Object(parameters), |values| template.render(values)).map_err(|it| format!("{it:?}"))
        });
        match (ours, expected) {
            (Ok(ours), Ok(expected)) => prop_assert_eq!(ours, expected, "{}", text),
            (Err(_), Err(_)) => {}
            (ours, expected) => prop_assert!(false, "{text}: {ours:?}, in Go {expected:?}"),
        }
    }
}
