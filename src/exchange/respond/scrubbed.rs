//! One reply, and the secrets that are taken out of it.
//!
//! What is in hand is masked at once, before anything is read from it; what streams, on its way. Decoding JSON can
//! bring forth what its bytes did not show, so what was read from a reply is masked once more.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::action::Action;
use crate::credential::Place;
use crate::fault::{Fault, FaultKind};
use crate::known::Known;
use crate::scrub::{Forms, Scrubber};

/// What becomes of a reply that holds a known secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnEcho {
    /// The secret is masked.
    #[default]
    Redact,
    /// The reply is refused with [`Code::SecretEchoed`](crate::refusal::Code::SecretEchoed). One that has begun to pass
    /// breaks off.
    Refuse,
}

/// What is looked for in one reply, and how much was found.
#[derive(Clone)]
pub(in crate::exchange) struct Scrub {
    known: Arc<Known>,
    /// As they were when the head of the reply came, or when it was refreshed.
    forms: Arc<Forms>,
    on_echo: OnEcho,
    masked: u64,
    /// Whether the content is in hand and masked.
    is_done: bool,
}

impl Scrub {
    pub(in crate::exchange) fn new(known: &Arc<Known>, on_echo: OnEcho) -> Self {
        Self {
            known: known.clone(),
            forms: known.forms(),
            on_echo,
            masked: 0,
            is_done: false,
        }
    }

    /// Looks for what is known by now: what ends a long stream may hold a secret that its head could not.
    pub(super) fn refresh(&mut self) {
        self.forms = self.known.forms();
    }

    /// Whether there is anything to look for.
    pub(super) fn looks(&self) -> bool {
        !self.forms.is_empty()
    }

    /// Masks the values of headers. A header whose name holds a secret goes.
    pub(super) fn headers(&mut self, headers: &mut HeaderMap) -> Result<(), Fault> {
        if self.forms.is_empty() {
            return Ok(());
        }
        let named = |name: &&HeaderName| self.forms.stand_in_name(name.as_str().as_bytes());
        let named: Vec<HeaderName> = headers.keys().filter(named).cloned().collect();
        let mut masked = named.len() as u64;
        for name in named {
            headers.remove(name);
        }
        for value in headers.values_mut() {
            if !self.forms.stand_in(value.as_bytes()) {
                continue;
            }
            let mut bytes = Bytes::copy_from_slice(value.as_bytes());
            masked += self.forms.mask(&mut bytes);
            *value =
                HeaderValue::from_maybe_shared(bytes).unwrap_or(HeaderValue::from_static("***"));
        }
        self.note(masked)
    }

    /// Masks a content that is there whole.
    pub(super) fn content(&mut self, content: &mut Bytes) -> Result<(), Fault> {
        self.is_done = true;
        let masked = self.forms.mask(content);
        self.note(masked)
    }

    /// Masks what was read from a reply.
    pub(super) fn value(&mut self, value: &mut Value) -> Result<(), Fault> {
        let masked = self.forms.mask_value(value);
        self.note(masked)
    }

    /// For a content that has yet to come; `None` where it is masked already.
    pub(super) fn scrubber(&self) -> Option<Scrubber> {
        (!self.is_done).then(|| Scrubber::new(self.forms.clone()))
    }

    /// What to look for by now: a stream may outlast a token.
    pub(in crate::exchange) fn forms(&self) -> Arc<Forms> {
        self.known.forms()
    }

    /// How many places were masked.
    pub(in crate::exchange) fn masked(&self) -> u64 {
        self.masked
    }

    /// So many places more were masked.
    ///
    /// # Errors
    /// [`FaultKind::Echo`] where none may be.
    pub(in crate::exchange) fn note(&mut self, masked: u64) -> Result<(), Fault> {
        self.masked += masked;
        match self.on_echo {
            OnEcho::Refuse if masked > 0 => Err(Fault::new(
                FaultKind::Echo,
                "the reply holds a known secret, and on_echo is refuse",
            )),
            OnEcho::Refuse | OnEcho::Redact => Ok(()),
        }
    }
}

/// Takes off cookies by which a server renews a session that exeat holds: another secret, which is not known yet.
pub(super) fn drop_sessions(action: &Action, headers: &mut HeaderMap) {
    let places = action.credentials.iter().map(|it| &it.place);
    let sessions: Vec<&str> = places
        .filter_map(|place| match place {
            Place::Cookie(name) => Some(&**name),
            _ => None,
        })
        .collect();
    let owns_all = action
        .credentials
        .iter()
        .any(|it| it.place == Place::Header(COOKIE));
    if sessions.is_empty() && !owns_all || !headers.contains_key(SET_COOKIE) {
        return;
    }
    let is_ours = |line: &HeaderValue| {
        let name = line.as_bytes().split(|byte| *byte == b'=').next();
        let name = name.unwrap_or_default().trim_ascii();
        owns_all || sessions.iter().any(|it| it.as_bytes() == name)
    };
    let lines = headers.get_all(SET_COOKIE).iter();
    let others: Vec<HeaderValue> = lines.filter(|line| !is_ours(line)).cloned().collect();
    headers.remove(SET_COOKIE);
    for line in others {
        headers.append(SET_COOKIE, line);
    }
}
