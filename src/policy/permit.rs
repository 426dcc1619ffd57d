//! Permission as a value: a [`Permit`] cannot be made but by deciding, nor an [`Outgoing`] but from a permit.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::action::{Action, ContentRule, MediaType, Planned};
use crate::body::Body;
use crate::credential::{Credential, Draft, Fields, Secrets};
use crate::fault::{Fault, FaultKind};
use crate::name::{ActionName, AgentName, ConnectorName, SecretName};
use crate::policy::{Network, Policy, Selected};
use crate::rate::Rate;
use crate::request::{Caller, Destination};
use crate::trace::{TRACEPARENT, Trace};

/// A request that was decided upon and may be sent once its credentials are there.
///
/// Only `policy::decide` makes one:
///
/// ```compile_fail
/// use exeat::policy::Permit;
/// fn forge(parts: (exeat::policy::Selected, exeat::request::Destination, exeat::action::Planned)) -> Permit {
///     Permit::new(parts.0, parts.1, (parts.2, None))
/// }
/// ```
#[derive(Debug)]
pub struct Permit {
    selected: Selected,
    destination: Destination,
    planned: Planned,
    remembered: Option<Map<String, Value>>,
}

impl Permit {
    pub(super) fn new(
        selected: Selected,
        destination: Destination,
        (planned, remembered): (Planned, Option<Map<String, Value>>),
    ) -> Self {
        Self {
            selected,
            destination,
            planned,
            remembered,
        }
    }

    /// Who asked.
    pub fn caller(&self) -> &Caller {
        self.selected.caller()
    }

    /// What a session has to note before the request is sent, where other actions require this one: its name, and the
    /// parameters that they bind.
    pub fn remembered(&self) -> Option<(&ActionName, &Map<String, Value>)> {
        Some((&self.action().name, self.remembered.as_ref()?))
    }

    /// The action.
    pub fn action(&self) -> &Arc<Action> {
        self.selected.action()
    }

    /// The policy that permits it.
    pub fn policy(&self) -> &Arc<Policy> {
        self.selected.policy()
    }

    /// Where it goes.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The request as it will leave, but for the credentials.
    pub fn planned(&self) -> &Planned {
        &self.planned
    }

    /// The secrets that have to be fetched.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        let credentials = self.action().credentials.iter();
        credentials.flat_map(|credential| credential.secrets())
    }

    /// How often this may be done: all limits that hold, the narrowest first.
    pub fn rates(&self) -> impl Iterator<Item = &Arc<Rate>> {
        self.selected.rates()
    }

    /// The connector whose token has to be fetched, if there is one.
    pub fn token(&self) -> Option<&ConnectorName> {
        self.action().credentials.iter().find_map(Credential::token)
    }

    /// Tells the server which trace this belongs to, unless the action has words of its own there.
    pub fn tell(&mut self, trace: &Trace) {
        let headers = &mut self.planned.headers;
        headers.entry(TRACEPARENT).or_insert(trace.header());
    }

    /// The same permit, for sending the request once more where that does no harm: it is idempotent (RFC 9110 §9.2.2),
    /// and its body is in hand.
    pub fn again(&self) -> Option<Self> {
        let body = self.planned.body.copy();
        let body = body.filter(|_| self.action().idempotent())?;
        Some(self.with_body(body))
    }

    /// The same permit with the same content, which is handed over since it may not be there twice.
    pub(super) fn with_body(&self, body: Body) -> Self {
        let planned = &self.planned;
        let planned = Planned {
            method: planned.method.clone(),
            path: planned.path.clone(),
            query: planned.query.clone(),
            headers: planned.headers.clone(),
            body,
        };
        Self::new(
            self.selected.clone(),
            self.destination.clone(),
            (planned, self.remembered.clone()),
        )
    }

    /// Puts the credentials in. What the agent had in their places is not in a planned request.
    ///
    /// # Errors
    /// A secret that cannot stand in its place.
    pub fn equip(self, secrets: &Secrets) -> Result<Outgoing, Fault> {
        let Planned {
            method,
            path,
            query,
            headers,
            body,
        } = self.planned;
        let action = self.selected.action();
        let mut draft = Draft {
            headers,
            query: Zeroizing::new(query),
            fields: fields(action, &body),
        };
        for credential in &action.credentials {
            credential.write(secrets, &mut draft)?;
        }
        let mut target = Zeroizing::new(path);
        if !draft.query.is_empty() {
            target.push('?');
            target.push_str(&draft.query);
        }
        Ok(Outgoing {
            selected: self.selected,
            destination: self.destination,
            method,
            target,
            headers: draft.headers,
            body: draft.fields.map_or(body, into_body),
        })
    }
}

/// The body as fields, where a credential belongs into it.
fn fields(action: &Action, body: &Body) -> Option<Fields> {
    let mut places = action.credentials.iter().map(|it| &it.place);
    let (ContentRule::Object(types) | ContentRule::Template(types, _), true) = (
        &action.content,
        places.any(|place| place.member().is_some()),
    ) else {
        return None;
    };
    let bytes = match body {
        Body::Empty => &[][..],
        Body::Bytes(bytes) => bytes,
        Body::Stream(_) => return None,
    };
    match types.first() {
        Some(MediaType::Form) => {
            let form = String::from_utf8(bytes.to_vec()).ok()?;
            Some(Fields::Form(Zeroizing::new(form)))
        }
        _ => Some(Fields::Json(Zeroizing::new(bytes.to_vec()))),
    }
}

/// The bytes are zeroed when the last copy of the body is dropped.
fn into_body(fields: Fields) -> Body {
    Body::Bytes(match fields {
        Fields::Json(object) => Bytes::from_owner(object),
        Fields::Form(mut form) => {
            Bytes::from_owner(Zeroizing::new(std::mem::take(&mut *form).into_bytes()))
        }
    })
}

/// A request with its credentials: the only thing that is sent.
///
/// Only a permit becomes one:
///
/// ```compile_fail
/// use exeat::policy::Outgoing;
/// fn forge(outgoing: Outgoing) -> Outgoing {
///     Outgoing { method: http::Method::DELETE, ..outgoing }
/// }
/// ```
pub struct Outgoing {
    selected: Selected,
    destination: Destination,
    method: Method,
    target: Zeroizing<String>,
    headers: HeaderMap,
    body: Body,
}

impl Outgoing {
    /// Where it goes.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Which addresses it may go to.
    pub fn network(&self) -> &Arc<Network> {
        self.selected.policy().network()
    }

    /// The action.
    pub fn action(&self) -> &Arc<Action> {
        self.selected.action()
    }

    /// Whose request it is.
    pub fn agent(&self) -> Option<&AgentName> {
        self.selected.caller().agent.as_ref()
    }

    /// The message as it is written, but for `Host` and framing. A query credential stands in its target in clear.
    ///
    /// # Errors
    /// [`FaultKind::Internal`]: a rendered target is a target, or planning is wrong.
    pub fn into_request(self) -> Result<Request<Body>, Fault> {
        // Zeroed when the last copy of it is dropped.
        let target = Uri::from_maybe_shared(Bytes::from_owner(self.target))
            .map_err(|_| Fault::new(FaultKind::Internal, "the rendered target is not one"))?;
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = target;
        *request.headers_mut() = self.headers;
        Ok(request)
    }
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outgoing({} {})", self.method, self.destination)
    }
}
