//! What Prometheus sees: each metric declared once, in one table, with the labels it may carry.
//!
//! Labels come from the policy, never from traffic, so the number of series is bounded by configuration. The recorder
//! belongs to the [`Metrics`] that made it: nothing is global, and several gates may live in one process.
//!
//! A series of the recorder stays until the process ends, also when a reload takes its action away: a counter that
//! vanished and came back would look like a restart. What is looked up at a scrape ([`Sample`]) is that of now.

mod declared;
mod gauged;
mod process;
mod secrets;
mod text;
mod times;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use ::metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder};
use foldhash::fast::RandomState;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::log;
use crate::metrics::declared::{
    AUDIT_ERRORS, AUDIT_LOST, BUILD, CA_EXPIRY, DISTRUSTED, IN_FLIGHT, LEAVES, LOADED, LOG_LOST,
    RATE_LIMITED, REFUSALS, RELOAD_FAILED, RELOADS, REQUEST_BYTES, REQUESTS, RESPONSE_BYTES,
    SCRUBBED, TOKENS,
};
use crate::metrics::secrets::Secrets;
use crate::metrics::times::{AllTimes, Times};
use crate::name::{ActionName, AgentName, OutcomeName, SecretName};
use crate::policy::SecretSource;
use crate::refusal::Code;
use crate::request::Door;
use crate::request::HostPattern;

pub(crate) use declared::{
    AGENT_IN_FLIGHT, AGENT_LIMIT, AUDIT_CAPACITY, AUDIT_QUEUE, BODY_ROOM, BODY_ROOM_LIMIT, POLICY,
    SESSIONS,
};
pub use declared::{Kind, METRICS, Metric};
pub use gauged::{Gauged, Listener, TunnelKind, Upstreams};
pub use text::Sample;

/// The value of a label that does not apply. No action, agent or code can have this name: the policy reserves it.
pub const NONE: &str = "none";

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
    tunnels: [Opened; TunnelKind::ALL.len()],
    connections: [Connections; Listener::ALL.len()],
    upstreams: Upstreams,
    secrets: Mutex<Secrets>,
    // A request must not format labels: a known set costs one lookup, a new one is registered once. Nothing in labels
    // is a client's, so that a fast hash does.
    series: RwLock<HashMap<Labels, Arc<Series>, RandomState>>,
    times: AllTimes,
    /// As many as [`Reload`] has.
    reloads: [Counter; 3],
    reload_failed: Gauge,
    loaded: Gauge,
}

/// What is counted as it opens, and while it is open.
struct Opened {
    total: Counter,
    open: Gauge,
}

/// The connections of one listener.
struct Connections {
    opened: Opened,
    unread: Counter,
}

/// What a request comes to, when it ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// From its beginning.
    pub duration: Duration,
    /// Of it, what was the server's.
    pub upstream: Option<Duration>,
    /// Bytes of body from the client.
    pub bytes_in: u64,
    /// Bytes of body to the client.
    pub bytes_out: u64,
    /// Places of the reply where a secret was masked.
    pub scrubbed: u64,
}

/// The handles that a request with one set of labels touches.
struct Series {
    requests: Counter,
    refusals: Counter,
    rate_limited: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
    scrubbed: Counter,
    times: Arc<Times>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that nobody else writes to.
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
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
            tunnels: TunnelKind::ALL.map(|kind| Opened::tunnels(&recorder, kind)),
            connections: Listener::ALL.map(|of| Connections::of(&recorder, of)),
            upstreams: Upstreams::new(&recorder),
            secrets: Mutex::default(),
            series: RwLock::default(),
            times: AllTimes::default(),
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

    /// A request has ended.
    pub fn ended(&self, labels: &Labels, measured: Measured) {
        self.in_flight(labels.door).decrement(1.0);
        let series = self.series(labels);
        series.requests.increment(1);
        series.refusals.increment(1);
        series.rate_limited.increment(1);
        series.bytes_in.increment(measured.bytes_in);
        series.bytes_out.increment(measured.bytes_out);
        series.scrubbed.increment(measured.scrubbed);
        series.times.record(measured.duration, measured.upstream);
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

    /// A tunnel has opened, and is open until this is dropped.
    pub fn tunnel(&self, kind: TunnelKind) -> Gauged {
        let opened = &self.tunnels[kind as usize];
        opened.total.increment(1);
        Gauged::of(&opened.open)
    }

    /// A client did not accept our certificate for a host of the policy, or for another.
    pub fn distrusted(&self, host: Option<&HostPattern>) {
        let host = host.map_or_else(|| NONE.to_owned(), ToString::to_string);
        counter(&self.recorder, &DISTRUSTED, &[&host]).increment(1);
    }

    /// A connection was accepted, and is open until this is dropped.
    pub fn connection(&self, listener: Listener) -> Gauged {
        let opened = &self.connections[listener as usize].opened;
        opened.total.increment(1);
        Gauged::of(&opened.open)
    }

    /// A connection was closed unread.
    pub fn closed_unread(&self, listener: Listener) {
        self.connections[listener as usize].unread.increment(1);
    }

    /// The counters of connections to servers, for whoever opens them.
    pub fn upstreams(&self) -> Upstreams {
        self.upstreams.clone()
    }

    /// A secret was read from its source, or could not be.
    pub fn secret_fetched(&self, name: &SecretName, source: &SecretSource, read: bool) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.fetched(&self.recorder, (name, source), read);
    }

    /// How long ago each secret was read that is still declared so.
    pub fn secret_ages(
        &self,
        is_declared: impl Fn(&SecretName, &SecretSource) -> bool,
    ) -> Vec<Sample> {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.ages(is_declared)
    }

    /// When the certificate of the CA ends.
    pub fn ca_expires(&self, unix_time: i64) {
        gauge(&self.recorder, &CA_EXPIRY, &[]).set(unix_time as f64);
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
    pub fn policy_in_force(&self) {
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

    /// Everything in Prometheus' text format, version 0.0.4, with what others know at the moment.
    pub fn render(&self, now: &[Sample]) -> String {
        let mut text = self.handle.render();
        self.times.push(&mut text);
        text::push(&mut text, now);
        text::push(&mut text, &[Sample::of(&LOG_LOST, &[], log::lost() as f64)]);
        text::push(&mut text, &process::samples());
        text
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
        let series = Arc::new(register(&self.recorder, &self.times, labels));
        let mut known = self.series.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(labels.clone()).or_insert(series))
    }
}

impl Opened {
    fn tunnels(recorder: &PrometheusRecorder, kind: TunnelKind) -> Self {
        Self {
            total: counter(recorder, &declared::TUNNELS, &[kind.as_str()]),
            open: gauge(recorder, &declared::TUNNELS_OPEN, &[kind.as_str()]),
        }
    }
}

impl Connections {
    fn of(recorder: &PrometheusRecorder, listener: Listener) -> Self {
        let label = [listener.as_str()];
        Self {
            opened: Opened {
                total: counter(recorder, &declared::CONNECTIONS, &label),
                open: gauge(recorder, &declared::CONNECTIONS_OPEN, &label),
            },
            unread: counter(recorder, &declared::CLOSED_UNREAD, &label),
        }
    }
}

fn register(recorder: &PrometheusRecorder, times: &AllTimes, labels: &Labels) -> Series {
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
        bytes_in: counter(recorder, &REQUEST_BYTES, &[action, door]),
        bytes_out: counter(recorder, &RESPONSE_BYTES, &[action, door]),
        scrubbed: counter(recorder, &SCRUBBED, &[action]),
        times: times.of(action, labels.door),
    }
}

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

fn describe(recorder: &PrometheusRecorder, metric: &Metric) {
    let name = KeyName::from_const_str(metric.name);
    match metric.kind {
        Kind::Counter => recorder.describe_counter(name, None, metric.help.into()),
        Kind::Gauge => recorder.describe_gauge(name, None, metric.help.into()),
        // Its head is written with it.
        Kind::Histogram => {}
    }
}

fn counter(recorder: &PrometheusRecorder, metric: &Metric, values: &[&str]) -> Counter {
    recorder.register_counter(&key(metric, values), &METADATA)
}

fn gauge(recorder: &PrometheusRecorder, metric: &Metric, values: &[&str]) -> Gauge {
    recorder.register_gauge(&key(metric, values), &METADATA)
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
            metrics.ended(&labels, Measured::default());
        }
        metrics.turned_away(Door::Mcp, Code::Overloaded);
        let text = metrics.render(&[]);
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
            Measured {
                duration: Duration::from_millis(1500),
                upstream: Some(Duration::from_millis(1250)),
                ..Measured::default()
            },
        );
        let text = metrics.render(&[]);
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
    fn bytes_and_masked_places_are_counted_by_action() {
        let metrics = Metrics::new();
        for _ in 0..2 {
            let measured = Measured {
                bytes_in: 10,
                bytes_out: 300,
                scrubbed: 1,
                ..Measured::default()
            };
            metrics.ended(&allowed(), measured);
        }
        let text = metrics.render(&[]);
        for (name, expected) in [
            (
                "exeat_request_body_bytes_total{action=\"get_weather\"",
                20.0,
            ),
            (
                "exeat_response_body_bytes_total{action=\"get_weather\"",
                600.0,
            ),
            ("exeat_scrubbed_secrets_total{action=\"get_weather\"", 2.0),
        ] {
            assert_eq!(value(&text, &[name]), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_is_open_is_counted_until_it_is_dropped() {
        let metrics = Metrics::new();
        let tunnel = metrics.tunnel(TunnelKind::Passed);
        let connections = [(); 2].map(|()| metrics.connection(Listener::Tools));
        metrics.closed_unread(Listener::Proxy);
        let shown = |pieces: &[&str]| value(&metrics.render(&[]), pieces);
        assert_eq!(shown(&["exeat_tunnels_open{kind=\"passed\"}"]), Some(1.0));
        assert_eq!(
            shown(&["exeat_connections_open{listener=\"tools\"}"]),
            Some(2.0)
        );
        drop((tunnel, connections));
        for (pieces, expected) in [
            ("exeat_tunnels_open{kind=\"passed\"}", 0.0),
            ("exeat_tunnels_opened_total{kind=\"passed\"}", 1.0),
            ("exeat_tunnels_opened_total{kind=\"intercepted\"}", 0.0),
            ("exeat_connections_open{listener=\"tools\"}", 0.0),
            ("exeat_connections_accepted_total{listener=\"tools\"}", 2.0),
            (
                "exeat_connections_closed_unread_total{listener=\"proxy\"}",
                1.0,
            ),
        ] {
            assert_eq!(shown(&[pieces]), Some(expected), "{pieces}");
        }
    }

    #[test]
    fn every_metric_that_is_shown_is_declared_with_its_help() {
        let metrics = Metrics::new();
        metrics.begun(Door::Proxy);
        let measured = Measured {
            upstream: Some(Duration::ZERO),
            ..Measured::default()
        };
        metrics.ended(&limited(), measured);
        let secret = SecretName::parse("key").unwrap();
        metrics.secret_fetched(&secret, &SecretSource::Env("KEY".into()), true);
        metrics.ca_expires(1);
        metrics.distrusted(None);
        let mut now = metrics.secret_ages(|_, _| true);
        for metric in [
            &AGENT_LIMIT,
            &AUDIT_QUEUE,
            &AUDIT_CAPACITY,
            &BODY_ROOM,
            &BODY_ROOM_LIMIT,
            &SESSIONS,
        ] {
            now.push(Sample::of(metric, &[], 1.0));
        }
        now.push(Sample::of(&AGENT_IN_FLIGHT, &["bot"], 1.0));
        now.push(Sample::of(&POLICY, &["aaaa"], 1.0));
        let text = metrics.render(&now);
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
