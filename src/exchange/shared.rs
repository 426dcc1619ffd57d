//! What all exchanges of the process share.

use std::sync::Arc;

use crate::audit::Audit;
use crate::authority::Authority;
use crate::drain::Drain;
use crate::exchange::{OnEcho, PlainHttp, Room, Shares};
use crate::known::Known;
use crate::lease::Leases;
use crate::live::Live;
use crate::meter::Meter;
use crate::metrics::Metrics;
use crate::name::EnvironmentName;
use crate::policy::Policy;
use crate::redact::Redaction;
use crate::sessions::Sessions;
use crate::tokens::Tokens;
use crate::vault::Vault;

/// What all exchanges of the process share.
pub struct Services {
    /// The policy in force.
    pub live: Live,
    /// How far a stop has come.
    pub drain: Drain,
    /// Leave to go on for what lasts.
    pub leases: Leases,
    /// Where secrets come from: a vault that [`known`](Self::known) watches.
    pub vault: Arc<dyn Vault>,
    /// What is scrubbed from replies, and may not be sent by agents.
    pub known: Arc<Known>,
    /// The tokens of OAuth connectors.
    pub tokens: Tokens,
    /// Where sessions are kept.
    pub sessions: Arc<dyn Sessions>,
    /// How much of every rate limit is left.
    pub meter: Meter,
    /// The record.
    pub audit: Audit,
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// Our CA.
    pub authority: Authority,
    /// What all requests together may hold of bodies.
    pub room: Room,
    /// What each agent may have under way.
    pub shares: Shares,
    /// Settings of the process that change what an exchange does.
    pub settings: Settings,
}

/// Settings of the process that change what an exchange does. The meaning of requests stands in policies.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where callers live whom no `agents:` entry places; else in the policy's first environment.
    pub environment: Option<EnvironmentName>,
    /// What becomes of `http://` requests to hosts whose actions are `https://`.
    pub plain_http: PlainHttp,
    /// What becomes of replies that hold a known secret.
    pub on_echo: OnEcho,
    /// Whether records have the values of parameters.
    pub shows_values: bool,
    /// What they may not show.
    pub redaction: Arc<Redaction>,
}

impl Settings {
    /// Where callers live under this policy whom no `agents:` entry places.
    ///
    /// # Panics
    /// Never: a policy has an environment.
    pub fn home<'a>(&'a self, policy: &'a Policy) -> &'a EnvironmentName {
        let first = || policy.environments().first().map(|it| &it.name);
        let home = self.environment.as_ref().or_else(first);
        home.expect("a policy has an environment, if only `default`")
    }
}
