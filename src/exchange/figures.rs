//! Figures that are looked up when somebody scrapes: what the services hold at the moment.

use crate::exchange::Services;
use crate::metrics::{
    AGENT_IN_FLIGHT, AGENT_LIMIT, AUDIT_CAPACITY, AUDIT_QUEUE, BODY_ROOM, BODY_ROOM_LIMIT, NONE,
    POLICY, SESSIONS, Sample,
};
use crate::name::{AgentName, SecretName};
use crate::policy::SecretSource;

impl Services {
    /// Everything that Prometheus is told, in its text format.
    pub fn scrape(&self) -> String {
        let figure = |metric, value: usize| Sample::of(metric, &[], value as f64);
        let mut now = vec![
            figure(&SESSIONS, self.sessions.held()),
            figure(&BODY_ROOM, self.room.taken()),
            figure(&BODY_ROOM_LIMIT, self.room.bytes()),
            figure(&AUDIT_QUEUE, self.audit.open_records()),
            figure(&AUDIT_CAPACITY, self.audit.places()),
            figure(&AGENT_LIMIT, self.shares.most()),
        ];
        now.push(Sample::of(&POLICY, &[self.live.snapshot().hash()], 1.0));
        now.extend(self.agents());
        now.extend(self.secrets());
        self.metrics.render(&now)
    }

    /// Agents of the policy in force, and those without a name.
    fn agents(&self) -> Vec<Sample> {
        let policy = self.live.snapshot();
        let is_there = |agent: &Option<AgentName>| match (agent, policy.agents()) {
            (None, _) => true,
            (Some(agent), Some(agents)) => agents.contains_key(agent),
            (Some(_), None) => false,
        };
        let mut under_way = self.shares.under_way();
        under_way.retain(|(agent, _)| is_there(agent));
        under_way.sort();
        let sample = |(agent, requests): (Option<AgentName>, usize)| {
            let agent = agent.as_ref().map_or(NONE, AgentName::as_str);
            Sample::of(&AGENT_IN_FLIGHT, &[agent], requests as f64)
        };
        under_way.into_iter().map(sample).collect()
    }

    fn secrets(&self) -> Vec<Sample> {
        let policy = self.live.snapshot();
        let is_declared = |name: &SecretName, source: &SecretSource| {
            let mut environments = policy.environments().iter();
            environments.any(|it| policy.secret_source(name, &it.name) == Some(source))
        };
        self.metrics.secret_ages(is_declared)
    }
}
