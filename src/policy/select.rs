//! The first decision: one action, from the head of a request or from the name that a tool call gives. Then agent,
//! toggle and door, which are judged alike for both.

use std::sync::Arc;

use crate::action::{Action, ContentRule};
use crate::name::ActionName;
use crate::policy::index::{Found, Near, Standing};
use crate::policy::{Environment, Policy, Reach};
use crate::rate::Rate;
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, Destination, Door, Host, Intent, Scheme};

/// An action chosen by the head of a request. No body byte has been read; its caps and deadlines are known.
#[derive(Clone, Debug)]
pub struct Selected {
    policy: Arc<Policy>,
    action: Arc<Action>,
    caller: Caller,
    /// A host at which every path of the action's pattern is the action's.
    unrivalled_at: Option<Host>,
}

impl Selected {
    /// The action.
    pub fn action(&self) -> &Arc<Action> {
        &self.action
    }

    /// The policy under which it was chosen, and under which all of the request is decided.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Who asks.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// How often this may be done: all limits that hold, the narrowest first.
    pub fn rates(&self) -> impl Iterator<Item = &Arc<Rate>> {
        let agents = self.policy.agents();
        let agent = agents.zip(self.caller.agent.as_ref());
        let agent = agent.and_then(|(all, name)| all.get(name));
        let of_agent = agent.and_then(|it| it.rate.as_ref());
        self.action.rates.iter().chain(of_agent)
    }

    /// Whether at this host every path that the action's pattern fits is the action's, as far as choosing it has told.
    pub(super) fn is_unrivalled_at(&self, host: &Host) -> bool {
        self.unrivalled_at.as_ref() == Some(host)
    }

    /// Whether the body of a proxied request has to be read whole before it can be decided.
    pub fn reads_body(&self) -> bool {
        !matches!(self.action.proxied_content(), ContentRule::Unread(_))
    }
}

/// Chooses the action for a request.
///
/// # Errors
/// [`Code::HostUndeclared`], [`Code::PortUndeclared`], [`Code::HttpsRequired`], [`Code::ActionUndeclared`],
/// [`Code::ActionNotAllowed`], [`Code::ActionDisabled`] or [`Code::DoorClosed`].
pub fn select(policy: &Arc<Policy>, intent: &Intent) -> Result<Selected, Refusal> {
    let environment = policy
        .environment(&intent.caller.environment)
        .ok_or_else(|| host_undeclared(intent))?;
    let (action, standing) = find(environment, policy, intent)?;
    let usable = may_use(policy, &intent.caller, intent.door, action);
    usable.map_err(|refusal| refusal.of_action(&action.name))?;
    Ok(Selected {
        policy: policy.clone(),
        action: action.clone(),
        caller: intent.caller.clone(),
        unrivalled_at: match standing {
            Standing::Unrivalled => Some(intent.destination.host.clone()),
            Standing::Rivalled => None,
        },
    })
}

/// Chooses the action that a tool call names.
///
/// # Errors
/// [`Code::ActionUndeclared`] or [`Code::ActionNotAllowed`] with the nearest that this agent may call;
/// [`Code::ActionDisabled`] or [`Code::DoorClosed`].
pub fn choose(
    policy: &Arc<Policy>,
    caller: &Caller,
    door: Door,
    name: &ActionName,
) -> Result<Selected, Refusal> {
    let near = || nearest_names(policy, caller, door, name.as_str());
    let environment = policy.environment(&caller.environment);
    let Some(action) = environment.and_then(|it| it.actions.get(name)) else {
        let message = format!("no action is named {name}");
        return Err(Refusal::new(Code::ActionUndeclared, message).near(near()));
    };
    may_use(policy, caller, door, action).map_err(|refusal| {
        let refusal = refusal.of_action(name);
        match refusal.code {
            Code::ActionNotAllowed => refusal.near(near()),
            _ => refusal,
        }
    })?;
    Ok(Selected {
        policy: policy.clone(),
        action: action.clone(),
        caller: caller.clone(),
        unrivalled_at: None,
    })
}

/// The actions that a caller may use through a door, by name.
pub fn usable<'p>(
    policy: &'p Policy,
    caller: &Caller,
    door: Door,
) -> impl Iterator<Item = &'p Arc<Action>> {
    let environment = policy.environment(&caller.environment);
    let actions = environment.into_iter().flat_map(|it| it.actions.values());
    actions.filter(move |action| may_use(policy, caller, door, action).is_ok())
}

/// Agent, toggle and door. The operator's own hand may do what the policy keeps from agents, as whoever it likes.
pub(super) fn may_use(
    policy: &Policy,
    caller: &Caller,
    door: Door,
    action: &Action,
) -> Result<(), Refusal> {
    let name = &action.name;
    let is_operator = door == Door::Call;
    let as_nobody = is_operator && caller.agent.is_none();
    if !as_nobody && !allowed(policy, caller, name) {
        let message = format!("this agent may not use the action {name}");
        return Err(Refusal::new(Code::ActionNotAllowed, message));
    }
    if !is_operator && !action.enabled {
        let message = format!("the action {name} is switched off");
        return Err(Refusal::new(Code::ActionDisabled, message));
    }
    if door != Door::Proxy && !action.is_made_of_parameters() {
        let message = format!(
            "the action {name} is more than its parameters: send its request through the proxy"
        );
        return Err(Refusal::new(Code::DoorClosed, message));
    }
    if !action.doors.open(door) {
        let through = match door {
            Door::Proxy => "through the proxy",
            Door::Http | Door::Mcp | Door::Call => "as a tool",
        };
        let message = format!("the action {name} cannot be used {through}");
        return Err(Refusal::new(Code::DoorClosed, message));
    }
    Ok(())
}

/// Whether the caller's agent may use an action.
pub(super) fn allowed(policy: &Policy, caller: &Caller, action: &ActionName) -> bool {
    match (policy.agents(), &caller.agent) {
        (None, _) => true,
        (Some(agents), Some(name)) => agents
            .get(name)
            .is_some_and(|agent| agent.allow.contains(action)),
        (Some(_), None) => false,
    }
}

fn find<'a>(
    environment: &'a Environment,
    policy: &Policy,
    intent: &Intent,
) -> Result<(&'a Arc<Action>, Standing), Refusal> {
    let destination = &intent.destination;
    let index = &environment.index;
    match index.find(
        &destination.host,
        destination.port,
        &intent.method,
        &intent.path,
    ) {
        Found::Action(action, standing) if action.scheme == destination.scheme => {
            Ok((action, standing))
        }
        Found::Action(action, _) => Err(other_scheme(action.scheme, destination)),
        Found::NoHost => Err(no_host(policy, intent)),
        Found::NoPort => Err(Refusal::new(
            Code::PortUndeclared,
            format!(
                "no declared action uses port {} of {}",
                destination.port, destination.host
            ),
        )),
        Found::NoAction(near) => Err(action_undeclared(policy, intent, &near)),
    }
}

fn other_scheme(declared: Scheme, asked: &Destination) -> Refusal {
    let code = match declared {
        Scheme::Https => Code::HttpsRequired,
        Scheme::Http => Code::ActionUndeclared,
    };
    let (host, declared, asked) = (&asked.host, declared.as_str(), asked.scheme.as_str());
    Refusal::new(
        code,
        format!("{host} is declared with {declared}://, not {asked}://"),
    )
}

/// A tunnel's host is reached by CONNECT alone.
fn no_host(policy: &Policy, intent: &Intent) -> Refusal {
    let Destination { host, port, .. } = &intent.destination;
    match policy.reach(&intent.caller.environment, host, *port) {
        Reach::Tunnel(_) => Refusal::new(
            Code::ActionUndeclared,
            format!(
                "{host} is a declared tunnel: reach it with CONNECT, as clients do for https:// URLs"
            ),
        ),
        _ => host_undeclared(intent),
    }
}

fn host_undeclared(intent: &Intent) -> Refusal {
    Refusal::new(
        Code::HostUndeclared,
        format!(
            "no declared action reaches {}; ask the operator to declare one",
            intent.destination.host
        ),
    )
}

/// The three closest names that this agent may call.
fn nearest_names(policy: &Policy, caller: &Caller, door: Door, wanted: &str) -> Vec<ActionName> {
    let distance = |name: &ActionName| strsim::damerau_levenshtein(name.as_str(), wanted);
    let usable = usable(policy, caller, door).map(|action| (distance(&action.name), &action.name));
    closest(usable)
}

/// The three closest actions that this agent may use.
fn action_undeclared(policy: &Policy, intent: &Intent, near: &Near<'_>) -> Refusal {
    let usable = |action: &Action| action.enabled && allowed(policy, &intent.caller, &action.name);
    let methods: Vec<&str> = near
        .methods(&intent.path, usable)
        .iter()
        .map(|it| it.as_str())
        .collect();
    let wanted = intent.path.segments().collect::<Vec<_>>().join("/");
    let candidates = near
        .actions()
        .filter(|action| usable(action))
        .map(|action| (distance(action, intent, &wanted), &action.name));
    let nearest = closest(candidates);
    let host = &intent.destination.host;
    let message = if methods.is_empty() {
        format!("no declared action of {host} fits this path")
    } else {
        let method = &intent.method;
        format!(
            "this path of {host} is declared for {}, not {method}",
            methods.join(", ")
        )
    };
    Refusal::new(Code::ActionUndeclared, message).near(nearest)
}

fn closest<'a>(candidates: impl Iterator<Item = (usize, &'a ActionName)>) -> Vec<ActionName> {
    let mut candidates: Vec<_> = candidates.collect();
    candidates.sort();
    let nearest = candidates.into_iter().take(3);
    nearest.map(|(_, name)| name.clone()).collect()
}

fn distance(action: &Action, intent: &Intent, wanted: &str) -> usize {
    let other_method = usize::from(action.method != intent.method);
    // Long paths are compared by their beginnings: the cost is the square of the length.
    let start = |text: &str| text.chars().take(64).collect::<String>();
    let pattern = action.path.to_string();
    strsim::levenshtein(&start(pattern.trim_start_matches('/')), &start(wanted)) * 2 + other_method
}
