//! The policy: what the files say, checked; and the decisions that follow from it.
//!
//! `raw` mirrors the files and `check` turns it into a [`Policy`] or a list of problems. [`select`] reads the head of a
//! request, [`decide`] its parameters; what comes out is a [`Permit`], the only thing from which an [`Outgoing`] is
//! made, and that is the only thing that is sent. But for [`load`] and [`files`], nothing here touches a
//! file, and nothing waits or reads a clock.

mod allow;
mod check;
mod context;
mod decide;
mod declared;
mod editor;
pub mod explain;
mod hash;
mod index;
mod masked;
mod network;
mod permit;
#[expect(
    dead_code,
    reason = "the tables mirror all of the language: places wait for later sections"
)]
mod raw;
mod select;
mod source;
mod stake;
#[cfg(test)]
mod tests;
pub mod trial;
mod understand;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::action::Action;
use crate::action::outcome::OutputName;
use crate::name::{ActionName, AgentName, ConnectorName, EnvironmentName, SecretName, TunnelName};
use crate::rate::Rate;
use crate::request::{Host, HostPattern};

pub use allow::AllowPattern;
pub use check::{Loaded, files, from_texts, hash_of, load, trials, trials_from_texts};
pub use context::ContextVariables;
pub use decide::{decide, decide_telling};
pub use declared::{Declared, TokenSource};
pub use editor::{json_schema, json_schema_of_tests};
pub use hash::PolicySet;
pub use index::{Index, Overlap};
pub use masked::Masked;
pub use network::{AddressRefusal, Exemption, Network};
pub use permit::{Outgoing, Permit};
pub use select::{Selected, choose, select, usable};
pub use source::SecretSource;
pub use stake::Stake;
pub use understand::{Head, PlainHttp, understand};

/// A checked policy. Requests hold one by `Arc` from their first decision to their last.
#[derive(Debug)]
pub struct Policy {
    hash: Arc<str>,
    environments: Vec<Environment>,
    largest_request: u64,
    agents: Option<BTreeMap<AgentName, Agent>>,
    secrets: HashMap<(SecretName, EnvironmentName), SecretSource>,
    tokens: HashMap<(ConnectorName, EnvironmentName), Arc<TokenSource>>,
    tunnels: Vec<Tunnel>,
    network: Arc<Network>,
    context: ContextVariables,
}

/// What the policy says in one environment: values, hosts and secrets may differ from the others.
#[derive(Debug)]
pub struct Environment {
    /// Its name.
    pub name: EnvironmentName,
    /// The actions by what they match.
    pub index: Index,
    /// The actions by name.
    pub actions: BTreeMap<ActionName, Arc<Action>>,
    /// The placeholders of every connector, which belong in their connector's place and nowhere else.
    pub placeholders: Vec<Box<str>>,
    /// The variables of a session that an agent is shown.
    pub exposed: Vec<OutputName>,
}

/// An entry under `agents:`.
#[derive(Debug)]
pub struct Agent {
    /// Free text for people.
    pub title: Option<String>,
    /// The secret that the agent proves to know.
    pub token: SecretName,
    /// The secret of whoever runs it, who may say what the conversation is about.
    pub runtime_token: Option<SecretName>,
    /// The environment it lives in; else that of the process.
    pub environment: Option<EnvironmentName>,
    /// How often it may call anything.
    pub rate: Option<Arc<Rate>>,
    /// The actions that its patterns fit.
    pub allow: PolicySet<ActionName>,
    /// The patterns, as they are written.
    pub patterns: Vec<AllowPattern>,
}

/// Hosts whose TLS is passed through unopened.
#[derive(Debug)]
pub struct Tunnel {
    /// Its key under `tunnels:`.
    pub name: TunnelName,
    /// Exact, or one label wide.
    pub hosts: Vec<HostPattern>,
    /// 1 to 65535.
    pub ports: Vec<u16>,
}

/// What the policy has at a host and port.
#[derive(Debug)]
pub enum Reach {
    /// Declared actions: the tunnel is opened and each request decided.
    Actions,
    /// A declared tunnel, passed through.
    Tunnel(Passage),
    /// The host is known, the port is not.
    PortUndeclared,
    /// Nothing.
    HostUndeclared,
}

/// Leave to pass bytes through to one host and port of a declared tunnel. Only [`Policy::reach`] makes one.
#[derive(Debug)]
pub struct Passage {
    tunnel: TunnelName,
    host: Host,
    port: u16,
    network: Arc<Network>,
}

impl Passage {
    /// The tunnel's name in the policy.
    pub fn tunnel(&self) -> &TunnelName {
        &self.tunnel
    }

    /// The host, which the TLS server name has to equal.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Which addresses it may go to.
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }
}

impl Policy {
    /// A digest of the files, in hexadecimal: two policies with the same hash say the same.
    pub fn hash(&self) -> &Arc<str> {
        &self.hash
    }

    /// The environments; the first is the default.
    pub fn environments(&self) -> &[Environment] {
        &self.environments
    }

    /// Bytes of the largest request that any action takes.
    pub fn largest_request(&self) -> u64 {
        self.largest_request
    }

    /// One environment.
    pub fn environment(&self, name: &EnvironmentName) -> Option<&Environment> {
        self.environments.iter().find(|it| it.name == *name)
    }

    /// The agents, or `None` where the policy has no `agents:` and anyone who reaches a loopback listener may ask.
    pub fn agents(&self) -> Option<&BTreeMap<AgentName, Agent>> {
        self.agents.as_ref()
    }

    /// The environment of an agent that the policy has, or of nobody in particular: its own, else the one that the
    /// process was given, else the first. `None` for an agent that the policy does not have.
    pub fn home<'a>(
        &'a self,
        agent: Option<&AgentName>,
        given: Option<&'a EnvironmentName>,
    ) -> Option<&'a EnvironmentName> {
        let own = match (&self.agents, agent) {
            (Some(agents), Some(name)) => agents.get(name)?.environment.as_ref(),
            (Some(_), None) => return None,
            (None, _) => None,
        };
        let first = || self.environments.first().map(|it| &it.name);
        own.or(given).or_else(first)
    }

    /// Where a secret comes from in an environment.
    pub fn secret_source(
        &self,
        secret: &SecretName,
        environment: &EnvironmentName,
    ) -> Option<&SecretSource> {
        // A key of two owned names would cost two allocations for each look-up, were names not shared by `Arc`.
        self.secrets.get(&(secret.clone(), environment.clone()))
    }

    /// Where the tokens of a connector come from in an environment.
    pub fn token_source(
        &self,
        connector: &ConnectorName,
        environment: &EnvironmentName,
    ) -> Option<&Arc<TokenSource>> {
        self.tokens.get(&(connector.clone(), environment.clone()))
    }

    /// The secrets of every environment in which somebody lives, with where they come from. `given` as for
    /// [`Policy::home`].
    pub fn secrets_at_home<'a>(
        &'a self,
        given: Option<&'a EnvironmentName>,
    ) -> impl Iterator<Item = (&'a SecretName, &'a SecretSource)> {
        let homes: HashSet<_> = match &self.agents {
            Some(agents) => agents
                .keys()
                .filter_map(|it| self.home(Some(it), given))
                .collect(),
            None => self.home(None, given).into_iter().collect(),
        };
        let all = self.secrets.iter();
        let lived_in = all.filter(move |((_, environment), _)| homes.contains(environment));
        lived_in.map(|((name, _), source)| (name, source))
    }

    /// Everywhere secrets come from, in any environment.
    pub fn secret_sources(&self) -> impl Iterator<Item = &SecretSource> {
        self.secrets.values()
    }

    /// Everywhere tokens come from, in any environment.
    pub fn token_sources(&self) -> impl Iterator<Item = &Arc<TokenSource>> {
        self.tokens.values()
    }

    /// Every rate limit, whether of an action, of a connection or of an agent; one that holds for several actions is
    /// there several times.
    pub fn rates(&self) -> impl Iterator<Item = &Arc<Rate>> {
        let environments = self.environments.iter();
        let actions = environments.flat_map(|it| it.actions.values());
        let agents = self.agents.iter().flat_map(BTreeMap::values);
        let of_actions = actions.flat_map(|it| it.rates.iter());
        of_actions.chain(agents.filter_map(|it| it.rate.as_ref()))
    }

    /// Whether exeat itself or an agent may have business at this host and port, in any environment.
    pub fn has_business_at(&self, host: &Host, port: u16) -> bool {
        let mut environments = self.environments.iter();
        let mut tokens = self.tokens.values();
        environments.any(|it| it.index.has(host, port))
            || tokens.any(|it| {
                let destination = it.endpoint.destination();
                destination.host == *host && destination.port == port
            })
    }

    /// The environment variables from which secrets come, in any environment.
    pub fn secret_variables(&self) -> impl Iterator<Item = &str> {
        self.secrets.values().filter_map(|source| match source {
            SecretSource::Env(name) => Some(name.as_str()),
            SecretSource::File(_) | SecretSource::Command { .. } | SecretSource::Store(_) => None,
        })
    }

    /// What the runtime may say of a conversation.
    pub fn context(&self) -> &ContextVariables {
        &self.context
    }

    /// Which addresses beside the public ones a host may have.
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// Whether a host that the policy reaches is one of as many as anybody likes: it has it by a `*.` alone.
    pub fn leaves_open(&self, environment: &EnvironmentName, host: &Host) -> bool {
        let of_actions = self.environment(environment);
        let of_actions = of_actions.and_then(|it| it.index.written(host));
        let of_tunnels = self.tunnels.iter().flat_map(|it| &it.hosts);
        let mut all = of_tunnels.chain(&of_actions);
        !all.any(|it| matches!(it, HostPattern::Exact(exact) if exact == host))
    }

    /// What a CONNECT to this host and port would reach.
    pub fn reach(&self, environment: &EnvironmentName, host: &Host, port: u16) -> Reach {
        let index = self.environment(environment).map(|it| &it.index);
        if index.is_some_and(|it| it.has(host, port)) {
            return Reach::Actions;
        }
        let mut known = index.is_some_and(|it| it.knows(host));
        for tunnel in &self.tunnels {
            if tunnel.hosts.iter().any(|pattern| pattern.covers(host)) {
                if tunnel.ports.contains(&port) {
                    return Reach::Tunnel(Passage {
                        tunnel: tunnel.name.clone(),
                        host: host.clone(),
                        port,
                        network: self.network.clone(),
                    });
                }
                known = true;
            }
        }
        if known {
            Reach::PortUndeclared
        } else {
            Reach::HostUndeclared
        }
    }
}

#[cfg(test)]
impl Policy {
    /// One environment and its tunnels, for tests of what stands above; files are read in `check`.
    pub(crate) fn of(
        environment: Environment,
        agents: Option<BTreeMap<AgentName, Agent>>,
        tunnels: Vec<Tunnel>,
    ) -> Self {
        Self {
            hash: "test".into(),
            environments: vec![environment],
            largest_request: 0,
            agents,
            secrets: HashMap::new(),
            tokens: HashMap::new(),
            tunnels,
            network: Arc::default(),
            context: ContextVariables::default(),
        }
    }
}
