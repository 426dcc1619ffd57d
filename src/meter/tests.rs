//! What passes, and when: with times that are given.

use std::time::Duration;

use http::HeaderMap;
use proptest::prelude::*;
use serde_json::Map;
use time::OffsetDateTime;

use super::*;
use crate::action::Arguments;
use crate::policy;
use crate::policy::Policy;
use crate::rate::{Owner, Per};
use crate::request::{Caller, Door, HostPattern};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A policy, and what has passed under it.
struct Gate {
    meter: Meter,
    policy: Arc<Policy>,
    start: Instant,
}

/// Who calls what.
#[derive(Clone, Copy)]
struct Who {
    action: &'static str,
    agent: Option<&'static str>,
    session: Option<u8>,
}

const WHO: Who = Who {
    action: "one",
    agent: None,
    session: None,
};

impl Gate {
    /// An API with the actions `one` and `two`, and the agents `a` and `b`; `{}` where a limit belongs.
    fn of(action: &str, connection: &str, agent: &str) -> Self {
        let (agents, secrets) = match agent {
            "" => (String::new(), ""),
            limit => (
                format!(
                    "agents:\n  a: {{token: {{secret: t}}, allow: ['*'], {limit}}}\n  \
                     b: {{token: {{secret: u}}, allow: ['*']}}\n"
                ),
                "secrets: {t: {env: T}, u: {env: U}}\n",
            ),
        };
        let text = format!(
            "version: 1\n{secrets}connections: {{api: {{base_url: \"https://a.test\", {connection}}}}}\n\
             actions:\n  one: {{description: Does one thing., method: GET, connection: api, path: /1, {action}}}\n  \
             two: {{description: Does two things., method: GET, connection: api, path: /2}}\n{agents}"
        );
        Self {
            meter: Meter::default(),
            policy: policy(&text),
            start: Instant::now(),
        }
    }

    fn keeping(self, keys: usize) -> Self {
        Self {
            meter: Meter::keeping(keys),
            ..self
        }
    }

    fn take(&self, who: Who, after: Duration) -> Result<(), Refusal> {
        let environment = self.policy.environments()[0].name.clone();
        let session = who.session.map(|it| SessionId::of_random([it; 16]));
        let caller = Caller {
            agent: who.agent.map(|it| AgentName::parse(it).unwrap()),
            environment: environment.clone(),
            session: session.clone(),
        };
        let action = ActionName::parse(who.action).unwrap();
        let selected = policy::choose(&self.policy, &caller, Door::Http, &action).unwrap();
        let HostPattern::Exact(host) = selected.action().host.clone() else {
            panic!("the host is exact");
        };
        let now = OffsetDateTime::UNIX_EPOCH;
        let mut facts = Facts::bare(environment, now, self.start + after);
        facts.session_id = session;
        let arguments = Arguments {
            parameters: Map::new(),
            forwarded: HeaderMap::new(),
            wire: None,
        };
        let permit = policy::decide(selected, &host, arguments, &facts).unwrap();
        self.meter.take(&permit, &facts)
    }

    /// How many of so many calls pass at one time.
    fn passed(&self, who: Who, after: Duration, calls: usize) -> usize {
        (0..calls).filter(|_| self.take(who, after).is_ok()).count()
    }
}

fn policy(text: &str) -> Arc<Policy> {
    let loaded = policy::from_texts(&[("p.yaml".into(), text.as_bytes().to_vec())]);
    let told: Vec<String> = loaded.problems.iter().map(|it| it.headline()).collect();
    Arc::new(loaded.policy.unwrap_or_else(|| panic!("{told:#?}\n{text}")))
}

#[test]
fn without_a_limit_all_calls_pass() {
    assert_eq!(Gate::of("", "", "").passed(WHO, Duration::ZERO, 5000), 5000);
}

#[test]
fn a_burst_passes_at_once_and_comes_back_evenly() {
    let gate = Gate::of("rate_limit: {limit: 30, per: minute, burst: 10}", "", "");
    assert_eq!(gate.passed(WHO, Duration::ZERO, 50), 10);
    assert_eq!(gate.passed(WHO, 2 * SECOND - MILLISECOND, 5), 0);
    assert_eq!(gate.passed(WHO, 2 * SECOND, 5), 1);
    assert_eq!(gate.passed(WHO, 10 * SECOND, 50), 4);
    assert_eq!(gate.passed(WHO, 10 * MINUTE, 50), 10);
}

#[test]
fn there_is_no_edge_of_a_window_at_which_twice_as_many_pass() {
    let gate = Gate::of("rate_limit: 60/minute", "", "");
    assert_eq!(gate.passed(WHO, MINUTE - MILLISECOND, 100), 60);
    assert_eq!(gate.passed(WHO, MINUTE, 100), 0);
    assert_eq!(gate.passed(WHO, MINUTE + SECOND, 100), 1);
}

#[test]
fn a_refusal_tells_whose_limit_it_is_and_how_long_to_wait() {
    for (gate, who, message, seconds) in [
        (
            Gate::of("rate_limit: 40/minute", "", ""),
            WHO,
            "the rate limit of this action is used up (40 calls a minute); try again in 2 s",
            2,
        ),
        (
            Gate::of("", "rate_limit: 1/hour", ""),
            WHO,
            "the rate limit of this action's connection is used up (1 call an hour); try again in 3600 s",
            3600,
        ),
        (
            Gate::of("", "", "rate_limit: {limit: 100, per: second, burst: 1}"),
            Who {
                agent: Some("a"),
                ..WHO
            },
            "the rate limit of this agent is used up (100 calls a second); try again in 1 s",
            1,
        ),
    ] {
        let refusal = (0..100).find_map(|_| gate.take(who, Duration::ZERO).err());
        let refusal = refusal.unwrap();
        assert_eq!(refusal.code, Code::RateLimited);
        assert_eq!(refusal.message, message);
        assert_eq!(refusal.hints.retry_after_seconds(), Some(seconds));
        assert_eq!(refusal.hints.action.unwrap().as_str(), "one");
        let wait = refusal.hints.retry_after.unwrap();
        assert!(gate.take(who, wait - Duration::from_nanos(1)).is_err());
        assert!(gate.take(who, wait).is_ok());
    }
}

#[test]
fn what_is_counted_together_is_for_the_key_to_say() {
    let [a, b] = [Some("a"), Some("b")];
    let who = |action, agent, session| Who {
        action,
        agent,
        session,
    };
    // After the first has had its one call, who else has none left?
    let first = who("one", a, Some(1));
    let others = [
        who("one", a, Some(2)),
        who("one", b, Some(3)),
        who("two", a, Some(1)),
        who("two", b, None),
    ];
    for (action, connection, expected) in [
        ("1/day", "", [true, true, false, false]),
        (
            "{limit: 1, per: day, key: action}",
            "",
            [true, true, false, false],
        ),
        (
            "{limit: 1, per: day, key: agent}",
            "",
            [true, false, false, false],
        ),
        (
            "{limit: 1, per: day, key: session}",
            "",
            [false, false, false, false],
        ),
        ("", "1/day", [true, true, true, true]),
        (
            "",
            "{limit: 1, per: day, key: action}",
            [true, true, false, true],
        ),
        (
            "",
            "{limit: 1, per: day, key: agent}",
            [true, false, true, true],
        ),
        (
            "",
            "{limit: 1, per: day, key: session}",
            [false, false, true, false],
        ),
    ] {
        let field = |limit: &str| match limit {
            "" => String::new(),
            limit => format!("rate_limit: {limit}"),
        };
        let gate = Gate::of(&field(action), &field(connection), "title: A");
        gate.take(first, Duration::ZERO).unwrap();
        let refused = others.map(|it| gate.take(it, Duration::ZERO).is_err());
        assert_eq!(refused, expected, "{action} {connection}");
    }
}

#[test]
fn outside_of_a_session_its_agent_is_the_key() {
    let gate = Gate::of(
        "rate_limit: {limit: 1, per: day, key: session}",
        "",
        "title: A",
    );
    for (agent, session, passes) in [
        ("a", None, true),
        ("a", None, false),
        ("b", None, true),
        ("a", Some(1), true),
        ("a", Some(1), false),
        ("a", Some(2), true),
    ] {
        let who = Who {
            agent: Some(agent),
            session,
            ..WHO
        };
        assert_eq!(
            gate.take(who, Duration::ZERO).is_ok(),
            passes,
            "{agent} {session:?}"
        );
    }
}

#[test]
fn all_limits_have_to_pass_and_a_narrower_one_has_lost_its_call() {
    let gate = Gate::of(
        "rate_limit: 3/day",
        "rate_limit: {limit: 2, per: minute}",
        "rate_limit: 9/day",
    );
    let who = Who {
        agent: Some("a"),
        ..WHO
    };
    let refused_by = |after: Duration| gate.take(who, after).err().map(|it| it.message);
    assert_eq!(gate.passed(who, Duration::ZERO, 2), 2);
    assert!(refused_by(Duration::ZERO).unwrap().contains("connection"));
    assert!(refused_by(MINUTE).unwrap().contains("this action is"));
}

#[test]
fn another_agent_has_a_limit_of_its_own_or_none() {
    let gate = Gate::of("", "", "rate_limit: 2/day");
    let of = |agent| Who { agent, ..WHO };
    assert_eq!(gate.passed(of(Some("a")), Duration::ZERO, 9), 2);
    assert_eq!(gate.passed(of(Some("b")), Duration::ZERO, 9), 9);
}

#[test]
fn a_new_policy_keeps_the_counts_of_the_limits_that_it_does_not_change() {
    let mut gate = Gate::of("rate_limit: 2/day", "rate_limit: 7/day", "");
    assert_eq!(gate.passed(WHO, Duration::ZERO, 9), 2);
    gate.policy = Gate::of("rate_limit: 2/day, title: Other", "rate_limit: 7/day", "").policy;
    assert_eq!(gate.passed(WHO, Duration::ZERO, 9), 0);
    gate.policy = Gate::of("rate_limit: 3/day", "rate_limit: 7/day", "").policy;
    assert_eq!(gate.passed(WHO, Duration::ZERO, 9), 3);
    gate.policy = Gate::of("", "rate_limit: 7/day", "").policy;
    assert_eq!(gate.passed(WHO, Duration::ZERO, 9), 2);
}

#[test]
fn environments_are_counted_apart() {
    let limited = |environment: &str| {
        format!(
            "version: 1\nenvironments: [{environment}]\nactions:\n  one: {{description: Does one thing., \
             method: GET, url: \"https://a.test/\", rate_limit: 2/day}}\n"
        )
    };
    let mut gate = Gate::of("", "", "");
    for environment in ["production", "staging"] {
        gate.policy = policy(&limited(environment));
        assert_eq!(gate.passed(WHO, Duration::ZERO, 9), 2, "{environment}");
    }
}

#[test]
fn a_limit_has_so_many_keys_and_forgets_those_that_are_full_again() {
    let gate = Gate::of("rate_limit: {limit: 1, per: minute, key: session}", "", "").keeping(3);
    let session = |it| Who {
        session: Some(it),
        ..WHO
    };
    for it in 0..3 {
        assert!(gate.take(session(it), Duration::ZERO).is_ok());
    }
    let refusal = gate.take(session(3), Duration::ZERO).unwrap_err();
    assert_eq!(refusal.code, Code::Overloaded);
    assert_eq!(refusal.hints.retry_after, Some(SECOND));
    // Known keys are counted as ever.
    let refusal = gate.take(session(0), SECOND).unwrap_err();
    assert_eq!(refusal.code, Code::RateLimited);
    assert!(gate.take(session(3), MINUTE - MILLISECOND).is_err());
    assert!(gate.take(session(3), MINUTE + SECOND).is_ok());
}

#[test]
fn limits_that_are_gone_from_the_policy_are_forgotten() {
    let mut gate = Gate::of("rate_limit: 1/second", "", "");
    for limit in 2..50 {
        gate.take(WHO, limit * 2 * SECOND).unwrap();
        let limit = format!("rate_limit: {limit}/second");
        gate.policy = Gate::of(&limit, "", "").policy;
    }
    assert!(gate.meter.tables.lock().unwrap().len() <= 2);
}

#[test]
fn time_that_goes_back_gives_nothing_back() {
    let gate = Gate::of("rate_limit: 1/second", "", "");
    assert!(gate.take(WHO, 10 * SECOND).is_ok());
    assert!(gate.take(WHO, Duration::ZERO).is_err());
    assert!(gate.take(WHO, 11 * SECOND - MILLISECOND).is_err());
    assert!(gate.take(WHO, 11 * SECOND).is_ok());
}

proptest! {
    /// Over any stretch of any sequence, however many limits and keys there are beside.
    #[test]
    fn never_more_pass_than_the_burst_and_what_comes_back(
        limit in 1u32..50,
        per in prop::sample::select(vec![(Per::Second, 1u64), (Per::Minute, 60), (Per::Hour, 3600)]),
        burst in 1u32..50,
        pauses in prop::collection::vec(prop_oneof![Just(0u64), 0..2_000u64, 0..100_000u64], 1..300),
    ) {
        let rate = rate(limit, per.0, burst);
        let start = Instant::now();
        let mut table = Table::default();
        let (mut at, mut passed) = (Duration::ZERO, Vec::new());
        for pause in pauses {
            at += Duration::from_millis(pause);
            match table.take(&rate, Counted::All, (start + at, 10)) {
                Ok(()) => passed.push(at),
                Err(Empty::For(wait)) => prop_assert!(wait > Duration::ZERO && wait <= rate.interval()),
                Err(Empty::NoRoom) => prop_assert!(false, "one key has room"),
            }
        }
        for (first, from) in passed.iter().enumerate() {
            for (last, to) in passed.iter().enumerate().skip(first) {
                let took = (*to - *from).as_nanos();
                let back = took * u128::from(limit) / u128::from(per.1 * 1_000_000_000);
                prop_assert!((last - first + 1) as u128 <= u128::from(burst) + back);
            }
        }
    }

    /// Nothing is refused that the rule has room for: after waiting as long as was said, the call passes.
    #[test]
    fn who_waits_as_long_as_was_said_passes(limit in 1u32..2000, burst in 1u32..20) {
        let rate = rate(limit, Per::Minute, burst);
        let start = Instant::now();
        let mut table = Table::default();
        let mut at = start;
        for _ in 0..100 {
            if let Err(empty) = table.take(&rate, Counted::All, (at, 10)) {
                let Empty::For(wait) = empty else { panic!("one key has room") };
                at += wait;
                prop_assert_eq!(table.take(&rate, Counted::All, (at, 10)), Ok(()));
            }
        }
    }
}

fn rate(limit: u32, per: Per, burst: u32) -> Rate {
    Rate {
        owner: Owner::Action(ActionName::parse("one").unwrap()),
        key: Key::All,
        limit: limit.try_into().unwrap(),
        per,
        burst: burst.try_into().unwrap(),
    }
}
