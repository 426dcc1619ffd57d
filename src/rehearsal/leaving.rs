//! The request that would leave, with marks in the places of its secrets.

use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Map, Value, json};

use crate::body::Body;
use crate::credential::{Credential, Form, Place, Source};
use crate::json;
use crate::policy::Permit;

/// A request as it would be written, but for its secrets: `<its_name>` for each, `Basic <connector>`, `Bearer
/// <connector>`.
#[derive(Clone, Debug)]
pub struct Leaving {
    /// Its method.
    pub method: Method,
    /// Scheme, host, port where it is not the scheme's own, path and query.
    pub url: String,
    /// All headers but `Host` and framing.
    pub headers: HeaderMap,
    /// Its content.
    pub body: Vec<u8>,
}

impl Leaving {
    /// What a permit would send.
    pub fn of(permit: &Permit) -> Self {
        let planned = permit.planned();
        let mut leaving = Self {
            method: planned.method.clone(),
            url: format!("{}{}", permit.destination(), planned.path),
            headers: planned.headers.clone(),
            body: match &planned.body {
                Body::Bytes(bytes) => bytes.to_vec(),
                Body::Empty | Body::Stream(_) => Vec::new(),
            },
        };
        if !planned.query.is_empty() {
            leaving.url.push('?');
            leaving.url.push_str(&planned.query);
        }
        for credential in &permit.action().credentials {
            leaving.mark(credential);
        }
        leaving
    }

    fn mark(&mut self, credential: &Credential) {
        let mark = mark(&credential.form);
        match &credential.place {
            Place::Header(name) => {
                if let Ok(value) = HeaderValue::from_str(&mark) {
                    self.headers.insert(name.clone(), value);
                }
            }
            Place::Cookie(name) => {
                if let Ok(value) = HeaderValue::from_str(&format!("{name}={mark}")) {
                    self.headers.insert(http::header::COOKIE, value);
                }
            }
            Place::Query(name) => {
                self.url
                    .push(if self.url.contains('?') { '&' } else { '?' });
                self.url.push_str(&format!("{name}={mark}"));
            }
            Place::Body(name) => {
                if let Ok(Value::Object(mut object)) = json::parse(&self.body) {
                    object.insert(name.to_string(), mark.into());
                    self.body.clear();
                    json::write(&Value::Object(object), &mut self.body);
                }
            }
        }
    }

    /// The body as JSON where it is JSON, else as text; `null` for none.
    pub fn content(&self) -> Value {
        content(&self.body)
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let mut headers = Map::new();
        for name in self.headers.keys() {
            let values = self.headers.get_all(name).iter();
            let values: Vec<_> = values
                .map(|it| String::from_utf8_lossy(it.as_bytes()))
                .collect();
            headers.insert(name.to_string(), values.join(", ").into());
        }
        json!({
            "method": self.method.as_str(), "url": self.url, "headers": headers, "body": self.content(),
        })
    }
}

/// JSON where it is JSON, else text; `null` for nothing.
pub(super) fn content(bytes: &[u8]) -> Value {
    match bytes {
        [] => Value::Null,
        bytes => json::parse(bytes)
            .unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into()),
    }
}

fn mark(form: &Form) -> String {
    let of = |source: &Source| match source {
        Source::Literal(text) => text.to_string(),
        Source::Secret(name) => format!("<{name}>"),
        Source::Token(name) => format!("<{name}>"),
    };
    match form {
        Form::Prefixed { prefix, value } => format!("{prefix}{}", of(value)),
        Form::Basic { password, .. } => format!("Basic {}", of(password)),
    }
}
