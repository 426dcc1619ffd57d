//! The second decision: from parameters to a permit.

use http::Method;
use serde_json::{Map, Value};

use crate::action::requires::Requirement;
use crate::action::{self, Action, Arguments, Facts, WireBody};
use crate::body::Body;
use crate::policy::index::Found;
use crate::policy::permit::Permit;
use crate::policy::{Environment, Selected};
use crate::refusal::{Code, Refusal};
use crate::request::{Destination, Host, HostPattern, Path};

/// Decides about the parameters of a selected action. This is the only place where a [`Permit`] is made.
///
/// `host` is the host that was asked for, which matters only to an action of several hosts.
///
/// # Errors
/// What the schema, a placeholder in the wrong place, a precondition, or the shape of the rendered request speaks
/// against.
pub fn decide(
    selected: Selected,
    host: &Host,
    arguments: Arguments,
    facts: &Facts,
) -> Result<Permit, Refusal> {
    decide_telling(selected, host, arguments, facts, |_| {})
}

/// As [`decide`], and tells the parameters as they are decided about, with their defaults, also where they are refused.
///
/// # Errors
/// As [`decide`].
pub fn decide_telling(
    selected: Selected,
    host: &Host,
    mut arguments: Arguments,
    facts: &Facts,
    tell: impl FnOnce(&Map<String, Value>),
) -> Result<Permit, Refusal> {
    let action = selected.action().clone();
    let destination = destination(&action, host)?;
    let decided = (|| {
        let checked = check_parameters(&action, &mut arguments);
        tell(&arguments.parameters);
        checked?;
        let environment = selected
            .policy()
            .environment(&selected.caller().environment);
        let environment = environment.ok_or_else(|| internal("the environment is gone"))?;
        refuse_placeholders(environment, &arguments)?;
        refuse_unmet(&action, &arguments.parameters, facts)?;
        let remembered = remembered(&action, &arguments.parameters);
        let planned = action::plan(&action, arguments, facts)?;
        // A rendered path always fits the pattern that it was rendered from; the tests look it up all the same.
        let look_up = || refuse_other_action(environment, &action, &destination, &planned.path);
        match selected.is_unrivalled_at(&destination.host) {
            true => debug_assert!(look_up().is_ok(), "{}", planned.path),
            false => look_up()?,
        }
        Ok((planned, remembered))
    })();
    let decided = decided.map_err(|refusal: Refusal| refusal.of_action(&action.name))?;
    Ok(Permit::new(selected, destination, decided))
}

/// Of several requirements the first that is not met is told: that is the one to begin with.
pub(super) fn refuse_unmet(
    action: &Action,
    parameters: &Map<String, Value>,
    facts: &Facts,
) -> Result<(), Refusal> {
    let is_unmet = |it: &&Requirement| !it.is_met(&facts.attempts, parameters, facts.instant);
    match action.requires.iter().find(is_unmet) {
        None => Ok(()),
        Some(unmet) => Err(unmet.refusal(facts.session_id.is_some())),
    }
}

/// The parameters by which the call can be found again, if other actions require this one.
fn remembered(action: &Action, parameters: &Map<String, Value>) -> Option<Map<String, Value>> {
    let names = action.remembered.as_ref()?;
    let found = names
        .iter()
        .filter_map(|name| Some((name.clone(), parameters.get(name)?.clone())));
    Some(found.collect())
}

pub(super) fn destination(action: &Action, host: &Host) -> Result<Destination, Refusal> {
    if !action.host.covers(host) {
        return Err(internal("the action was selected for another host"));
    }
    let host = match &action.host {
        HostPattern::Exact(exact) => exact.clone(),
        HostPattern::OneLabel(_) => host.clone(),
    };
    Ok(Destination {
        scheme: action.scheme,
        host,
        port: action.port,
    })
}

/// Defaults first, so that what is checked is what is sent.
pub(super) fn check_parameters(action: &Action, arguments: &mut Arguments) -> Result<(), Refusal> {
    let mut parameters = std::mem::take(&mut arguments.parameters);
    let schema = action.schema_of(arguments);
    schema.fill_defaults(&mut parameters);
    // A default of theirs would be bound, or remembered, as if the body had said it.
    let absent = action.absent_from(arguments);
    parameters.retain(|name, _| !absent.contains(name));
    let parameters = Value::Object(parameters);
    let checked = schema.check(&parameters);
    let checked = checked.map_err(|violation| match action.conceals(&violation.pointer) {
        true => violation.without_values(),
        false => violation,
    });
    if let Value::Object(parameters) = parameters {
        arguments.parameters = parameters;
    }
    Ok(checked?)
}

/// A placeholder in its own place was taken out with everything else there. What is left was put somewhere else, where
/// it would tell the upstream that an agent was talked into misplacing a key.
pub(super) fn refuse_placeholders(
    environment: &Environment,
    arguments: &Arguments,
) -> Result<(), Refusal> {
    for placeholder in &environment.placeholders {
        let in_parameters = arguments
            .parameters
            .iter()
            .any(|(name, value)| name.contains(&**placeholder) || mentions(value, placeholder));
        let in_headers = arguments
            .forwarded
            .values()
            .any(|value| memchr::memmem::find(value.as_bytes(), placeholder.as_bytes()).is_some());
        // A body that streams is passed on unread.
        let in_body = matches!(&arguments.wire, Some(WireBody { body: Body::Bytes(bytes), .. })
            if memchr::memmem::find(bytes, placeholder.as_bytes()).is_some());
        if in_parameters || in_headers || in_body {
            return Err(Refusal::new(
                Code::PlaceholderMisplaced,
                "the placeholder of a credential stands where it does not belong; leave it out, exeat adds the credential",
            ));
        }
    }
    Ok(())
}

fn mentions(value: &Value, text: &str) -> bool {
    match value {
        Value::String(string) => string.contains(text),
        Value::Array(elements) => elements.iter().any(|it| mentions(it, text)),
        Value::Object(members) => members
            .iter()
            .any(|(name, it)| name.contains(text) || mentions(it, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Literal beats placeholder at every door: `/users/me` is never reached by calling `/users/{{id}}` with `me`.
pub(super) fn refuse_other_action(
    environment: &Environment,
    action: &Action,
    destination: &Destination,
    path: &str,
) -> Result<(), Refusal> {
    let path = Path::parse(path).map_err(|_| internal("a rendered path is not canonical"))?;
    let method: &Method = &action.method;
    match environment
        .index
        .find(&destination.host, destination.port, method, &path)
    {
        Found::Action(winner, _) if winner.name == action.name => Ok(()),
        Found::Action(winner, _) => Err(Refusal::new(
            Code::ParameterInvalid,
            format!(
                "with these values the path is that of the action {}",
                winner.name
            ),
        )),
        _ => Err(internal("a rendered path fits no action")),
    }
}

fn internal(what: &str) -> Refusal {
    Refusal::new(Code::Internal, what)
}
