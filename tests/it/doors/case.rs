//! An action that was made up, with parameters for it, and the request that a program would send for them.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// A request as a program sends it: method, target behind the host, headers, body.
#[derive(Debug)]
pub(super) struct Proxied {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) headers: Vec<String>,
    pub(super) body: String,
}

/// Where a parameter stands in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Path,
    Query,
    Header,
    /// In no declared place: in the body, or in the query of a method without one.
    Rest,
    /// In a template of the body.
    Template,
}

/// What a parameter can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    Texts,
    Object,
}

#[derive(Clone, Debug)]
struct Parameter {
    name: String,
    place: Place,
    kind: Kind,
    /// Its value; none for one that is left out, which is so optional.
    value: Option<Value>,
}

/// An action, and parameters for it; not all of them are good.
#[derive(Clone, Debug)]
pub(super) struct Case {
    method: &'static str,
    parameters: Vec<Parameter>,
    auth: &'static str,
    is_form: bool,
}

/// Every way to show a credential.
pub(super) const POLICY: &str = r#"
version: 1
secrets: {good_token: {env: A}, two_key: {env: B}}
auth:
  bearer: {type: bearer, token: {secret: good_token}}
  basic: {type: basic, username: bot, password: {secret: good_token}}
  query: {type: api_key, in: query, name: key, value: {secret: two_key}}
  header: {type: api_key, in: header, name: X-Key, value: {secret: two_key, prefix: "Key "}}
  cookie: {type: api_key, in: cookie, name: key, value: {secret: two_key}}
  body: {type: api_key, in: body, name: key, value: {secret: two_key}}
"#;

impl Case {
    fn has_body(&self) -> bool {
        !["GET", "DELETE"].contains(&self.method)
    }

    fn at(&self, place: Place) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(move |it| it.place == place)
    }

    /// The parameters that stand in the body, by whatever way.
    fn in_body(&self) -> Vec<&Parameter> {
        let inside = |it: &&Parameter| matches!(it.place, Place::Rest | Place::Template);
        self.parameters
            .iter()
            .filter(inside)
            .filter(|_| self.has_body())
            .collect()
    }

    pub(super) fn policy(&self) -> String {
        let schema = |it: &Parameter| (it.name.clone(), it.kind.schema());
        let properties: Map<String, Value> = self.parameters.iter().map(schema).collect();
        let required = self.parameters.iter().filter(|it| it.value.is_some());
        let required: Vec<&String> = required.map(|it| &it.name).collect();
        let path: String = self
            .at(Place::Path)
            .map(|it| format!("/x{{{{{}}}}}", it.name))
            .collect();
        let placed = |place, prefix: &str| -> Map<String, Value> {
            let named = |it: &Parameter| {
                (
                    format!("{prefix}{}", it.name),
                    json!(format!("{{{{{}}}}}", it.name)),
                )
            };
            self.at(place).map(named).collect()
        };
        let mut headers = placed(Place::Header, "X-");
        headers.insert("X-Conversation".into(), json!("of {{conversation_id}}"));
        let mut query = placed(Place::Query, "q_");
        query.insert("fixed".into(), json!("a b&c"));
        let mut action = json!({
            "description": "Does what the test wants.", "method": self.method, "auth": self.auth,
            "url": format!("https://api.good.test/v1{path}/end"), "headers": headers, "query": query,
            "parameters": {"type": "object", "properties": properties, "required": required},
        });
        if let Some(template) = self.template(|it| format!("{{{{{}}}}}", it.name)) {
            action["body"] = template.into();
        }
        if self.is_form {
            action["content_types"] =
                json!(["application/x-www-form-urlencoded", "application/json"]);
        }
        format!("{POLICY}actions: {}\n", json!({"act": action}))
    }

    /// The template of the body, filled in so.
    fn template(&self, fill: impl Fn(&Parameter) -> String) -> Option<String> {
        let members: Vec<String> = self
            .at(Place::Template)
            .map(|it| match it.kind {
                Kind::Text => format!(r#""{0}": {{"t": "{1}"}}"#, it.name, fill(it)),
                _ => format!(r#""{0}": [{1}, "more"]"#, it.name, fill(it)),
            })
            .collect();
        (!members.is_empty()).then(|| format!(r#"{{"kind": "note", {}}}"#, members.join(", ")))
    }

    pub(super) fn parameters(&self) -> Value {
        let given = self.parameters.iter();
        let given = given.filter_map(|it| Some((it.name.clone(), it.value.clone()?)));
        Value::Object(given.collect())
    }

    /// The same as a program would send it that knows the API: in another spelling and another order than ours.
    pub(super) fn proxied(&self) -> Proxied {
        let value = |it: &Parameter| it.value.clone().unwrap_or_default();
        let path = self
            .at(Place::Path)
            .map(|it| format!("/x{}", encode(&text(&value(it)))));
        let mut query: Vec<String> = Vec::new();
        for it in self.parameters.iter().rev() {
            let name = match it.place {
                Place::Query => format!("q_{}", it.name),
                Place::Rest if !self.has_body() => it.name.clone(),
                _ => continue,
            };
            let values = match value(it) {
                Value::Null => Vec::new(),
                Value::Array(values) => values,
                one => vec![one],
            };
            query.extend(
                values
                    .iter()
                    .map(|it| format!("{name}={}", encode(&text(it)))),
            );
        }
        let mut target = format!("/v1{}/end", path.collect::<String>());
        query.push("fixed=%61+b%26c".into());
        target += &format!("?{}", query.join("&"));
        let given = self.at(Place::Header).filter(|it| it.value.is_some());
        let mut headers: Vec<String> = given
            .map(|it| format!("x-{}: {}", it.name, text(&value(it))))
            .collect();
        let body = self.written_body();
        if !body.is_empty() {
            headers.push("Content-Type: application/json; charset=UTF-8".into());
        }
        Proxied {
            method: self.method,
            target,
            headers,
            body,
        }
    }

    fn written_body(&self) -> String {
        let inside = self.in_body();
        let value = |it: &Parameter| it.value.clone().unwrap_or_default();
        let fill = |it: &Parameter| match it.kind {
            // Inside the quotes of the template.
            Kind::Text => {
                let quoted = value(it).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            _ => value(it).to_string(),
        };
        if let Some(filled) = self.template(fill) {
            return filled;
        }
        let given = inside.iter().rev().filter(|it| it.value.is_some());
        let members: Vec<String> = given
            .map(|it| format!("{:?} : {:#}", it.name, value(it)))
            .collect();
        match inside.is_empty() {
            true => String::new(),
            false => format!("{{\n{}\n}}", members.join(" ,\n")),
        }
    }
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Integer => json!({"type": "integer"}),
            Self::Number => json!({"type": "number"}),
            Self::Boolean => json!({"type": "boolean"}),
            Self::Texts => json!({"type": "array", "items": {"type": "string"}}),
            Self::Object => {
                let sides = json!({"w": {"type": "number"}, "h": {"type": "array", "items": {"type": "integer"}}});
                json!({"type": "object", "properties": sides})
            }
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        // As people write a number that is whole.
        Value::Number(number) => number.as_f64().unwrap().to_string(),
        other => other.to_string(),
    }
}

/// Everything but letters and digits, in small letters, and a space as a form has it where that is allowed too.
pub(super) fn encode(text: &str) -> String {
    let byte = |it: u8| match it {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(it).to_string(),
        _ => format!("%{it:02x}"),
    };
    text.bytes().map(byte).collect()
}

/// What a text is where it may be anything.
const ANY: &str = "[a-zA-Z0-9 .;:%?&=#+~'\"<>@,\u{e9}\u{6f22}\u{1f600}-]{1,12}";
/// What changes a path where it is not looked at.
const ODD: [&str; 9] = [
    "..", ".", "a/b", "../admin", "..;", "%2e%2e", "a\\b", "a?x=1", "a%2Fb",
];

fn value(place: Place, kind: Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Text if place == Place::Header => "[!-~]{1,8}".prop_map(Value::from).boxed(),
        Kind::Text => prop_oneof![
            6 => ANY.prop_map(Value::from),
            1 => select(&ODD[..]).prop_map(Value::from),
        ]
        .boxed(),
        Kind::Integer => any::<i32>().prop_map(Value::from).boxed(),
        Kind::Number => any::<i16>()
            .prop_map(|it| json!(f64::from(it) / 4.0))
            .boxed(),
        Kind::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Texts => prop::collection::vec(ANY, 1..4)
            .prop_map(Value::from)
            .boxed(),
        Kind::Object => (any::<i16>(), prop::collection::vec(any::<i32>(), 0..3))
            .prop_map(|(w, h)| json!({"w": f64::from(w) / 4.0, "h": h}))
            .boxed(),
    }
}

fn parameter(
    number: usize,
    places: Vec<Place>,
    is_form: bool,
    is_json: bool,
) -> BoxedStrategy<Parameter> {
    use Kind::{Boolean, Integer, Number, Object, Text, Texts};
    select(places)
        .prop_flat_map(move |place| {
            let kinds = match place {
                Place::Path | Place::Header | Place::Template => {
                    vec![Text, Text, Integer, Number, Boolean]
                }
                Place::Rest if is_json && !is_form => {
                    vec![Text, Integer, Number, Boolean, Texts, Object]
                }
                _ => vec![Text, Integer, Number, Boolean, Texts],
            };
            (Just(place), select(kinds))
        })
        .prop_flat_map(move |(place, kind)| {
            let may_be_missing = matches!(place, Place::Query | Place::Header | Place::Rest);
            let value = value(place, kind);
            let value = match may_be_missing {
                true => prop::option::of(value).boxed(),
                false => value.prop_map(Some).boxed(),
            };
            (Just(place), Just(kind), value)
        })
        .prop_map(move |(place, kind, value)| Parameter {
            name: format!("p{number}"),
            place,
            kind,
            value,
        })
        .boxed()
}

pub(super) fn cases() -> impl Strategy<Value = Case> {
    let method = select(vec!["GET", "DELETE", "POST", "PUT", "PATCH"]);
    let shape = (method, any::<bool>(), any::<bool>(), 0..6_usize);
    shape.prop_flat_map(|(method, is_template, wants_form, count)| {
        let has_body = !["GET", "DELETE"].contains(&method);
        let rest = match has_body && is_template {
            true => Place::Template,
            false => Place::Rest,
        };
        let is_form = has_body && !is_template && wants_form;
        let places = vec![Place::Path, Place::Query, Place::Header, rest, rest];
        let parameters: Vec<_> = (0..count)
            .map(|number| parameter(number, places.clone(), is_form, has_body))
            .collect();
        (
            parameters,
            select(vec![
                "bearer", "basic", "query", "header", "cookie", "body", "none",
            ]),
        )
            .prop_map(move |(parameters, auth)| {
                let mut case = Case {
                    method,
                    parameters,
                    auth,
                    is_form,
                };
                case.is_form &= !case.in_body().is_empty();
                // A key in a body that there is not is an error of the policy.
                if auth == "body" && case.in_body().is_empty() {
                    case.auth = "none";
                }
                case
            })
    })
}
