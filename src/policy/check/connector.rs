//! Auth connectors: from `auth:` to one credential for each environment.

use std::collections::HashMap;

use http::HeaderName;

use crate::credential::{Credential, Form, Place as Spot, Source};
use crate::name::ConnectorName;
use crate::policy::check::ground::{Ground, name};
use crate::policy::check::oauth::{self, Endpoint};
use crate::policy::check::told::Told;
use crate::policy::check::{header, leak};
use crate::policy::raw::connector::{ApiKey, Basic, Bearer, Connector as Raw, Part};
use crate::policy::raw::decode::Text;
use crate::policy::raw::fields::Section;
use crate::policy::raw::per_environment::PerEnvironment;
use crate::policy::raw::secret::{Credential as RawCredential, Value};
use crate::problem::Place;

/// Placeholders are looked for inside other values: a short one would be found in ordinary text.
const SHORTEST_PLACEHOLDER: usize = 8;

/// Passwords that APIs prescribe where the secret is the user name. They open nothing.
const FILLERS: [&str; 5] = ["", "x", "X", "api_token", "x-oauth-basic"];

/// A declared connector.
pub(super) struct Connector {
    /// Where its name stands.
    pub(super) place: Place,
    /// By environment: `None` for `type: none`, and where it is wrong.
    pub(super) credentials: Vec<Option<Credential>>,
    /// By environment: where its tokens come from, if it has any.
    pub(super) endpoints: Vec<Option<Endpoint>>,
}

/// The connectors by name.
pub(super) type Connectors<'a> = HashMap<&'a str, Connector>;

/// Reads all connectors.
pub(super) fn read<'a>(ground: &Ground<'a>, told: &mut Told<'_>) -> Connectors<'a> {
    let mut connectors = HashMap::new();
    for (text, raw) in ground.raw.auth.iter() {
        let name = name(text, ConnectorName::parse, told);
        let mut connector = Connector {
            place: text.place.clone(),
            credentials: Vec::new(),
            endpoints: Vec::new(),
        };
        for environment in 0..ground.environments.len() {
            let reader = Reader {
                ground,
                environment,
            };
            let credential = reader.credential(name.as_ref(), raw, told);
            connector.credentials.push(credential);
            connector.endpoints.push(match raw {
                Raw::Oauth2(oauth) => oauth::endpoint(&reader, oauth, told),
                _ => None,
            });
        }
        connectors.insert(text.value.as_str(), connector);
    }
    connectors
}

/// The declared connector of a reference; `None` for `none` and for what is not declared, which is told.
pub(super) fn of<'c>(
    ground: &Ground<'_>,
    connectors: &'c Connectors<'_>,
    reference: &Text,
    told: &mut Told<'_>,
) -> Option<&'c Connector> {
    if reference.value == "none" {
        return None;
    }
    let found = connectors.get(reference.value.as_str());
    if found.is_none() && !ground.raw.auth.is_declared(&reference.value) && !ground.raw.is_partial {
        told.unknown("auth connector", reference, ground.raw.auth.names());
    }
    found
}

/// The placeholders of all connectors in one environment, each once.
pub(super) fn placeholders(connectors: &Connectors<'_>, environment: usize) -> Vec<Box<str>> {
    let credentials = connectors
        .values()
        .filter_map(|it| it.credentials[environment].as_ref());
    let mut placeholders: Vec<_> = credentials
        .filter_map(|it| it.placeholder.clone())
        .collect();
    placeholders.sort();
    placeholders.dedup();
    placeholders
}

/// Reads connectors in one environment.
pub(super) struct Reader<'g, 'a> {
    pub(super) ground: &'g Ground<'a>,
    pub(super) environment: usize,
}

impl Reader<'_, '_> {
    fn credential(
        &self,
        name: Option<&ConnectorName>,
        raw: &Raw,
        told: &mut Told<'_>,
    ) -> Option<Credential> {
        match raw {
            Raw::Bearer(bearer) => self.bearer(bearer, told),
            Raw::Basic(basic) => self.basic(name, basic, told),
            Raw::ApiKey(key) => self.api_key(key, told),
            Raw::Oauth2(oauth) => {
                let placeholder = self.placeholder(oauth.placeholder.as_ref(), told);
                Some(Credential {
                    place: Spot::AUTHORIZATION,
                    form: Form::Prefixed {
                        prefix: "Bearer ".into(),
                        value: Source::Token(name?.clone()),
                    },
                    placeholder,
                })
            }
            Raw::None(_) => None,
        }
    }

    fn bearer(&self, raw: &Bearer, told: &mut Told<'_>) -> Option<Credential> {
        let token = self.of(raw.token.as_ref(), told);
        let value = token.and_then(|RawCredential(value)| self.secret(value, "the token", told));
        let placeholder = self.placeholder(raw.placeholder.as_ref(), told);
        let (prefix, value) = value?;
        Some(Credential {
            place: Spot::AUTHORIZATION,
            form: Form::Prefixed {
                prefix: format!("Bearer {prefix}").into(),
                value,
            },
            placeholder,
        })
    }

    fn basic(
        &self,
        name: Option<&ConnectorName>,
        raw: &Basic,
        told: &mut Told<'_>,
    ) -> Option<Credential> {
        let username = self.of(raw.username.as_ref(), told);
        let username = username.and_then(|value| self.username(value, told));
        let password = self.of(raw.password.as_ref(), told);
        let password = password.and_then(|RawCredential(value)| match (value, &username) {
            (Value::Literal(text), Some(Source::Secret(_)))
                if FILLERS.contains(&text.value.as_str()) =>
            {
                Some(Source::Literal(text.value.as_str().into()))
            }
            _ => self.bare_secret(value, ("the password", &Basic::SECTION), told),
        });
        let placeholder = self.placeholder(raw.placeholder.as_ref(), told);
        Some(Credential {
            place: Spot::AUTHORIZATION,
            form: Form::Basic {
                connector: name?.clone(),
                username: username?,
                password: password?,
            },
            placeholder,
        })
    }

    fn username(&self, value: &Value, told: &mut Told<'_>) -> Option<Source> {
        let Value::Literal(text) = value else {
            return self.bare_secret(value, ("the user name", &Basic::SECTION), told);
        };
        if leak::in_located(text, told) {
            return None;
        }
        let name = self.ground.constant(text, self.environment, told)?;
        if name.contains(':') {
            told.error(
                &text.place,
                "a user name contains no `:`, which ends it (RFC 7617)",
                "put what follows the `:` into `password`, as a secret",
            );
            return None;
        }
        if name.chars().any(char::is_control) {
            let message = "a user name has no control characters";
            told.error(&text.place, message, "remove them");
            return None;
        }
        Some(Source::Literal(name.into()))
    }

    fn api_key(&self, raw: &ApiKey, told: &mut Told<'_>) -> Option<Credential> {
        let part = self.of(raw.part.as_ref(), told).map(|part| part.value);
        let name = self.of(raw.name.as_ref(), told);
        let place = part
            .zip(name)
            .and_then(|(part, name)| spot(part, name, told));
        let value = self.of(raw.value.as_ref(), told);
        let value = value.and_then(|RawCredential(value)| self.secret(value, "the key", told));
        let placeholder = self.placeholder(raw.placeholder.as_ref(), told);
        let (prefix, value) = value?;
        Some(Credential {
            place: place?,
            form: Form::Prefixed { prefix, value },
            placeholder,
        })
    }

    /// A secret with its prefix. Text in its place is a credential in the policy.
    fn secret(&self, value: &Value, what: &str, told: &mut Told<'_>) -> Option<(Box<str>, Source)> {
        match value {
            Value::Literal(text) => {
                told.leak(&text.place, what);
                None
            }
            Value::Secret(secret) => {
                let prefix = prefix(secret.prefix.as_ref(), told);
                let name = secret.secret.as_ref()?;
                let name = self.ground.secret(name, self.environment, told)?;
                Some((prefix?, Source::Secret(name)))
            }
        }
    }

    /// As [`Self::secret`], where a prefix has no place.
    pub(super) fn bare_secret(
        &self,
        value: &Value,
        (what, of): (&str, &Section),
        told: &mut Told<'_>,
    ) -> Option<Source> {
        if let Value::Secret(secret) = value
            && let Some(prefix) = &secret.prefix
        {
            let message = format!("{what} has no prefix in {}", of.what);
            told.error(
                &prefix.place,
                message,
                "remove it, or make it part of the secret",
            );
        }
        let (_, source) = self.secret(value, what, told)?;
        Some(source)
    }

    fn placeholder(
        &self,
        raw: Option<&PerEnvironment<Text>>,
        told: &mut Told<'_>,
    ) -> Option<Box<str>> {
        let text = self.of(raw, told)?;
        if leak::in_located(text, told) {
            return None;
        }
        // Without what JSON escapes, so that it is found in a body as it stands.
        let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
        if !text.value.bytes().all(is_plain) || text.value.len() < SHORTEST_PLACEHOLDER {
            let message = format!(
                "a placeholder has at least {SHORTEST_PLACEHOLDER} characters: letters, digits and signs, but no `\"` or `\\`"
            );
            told.error(
                &text.place,
                message,
                "choose something unmistakable, such as `none-here`",
            );
            return None;
        }
        Some(text.value.as_str().into())
    }

    pub(super) fn of<'v, T>(
        &self,
        value: Option<&'v PerEnvironment<T>>,
        told: &mut Told<'_>,
    ) -> Option<&'v T> {
        self.ground.of(value?, self.environment, told)
    }
}

/// What stands before a secret.
pub(super) fn prefix(text: Option<&Text>, told: &mut Told<'_>) -> Option<Box<str>> {
    let Some(text) = text else {
        return Some("".into());
    };
    if leak::in_located(text, told) {
        return None;
    }
    if !text.value.bytes().all(|b| matches!(b, b' '..=b'~')) {
        let message = "a prefix has only printable ASCII characters";
        told.error(&text.place, message, "write a word such as `Token `");
        return None;
    }
    Some(text.value.as_str().into())
}

fn spot(part: Part, name: &Text, told: &mut Told<'_>) -> Option<Spot> {
    match part {
        Part::Header => {
            let header = header::declared(name, told)?;
            if header == http::header::COOKIE {
                let message = "a cookie has a name of its own";
                told.error(
                    &name.place,
                    message,
                    "write `in: cookie` and the cookie's name",
                );
                return None;
            }
            Some(Spot::Header(header))
        }
        Part::Query => query_name(name, told).map(Spot::Query),
        // RFC 6265 §4.1.1: the name of a cookie is a token, as the name of a header is.
        Part::Cookie if HeaderName::from_bytes(name.value.as_bytes()).is_ok() => {
            Some(Spot::Cookie(name.value.as_str().into()))
        }
        Part::Cookie => {
            let message = format!("`{}` is not the name of a cookie", name.value);
            told.error(&name.place, message, "write letters, digits, `-` and `_`");
            None
        }
        Part::Body => member_name(name, told).map(Spot::Body),
    }
}

fn member_name(name: &Text, told: &mut Told<'_>) -> Option<Box<str>> {
    let is_odd = name.value.is_empty() || name.value.chars().any(char::is_control);
    if is_odd || name.value.contains("{{") {
        let message = "a member of a body has a fixed name, without control characters";
        told.error(&name.place, message, "write its name");
        return None;
    }
    Some(name.value.as_str().into())
}

/// The name of a query parameter.
pub(super) fn query_name(name: &Text, told: &mut Told<'_>) -> Option<Box<str>> {
    if name.value.is_empty() || name.value.chars().any(char::is_control) {
        let message = "a query parameter has a name, without control characters";
        told.error(&name.place, message, "write its name");
        return None;
    }
    if name.value.contains("{{") {
        let message = "the name of a query parameter is no template";
        told.error(&name.place, message, "write its name");
        return None;
    }
    Some(name.value.as_str().into())
}

/// The credential of a header or query entry with a secret.
pub(super) fn of_entry(
    ground: &Ground<'_>,
    environment: usize,
    spot: Spot,
    value: &Value,
    told: &mut Told<'_>,
) -> Option<Credential> {
    let reader = Reader {
        ground,
        environment,
    };
    let (prefix, value) = reader.secret(value, "a credential", told)?;
    Some(Credential {
        place: spot,
        form: Form::Prefixed { prefix, value },
        placeholder: None,
    })
}
