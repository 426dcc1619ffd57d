//! What holds for every value: a body stays the JSON that its template draws, and goes back to its parameters.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::bodies::parse;
use super::{inverted, object, with_scope, with_values};
use crate::template::{BodyTemplate, Template};

const TEMPLATE: &str = r#"{
    "k": "{{.static_variables.PROJECT}}", "id": "<{{id}}>", "n": {{count}}, "t": "{{count}}", "r": "{{ratio}}",
    "list": [{{any}}, {"f": "{{flag}}"}, "{{agent_id}}"], "c": {{.parameters.customer}},
    {{- if .parameters.email}} "email": "{{.parameters.email}}", "mail": true, {{- end}} "at": "{{current_datetime}}"
    {{- if .parameters.phone}}, "p": [{{phone}}]{{end}}
}"#;

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        "[\"\\\\{}\\[\\],:\u{1}-\u{1f}]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c\"{]{1,3}", inner, 0..4)
                .prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    })
}

fn parameters() -> impl Strategy<Value = Map<String, Value>> {
    let text = || "[ -~\u{1}-\u{1f}é\u{2028}😀]{0,12}";
    let some = || "[ -~]{1,8}";
    (
        text(),
        any::<i64>(),
        any::<i32>().prop_map(|it| f64::from(it) + 0.5),
        any::<bool>(),
        json(),
        prop::option::of(some()),
        prop::option::of(some()),
    )
        .prop_map(|(id, count, ratio, flag, any, email, phone)| {
            let mut parameters = object(json!({
                "id": id, "count": count, "ratio": ratio, "flag": flag, "any": any, "customer": {"name": id}
            }));
            parameters.extend(email.map(|it| ("email".to_owned(), it.into())));
            parameters.extend(phone.map(|it| ("phone".to_owned(), it.into())));
            parameters
        })
}

fn rendered(template: &BodyTemplate, parameters: &Map<String, Value>) -> String {
    let parameters = Value::Object(parameters.clone());
    with_values(&parameters, |values| template.render(values)).unwrap()
}

/// What a rendering is, with every place of a value blanked.
fn outline(template: &Value) -> Value {
    let mut outline = template.clone();
    for pointer in [
        "/id",
        "/n",
        "/t",
        "/r",
        "/list/0",
        "/list/1/f",
        "/c",
        "/email",
        "/p/0",
    ] {
        if let Some(place) = outline.pointer_mut(pointer) {
            *place = Value::Null;
        }
    }
    outline
}

/// The tokens of a body, into which blocks are put anywhere.
const TOKENS: [&str; 24] = [
    "{",
    "\"a\":",
    "1",
    ",",
    "\"b\":",
    "[",
    "{{count}}",
    ",",
    "2",
    "]",
    ",",
    "\"c\":",
    "{",
    "\"d\":",
    "\"",
    "x",
    "{{id}}",
    "\"",
    "}",
    ",",
    "\"e\":",
    "{{any}}",
    "}",
    " ",
];

/// Blocks around spans of the tokens: where they begin and end, and what stands in their other branch.
fn with_blocks() -> impl Strategy<Value = String> {
    let span = || {
        (
            0..TOKENS.len(),
            1..6_usize,
            prop::option::of((0..TOKENS.len(), 0..5_usize)),
        )
    };
    prop::collection::vec((span(), prop_oneof![Just("flag"), Just("email")]), 0..3).prop_map(
        |blocks| {
            let mut tokens = TOKENS.map(str::to_owned);
            for ((start, length, otherwise), condition) in blocks {
                let end = (start + length - 1).min(TOKENS.len() - 1);
                tokens[start] = format!("{{{{if {condition}}}}}{}", tokens[start]);
                let other = otherwise.map(|(from, length)| {
                    let to = (from + length).min(TOKENS.len());
                    format!("{{{{else}}}}{}", TOKENS[from..to].concat())
                });
                tokens[end] = format!("{}{}{{{{end}}}}", tokens[end], other.unwrap_or_default());
            }
            tokens.concat()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn values_change_a_body_only_in_their_places(one in parameters(), mut other in parameters()) {
        for name in ["email", "phone"] {
            match one.get(name) {
                Some(_) => { other.insert(name.into(), "o".into()); }
                None => { other.remove(name); }
            }
        }
        let template = parse(TEMPLATE).unwrap();
        let read = |text: String| crate::json::parse(text.as_bytes()).ok();
        let (one, other) = (read(rendered(&template, &one)), read(rendered(&template, &other)));
        // The strict reader refuses keys that differ only in case, which a value may have inside.
        if let (Some(one), Some(other)) = (one, other) {
            prop_assert_eq!(outline(&one), outline(&other));
        }
    }

    #[test]
    fn a_body_is_compact_json_whatever_the_values(parameters in parameters()) {
        let text = rendered(&parse(TEMPLATE).unwrap(), &parameters);
        let read: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read.to_string(), text);
    }

    #[test]
    fn what_is_rendered_goes_back_to_its_parameters(parameters in parameters()) {
        let template = parse(TEMPLATE).unwrap();
        let body: Value = serde_json::from_str(&rendered(&template, &parameters)).unwrap();
        let back = with_values(&json!({}), |values| inverted(&template, &body, values));
        prop_assert_eq!(back.as_ref(), Ok(&parameters));
        prop_assert_eq!(rendered(&template, &back.unwrap()), body.to_string());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\{\\{|\\}\\}|if |end|else|with |-|\\.parameters|\\.|a|\\$|v|:=|\"|\\(|\\)|\\[|\\{|:|,| |1|\\\\|é){0,24}") {
        with_scope(|scope| {
            if let Ok(template) = Template::parse(&text, scope) {
                let _ = with_values(&json!({"a": "x"}), |values| template.render(values));
            }
            if let Ok(template) = BodyTemplate::parse(&text, scope)
                && let Ok(body) = with_values(&json!({"a": "x"}), |values| template.render(values))
            {
                assert!(serde_json::from_str::<Value>(&body).is_ok(), "{text}: {body}");
            }
        });
    }

    #[test]
    fn what_loads_is_json_on_every_branch(text in with_blocks()) {
        let Ok(template) = parse(&text) else { return Ok(()) };
        for (flag, email) in [(false, None), (true, None), (false, Some("e")), (true, Some("e"))] {
            let mut parameters = object(json!({"id": "\"x", "count": 1, "any": 5, "flag": flag}));
            parameters.extend(email.map(|it| ("email".to_owned(), it.into())));
            let body = rendered(&template, &parameters);
            prop_assert!(crate::json::parse(body.as_bytes()).is_ok(), "{text}: {body}");
        }
    }
}
