//! Agents: who may ask, and for which actions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use crate::name::{ActionName, AgentName, SecretName};
use crate::policy::check::ground::{Ground, name};
use crate::policy::check::rates;
use crate::policy::check::told::Told;
use crate::policy::raw::agent::Agent as Raw;
use crate::policy::raw::decode::Text;
use crate::policy::{Agent, AllowPattern, PolicySet};
use crate::problem::Problem;
use crate::rate::Owner;

/// Reads the agents; `None` where no file has the section.
pub(super) fn read(ground: &Ground<'_>, told: &mut Told<'_>) -> Option<BTreeMap<AgentName, Agent>> {
    let section = ground.raw.agents.place.as_ref()?;
    if ground.raw.agents.iter().next().is_none() && !ground.raw.is_partial {
        let problem = Problem::warning(section, "`agents` names none: every request is refused");
        told.tell(problem.remedy("declare an agent, or remove the line"));
    }
    tell_shared_tokens(ground, told);
    tell_runtime_tokens(ground, told);
    let declared: BTreeSet<&str> = ground.raw.actions.names().collect();
    let mut agents = BTreeMap::new();
    for (text, raw) in ground.raw.agents.iter() {
        let name = name(text, AgentName::parse, told);
        let agent = agent(ground, (name.as_ref(), raw), &declared, told);
        if let (Some(name), Some(agent)) = (name, agent) {
            agents.insert(name, agent);
        }
    }
    Some(agents)
}

/// Whoever has a token can give any of the names that go with it.
fn tell_shared_tokens(ground: &Ground<'_>, told: &mut Told<'_>) {
    let mut first: HashMap<&str, &Text> = HashMap::new();
    for (_, raw) in ground.raw.agents.iter() {
        let Some(secret) = raw.token.as_ref().and_then(|it| it.secret.as_ref()) else {
            continue;
        };
        if let Some(first) = first.insert(&secret.value, secret) {
            let message = "another agent has the same token, so each can pose as the other";
            let problem = Problem::warning(&secret.place, message);
            let problem = problem.second("first used here", &first.place);
            told.tell(problem.remedy("give each agent a token of its own"));
        }
    }
}

/// With its runtime's token, an agent could set the context itself.
fn tell_runtime_tokens(ground: &Ground<'_>, told: &mut Told<'_>) {
    let agents = || ground.raw.agents.iter().map(|(_, raw)| raw);
    let tokens = agents().filter_map(|raw| raw.token.as_ref()?.secret.as_ref());
    let own: HashMap<&str, &Text> = tokens.map(|it| (it.value.as_str(), it)).collect();
    for secret in agents().filter_map(|raw| raw.runtime_token.as_ref()?.secret.as_ref()) {
        if let Some(first) = own.get(secret.value.as_str()) {
            let message = "an agent has this token, and could pose as the runtime";
            let problem = Problem::error(&secret.place, message);
            let problem = problem.second("the agent's own", &first.place);
            told.tell(problem.remedy("give the runtime a token that no agent knows"));
        }
    }
}

fn agent(
    ground: &Ground<'_>,
    (name, raw): (Option<&AgentName>, &Raw),
    declared: &BTreeSet<&str>,
    told: &mut Told<'_>,
) -> Option<Agent> {
    let environment = environment(ground, raw.environment.as_ref(), told);
    let token = raw.token.as_ref().and_then(|it| it.secret.as_ref());
    let token = token.and_then(|it| token_in(ground, environment.unwrap_or_default(), it, told));
    let runtime = raw.runtime_token.as_ref();
    let runtime = runtime.and_then(|it| it.secret.as_ref());
    let runtime_token =
        runtime.and_then(|it| token_in(ground, environment.unwrap_or_default(), it, told));
    let rate = rates::read(
        name.cloned().map(Owner::Agent),
        raw.rate_limit.as_ref(),
        told,
    );
    let mut allow = PolicySet::default();
    if let Some(patterns) = &raw.allow {
        if patterns.items.is_empty() {
            let problem = Problem::warning(&patterns.place, "this agent may use no action");
            told.tell(problem.remedy("name actions, or patterns such as `get_*`"));
        }
        for pattern in &patterns.items {
            let before = allow.len();
            let fitting = fitting(&pattern.value, declared);
            allow.extend(fitting.filter_map(|it| ActionName::parse(it).ok()));
            let is_known = allow.len() > before || fits_some(&pattern.value, declared);
            if !is_known && !ground.raw.is_partial {
                tell_fits_none(pattern, declared, told);
            }
        }
    }
    let patterns = raw.allow.iter().flat_map(|it| &it.items);
    Some(Agent {
        title: raw.title.as_ref().map(|it| it.value.clone()),
        token: token?,
        runtime_token,
        environment: environment?.map(|it| ground.environments[it].clone()),
        rate,
        allow,
        patterns: patterns.map(|it| AllowPattern::new(&it.value)).collect(),
    })
}

/// The token has a source where the agent lives: in any environment, if it has none of its own.
fn token_in(
    ground: &Ground<'_>,
    environment: Option<usize>,
    token: &Text,
    told: &mut Told<'_>,
) -> Option<SecretName> {
    let environments = match environment {
        Some(one) => one..one + 1,
        None => 0..ground.environments.len(),
    };
    let mut found = None;
    for environment in environments {
        found = Some(ground.secret(token, environment, told)?);
    }
    found
}

/// The declared environment, or that of the process (`Some(None)`).
fn environment(
    ground: &Ground<'_>,
    text: Option<&Text>,
    told: &mut Told<'_>,
) -> Option<Option<usize>> {
    let Some(text) = text else { return Some(None) };
    let names = || ground.environments.iter().map(|it| it.as_str());
    let found = names().position(|it| it == text.value);
    if found.is_none() && ground.is_whole() {
        told.unknown("environment", text, names());
    }
    found.map(Some)
}

fn tell_fits_none(pattern: &Text, declared: &BTreeSet<&str>, told: &mut Told<'_>) {
    if pattern.value.contains('*') {
        let message = format!("the pattern `{}` fits no action", pattern.value);
        told.error(&pattern.place, message, "correct it, or remove it");
    } else {
        told.unknown("action", pattern, declared.iter().copied());
    }
}

fn fits_some(pattern: &str, declared: &BTreeSet<&str>) -> bool {
    fitting(pattern, declared).next().is_some()
}

/// The names that a pattern fits. Only those that begin as it does are looked at: thousands of agents may name
/// thousands of actions.
fn fitting<'d>(pattern: &str, declared: &'d BTreeSet<&'d str>) -> impl Iterator<Item = &'d str> {
    let start = pattern.split('*').next().unwrap_or_default().to_owned();
    let pattern = AllowPattern::new(pattern);
    let from = (Bound::Included(start.as_str()), Bound::Unbounded);
    let range = declared.range::<str, _>(from).copied().collect::<Vec<_>>();
    range
        .into_iter()
        .take_while(move |name| name.starts_with(&start))
        .filter(move |name| pattern.fits(name))
}
