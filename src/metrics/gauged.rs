//! What is counted while it is there: tunnels, connections of clients, connections to servers.

use ::metrics::{Counter, Gauge};
use metrics_exporter_prometheus::PrometheusRecorder;

use crate::metrics::declared::{UPSTREAM_IDLE, UPSTREAM_OPEN, UPSTREAM_OPENED, UPSTREAM_REUSED};
use crate::metrics::{counter, gauge};
use crate::request::Door;

/// One of a gauge's, until it is dropped: also where a task panics or is aborted.
#[must_use = "it is counted for as long as this lives"]
pub struct Gauged(Gauge);

impl Gauged {
    pub(super) fn of(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Gauged {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// What a CONNECT led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    /// TLS ends here.
    Intercepted,
    /// TLS ends at the server.
    Passed,
}

impl TunnelKind {
    pub(super) const ALL: [Self; 2] = [Self::Intercepted, Self::Passed];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Intercepted => "intercepted",
            Self::Passed => "passed",
        }
    }
}

/// Where a client connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// For requests.
    Proxy,
    /// For calls by name.
    Tools,
    /// For operators.
    Admin,
}

impl Listener {
    /// The door of what comes unread.
    pub fn door(self) -> Door {
        match self {
            Self::Proxy => Door::Proxy,
            Self::Tools | Self::Admin => Door::Http,
        }
    }

    pub(super) const ALL: [Self; 3] = [Self::Proxy, Self::Tools, Self::Admin];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Tools => "tools",
            Self::Admin => "admin",
        }
    }
}

/// Connections to servers. The default counts for nobody.
#[derive(Clone)]
pub struct Upstreams {
    opened: Counter,
    reused: Counter,
    open: Gauge,
    idle: Gauge,
}

impl Default for Upstreams {
    fn default() -> Self {
        Self {
            opened: Counter::noop(),
            reused: Counter::noop(),
            open: Gauge::noop(),
            idle: Gauge::noop(),
        }
    }
}

impl Upstreams {
    pub(super) fn new(recorder: &PrometheusRecorder) -> Self {
        Self {
            opened: counter(recorder, &UPSTREAM_OPENED, &[]),
            reused: counter(recorder, &UPSTREAM_REUSED, &[]),
            open: gauge(recorder, &UPSTREAM_OPEN, &[]),
            idle: gauge(recorder, &UPSTREAM_IDLE, &[]),
        }
    }

    /// A connection was opened, and is open until this is dropped.
    pub fn open(&self) -> Gauged {
        self.opened.increment(1);
        Gauged::of(&self.open)
    }

    /// A connection is kept for the next request until this is dropped.
    pub fn idle(&self) -> Gauged {
        Gauged::of(&self.idle)
    }

    /// A request leaves on a connection that was kept.
    pub fn reused(&self) {
        self.reused.increment(1);
    }
}
