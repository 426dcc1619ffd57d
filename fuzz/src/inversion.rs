//! Any parameters of any action: what is planned from them is recognised as the same parameters, and planned from these
//! it is the same request.
//!
//! An input is the body of an action and JSON parameters. The body is a template, or nothing for a JSON object of the
//! parameters, `FORM` for a form, or for none `QUERY`, `COMMA` or `BRACKETS`, by how lists stand in the query.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use exeat::action::Action;
use exeat::action::Arguments;
use exeat::action::Content;
use exeat::action::Facts;
use exeat::action::Planned;
use exeat::action::plan;
use exeat::action::recognise;
use exeat::body::Body;
use exeat::name::ActionName;
use exeat::name::EnvironmentName;
use exeat::policy;
use exeat::policy::Policy;
use exeat::request::Caller;
use exeat::request::Destination;
use exeat::request::Door;
use exeat::request::Intent;
use exeat::request::Path;
use exeat::request::Query;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use time::OffsetDateTime;

use super::halves;

/// Of policies that name none.
const ENVIRONMENT: &str = "default";

/// Plans, recognises, and plans again.
pub fn check(bytes: &[u8]) {
    let Some((body, given)) = halves::of(bytes) else {
        return;
    };
    let Some(policy) = policy_with(body) else {
        return;
    };
    let environment = EnvironmentName::parse(ENVIRONMENT).expect("a name");
    let name = ActionName::parse("act").expect("a name");
    let environment = policy.environment(&environment).expect("the only one");
    let action = &environment.actions[&name];
    if let Some(parameters) = checked(action, &given)
        && action.doors.proxy
    {
        check_action(&policy, action, parameters);
    }
}

fn check_action(policy: &Arc<Policy>, action: &Action, parameters: Map<String, Value>) {
    let facts = facts();
    let Ok(planned) = plan(action, arguments(parameters.clone()), &facts) else {
        return;
    };
    let body = content(&planned.body);
    let intent = intent(action, &planned);
    let selected = policy::select(policy, &intent).unwrap_or_else(|refusal| {
        panic!("{refusal:?}: {} {}", planned.path, planned.query);
    });
    let recognised = recognise(
        selected.action(),
        &intent,
        Content::Read(body.clone()),
        &facts,
    )
    .unwrap_or_else(|refusal| panic!("{refusal:?}: {planned:?}"));
    assert!(recognised.replaced.is_empty());

    let host = &intent.destination.host;
    let mut found = recognised.arguments.parameters.clone();
    action.parameters.fill_defaults(&mut found);
    assert_same(&found, &parameters, &planned);
    let permit = policy::decide(selected, host, recognised.arguments, &facts)
        .unwrap_or_else(|refusal| panic!("{refusal:?}: {planned:?}"));
    let again = permit.planned();
    assert_eq!(again.path, planned.path);
    assert_eq!(again.query, planned.query);
    assert_eq!(again.headers, planned.headers);
    assert_eq!(content(&again.body), body);
}

/// Equal but for two things that leave no trace in a request: empty lists outside JSON, which mean nothing, and how a
/// number is written.
fn assert_same(found: &Map<String, Value>, given: &Map<String, Value>, planned: &Planned) {
    let there =
        |(name, value): &(&String, &Value)| found.contains_key(*name) || **value != json!([]);
    let given: Map<_, _> = given
        .iter()
        .filter(there)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let (found, given) = (by_value(&found.clone().into()), by_value(&given.into()));
    assert_eq!(found, given, "{planned:?}");
}

/// A value in which integral numbers are integers, as far as 64 bits hold them.
fn by_value(value: &Value) -> Value {
    /// 2^63: the smallest integer is its negative, and no 64 bits with a sign hold it.
    const EDGE: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Number(number) => match number.as_f64().filter(|it| it.fract() == 0.0) {
            Some(float) if number.is_f64() && (-EDGE..EDGE).contains(&float) => {
                Value::from(float as i64)
            }
            Some(float) if number.is_f64() && (EDGE..2.0 * EDGE).contains(&float) => {
                Value::from(float as u64)
            }
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(by_value).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(key, it)| (key.clone(), by_value(it)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

/// The parameters that the action has, over such as it accepts, with defaults filled in; `None` where it refuses them.
fn checked(action: &Action, given: &Value) -> Option<Map<String, Value>> {
    let mut parameters = Map::new();
    for name in action.parameters.properties() {
        let given = given.get(name).cloned();
        if let Some(value) = given.or_else(|| required(name)) {
            parameters.insert(name.to_owned(), value);
        }
    }
    action.parameters.fill_defaults(&mut parameters);
    let parameters = Value::Object(parameters);
    action.parameters.check(&parameters).ok()?;
    match parameters {
        Value::Object(parameters) => Some(parameters),
        _ => None,
    }
}

/// Names and schemas of parameters: those that the action needs, and others.
const REQUIRED: [(&str, &str); 12] = [
    (
        "pair",
        r#"{"type": "object", "properties": {"left": {"type": "string"}, "right": {"type": "integer"}},
            "required": ["left", "right"]}"#,
    ),
    ("id", r#"{"type": "string"}"#),
    ("part", r#"{"type": "integer"}"#),
    ("text", r#"{"type": "string"}"#),
    ("count", r#"{"type": "integer"}"#),
    ("ratio", r#"{"type": "number"}"#),
    ("flag", r#"{"type": "boolean"}"#),
    ("level", r#"{"enum": ["low", "high"]}"#),
    ("list", r#"{"type": "array", "items": {"type": "string"}}"#),
    (
        "numbers",
        r#"{"type": "array", "items": {"type": "number"}}"#,
    ),
    ("mixed", r#"{"type": ["string", "integer", "null"]}"#),
    (
        "tree",
        r#"{"type": "object", "properties": {"name": {"type": "string"}, "size": {"type": "integer", "default": 1},
            "note": {"type": "string"}, "rest": true}, "required": ["name"]}"#,
    ),
];

/// See [`REQUIRED`].
const OPTIONAL: [(&str, &str); 6] = [
    ("some", r#"{"type": "string", "minLength": 1}"#),
    ("more", r#"{"type": "integer", "minimum": 1}"#),
    (
        "several",
        r#"{"type": "array", "minItems": 1, "items": {"type": "integer"}}"#,
    ),
    ("note", r#"{"type": "string"}"#),
    ("usual", r#"{"type": "string", "default": "as \"ever\""}"#),
    ("yes", r#"{"const": true}"#),
];

/// Those that always stand in the path, the query or a header.
const PLACED: [&str; 5] = ["id", "part", "note", "several", "pair"];

/// A value of a required parameter.
fn required(name: &str) -> Option<Value> {
    REQUIRED
        .iter()
        .any(|(it, _)| *it == name)
        .then(|| match name {
            "id" | "text" => json!("a b"),
            "part" | "count" => json!(-7),
            "ratio" => json!(0.1),
            "flag" => json!(false),
            "level" => json!("low"),
            "list" => json!(["x", ""]),
            "numbers" => json!([1.5, 2]),
            "mixed" => json!("5"),
            "pair" => json!({"left": ">", "right": 0}),
            _ => json!({"name": "Ada"}),
        })
}

/// One action with this body, where that makes a policy.
fn policy_with(body: &str) -> Option<Arc<Policy>> {
    let mut action = json!({
        "description": "Does what the fuzzer asks for.",
        "url": "https://api.good.test/items/{{id}}/part-{{part}}",
        "query": {
            "several": "{{several}}", "kind": "kind {{part}}", "at": "{{current_datetime}}",
            "left": "<{{.parameters.pair.left}}>",
        },
        "headers": {"X-Note": "{{note}}", "X-Right": "{{.parameters.pair.right}}"},
    });
    let mut names: BTreeSet<&str> = PLACED.into();
    let style = ["QUERY", "COMMA", "BRACKETS"]
        .iter()
        .position(|it| *it == body);
    action["method"] = if style.is_some() { "GET" } else { "POST" }.into();
    match (style, body) {
        (Some(style), _) => {
            names.extend(flat());
            if style > 0 {
                action["query_style"] = body.to_ascii_lowercase().into();
            }
        }
        (None, "FORM") => names.extend(flat()),
        (None, "") => names.extend(REQUIRED.iter().chain(&OPTIONAL).map(|(name, _)| *name)),
        (None, template) => {
            action["body"] = template.into();
            let words = template.split(|c: char| !c.is_ascii_alphanumeric());
            let words: BTreeSet<&str> = words.collect();
            let all = REQUIRED.iter().chain(&OPTIONAL).map(|(name, _)| *name);
            names.extend(all.filter(|name| words.contains(name)));
        }
    }
    if body == "FORM" {
        action["content_types"] = json!(["application/x-www-form-urlencoded"]);
    }
    action["parameters"] = schema(&names);
    let text = json!({"version": 1, "actions": {"act": action}}).to_string();
    let loaded = policy::from_texts(&[("act.yaml".to_owned(), text.into_bytes())]);
    loaded.policy.map(Arc::new)
}

/// Parameters that can stand outside JSON.
fn flat() -> impl Iterator<Item = &'static str> {
    let all = REQUIRED.iter().chain(&OPTIONAL).map(|(name, _)| *name);
    all.filter(|name| !["tree", "mixed"].contains(name))
}

fn schema(names: &BTreeSet<&str>) -> Value {
    let declared = |entries: &[(&str, &str)]| -> Vec<(String, Value)> {
        let entries = entries.iter().filter(|(name, _)| names.contains(name));
        let read = |text| serde_json::from_str(text).expect("a schema is JSON");
        entries
            .map(|(name, text)| ((*name).to_owned(), read(text)))
            .collect()
    };
    let required = declared(&REQUIRED);
    let needed: Vec<_> = required.iter().map(|(name, _)| name.clone()).collect();
    let properties: Map<_, _> = required.into_iter().chain(declared(&OPTIONAL)).collect();
    json!({"type": "object", "properties": properties, "required": needed})
}

/// The request as a client sends it that knows what we would send.
fn intent(action: &Action, planned: &Planned) -> Intent {
    let target = Destination::of_absolute("https://api.good.test/").expect("a URL");
    let mut headers = planned.headers.clone();
    headers.remove(http::header::ACCEPT_ENCODING);
    Intent {
        door: Door::Proxy,
        caller: Caller {
            agent: None,
            environment: EnvironmentName::parse(ENVIRONMENT).expect("a name"),
            session: None,
        },
        method: action.method.clone(),
        destination: target.destination,
        path: Path::parse(&planned.path).expect("a planned path is canonical"),
        query: Query::parse(&planned.query).expect("a planned query is canonical"),
        headers,
    }
}

fn content(body: &Body) -> bytes::Bytes {
    match body {
        Body::Empty => bytes::Bytes::new(),
        Body::Bytes(bytes) => bytes.clone(),
        Body::Stream(_) => panic!("what is made from parameters does not stream"),
    }
}

fn arguments(parameters: Map<String, Value>) -> Arguments {
    Arguments {
        parameters,
        ..Arguments::default()
    }
}

fn facts() -> Facts {
    let environment = EnvironmentName::parse(ENVIRONMENT).expect("a name");
    Facts {
        agent_id: "bot".to_owned(),
        agent_name: "Bot \"B\"".to_owned(),
        ..Facts::bare(environment, OffsetDateTime::UNIX_EPOCH, Instant::now())
    }
}
