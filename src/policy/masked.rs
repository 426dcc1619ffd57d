//! A permitted request as people may see it: the one that would leave, with the names of its secrets for their values.

use std::fmt;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};
use memchr::memmem;
use serde_json::{Map, Value, json};

use crate::action::Planned;
use crate::body::Body;
use crate::credential::{Form, Secrets};
use crate::fault::{Fault, FaultKind};
use crate::json;
use crate::policy::Permit;
use crate::secret::Secret;

/// A request that is shown and not sent: `<name>` stands for each secret, `<connector>` for a token, and
/// `Basic <connector>` for Basic credentials, whose base64 would hide both.
#[derive(Clone, Debug, PartialEq)]
pub struct Masked {
    /// The action's.
    pub method: Method,
    /// Whole: scheme, host, path and query.
    pub url: String,
    /// Everything but `Host` and framing.
    pub headers: HeaderMap,
    /// Empty for none, and for one that is passed on unread.
    pub body: Vec<u8>,
}

impl Permit {
    /// The request as it would leave. It goes the way of every request, [`Permit::equip`], with marks for secrets.
    ///
    /// # Errors
    /// [`FaultKind::Internal`].
    pub fn masked(&self) -> Result<Masked, Fault> {
        let mut marks = Marks::absent_from(self.planned());
        let mut secrets = Secrets::default();
        for name in self.secrets() {
            secrets.insert(name.clone(), marks.of(name)?);
        }
        if let Some(connector) = self.token() {
            secrets.set_token(connector.clone(), marks.of(connector)?);
        }
        let body = self.planned().body.copy().unwrap_or_default();
        let outgoing = self.with_body(body).equip(&secrets)?;
        let destination = outgoing.destination().clone();
        let (head, body) = outgoing.into_request()?.into_parts();
        let mut masked = Masked {
            method: head.method,
            url: marks.named(&format!("{destination}{}", head.uri)),
            headers: marks.named_in(&head.headers)?,
            body: marks.named(&text(&body)).into_bytes(),
        };
        masked.hide_basic(self)?;
        Ok(masked)
    }
}

impl Masked {
    /// The content as JSON where it is that, else as text; null for none.
    pub fn content(&self) -> Value {
        match self.body.as_slice() {
            [] => Value::Null,
            bytes => json::parse(bytes)
                .unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into()),
        }
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let mut headers = Map::new();
        for name in self.headers.keys() {
            let values: Vec<_> = self.headers.get_all(name).iter().map(printable).collect();
            headers.insert(name.to_string(), values.join(", ").into());
        }
        json!({
            "method": self.method.as_str(),
            "url": self.url,
            "headers": headers,
            "body": self.content(),
        })
    }

    fn hide_basic(&mut self, permit: &Permit) -> Result<(), Fault> {
        for credential in &permit.action().credentials {
            if let Form::Basic { connector, .. } = &credential.form {
                let name = credential.place.header().unwrap_or(&AUTHORIZATION);
                let value = HeaderValue::try_from(format!("Basic <{connector}>"));
                let value = value.map_err(|_| unfit())?;
                self.headers.insert(name.clone(), value);
            }
        }
        Ok(())
    }
}

/// As it is written on a wire, but for its framing.
impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)?;
        for (name, value) in &self.headers {
            write!(f, "\n{name}: {}", printable(value))?;
        }
        if !self.body.is_empty() {
            write!(f, "\n\n{}", String::from_utf8_lossy(&self.body))?;
        }
        Ok(())
    }
}

/// Words that stand for secrets until everything is written: letters and digits, which no place changes, and nothing
/// that the request holds already.
struct Marks {
    stem: String,
    names: Vec<String>,
}

impl Marks {
    fn absent_from(planned: &Planned) -> Self {
        let body = match &planned.body {
            Body::Bytes(bytes) => bytes,
            Body::Empty | Body::Stream(_) => &Bytes::new(),
        };
        let headers = || planned.headers.values().map(HeaderValue::as_bytes);
        let places = [planned.path.as_bytes(), planned.query.as_bytes(), body];
        let mut number = 0_u64;
        loop {
            let stem = format!("mark{number}x");
            let mut all = places.into_iter().chain(headers());
            if !all.any(|it| memmem::find(it, stem.as_bytes()).is_some()) {
                return Self {
                    stem,
                    names: Vec::new(),
                };
            }
            number += 1;
        }
    }

    fn of(&mut self, name: impl fmt::Display) -> Result<Secret, Fault> {
        let mark = format!("{}{}x", self.stem, self.names.len());
        self.names.push(format!("<{name}>"));
        Secret::new(mark.into_bytes()).map_err(|_| unfit())
    }

    fn named(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (index, name) in self.names.iter().enumerate() {
            text = text.replace(&format!("{}{index}x", self.stem), name);
        }
        text
    }

    fn named_in(&self, headers: &HeaderMap) -> Result<HeaderMap, Fault> {
        let mut named = HeaderMap::new();
        for (name, value) in headers {
            let value = match value.is_sensitive() {
                true => HeaderValue::try_from(self.named(&printable(value))),
                false => Ok(value.clone()),
            };
            named.append(name.clone(), value.map_err(|_| unfit())?);
        }
        Ok(named)
    }
}

fn text(body: &Body) -> String {
    match body {
        Body::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Body::Empty | Body::Stream(_) => String::new(),
    }
}

fn printable(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn unfit() -> Fault {
    Fault::new(FaultKind::Internal, "a name cannot stand for its secret")
}
