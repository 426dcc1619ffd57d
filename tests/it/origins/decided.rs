//! What exeat decided on, taken from its audit record and turned into what a server has to read.

use serde_json::{Map, Value, json};

use super::host;
use super::programs::Kind;
use super::reading::Pairs;
use super::sends::Asked;

/// Headers that make some servers see another request; and one that WSGI takes for `X-Word`.
const NEVER: [&str; 4] = [
    "x-forwarded-host",
    "x-original-url",
    "x-http-method-override",
    "x_word",
];

/// A request as every server has to read it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decided {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Pairs,
    /// All values of some headers.
    pub(super) headers: Vec<(&'static str, Vec<String>)>,
    pub(super) content: Content,
}

/// What a request carries.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Bytes(Vec<u8>),
    Json(Value),
    Form(Pairs),
}

impl Decided {
    pub(super) fn of(kind: &Kind, record: &Value, asked: &Asked) -> Self {
        let mut values = record["values"].as_object().cloned().unwrap_or_default();
        let mut take = |name: &str| values.remove(name).map(|it| text(&it));
        let id = take("id").unwrap();
        let path = match asked.action {
            "item" => format!("/items/{id}/{}", take("path").unwrap()),
            action => format!("/{}/{id}", folder(action)),
        };
        let mut headers = vec![("host", vec![host(kind.name)])];
        headers.extend(NEVER.map(|name| (name, Vec::new())));
        if asked.action == "item" {
            headers.push(("x-word", take("word").into_iter().collect()));
        }
        let content = match asked.action {
            "note" => Content::Json(note(&mut values)),
            "object" => Content::Json(Value::Object(std::mem::take(&mut values))),
            "form" => Content::Form(pairs(&std::mem::take(&mut values))),
            "bytes" => Content::Bytes(asked.body.clone()),
            _ => Content::Bytes(Vec::new()),
        };
        let media_type = match content {
            Content::Json(_) => Some("application/json".to_owned()),
            Content::Form(_) => Some("application/x-www-form-urlencoded".to_owned()),
            Content::Bytes(_) => None,
        };
        if asked.action != "bytes" {
            headers.push(("content-type", media_type.into_iter().collect()));
        }
        Self {
            method: asked.method().to_owned(),
            path,
            query: match asked.action {
                "comma" => joined(&values),
                "bracket" => bracketed(pairs(&values)),
                _ => pairs(&values),
            },
            headers,
            content,
        }
    }

    /// Whether the same was decided for another server.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        (&self.path, &self.query, &self.content) == (&other.path, &other.query, &other.content)
    }
}

/// What the templates make of their parameters; that of the query is left in its place.
fn note(values: &mut Map<String, Value>) -> Value {
    let [name, n] = ["name", "n"].map(|it| values.remove(it).unwrap());
    for about in values.values_mut() {
        *about = format!("a {} b", text(about)).into();
    }
    json!({"note": {"text": format!("<{}>", text(&name)), "n": n}, "fixed": "é"})
}

fn folder(action: &str) -> String {
    match action {
        "bytes" => action.to_owned(),
        _ => format!("{action}s"),
    }
}

/// Values as a query or a form has them.
fn pairs(values: &Map<String, Value>) -> Pairs {
    let mut pairs = Pairs::new();
    for (name, value) in values {
        match value {
            Value::Array(items) => pairs.extend(items.iter().map(|it| (name.clone(), text(it)))),
            scalar => pairs.push((name.clone(), text(scalar))),
        }
    }
    pairs
}

/// Each list in one entry.
fn joined(values: &Map<String, Value>) -> Pairs {
    let lists = values
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_array()?)));
    let join = |items: &Vec<Value>| items.iter().map(text).collect::<Vec<_>>().join(",");
    lists
        .map(|(name, items)| (name.clone(), join(items)))
        .collect()
}

fn bracketed(pairs: Pairs) -> Pairs {
    let pairs = pairs.into_iter();
    pairs.map(|(name, value)| (name + "[]", value)).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
