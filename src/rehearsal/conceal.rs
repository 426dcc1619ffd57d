//! Values of parameters that nobody is shown, taken out of what is shown.
//!
//! The request that would leave is text by then, and no longer knows which of its bytes were such a value. So every
//! place that holds the same text is hidden: rather one too many than one too few.

use http::HeaderValue;
use serde_json::{Map, Value};

use crate::action::{Action, pointer, scalar_text};
use crate::json;
use crate::policy::Masked;
use crate::request::encode;

/// The values that a request has in concealed places, and the marks that stand for them.
#[derive(Default)]
pub(super) struct Concealed(Vec<(String, String)>);

impl Concealed {
    /// Puts marks in the place of concealed values, and remembers the values.
    pub(super) fn take(&mut self, action: &Action, parameters: &mut Map<String, Value>) {
        for (name, value) in parameters {
            self.take_value(action, (name, &pointer(name)), value);
        }
    }

    fn take_value(&mut self, action: &Action, (name, at): (&str, &str), value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (member, value) in members {
                    let below = format!("{at}{}", pointer(member));
                    self.take_value(action, (name, &below), value);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.take_value(action, (name, &format!("{at}/{index}")), item);
                }
            }
            _ if action.conceals(at) => {
                let mark = format!("<{name}>");
                let text = scalar_text(value).filter(|text| !text.is_empty());
                self.0
                    .extend(text.map(|text| (text.into_owned(), mark.clone())));
                *value = mark.into();
            }
            _ => {}
        }
    }

    /// Hides them in a line.
    pub(super) fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, mark) in &self.0 {
            text = text.replace(value, mark).replace(&encode(value), mark);
        }
        text
    }

    /// Hides them in a request.
    pub(super) fn hide_in(&self, masked: &mut Masked) {
        if self.0.is_empty() {
            return;
        }
        let start = masked.url.find("://").map_or(0, |at| at + 3);
        let end = masked.url[start..].find('/').map(|at| start + at);
        let (host, path) = masked.url.split_at(end.unwrap_or(masked.url.len()));
        masked.url = format!("{host}{}", self.hide(path));
        for value in masked.headers.values_mut() {
            let text = self.hide(&String::from_utf8_lossy(value.as_bytes()));
            *value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("<hidden>"));
        }
        masked.body = match json::parse(&masked.body) {
            Ok(mut body) => {
                self.hide_in_json(&mut body);
                let mut bytes = Vec::new();
                json::write(&body, &mut bytes);
                bytes
            }
            Err(_) => self
                .hide(&String::from_utf8_lossy(&masked.body))
                .into_bytes(),
        };
    }

    fn hide_in_json(&self, value: &mut Value) {
        match value {
            Value::Object(members) => members.values_mut().for_each(|it| self.hide_in_json(it)),
            Value::Array(items) => items.iter_mut().for_each(|it| self.hide_in_json(it)),
            Value::String(text) => *text = self.hide(text),
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) => {
                let text = scalar_text(value);
                let found = self.0.iter().find(|(it, _)| Some(&**it) == text.as_deref());
                if let Some((_, mark)) = found {
                    *value = mark.as_str().into();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};
    use serde_json::json;

    use super::*;
    use crate::name::ActionName;
    use crate::policy::from_texts;

    const POLICY: &str = r#"version: 1
actions:
  pay:
    description: Pays with a card that nobody is shown.
    method: POST
    url: https://pay.good.test/cards/{{card}}
    sensitive: ["$.more.pin"]
    parameters:
      properties:
        card: {type: string, writeOnly: true}
        note: {type: string}
        more: {type: object, properties: {pin: {type: integer}, name: {type: string}}}
        all: {type: array, writeOnly: true, items: {type: string}}
      required: [card]
"#;

    #[test]
    fn what_is_marked_is_hidden_wherever_it_stands() {
        let loaded = from_texts(&[("p.yaml".into(), POLICY.into())]);
        let policy = loaded.policy.unwrap();
        let name = ActionName::parse("pay").unwrap();
        let action = &policy.environments()[0].actions[&name];
        let given = json!({
            "card": "4 1", "note": "as 4 1", "more": {"pin": 77, "name": "Ada"}, "all": ["x1", "x2"],
        });
        let mut parameters = given.as_object().unwrap().clone();
        let mut concealed = Concealed::default();
        concealed.take(action, &mut parameters);
        let expected = json!({
            "card": "<card>", "note": "as 4 1", "more": {"pin": "<more>", "name": "Ada"},
            "all": ["<all>", "<all>"],
        });
        assert_eq!(Value::Object(parameters), expected);
        let mut masked = Masked {
            method: Method::POST,
            url: "https://pay.good.test/cards/4%201".into(),
            headers: HeaderMap::from_iter([(http::header::FROM, HeaderValue::from_static("4 1"))]),
            body: br#"{"note":"as 4 1","more":{"pin":77,"name":"Ada"},"all":["x1"]}"#.to_vec(),
        };
        concealed.hide_in(&mut masked);
        assert_eq!(masked.url, "https://pay.good.test/cards/<card>");
        assert_eq!(masked.headers["from"], "<card>");
        let body = r#"{"note":"as <card>","more":{"pin":"<more>","name":"Ada"},"all":["<all>"]}"#;
        assert_eq!(String::from_utf8(masked.body).unwrap(), body);
    }
}
