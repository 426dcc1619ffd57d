//! Any text as a template, with any values: it renders or says why not, a body is the JSON that its template draws, and
//! no value is more than a value in its place.

use std::collections::HashMap;

use exeat::schema::ScalarType;
use exeat::template::BodyTemplate;
use exeat::template::Context;
use exeat::template::Inverted;
use exeat::template::Kind;
use exeat::template::Known;
use exeat::template::Parameter;
use exeat::template::Scope;
use exeat::template::Template;
use exeat::template::Values;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::halves;

/// Reads the text as both kinds of template, and renders what can be read.
pub fn check(bytes: &[u8]) {
    let Some((text, given)) = halves::of(bytes) else {
        return;
    };
    let given = Given::of(given);
    let statics = HashMap::from([("PROJECT".to_owned(), "EX \"1\"".to_owned())]);
    let text_kind = Kind::Scalar(ScalarType::String);
    let context = |sensitive| Context {
        kind: text_kind,
        sensitive,
    };
    let scope = Scope {
        parameters: &declared,
        statics: &statics,
        context: &HashMap::from([
            ("contact.name".to_owned(), context(false)),
            ("contact.email".to_owned(), context(true)),
        ]),
    };
    if let Ok(template) = Template::parse(text, &scope) {
        check_text(&template, &given);
    }
    if let Ok(template) = BodyTemplate::parse(text, &scope) {
        check_body(&template, &given);
        if !compares(text) {
            check_outline(&template, &given);
        }
    }
}

/// What a text template renders to goes back to the one parameter in it.
fn check_text(template: &Template, given: &Given) {
    let Ok(rendered) = given.look(|values| template.render(values)) else {
        return;
    };
    if let Some(literal) = template.literal() {
        assert_eq!(rendered, literal);
    }
    if template.obstacle().is_some() {
        return;
    }
    let again = match given.look(|values| printed(template.invert(&rendered, values))) {
        Printed::Nothing => panic!("{rendered:?} is no rendering of {template:?}"),
        Printed::Fixed => return,
        Printed::Parameter(names, text) => given.with(&names, text.into()),
    };
    let again = again.look(|values| template.render(values));
    assert_eq!(again.as_ref(), Ok(&rendered));
}

/// What was found in a rendering, by value.
enum Printed {
    Nothing,
    Fixed,
    Parameter(Vec<String>, String),
}

fn printed(inverted: Inverted<'_>) -> Printed {
    match inverted {
        Inverted::Different => Printed::Nothing,
        Inverted::Equal => Printed::Fixed,
        Inverted::Parameter(name, text) => {
            Printed::Parameter(vec![name.to_owned()], text.to_owned())
        }
        Inverted::Property(names, text) => Printed::Parameter(names.to_vec(), text.to_owned()),
    }
}

/// A body is compact JSON, and only a template that can be inverted takes it apart.
fn check_body(template: &BodyTemplate, given: &Given) {
    let Ok(rendered) = given.look(|values| template.render(values)) else {
        return;
    };
    let body = read(&rendered);
    assert!(is_compact(&rendered), "{rendered}");
    let inverted = given.look(|values| template.invert(&body, values));
    assert!(template.is_invertible().is_ok() || inverted.is_err());
}

/// Other texts in the same values change the body's texts and nothing else.
fn check_outline(template: &BodyTemplate, given: &Given) {
    let other = given.varied();
    let one = given.look(|values| template.render(values));
    let two = other.look(|values| template.render(values));
    assert_eq!(one.is_ok(), two.is_ok(), "{one:?} {two:?}");
    if let (Ok(one), Ok(two)) = (one, two) {
        assert_eq!(outline(&read(&one)), outline(&read(&two)), "{one} {two}");
    }
}

/// Whether no blanks stand outside strings. (Numbers of the template keep their spelling.)
fn is_compact(json: &str) -> bool {
    let (mut in_string, mut is_escaped) = (false, false);
    json.bytes().all(|byte| {
        match byte {
            b'"' if !is_escaped => in_string = !in_string,
            b' ' | b'\t' | b'\n' | b'\r' if !in_string => return false,
            _ => {}
        }
        is_escaped = in_string && byte == b'\\' && !is_escaped;
        true
    })
}

fn read(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// A value without its texts: keys, lengths of lists, and everything that is no text.
fn outline(value: &Value) -> Value {
    match value {
        Value::String(_) => Value::from("text"),
        Value::Array(items) => items.iter().map(outline).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(key, it)| (key.clone(), outline(it)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

/// Whether an action names a function whose result a text inside a value can change. Names are written out here: that
/// a parameter has the name of one costs a check and nothing else.
fn compares(text: &str) -> bool {
    let functions = ["eq", "ne", "lt", "le", "gt", "ge", "index"];
    let actions = text.split("{{").skip(1);
    let words = actions.flat_map(|it| it.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    words.into_iter().any(|word| functions.contains(&word))
}

/// The parameters that a template may name.
fn declared(names: &[&str]) -> Option<Parameter> {
    let scalar = |kind, certain, truthy| Parameter {
        certain,
        truthy,
        kind: Kind::Scalar(kind),
    };
    let of_kind = |kind| Parameter {
        kind,
        ..Parameter::ASSUMED
    };
    Some(match names {
        ["id" | "city" | "user-id"] | ["tree", "name"] => scalar(ScalarType::String, true, false),
        ["email"] => scalar(ScalarType::String, false, true),
        ["note"] | ["tree", "nick"] => scalar(ScalarType::String, false, false),
        ["count"] => scalar(ScalarType::Integer, true, false),
        ["ratio"] => scalar(ScalarType::Number, true, false),
        ["flag"] => scalar(ScalarType::Boolean, true, false),
        ["any"] | ["any", ..] => of_kind(Kind::Untyped),
        ["list" | "tree"] => of_kind(Kind::Structured),
        ["unsure"] => Parameter::ASSUMED,
        _ => return None,
    })
}

/// What the values of a rendering are made of.
struct Given {
    parameters: Map<String, Value>,
    session: Map<String, Value>,
    context: Map<String, Value>,
}

impl Given {
    /// The parameters of an input, over values that fit what is declared.
    fn of(given: Value) -> Self {
        let mut parameters = object(json!({
            "id": "\",\"x\":\"", "city": "Tromsø\n", "user-id": "u", "email": "a@b.example", "count": 7, "ratio": 0.5,
            "flag": true, "any": {"a": ["}}", {"b": null}]}, "list": ["{{", 1, [2]],
            "tree": {"name": "\\", "nick": "\u{2028}"}, "unsure": 1e300
        }));
        if let Value::Object(given) = given {
            parameters.extend(given);
        }
        Self {
            parameters,
            session: object(json!({"ticket": {"key": "EX-7", "parts": ["a\"", ""]}, "n": 3})),
            context: object(json!({"contact.name": "Ada \"A\""})),
        }
    }

    /// The same values but for the one under these names.
    fn with(&self, names: &[String], value: Value) -> Self {
        let mut parameters = Value::Object(self.parameters.clone());
        let place = names.iter().fold(&mut parameters, |it, name| &mut it[name]);
        *place = value;
        Self {
            parameters: object(parameters),
            session: self.session.clone(),
            context: self.context.clone(),
        }
    }

    /// The same values, as true and as false as before, with other texts.
    fn varied(&self) -> Self {
        Self {
            parameters: object(varied(&self.parameters.clone().into())),
            session: object(varied(&self.session.clone().into())),
            context: object(varied(&self.context.clone().into())),
        }
    }

    fn look<T>(&self, look: impl FnOnce(&Values<'_>) -> T) -> T {
        look(&Values {
            parameters: &self.parameters,
            session: &self.session,
            context: &self.context,
            known: &known,
        })
    }
}

fn varied(value: &Value) -> Value {
    match value {
        Value::String(text) if text.is_empty() => value.clone(),
        Value::String(text) => Value::from(format!("{text}\",\"added\":[\\\u{1}\n")),
        Value::Array(items) => items.iter().map(varied).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(key, it)| (key.clone(), varied(it)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

fn known(known: Known) -> Option<String> {
    let text = match known {
        Known::CurrentDatetime => "2026-11-20T08:00:00Z",
        Known::AgentId => "bot",
        Known::AgentName => "Bot \"B\"",
        Known::Environment => "production",
        Known::SessionId | Known::ConversationId => return None,
    };
    Some(text.to_owned())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}
