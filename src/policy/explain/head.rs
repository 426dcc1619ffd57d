//! What `select` and `choose` look at.

use crate::action::Action;
use crate::name::ActionName;
use crate::policy::explain::candidates::candidates;
use crate::policy::explain::{Looked, Rule, ends_against};
use crate::policy::index::Found;
use crate::policy::select::may_use;
use crate::policy::{Environment, Policy, Reach};
use crate::refusal::Code;
use crate::request::{Caller, Door, HostPattern, Intent};

/// The trail of [`select`](crate::policy::select).
pub fn explain_head(policy: &Policy, intent: &Intent) -> Vec<Looked> {
    let caller = &intent.caller;
    let Some(environment) = policy.environment(&caller.environment) else {
        return vec![no_environment(caller)];
    };
    let mut trail = vec![in_environment(policy, caller)];
    explain_host(policy, environment, intent, &mut trail);
    if ends_against(&trail) {
        return trail;
    }
    let (host, port) = (&intent.destination.host, intent.destination.port);
    match environment
        .index
        .find(host, port, &intent.method, &intent.path)
    {
        Found::Action(action, _) => {
            trail.extend(candidates(environment, intent, Some(action)));
            trail.push(Looked::good(Rule::Action, in_words(action)));
            trail.push(scheme(action, intent));
            if !ends_against(&trail) {
                explain_use(policy, caller, (intent.door, action), &mut trail);
            }
        }
        _ => {
            trail.extend(candidates(environment, intent, None));
            let (method, path) = (&intent.method, &intent.path);
            let message = format!("no action of {host} fits {method} {path}");
            trail.push(Looked::against(Rule::Action, message));
        }
    }
    trail
}

/// The trail of [`choose`](crate::policy::choose).
pub fn explain_call(
    policy: &Policy,
    caller: &Caller,
    door: Door,
    name: &ActionName,
) -> Vec<Looked> {
    let Some(environment) = policy.environment(&caller.environment) else {
        return vec![no_environment(caller)];
    };
    let mut trail = vec![in_environment(policy, caller)];
    match environment.actions.get(name) {
        None => trail.push(Looked::against(
            Rule::Action,
            format!("no action is named {name}"),
        )),
        Some(action) => {
            trail.push(Looked::good(Rule::Action, in_words(action)));
            explain_use(policy, caller, (door, action), &mut trail);
        }
    }
    trail
}

fn no_environment(caller: &Caller) -> Looked {
    let message = format!("no environment is named {}", caller.environment);
    Looked::against(Rule::Environment, message)
}

fn in_environment(policy: &Policy, caller: &Caller) -> Looked {
    let others = policy.environments().len() - 1;
    let says = match others {
        0 => format!("{}, the only one", caller.environment),
        _ => format!(
            "{}, whose hosts, values and secrets apply",
            caller.environment
        ),
    };
    Looked::good(Rule::Environment, says)
}

fn explain_host(
    policy: &Policy,
    environment: &Environment,
    intent: &Intent,
    trail: &mut Vec<Looked>,
) {
    let (host, port) = (&intent.destination.host, intent.destination.port);
    if !environment.index.knows(host) {
        let says = match policy.reach(&environment.name, host, port) {
            Reach::Tunnel(passage) => format!(
                "{host} is the tunnel {}, which only a CONNECT reaches, and no action",
                passage.tunnel()
            ),
            _ => format!("nothing is declared at {host}, nor at a `*.` that covers it"),
        };
        return trail.push(Looked::against(Rule::Host, says));
    }
    trail.push(Looked::good(Rule::Host, format!("{host} is declared")));
    trail.push(match environment.index.has(host, port) {
        true => Looked::good(Rule::Port, format!("{port} is declared")),
        false => Looked::against(Rule::Port, format!("no action of {host} uses {port}")),
    });
}

fn scheme(action: &Action, intent: &Intent) -> Looked {
    let (declared, asked) = (action.scheme.as_str(), intent.destination.scheme.as_str());
    let host = &intent.destination.host;
    match action.scheme == intent.destination.scheme {
        true => Looked::good(
            Rule::Scheme,
            format!("{declared}://, as {host} is declared"),
        ),
        false => {
            let message = format!("{host} is declared with {declared}://, not {asked}://");
            Looked::against(Rule::Scheme, message)
        }
    }
}

/// Agent, toggle and door: which of them refuses is what `may_use` says, and those before it have said yes.
fn explain_use(
    policy: &Policy,
    caller: &Caller,
    (door, action): (Door, &Action),
    trail: &mut Vec<Looked>,
) {
    let judged = may_use(policy, caller, door, action);
    let code = judged.as_ref().err().map(|refusal| refusal.code);
    let of = |rule, expected: Code, says: String| match &judged {
        Err(refusal) if code == Some(expected) => Looked::against(rule, &refusal.message),
        _ => Looked::good(rule, says),
    };
    trail.push(of(
        Rule::Allow,
        Code::ActionNotAllowed,
        allow(policy, caller, &action.name),
    ));
    if !ends_against(trail) {
        trail.push(of(Rule::Enabled, Code::ActionDisabled, "yes".into()));
    }
    if !ends_against(trail) {
        let says = format!("open at the {} door", door.as_str());
        trail.push(of(Rule::Door, Code::DoorClosed, says));
    }
}

fn allow(policy: &Policy, caller: &Caller, action: &ActionName) -> String {
    let named = policy.agents().zip(caller.agent.as_ref());
    let Some((name, agent)) = named.and_then(|(agents, name)| Some((name, agents.get(name)?)))
    else {
        return "the policy has no agents: anyone may use every action".to_owned();
    };
    let pattern = agent.patterns.iter().find(|it| it.fits(action.as_str()));
    match pattern {
        Some(pattern) => format!("{name} may: `{pattern}` fits"),
        None => format!("{name} may not: none of its patterns fits"),
    }
}

fn in_words(action: &Action) -> String {
    let (name, method, path) = (&action.name, &action.method, &action.path);
    let host = match &action.host {
        HostPattern::Exact(host) => host.to_string(),
        HostPattern::OneLabel(parent) => format!("*.{parent}"),
    };
    format!("{name}: {method} {host}{path}")
}
