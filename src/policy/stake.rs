//! What a long-lived stream or tunnel rests on, to be asked of a policy that came into force after it had begun.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::action::Action;
use crate::name::EnvironmentName;
use crate::policy::select::may_use;
use crate::policy::{Passage, Policy, Reach};
use crate::request::{Caller, Door, Host};

/// What has to be true for something to go on.
#[derive(Clone, Debug)]
pub struct Stake {
    caller: Caller,
    /// The environment that the process was given; else the policy's first.
    given: Option<EnvironmentName>,
    on: On,
    address: Option<SocketAddr>,
}

#[derive(Clone, Debug)]
enum On {
    Nothing,
    Action(Arc<Action>, Door, Host),
    Tunnel(Host, u16),
}

impl Stake {
    /// That there is still such a caller, in the environment that was theirs.
    pub fn of_caller(caller: Caller, given: Option<EnvironmentName>) -> Self {
        Self {
            caller,
            given,
            on: On::Nothing,
            address: None,
        }
    }

    /// That the caller may still use an action through this door, which still leads to the same place.
    pub fn on_action(mut self, action: Arc<Action>, door: Door, host: Host) -> Self {
        self.on = On::Action(action, door, host);
        self
    }

    /// That a tunnel to this host and port is still declared.
    pub fn on_tunnel(mut self, passage: &Passage) -> Self {
        self.on = On::Tunnel(passage.host().clone(), passage.port());
        self
    }

    /// That the host may still have this address.
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Whether all of it is true under this policy.
    pub fn holds(&self, policy: &Policy) -> bool {
        self.is_at_home(policy)
            && match &self.on {
                On::Nothing => true,
                On::Action(action, door, host) => {
                    self.may_still(policy, action, *door, host) && self.may_have(policy, host)
                }
                On::Tunnel(host, port) => {
                    let reach = policy.reach(&self.caller.environment, host, *port);
                    matches!(reach, Reach::Tunnel(_)) && self.may_have(policy, host)
                }
            }
    }

    fn is_at_home(&self, policy: &Policy) -> bool {
        let Caller {
            agent, environment, ..
        } = &self.caller;
        let home = policy.home(agent.as_ref(), self.given.as_ref());
        home.is_some_and(|home| home == environment) && policy.environment(environment).is_some()
    }

    fn may_still(&self, policy: &Policy, then: &Action, door: Door, host: &Host) -> bool {
        let environment = policy.environment(&self.caller.environment);
        let Some(now) = environment.and_then(|it| it.actions.get(&then.name)) else {
            return false;
        };
        let same_place = now.method == then.method
            && now.scheme == then.scheme
            && now.host.covers(host)
            && now.port == then.port
            && now.path == then.path
            && now.passes.cover(then.passes);
        same_place && may_use(policy, &self.caller, door, now).is_ok()
    }

    fn may_have(&self, policy: &Policy, host: &Host) -> bool {
        let judge = |it: SocketAddr| policy.network().judge(host, it.port(), it.ip()).is_ok();
        self.address.is_none_or(judge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{ActionName, AgentName};
    use crate::policy;

    const POLICY: &str = "
version: 1
environments: [production, staging]
secrets: {t: {env: T}}
actions:
  watch: {description: Watches what happens., method: GET, url: \"https://api.good.test/{{id}}\",
          parameters: {properties: {id: {type: string}}, required: [id]}}
  other: {description: Does something else., method: GET, url: \"https://b.good.test/x\"}
tunnels:
  packages: {hosts: [p.good.test], ports: [443]}
network:
  allow_private: [{host: api.good.test, addresses: [10.0.0.0/8], port: 443}]
agents:
  bot: {token: {secret: t}, environment: production, allow: [watch, other]}
  second: {token: {secret: t}, allow: [other]}
";

    fn read(text: &str) -> Policy {
        let loaded = policy::from_texts(&[("p.yaml".into(), text.into())]);
        let told: Vec<String> = loaded.problems.iter().map(|it| it.headline()).collect();
        loaded.policy.unwrap_or_else(|| panic!("{told:#?}"))
    }

    fn stakes() -> (Stake, Stake) {
        let policy = read(POLICY);
        let production = EnvironmentName::parse("production").unwrap();
        let caller = Caller {
            agent: AgentName::parse("bot").ok(),
            environment: production.clone(),
            session: None,
        };
        let of_caller = Stake::of_caller(caller, None);
        let watch = ActionName::parse("watch").unwrap();
        let action = policy.environment(&production).unwrap().actions[&watch].clone();
        let host = Host::parse("api.good.test").unwrap();
        let action = of_caller.clone().on_action(action, Door::Proxy, host);
        let host = Host::parse("p.good.test").unwrap();
        let Reach::Tunnel(passage) = policy.reach(&production, &host, 443) else {
            panic!("it is declared");
        };
        let tunnel = of_caller.on_tunnel(&passage);
        (action.at(([10, 0, 0, 7], 443).into()), tunnel)
    }

    #[test]
    fn what_is_still_allowed_goes_on_and_what_is_not_does_not() {
        let (action, tunnel) = stakes();
        for (from, to, expected) in [
            ("", "", (true, true)),
            ("Watches what happens.", "Watches.  Anew.", (true, true)),
            (
                "{properties: {id: {type: string}}",
                "{properties: {id: {type: string, maxLength: 1}}",
                (true, true),
            ),
            ("watch: {desc", "look: {desc", (false, true)),
            (
                "watch: {desc",
                "watch: {enabled: false, desc",
                (false, true),
            ),
            ("watch: {desc", "watch: {doors: [http], desc", (false, true)),
            (
                "watch: {description: Watches what happens., method: GET",
                "watch: {description: Watches what happens., method: HEAD",
                (false, true),
            ),
            (
                "api.good.test/{{id}}",
                "api.good.test/v2/{{id}}",
                (false, true),
            ),
            (
                "{{id}}\",\n",
                "{{id}}\", upgrade: websocket,\n",
                (false, true),
            ),
            ("{{id}}\",\n", "{{id}}\", trailers: true,\n", (true, true)),
            ("api.good.test", "c.good.test", (false, true)),
            ("allow: [watch, other]", "allow: [other]", (false, true)),
            ("10.0.0.0/8", "10.0.0.0/30", (false, true)),
            (
                "environment: production",
                "environment: staging",
                (false, false),
            ),
            ("  bot:", "  robot:", (false, false)),
            ("p.good.test", "q.good.test", (true, false)),
            ("ports: [443]", "ports: [8443]", (true, false)),
        ] {
            let mut text = POLICY.replace(from, to);
            if from.is_empty() {
                text = POLICY.to_owned();
            }
            if to == "look: {desc" {
                text = text.replace("allow: [watch", "allow: [look");
            }
            let policy = read(&text);
            let got = (action.holds(&policy), tunnel.holds(&policy));
            assert_eq!(got, expected, "{from} -> {to}");
        }
    }

    #[test]
    fn nobody_in_particular_has_no_place_among_agents_nor_in_another_environment() {
        let caller = |environment: &str| Caller {
            agent: None,
            environment: EnvironmentName::parse(environment).unwrap(),
            session: None,
        };
        let nobody = Stake::of_caller(caller("production"), None);
        let given = EnvironmentName::parse("staging").ok();
        let placed = Stake::of_caller(caller("staging"), given);
        let open = POLICY.split("agents:").next().unwrap();
        let other_way = open.replace("[production, staging]", "[staging, production]");
        for (text, expected) in [
            (open, (true, true)),
            (&other_way, (false, true)),
            (
                &open.replace("[production, staging]", "[production]"),
                (true, false),
            ),
            (POLICY, (false, false)),
        ] {
            let policy = read(text);
            assert_eq!(
                (nobody.holds(&policy), placed.holds(&policy)),
                expected,
                "{text}"
            );
        }
    }
}
