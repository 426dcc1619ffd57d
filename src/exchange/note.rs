//! What the record is told of a request, and what of it nobody is shown.
//!
//! Texts of the policy are told as they are. What came with a request goes through [`redact`](crate::redact) first,
//! with the secrets that are known at that moment.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value};

use crate::action::{Action, Arguments, Content, Facts, Recognised};
use crate::audit::{Asked, Given, Prepared, Target, Ticket};
use crate::exchange::{Gate, Services};
use crate::name::ActionName;
use crate::policy;
use crate::policy::{Permit, Policy, Selected};
use crate::redact::MARK;
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, Host, Intent};
use crate::trace::Claimed;

impl Services {
    /// The head of a request is read.
    pub fn note_asked(&self, mut asked: Asked, ticket: &mut Ticket) {
        // Somebody may try to carry a secret out in a name.
        let forms = self.known.forms();
        if forms.stand_in_name(asked.destination.host.as_str().as_bytes()) {
            ticket.hide_host();
        }
        if forms.stand_in(asked.method.as_str().as_bytes()) {
            // A token has no brackets.
            asked.method = Method::from_bytes(b"redacted").unwrap_or_default();
        }
        ticket.asked(asked);
    }

    /// What the caller says of its trace is known. One with a secret in its numbers begins anew.
    pub fn note_trace(&self, claimed: Claimed, ticket: &mut Ticket) {
        let forms = self.known.forms();
        ticket.traced(claimed.unless(|text| forms.stand_in(text.as_bytes())));
    }

    /// As far as the parameters of a request may be shown, whether or not they fit their action.
    fn given(&self, action: &Action, parameters: &Map<String, Value>) -> Given {
        let redaction = &self.settings.redaction;
        // What an open schema lets in without naming it is the agent's own word.
        let is_declared = |name: &String| action.parameters.properties().any(|it| it == name);
        let names = match parameters.keys().all(is_declared) {
            true => parameters.keys().cloned().collect(),
            false => {
                let names = parameters.keys().map(String::as_str);
                redaction.names(names, &self.known.forms())
            }
        };
        let values = || redaction.values(action, parameters, &self.known.forms());
        Given {
            names,
            values: self.settings.shows_values.then(values),
        }
    }
}

impl Gate {
    /// Selects, and tells the record where the request went, if its host is one that anybody has declared.
    pub(super) fn select(
        &self,
        policy: &Arc<Policy>,
        intent: &Intent,
        ticket: &mut Ticket,
    ) -> Result<Selected, Refusal> {
        let result = policy::select(policy, intent);
        let path = match &result {
            // A value in the path is a parameter; the record has its name.
            Ok(selected) => Some(selected.action().path.shown().clone()),
            Err(refusal) => match &refusal.hints.action {
                Some(action) => pattern(policy, &intent.caller, action),
                None if matches!(refusal.code, Code::HostUndeclared | Code::PortUndeclared) => None,
                None => Some(self.shown(&intent.path.to_string()).into()),
            },
        };
        let chosen = match &result {
            Ok(selected) => Some(&selected.action().name),
            Err(refusal) => refusal.hints.action.as_ref(),
        };
        if let Some(action) = chosen {
            ticket.selected(action);
        }
        if let Some(path) = path {
            let names = intent.query.pairs().iter().map(|pair| pair.name.as_str());
            let query = self.shown_names(names);
            ticket.targeted(Target { path, query });
        }
        result
    }

    /// Decides, and tells the record what was decided about.
    pub(super) fn decide(
        &self,
        selected: Selected,
        (host, facts): (&Host, &Facts),
        arguments: Arguments,
        ticket: &mut Ticket,
    ) -> Result<Permit, Refusal> {
        let action = selected.action().clone();
        let tell = |parameters: &_| ticket.given(self.services.given(&action, parameters));
        policy::decide_telling(selected, host, arguments, facts, tell)
    }

    pub(super) fn prepared(&self, selected: &Selected, recognised: &Recognised) -> Prepared {
        Prepared {
            replaced: recognised.replaced.clone(),
            dropped: self.shown_headers(recognised),
            unread: !selected.reads_body(),
        }
    }

    /// Names of headers have lost their case.
    fn shown_headers(&self, recognised: &Recognised) -> Vec<String> {
        let forms = self.services.known.forms();
        let dropped = recognised.dropped.iter().map(|it| it.as_str());
        self.shown_names(dropped.map(|it| match forms.stand_in_name(it.as_bytes()) {
            true => MARK,
            false => it,
        }))
    }

    fn shown(&self, text: &str) -> String {
        let forms = self.services.known.forms();
        let redaction = &self.services.settings.redaction;
        redaction.text(text, &forms).into_owned()
    }

    fn shown_names<'n>(&self, names: impl Iterator<Item = &'n str>) -> Vec<String> {
        let mut names = names.peekable();
        if names.peek().is_none() {
            return Vec::new();
        }
        let forms = self.services.known.forms();
        self.services.settings.redaction.names(names, &forms)
    }
}

fn pattern(policy: &Policy, caller: &Caller, action: &ActionName) -> Option<Arc<str>> {
    let environment = policy.environment(&caller.environment)?;
    Some(environment.actions.get(action)?.path.shown().clone())
}

/// A body in hand, for the record of a request in which it turns out that nobody can read it.
pub(super) struct Unparsed(Option<Bytes>);

impl Unparsed {
    pub(super) fn perhaps(content: &Content) -> Self {
        match content {
            Content::Read(bytes) if !bytes.is_empty() => Self(Some(bytes.clone())),
            Content::Read(_) | Content::Unread(_) => Self(None),
        }
    }

    /// Tells the record of it where that is what was refused.
    pub(super) fn note(self, refusal: &Refusal, ticket: &mut Ticket) {
        let is_unread = matches!(
            refusal.code,
            Code::BodyUnexpected
                | Code::ContentTypeRefused
                | Code::ParameterDuplicate
                | Code::RequestMalformed
        );
        if let Some(body) = self.0.filter(|_| is_unread) {
            ticket.unparsed(&body);
        }
    }
}
