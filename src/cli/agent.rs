//! The agent that a command acts as.

use anyhow::{Context as _, bail};

use crate::name::{AgentName, EnvironmentName};
use crate::policy::{Agent, Policy};
use crate::request::Caller;

/// An agent of the policy.
pub(super) type Found<'p> = (&'p AgentName, &'p Agent);

/// The agent that a flag names. Where the policy has agents, it has to name one.
pub(super) fn needed<'p>(
    policy: &'p Policy,
    flag: Option<&str>,
) -> anyhow::Result<Option<Found<'p>>> {
    match (policy.agents(), flag) {
        (None, None) => Ok(None),
        (_, Some(name)) => named(policy, name).map(Some),
        (Some(_), None) => {
            let names = names(policy);
            bail!("--agent: say which agent the program is: {names}")
        }
    }
}

/// The agent of this name.
pub(super) fn named<'p>(policy: &'p Policy, name: &str) -> anyhow::Result<Found<'p>> {
    let agents = policy.agents();
    let agents = agents.context("--agent: the policy declares no agents")?;
    let found = agents.get_key_value(name);
    found.with_context(|| {
        let names = names(policy);
        format!("--agent: there is no agent {name}; there are {names}")
    })
}

/// Whoever that is, in their environment or else in the process's; in no session.
pub(super) fn caller(found: Option<Found<'_>>, environment: &EnvironmentName) -> Caller {
    let own = found.and_then(|(_, agent)| agent.environment.as_ref());
    Caller {
        agent: found.map(|(name, _)| name.clone()),
        environment: own.unwrap_or(environment).clone(),
        session: None,
    }
}

fn names(policy: &Policy) -> String {
    let agents = policy.agents().into_iter().flat_map(|it| it.keys());
    agents.map(AgentName::as_str).collect::<Vec<_>>().join(", ")
}
