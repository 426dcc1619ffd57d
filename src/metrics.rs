//! What Prometheus sees: each metric declared once, in one table, with the labels it may carry.
//!
//! Labels come from the policy, never from traffic, so the number of series is bounded by configuration. The recorder
//! belongs to the [`Metrics`] that made it: nothing is global, and several gates may live in one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use ::metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::name::{ActionName, AgentName, OutcomeName};
use crate::refusal::Code;
use crate::request::Door;

/// The value of a label that does not apply. No action, agent or code can have this name: the policy reserves it.
pub const NONE: &str = "none";

/// The kinds of metric that Prometheus knows and we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Observations in buckets.
    Histogram,
}

/// The declaration of one metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// As Prometheus sees it.
    pub name: &'static str,
    /// What may be done with it.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts, and in what unit.
    pub help: &'static str,
}

const REQUESTS: Metric = Metric {
    name: "exeat_requests_total",
    kind: Kind::Counter,
    labels: &["action", "agent", "code", "outcome", "end", "door"],
    help: "Requests that have ended, one for each terminal audit record.",
};
const REFUSALS: Metric = Metric {
    name: "exeat_refusals_total",
    kind: Kind::Counter,
    labels: &["code", "door"],
    help: "Refusals and failures by code, with requests that found the audit queue full.",
};
const RATE_LIMITED: Metric = Metric {
    name: "exeat_rate_limited_total",
    kind: Kind::Counter,
    labels: &["action", "agent"],
    help: "Requests that a rate limit has refused.",
};
const DURATION: Metric = Metric {
    name: "exeat_request_duration_seconds",
    kind: Kind::Histogram,
    labels: &["action", "door"],
    help: "From the head of the request to the end of the reply, in seconds.",
};
const UPSTREAM: Metric = Metric {
    name: "exeat_upstream_duration_seconds",
    kind: Kind::Histogram,
    labels: &["action", "door"],
    help: "The part of the duration spent dialling and waiting for the server, in seconds.",
};
const OVERHEAD: Metric = Metric {
    name: "exeat_overhead_seconds",
    kind: Kind::Histogram,
    labels: &["action", "door"],
    help: "The duration less the server's part: what exeat itself and the client took, in seconds.",
};
const IN_FLIGHT: Metric = Metric {
    name: "exeat_requests_in_flight",
    kind: Kind::Gauge,
    labels: &["door"],
    help: "Requests that have begun and not ended.",
};
const LEAVES: Metric = Metric {
    name: "exeat_leaf_certificates_minted_total",
    kind: Kind::Counter,
    labels: &[],
    help: "Leaf certificates signed by the exeat CA.",
};
const TOKENS: Metric = Metric {
    name: "exeat_token_fetches_total",
    kind: Kind::Counter,
    labels: &["outcome"],
    help: "Calls of token endpoints that have ended, `granted` or `failed`.",
};
const SCRUBBED: Metric = Metric {
    name: "exeat_scrubbed_secrets_total",
    kind: Kind::Counter,
    labels: &["action"],
    help: "Places in replies where a known secret was masked.",
};
const AUDIT_ERRORS: Metric = Metric {
    name: "exeat_audit_write_errors_total",
    kind: Kind::Counter,
    labels: &[],
    help: "Attempts to write audit records that failed; they are repeated, and no record is skipped.",
};
const AUDIT_LOST: Metric = Metric {
    name: "exeat_audit_lost_records_total",
    kind: Kind::Counter,
    labels: &[],
    help: "Audit records that were lost, with `audit.when_blocked: drop`.",
};
const BUILD: Metric = Metric {
    name: "exeat_build_info",
    kind: Kind::Gauge,
    labels: &["version"],
    help: "Always 1; the label tells the version.",
};
const POLICY: Metric = Metric {
    name: "exeat_policy_info",
    kind: Kind::Gauge,
    labels: &["hash"],
    help: "Always 1; the label tells the policy in force.",
};

const RELOADS: Metric = Metric {
    name: "exeat_policy_reloads_total",
    kind: Kind::Counter,
    labels: &["outcome"],
    help: "Times that the policy was read again: `loaded`, `unchanged` or `refused`.",
};
const RELOAD_FAILED: Metric = Metric {
    name: "exeat_policy_reload_failed",
    kind: Kind::Gauge,
    labels: &[],
    help: "1 while the policy in the files is refused and an older one is in force, else 0.",
};
const LOADED: Metric = Metric {
    name: "exeat_policy_loaded_timestamp_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "When the policy in force was loaded, in seconds since 1970.",
};

/// Every metric, in the order of the documentation.
pub const METRICS: &[Metric] = &[
    REQUESTS,
    REFUSALS,
    RATE_LIMITED,
    DURATION,
    UPSTREAM,
    OVERHEAD,
    IN_FLIGHT,
    LEAVES,
    TOKENS,
    SCRUBBED,
    AUDIT_ERRORS,
    AUDIT_LOST,
    BUILD,
    POLICY,
    RELOADS,
    RELOAD_FAILED,
    LOADED,
];

/// In seconds. From a tenth of a millisecond, which exeat's own overhead stays under when all is well, to a hundred
/// seconds, past the default deadline of an action; three steps in each power of ten keep a quantile within a factor
/// of about two.
const BUCKETS: &[f64] = &[
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
    10.0, 20.0, 50.0, 100.0,
];

/// What came of reading the policy again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Another one is in force.
    Loaded,
    /// The files say what they said.
    Unchanged,
    /// The one in force stays.
    Refused,
}

/// How a request ended, as labels. Everything in it comes from the policy or from exeat itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Labels {
    /// The way it came in.
    pub door: Door,
    /// The action, once one was selected.
    pub action: Option<ActionName>,
    /// The agent, once known: a name that only a client claims is none.
    pub agent: Option<AgentName>,
    /// Why not, where it was refused or failed.
    pub code: Option<Code>,
    /// What the policy calls the reply, where there was one.
    pub outcome: Option<OutcomeName>,
    /// How it ended, in the audit record's word.
    pub end: &'static str,
}

/// The metrics of one gate.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    in_flight: [Gauge; 4],
    leaves: Counter,
    tokens_granted: Counter,
    tokens_failed: Counter,
    audit_errors: Counter,
    audit_losses: Counter,
    // A request must not format labels: a known set costs one lookup, a new one is registered once.
    series: RwLock<HashMap<Labels, Arc<Series>>>,
    policy: Mutex<Option<Arc<str>>>,
    /// As many as [`Reload`] has.
    reloads: [Counter; 3],
    reload_failed: Gauge,
    loaded: Gauge,
}

/// The handles that a request with one set of labels touches.
struct Series {
    requests: Counter,
    refusals: Counter,
    rate_limited: Counter,
    duration: Histogram,
    upstream: Histogram,
    overhead: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that nobody else writes to.
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets(BUCKETS)
            .expect("the list of buckets is not empty")
            .build_recorder();
        for metric in METRICS {
            describe(&recorder, metric);
        }
        gauge(&recorder, &BUILD, &[env!("CARGO_PKG_VERSION")]).set(1.0);
        Self {
            handle: recorder.handle(),
            in_flight: [Door::Proxy, Door::Http, Door::Mcp, Door::Call]
                .map(|door| gauge(&recorder, &IN_FLIGHT, &[door.as_str()])),
            leaves: counter(&recorder, &LEAVES, &[]),
            tokens_granted: counter(&recorder, &TOKENS, &["granted"]),
            tokens_failed: counter(&recorder, &TOKENS, &["failed"]),
            audit_errors: counter(&recorder, &AUDIT_ERRORS, &[]),
            audit_losses: counter(&recorder, &AUDIT_LOST, &[]),
            series: RwLock::default(),
            policy: Mutex::default(),
            reloads: ["loaded", "unchanged", "refused"]
                .map(|outcome| counter(&recorder, &RELOADS, &[outcome])),
            reload_failed: gauge(&recorder, &RELOAD_FAILED, &[]),
            loaded: gauge(&recorder, &LOADED, &[]),
            recorder,
        }
    }

    /// A request has begun. Each is followed by one [`Metrics::ended`].
    pub fn begun(&self, door: Door) {
        self.in_flight(door).increment(1.0);
    }

    /// A request has ended, after `duration`, `upstream` of which was the server's.
    pub fn ended(&self, labels: &Labels, duration: Duration, upstream: Option<Duration>) {
        self.in_flight(labels.door).decrement(1.0);
        let series = self.series(labels);
        series.requests.increment(1);
        series.refusals.increment(1);
        series.rate_limited.increment(1);
        series.duration.record(duration);
        if let Some(upstream) = upstream {
            series.upstream.record(upstream);
        }
        series
            .overhead
            .record(duration.saturating_sub(upstream.unwrap_or_default()));
    }

    /// A request was turned away before it could have an audit record.
    pub fn turned_away(&self, door: Door, code: Code) {
        counter(&self.recorder, &REFUSALS, &[code.as_str(), door.as_str()]).increment(1);
    }

    /// The counter of leaf certificates, for whoever signs them.
    pub fn leaves(&self) -> Counter {
        self.leaves.clone()
    }

    /// The call of a token endpoint has ended.
    pub fn token_fetched(&self, granted: bool) {
        match granted {
            true => self.tokens_granted.increment(1),
            false => self.tokens_failed.increment(1),
        }
    }

    /// Secrets were masked in so many places of a reply.
    pub fn scrubbed(&self, action: Option<&ActionName>, places: u64) {
        let action = action.map_or(NONE, ActionName::as_str);
        counter(&self.recorder, &SCRUBBED, &[action]).increment(places);
    }

    /// The counter of failed writes of audit records, for whoever writes them.
    pub fn audit_errors(&self) -> Counter {
        self.audit_errors.clone()
    }

    /// The counter of audit records that were lost, for whoever could not write them.
    pub fn audit_losses(&self) -> Counter {
        self.audit_losses.clone()
    }

    /// A policy came into force.
    pub fn policy_in_force(&self, hash: &str) {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = Some(hash.into());
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.loaded.set(since.unwrap_or_default().as_secs_f64());
    }

    /// The policy was read again.
    pub fn reloaded(&self, reload: Reload) {
        let [loaded, unchanged, refused] = &self.reloads;
        let (counter, failed) = match reload {
            Reload::Loaded => (loaded, 0.0),
            Reload::Unchanged => (unchanged, 0.0),
            Reload::Refused => (refused, 1.0),
        };
        counter.increment(1);
        self.reload_failed.set(failed);
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    pub fn render(&self) -> String {
        let mut text = self.handle.render();
        let policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hash) = &*policy {
            push_policy(&mut text, hash);
        }
        text
    }

    /// Moves observations into their buckets. Rendering does so as well, but where nobody scrapes, observations pile
    /// up in memory: call it every few seconds.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    fn in_flight(&self, door: Door) -> &Gauge {
        &self.in_flight[match door {
            Door::Proxy => 0,
            Door::Http => 1,
            Door::Mcp => 2,
            Door::Call => 3,
        }]
    }

    fn series(&self, labels: &Labels) -> Arc<Series> {
        let known = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(labels) {
            return Arc::clone(series);
        }
        drop(known);
        let series = Arc::new(register(&self.recorder, labels));
        let mut known = self.series.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(labels.clone()).or_insert(series))
    }
}

/// Written by hand because the recorder can't forget a series: each reload would leave a stale hash behind.
fn push_policy(text: &mut String, hash: &str) {
    let Metric { name, help, .. } = POLICY;
    let hash: String = hash.chars().filter(char::is_ascii_alphanumeric).collect();
    text.push_str(&format!(
        "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{{hash=\"{hash}\"}} 1\n\n"
    ));
}

fn register(recorder: &PrometheusRecorder, labels: &Labels) -> Series {
    let action = labels.action.as_ref().map_or(NONE, ActionName::as_str);
    let agent = labels.agent.as_ref().map_or(NONE, AgentName::as_str);
    let outcome = labels.outcome.as_ref().map_or(NONE, OutcomeName::as_str);
    let code = labels.code.map_or(NONE, Code::as_str);
    let door = labels.door.as_str();
    Series {
        requests: counter(
            recorder,
            &REQUESTS,
            &[action, agent, code, outcome, labels.end, door],
        ),
        refusals: match labels.code {
            Some(_) => counter(recorder, &REFUSALS, &[code, door]),
            None => Counter::noop(),
        },
        rate_limited: match labels.code {
            Some(Code::RateLimited) => counter(recorder, &RATE_LIMITED, &[action, agent]),
            _ => Counter::noop(),
        },
        duration: histogram(recorder, &DURATION, &[action, door]),
        upstream: histogram(recorder, &UPSTREAM, &[action, door]),
        overhead: histogram(recorder, &OVERHEAD, &[action, door]),
    }
}

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

fn describe(recorder: &PrometheusRecorder, metric: &Metric) {
    let name = KeyName::from_const_str(metric.name);
    match metric.kind {
        Kind::Counter => recorder.describe_counter(name, None, metric.help.into()),
        Kind::Gauge => recorder.describe_gauge(name, None, metric.help.into()),
        Kind::Histogram => recorder.describe_histogram(name, None, metric.help.into()),
    }
}

fn counter(recorder: &PrometheusRecorder, metric: &Metric, values: &[&str]) -> Counter {
    recorder.register_counter(&key(metric, values), &METADATA)
}

fn gauge(recorder: &PrometheusRecorder, metric: &Metric, values: &[&str]) -> Gauge {
    recorder.register_gauge(&key(metric, values), &METADATA)
}

fn histogram(recorder: &PrometheusRecorder, metric: &Metric, values: &[&str]) -> Histogram {
    recorder.register_histogram(&key(metric, values), &METADATA)
}

fn key(metric: &Metric, values: &[&str]) -> Key {
    debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
    let labels = metric.labels.iter().zip(values);
    let labels: Vec<Label> = labels
        .map(|(name, value)| Label::new(*name, (*value).to_owned()))
        .collect();
    Key::from_parts(metric.name, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Labels {
        Labels {
            door: Door::Proxy,
            action: Some(ActionName::parse("get_weather").unwrap()),
            agent: None,
            code: None,
            outcome: OutcomeName::parse("created").ok(),
            end: "complete",
        }
    }

    fn refused() -> Labels {
        Labels {
            action: None,
            code: Some(Code::HostUndeclared),
            outcome: None,
            end: "refused",
            ..allowed()
        }
    }

    fn limited() -> Labels {
        Labels {
            code: Some(Code::RateLimited),
            ..allowed()
        }
    }

    /// The value of the series whose line has all the given pieces.
    fn value(text: &str, pieces: &[&str]) -> Option<f64> {
        let line = text
            .lines()
            .find(|line| pieces.iter().all(|piece| line.contains(piece)))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    #[test]
    fn a_request_is_counted_under_the_labels_of_its_end() {
        let metrics = Metrics::new();
        for labels in [allowed(), allowed(), refused(), limited()] {
            metrics.begun(labels.door);
            metrics.ended(&labels, Duration::from_millis(30), None);
        }
        metrics.turned_away(Door::Mcp, Code::Overloaded);
        let text = metrics.render();
        for (pieces, expected) in [
            (
                &[
                    "exeat_requests_total{",
                    "action=\"get_weather\"",
                    "agent=\"none\"",
                    "code=\"none\"",
                    "outcome=\"created\"",
                    "end=\"complete\"",
                    "door=\"proxy\"",
                ][..],
                Some(2.0),
            ),
            (
                &[
                    "exeat_requests_total{",
                    "action=\"none\"",
                    "code=\"host_undeclared\"",
                    "outcome=\"none\"",
                    "end=\"refused\"",
                ],
                Some(1.0),
            ),
            (&["exeat_refusals_total{", "host_undeclared"], Some(1.0)),
            (&["exeat_refusals_total{", "overloaded", "mcp"], Some(1.0)),
            (
                &["exeat_rate_limited_total{action=\"get_weather\",agent=\"none\"}"],
                Some(1.0),
            ),
            (&["exeat_refusals_total{", "code=\"none\""], None),
            (&["exeat_requests_in_flight{", "proxy"], Some(0.0)),
        ] {
            assert_eq!(value(&text, pieces), expected, "{pieces:?}\n{text}");
        }
    }

    #[test]
    fn the_overhead_is_what_the_server_did_not_take() {
        let metrics = Metrics::new();
        metrics.begun(Door::Proxy);
        metrics.ended(
            &allowed(),
            Duration::from_millis(1500),
            Some(Duration::from_millis(1250)),
        );
        let text = metrics.render();
        for (name, seconds) in [
            ("exeat_request_duration_seconds_sum", 1.5),
            ("exeat_upstream_duration_seconds_sum", 1.25),
            ("exeat_overhead_seconds_sum", 0.25),
        ] {
            assert_eq!(value(&text, &[name]), Some(seconds), "{text}");
        }
        assert_eq!(
            value(&text, &["exeat_overhead_seconds_bucket", "le=\"0.2\""]),
            Some(0.0)
        );
        assert_eq!(
            value(&text, &["exeat_overhead_seconds_bucket", "le=\"0.5\""]),
            Some(1.0)
        );
    }

    #[test]
    fn only_the_policy_in_force_is_shown() {
        let metrics = Metrics::new();
        metrics.policy_in_force("aaaa");
        metrics.policy_in_force("bb\"\nbb");
        let text = metrics.render();
        assert!(
            text.contains("exeat_policy_info{hash=\"bbbb\"} 1\n"),
            "{text}"
        );
        assert!(!text.contains("aaaa"), "{text}");
    }

    #[test]
    fn every_metric_that_is_shown_is_declared_with_its_help() {
        let metrics = Metrics::new();
        metrics.begun(Door::Proxy);
        metrics.ended(&refused(), Duration::ZERO, Some(Duration::ZERO));
        metrics.ended(&limited(), Duration::ZERO, None);
        metrics.policy_in_force("aaaa");
        metrics.leaves().increment(1);
        metrics.scrubbed(None, 1);
        let text = metrics.render();
        for metric in METRICS {
            let help = format!("# HELP {} {}\n", metric.name, metric.help);
            assert!(text.contains(&help), "{help}{text}");
        }
        let declared: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
            let name = line.split(' ').nth(2).unwrap();
            assert!(declared.contains(&name), "{name}");
        }
    }
}
