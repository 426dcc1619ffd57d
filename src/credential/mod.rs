//! Credentials: where an action's secrets stand in a request, and how they are written there.
//!
//! A credential names secrets and tokens; it never holds one. The values come from the vault and from token endpoints
//! when a request is permitted.

mod oauth;
mod telltale;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::fault::{Fault, FaultKind};
use crate::name::{ConnectorName, SecretName};
use crate::request::encode_into;
use crate::secret::Secret;

pub use oauth::{
    BadAnswer, ClientAuth, DEFAULT_LIFETIME, Grant, Granted, LONGEST_LIFETIME, MAX_ANSWER,
    TokenRequest, read_answer,
};
pub use telltale::{
    is_credential_header, is_credential_query, is_secret_name, secret_names, secrets_in,
};

/// One credential of an action: from its auth connector, or a header or query entry with a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The place that is exeat's alone: whatever the agent sends there is taken out.
    pub place: Place,
    /// What is written there.
    pub form: Form,
    /// What an agent that must have some key may hold in its stead.
    pub placeholder: Option<Box<str>>,
}

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A header; names of headers have no case.
    Header(HeaderName),
    /// A query parameter.
    Query(Box<str>),
    /// A cookie, and with it the whole `Cookie` header.
    Cookie(Box<str>),
    /// The last member of a JSON object, or the last field of a form.
    Body(Box<str>),
}

impl Place {
    /// Bearer and Basic stand here.
    pub const AUTHORIZATION: Self = Self::Header(AUTHORIZATION);

    /// The header that the place takes for itself, if any.
    pub fn header(&self) -> Option<&HeaderName> {
        match self {
            Self::Header(name) => Some(name),
            Self::Cookie(_) => Some(&COOKIE),
            Self::Query(_) | Self::Body(_) => None,
        }
    }

    /// The query parameter that the place takes for itself, if any.
    pub fn query(&self) -> Option<&str> {
        match self {
            Self::Query(name) => Some(name),
            _ => None,
        }
    }

    /// The member of the body that the place takes for itself, if any.
    pub fn member(&self) -> Option<&str> {
        match self {
            Self::Body(name) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Query(name) => write!(f, "query {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
            Self::Body(name) => write!(f, "body {name}"),
        }
    }
}

/// How a value is made from secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A prefix such as `Bearer `, then the value.
    Prefixed {
        /// Public text.
        prefix: Box<str>,
        /// What follows it.
        value: Source,
    },
    /// `Basic`, and the base64 of `username:password` (RFC 7617 §2).
    Basic {
        /// Whose it is, for people who may not see the rest.
        connector: ConnectorName,
        /// Without a colon, which would move the border between the two.
        username: Source,
        /// Anything that a secret may be.
        password: Source,
    },
}

/// Where a part of a credential comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Written in the policy, such as a user name.
    Literal(Box<str>),
    /// Fetched from the vault for each request.
    Secret(SecretName),
    /// The token of an OAuth connector.
    Token(ConnectorName),
}

impl Source {
    /// The secret that it is, if it is one.
    pub fn secret(&self) -> Option<&SecretName> {
        match self {
            Self::Secret(name) => Some(name),
            Self::Literal(_) | Self::Token(_) => None,
        }
    }
}

/// The secrets of one request, fetched.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    secrets: Vec<(SecretName, Secret)>,
    token: Option<(ConnectorName, Secret)>,
}

impl Secrets {
    /// Adds a fetched secret.
    pub fn insert(&mut self, name: SecretName, secret: Secret) {
        self.secrets.push((name, secret));
    }

    /// Sets the token of the request's connector, in place of any before it.
    pub fn set_token(&mut self, connector: ConnectorName, token: Secret) {
        self.token = Some((connector, token));
    }

    fn get<'a>(&'a self, source: &'a Source) -> Result<&'a [u8], Fault> {
        let missing =
            |what: String| Fault::new(FaultKind::Internal, format!("the {what} was not fetched"));
        match source {
            Source::Literal(text) => Ok(text.as_bytes()),
            Source::Secret(name) => {
                let found = self.secrets.iter().find(|(it, _)| it == name);
                found
                    .map(|(_, secret)| secret.expose())
                    .ok_or_else(|| missing(format!("secret {name}")))
            }
            Source::Token(name) => {
                let found = self.token.as_ref().filter(|(it, _)| it == name);
                found
                    .map(|(_, token)| token.expose())
                    .ok_or_else(|| missing(format!("token of {name}")))
            }
        }
    }
}

/// The parts of a request into which credentials are written.
#[derive(Default)]
pub struct Draft {
    /// All headers but `Host` and framing.
    pub headers: HeaderMap,
    /// The query, without `?`.
    pub query: Zeroizing<String>,
    /// The body, where a credential stands in it.
    pub fields: Option<Fields>,
}

/// A body that has room for one field more.
pub enum Fields {
    /// A JSON object, compact.
    Json(Zeroizing<Vec<u8>>),
    /// `application/x-www-form-urlencoded`.
    Form(Zeroizing<String>),
}

impl Credential {
    /// The secrets it is made of.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        let (first, second) = match &self.form {
            Form::Prefixed { value, .. } => (value, None),
            Form::Basic {
                username, password, ..
            } => (username, Some(password)),
        };
        [Some(first), second]
            .into_iter()
            .flatten()
            .filter_map(Source::secret)
    }

    /// The connector whose token it is, if it is one.
    pub fn token(&self) -> Option<&ConnectorName> {
        match &self.form {
            Form::Prefixed {
                value: Source::Token(connector),
                ..
            } => Some(connector),
            _ => None,
        }
    }

    /// Writes the credential into a request's headers, or at the end of its query or body.
    ///
    /// # Errors
    /// [`FaultKind::Secret`] where a value cannot stand in its place.
    pub fn write(&self, secrets: &Secrets, draft: &mut Draft) -> Result<(), Fault> {
        let value = self.form.value(secrets)?;
        match &self.place {
            Place::Header(name) => {
                let value = self.header_value(value)?;
                draft.headers.insert(name.clone(), value);
            }
            Place::Cookie(name) => {
                let cookie = self.cookie(name, &value)?;
                draft.headers.insert(COOKIE, self.header_value(cookie)?);
            }
            Place::Query(name) => self.append_pair(name, &value, &mut draft.query)?,
            Place::Body(name) => match &mut draft.fields {
                Some(Fields::Form(form)) => self.append_pair(name, &value, form)?,
                Some(Fields::Json(object)) => self.append_member(name, &value, object)?,
                None => return Err(no_fields()),
            },
        }
        Ok(())
    }

    /// The bytes are zeroed when the last copy of the value is dropped.
    fn header_value(&self, bytes: Zeroizing<Vec<u8>>) -> Result<HeaderValue, Fault> {
        // Blanks at an end are no part of a header's value (RFC 9110 §5.5): the server would read, and perhaps repeat,
        // another secret than the one that is looked for in its replies.
        if bytes.trim_ascii().len() < bytes.len() {
            return Err(self.unfit("a header"));
        }
        let value = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes));
        let mut value = value.map_err(|_| self.unfit("a header"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// RFC 6265 §4.1.1 has no way to write other characters than these in a cookie.
    fn cookie(&self, name: &str, value: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let octet = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'"' | b',' | b';' | b'\\');
        if !value.iter().all(octet) {
            return Err(self.unfit("a cookie"));
        }
        Ok(Zeroizing::new([name.as_bytes(), b"=", value].concat()))
    }

    fn append_pair(&self, name: &str, value: &[u8], pairs: &mut String) -> Result<(), Fault> {
        let text = std::str::from_utf8(value).map_err(|_| self.unfit("a query or form"))?;
        if !pairs.is_empty() {
            pairs.push('&');
        }
        encode_into(name, pairs);
        pairs.push('=');
        encode_into(text, pairs);
        Ok(())
    }

    fn append_member(&self, name: &str, value: &[u8], object: &mut Vec<u8>) -> Result<(), Fault> {
        let text = std::str::from_utf8(value).map_err(|_| self.unfit("JSON"))?;
        if object.pop() != Some(b'}') {
            return Err(no_fields());
        }
        if object.last() != Some(&b'{') {
            object.push(b',');
        }
        // Strings are written without a copy, so that none of the value is left behind.
        serde_json::to_writer(&mut *object, name).map_err(|_| no_fields())?;
        object.push(b':');
        serde_json::to_writer(&mut *object, text).map_err(|_| no_fields())?;
        object.push(b'}');
        Ok(())
    }

    fn unfit(&self, place: &str) -> Fault {
        Fault::new(
            FaultKind::Secret,
            format!("the credential for {} cannot stand in {place}", self.place),
        )
    }
}

/// A policy with such an action is not loaded.
fn no_fields() -> Fault {
    Fault::new(
        FaultKind::Internal,
        "the body has no room for its credential",
    )
}

impl Form {
    fn value(&self, secrets: &Secrets) -> Result<Zeroizing<Vec<u8>>, Fault> {
        match self {
            Self::Prefixed { prefix, value } => {
                let value = secrets.get(value)?;
                Ok(Zeroizing::new([prefix.as_bytes(), value].concat()))
            }
            Self::Basic {
                username, password, ..
            } => {
                let (username, password) = (secrets.get(username)?, secrets.get(password)?);
                if username.contains(&b':') {
                    return Err(Fault::new(
                        FaultKind::Secret,
                        "the user name of a Basic credential holds a colon",
                    ));
                }
                let pair = Zeroizing::new([username, b":", password].concat());
                let encoded = Zeroizing::new(STANDARD.encode(&*pair));
                Ok(Zeroizing::new(
                    [&b"Basic "[..], encoded.as_bytes()].concat(),
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(place: Place, form: Form, secret: &[u8]) -> Result<(HeaderMap, String), FaultKind> {
        let credential = Credential {
            place,
            form,
            placeholder: None,
        };
        let mut secrets = Secrets::default();
        for name in credential.secrets() {
            secrets.insert(name.clone(), Secret::new(secret.to_vec()).unwrap());
        }
        let mut draft = Draft {
            query: Zeroizing::new("q=1".to_owned()),
            ..Draft::default()
        };
        credential
            .write(&secrets, &mut draft)
            .map(|()| (draft.headers, draft.query.to_string()))
            .map_err(|fault| fault.kind)
    }

    fn written_into(fields: Fields, secret: &[u8]) -> Result<String, FaultKind> {
        let credential = Credential {
            place: Place::Body("api\"key".into()),
            form: prefixed(""),
            placeholder: None,
        };
        let mut secrets = Secrets::default();
        let name = SecretName::parse("s").unwrap();
        secrets.insert(name, Secret::new(secret.to_vec()).unwrap());
        let mut draft = Draft {
            fields: Some(fields),
            ..Draft::default()
        };
        credential
            .write(&secrets, &mut draft)
            .map_err(|fault| fault.kind)?;
        Ok(match draft.fields.unwrap() {
            Fields::Form(form) => form.to_string(),
            Fields::Json(object) => String::from_utf8(object.to_vec()).unwrap(),
        })
    }

    fn secret() -> Source {
        Source::Secret(SecretName::parse("s").unwrap())
    }

    fn prefixed(prefix: &str) -> Form {
        Form::Prefixed {
            prefix: prefix.into(),
            value: secret(),
        }
    }

    #[test]
    fn each_place_has_its_encoding() {
        let (headers, query) =
            written(Place::AUTHORIZATION, prefixed("Bearer "), b"t&=\"").unwrap();
        assert_eq!(headers[AUTHORIZATION], "Bearer t&=\"");
        assert!(headers[AUTHORIZATION].is_sensitive());
        assert_eq!(query, "q=1");

        let (headers, query) =
            written(Place::Query("key".into()), prefixed(""), b"a&b=+%;\"\\").unwrap();
        assert!(headers.is_empty());
        assert_eq!(query, "q=1&key=a%26b%3D%2B%25%3B%22%5C");

        let (headers, _) = written(Place::Cookie("sid".into()), prefixed(""), b"a=b").unwrap();
        assert_eq!(headers[COOKIE], "sid=a=b");

        let form = Form::Basic {
            connector: ConnectorName::parse("c").unwrap(),
            username: Source::Literal("Aladdin".into()),
            password: secret(),
        };
        let (headers, _) = written(Place::AUTHORIZATION, form, b"open sesame").unwrap();
        assert_eq!(headers[AUTHORIZATION], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn a_body_gets_its_credential_as_the_last_field() {
        let json = |text: &str| Fields::Json(Zeroizing::new(text.as_bytes().to_vec()));
        let form = |text: &str| Fields::Form(Zeroizing::new(text.to_owned()));
        for (fields, expected) in [
            (json("{}"), r#"{"api\"key":"a&b=+%;\"\\é"}"#),
            (json(r#"{"q":1}"#), r#"{"q":1,"api\"key":"a&b=+%;\"\\é"}"#),
            (form(""), "api%22key=a%26b%3D%2B%25%3B%22%5C%C3%A9"),
            (form("q=1"), "q=1&api%22key=a%26b%3D%2B%25%3B%22%5C%C3%A9"),
        ] {
            let written = written_into(fields, "a&b=+%;\"\\é".as_bytes());
            assert_eq!(written.as_deref(), Ok(expected));
        }
        assert_eq!(written_into(json("[1]"), b"k"), Err(FaultKind::Internal));
        assert_eq!(written_into(json("{}"), b"\xff"), Err(FaultKind::Secret));
        assert_eq!(written_into(form(""), b"\xff"), Err(FaultKind::Secret));
    }

    #[test]
    fn a_value_that_does_not_fit_is_never_sent() {
        for value in [&b"a;b"[..], b"a b", b"a\"b", b"a\\b", b"\xff"] {
            let place = Place::Cookie("sid".into());
            assert_eq!(
                written(place, prefixed(""), value).err(),
                Some(FaultKind::Secret)
            );
        }
        assert!(written(Place::Query("k".into()), prefixed(""), b"\xff").is_err());
        let colon = Form::Basic {
            connector: ConnectorName::parse("c").unwrap(),
            username: secret(),
            password: secret(),
        };
        assert!(written(Place::AUTHORIZATION, colon, b"a:b").is_err());
    }
}
