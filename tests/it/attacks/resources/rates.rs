//! Limits of rates at their edges, with times that are given.

use std::sync::Arc;
use std::time::{Duration, Instant};

use exeat::action::{Arguments, Facts};
use exeat::meter::Meter;
use exeat::name::ActionName;
use exeat::policy;
use exeat::policy::Policy;
use exeat::request::{Caller, Door, HostPattern};
use time::OffsetDateTime;

fn text(limit: &str) -> String {
    format!(
        "version: 1\nactions:\n  one: {{description: Does one thing., method: GET, \
         url: \"https://a.test/1\", rate_limit: {limit}}}\n"
    )
}

/// The policy with this limit, or what is wrong with it.
fn read(limit: &str) -> Result<Arc<Policy>, String> {
    let loaded = policy::from_texts(&[("p.yaml".into(), text(limit).into_bytes())]);
    let told: Vec<String> = loaded.problems.iter().map(|it| it.headline()).collect();
    loaded.policy.map(Arc::new).ok_or_else(|| told.join("; "))
}

struct Gate {
    meter: Meter,
    policy: Arc<Policy>,
}

impl Gate {
    fn of(limit: &str) -> Self {
        Self {
            meter: Meter::default(),
            policy: read(limit).unwrap(),
        }
    }

    /// Of so many calls at a time of both clocks, how many pass.
    fn passed(&self, calls: usize, at: Instant, now: OffsetDateTime) -> usize {
        (0..calls).filter(|_| self.take(at, now)).count()
    }

    fn take(&self, at: Instant, now: OffsetDateTime) -> bool {
        let environment = self.policy.environments()[0].name.clone();
        let caller = Caller {
            agent: None,
            environment: environment.clone(),
            session: None,
        };
        let action = ActionName::parse("one").unwrap();
        let selected = policy::choose(&self.policy, &caller, Door::Http, &action).unwrap();
        let HostPattern::Exact(host) = selected.action().host.clone() else {
            panic!("the host is exact");
        };
        let facts = Facts::bare(environment, now, at);
        let permit = policy::decide(selected, &host, Arguments::default(), &facts).unwrap();
        self.meter.take(&permit, &facts).is_ok()
    }
}

#[test]
fn l11_no_edge_of_a_window_lets_a_second_burst_through() {
    let (start, now) = (Instant::now(), OffsetDateTime::UNIX_EPOCH);
    // Wherever the second is cut, in any second there pass the burst and what comes back in it.
    for offset in (0..2000).step_by(50) {
        let gate = Gate::of("{limit: 10, per: second, burst: 10}");
        let first = start + Duration::from_millis(offset);
        let passed = gate.passed(20, first, now);
        let edge = first + Duration::from_millis(1000 - offset % 1000);
        let again = gate.passed(20, edge, now);
        let back = (edge - first).as_millis() / 100;
        assert_eq!((passed, again as u128), (10, back), "{offset}");
    }
    // Spread over the edge, as a client would that knows of windows.
    let gate = Gate::of("10/second");
    let passed = (0..20).filter(|it| gate.take(start + Duration::from_millis(950 + it * 5), now));
    assert_eq!(passed.count(), 10);
}

#[test]
fn l11_a_step_of_the_clock_gives_nothing_back() {
    let start = Instant::now() + Duration::from_secs(7200);
    let gate = Gate::of("{limit: 10, per: minute, burst: 10}");
    let epoch = OffsetDateTime::UNIX_EPOCH;
    assert_eq!(gate.passed(20, start, epoch), 10);
    // That of the wall, to either side.
    for years in [-30, 30, 100] {
        let now = epoch + time::Duration::days(365 * years);
        assert_eq!(gate.passed(20, start, now), 0, "{years}");
    }
    // That of the machine, which does not run back; and if it did.
    for back in [1, 60, 7200] {
        let at = start - Duration::from_secs(back);
        assert_eq!(gate.passed(20, at, epoch), 0, "{back}");
    }
    assert_eq!(gate.passed(20, start + Duration::from_secs(6), epoch), 1);
    // After a very long time there is the burst, and no more.
    let later = start + Duration::from_secs(100 * 365 * 24 * 60 * 60);
    assert_eq!(gate.passed(20, later, epoch), 10);
}

#[test]
fn l11_a_limit_of_nothing_or_of_more_than_can_be_counted_is_a_mistake() {
    for limit in [
        "0/second",
        "-1/minute",
        "1.5/minute",
        "18446744073709551615/second",
        "18446744073709551616/day",
        "4294967295/day",
        "4294967296/day",
        "1000001/second",
        "10/fortnight",
        "/second",
        "{limit: 0, per: second}",
        "{limit: 10, per: second, burst: 0}",
        "{limit: 10, per: second, burst: -1}",
        "{limit: 18446744073709551615, per: day}",
        "{limit: 1, per: day, burst: 2}",
        "{limit: 1, per: day, burst: 4294967295}",
        "{limit: 10}",
        "{per: second}",
    ] {
        let told = read(limit).expect_err(limit);
        assert!(told.contains("p.yaml:"), "{limit}: {told}");
    }
}

#[test]
fn l11_the_largest_limits_count() {
    let (start, now) = (Instant::now(), OffsetDateTime::UNIX_EPOCH);
    for limit in [
        "1000000/second",
        "1000000/day",
        "{limit: 1000000, per: day, burst: 1000000}",
        "{limit: 1000000, per: second, burst: 1}",
        "{limit: 1, per: second, burst: 86400}",
    ] {
        let gate = Gate::of(limit);
        assert!(gate.take(start, now), "{limit}");
        let far = start + Duration::from_secs(u64::from(u32::MAX));
        assert!(gate.take(far, now), "{limit}");
        assert!(gate.take(far + Duration::from_secs(1), now), "{limit}");
    }
}
