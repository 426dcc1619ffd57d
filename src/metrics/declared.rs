//! Every metric, declared once: its name, its kind, its labels and its help.

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

pub(crate) const REQUESTS: Metric = Metric {
    name: "exeat_requests_total",
    kind: Kind::Counter,
    labels: &["action", "agent", "code", "outcome", "end", "door"],
    help: "Requests that have ended, one for each terminal audit record.",
};
pub(crate) const REFUSALS: Metric = Metric {
    name: "exeat_refusals_total",
    kind: Kind::Counter,
    labels: &["code", "door"],
    help: "Refusals and failures by code, with requests that found the audit queue full.",
};
pub(crate) const RATE_LIMITED: Metric = Metric {
    name: "exeat_rate_limited_total",
    kind: Kind::Counter,
    labels: &["action", "agent"],
    help: "Requests that a rate limit has refused.",
};
pub(crate) const DURATION: Metric = Metric {
    name: "exeat_request_duration_seconds",
    kind: Kind::Histogram,
    labels: &["action", "door"],
    help: "From the head of the request to the end of the reply, in seconds.",
};
pub(crate) const UPSTREAM: Metric = Metric {
    name: "exeat_upstream_duration_seconds",
    kind: Kind::Histogram,
    labels: &["action", "door"],
    help: "The part of the duration spent dialling and waiting for the server, in seconds.",
};
pub(crate) const OVERHEAD: Metric = Metric {
    name: "exeat_overhead_seconds",
    kind: Kind::Histogram,
    labels: &["action", "door"],
    help: "The duration less the server's part: what exeat itself and the client took, in seconds.",
};
pub(crate) const IN_FLIGHT: Metric = Metric {
    name: "exeat_requests_in_flight",
    kind: Kind::Gauge,
    labels: &["door"],
    help: "Requests that have begun and not ended.",
};
pub(crate) const REQUEST_BYTES: Metric = Metric {
    name: "exeat_request_body_bytes_total",
    kind: Kind::Counter,
    labels: &["action", "door"],
    help: "Bytes of bodies from clients, counted when a request or tunnel ends.",
};
pub(crate) const RESPONSE_BYTES: Metric = Metric {
    name: "exeat_response_body_bytes_total",
    kind: Kind::Counter,
    labels: &["action", "door"],
    help: "Bytes of bodies to clients, counted when a request or tunnel ends.",
};
pub(crate) const AGENT_IN_FLIGHT: Metric = Metric {
    name: "exeat_agent_requests_in_flight",
    kind: Kind::Gauge,
    labels: &["agent"],
    help: "Requests under way that count against the share of an agent.",
};
pub(crate) const AGENT_LIMIT: Metric = Metric {
    name: "exeat_agent_requests_limit",
    kind: Kind::Gauge,
    labels: &[],
    help: "Requests that one agent may have under way: the setting `agent_requests`.",
};
pub(crate) const BODY_ROOM: Metric = Metric {
    name: "exeat_body_room_used_bytes",
    kind: Kind::Gauge,
    labels: &[],
    help: "Bytes of bodies that are held whole, over all clients.",
};
pub(crate) const BODY_ROOM_LIMIT: Metric = Metric {
    name: "exeat_body_room_limit_bytes",
    kind: Kind::Gauge,
    labels: &[],
    help: "Bytes of bodies that may be held whole; past them requests are refused.",
};
pub(crate) const TUNNELS_OPEN: Metric = Metric {
    name: "exeat_tunnels_open",
    kind: Kind::Gauge,
    labels: &["kind"],
    help: "Tunnels that are open: `intercepted`, or `passed` on unread.",
};
pub(crate) const TUNNELS: Metric = Metric {
    name: "exeat_tunnels_opened_total",
    kind: Kind::Counter,
    labels: &["kind"],
    help: "Tunnels that were opened: `intercepted`, or `passed` on unread.",
};
pub(crate) const DISTRUSTED: Metric = Metric {
    name: "exeat_tunnels_distrusted_total",
    kind: Kind::Counter,
    labels: &["host"],
    help: "Tunnels whose client did not accept our certificate, by the host as the policy writes it.",
};
pub(crate) const CONNECTIONS_OPEN: Metric = Metric {
    name: "exeat_connections_open",
    kind: Kind::Gauge,
    labels: &["listener"],
    help: "Connections of clients that are open, of `proxy`, `tools` or `admin`.",
};
pub(crate) const CONNECTIONS: Metric = Metric {
    name: "exeat_connections_accepted_total",
    kind: Kind::Counter,
    labels: &["listener"],
    help: "Connections of clients that were accepted.",
};
pub(crate) const CLOSED_UNREAD: Metric = Metric {
    name: "exeat_connections_closed_unread_total",
    kind: Kind::Counter,
    labels: &["listener"],
    help: "Connections of clients that were closed unread because the workers had no place.",
};
pub(crate) const SESSIONS: Metric = Metric {
    name: "exeat_sessions",
    kind: Kind::Gauge,
    labels: &[],
    help: "Sessions that are held in memory.",
};
pub(crate) const UPSTREAM_OPEN: Metric = Metric {
    name: "exeat_upstream_connections_open",
    kind: Kind::Gauge,
    labels: &[],
    help: "Connections to servers that are open and speak HTTP.",
};
pub(crate) const UPSTREAM_IDLE: Metric = Metric {
    name: "exeat_upstream_connections_idle",
    kind: Kind::Gauge,
    labels: &[],
    help: "Of them, those of HTTP/1.1 that are kept for the next request.",
};
pub(crate) const UPSTREAM_OPENED: Metric = Metric {
    name: "exeat_upstream_connections_opened_total",
    kind: Kind::Counter,
    labels: &[],
    help: "Connections to servers that were opened to speak HTTP.",
};
pub(crate) const UPSTREAM_REUSED: Metric = Metric {
    name: "exeat_upstream_connections_reused_total",
    kind: Kind::Counter,
    labels: &[],
    help: "Requests that left on a connection which had carried one before.",
};
pub(crate) const SECRET_FETCHES: Metric = Metric {
    name: "exeat_secret_fetches_total",
    kind: Kind::Counter,
    labels: &["secret", "outcome"],
    help: "Reads of secrets from their sources, `read` or `failed`. What is in memory is not read again.",
};
pub(crate) const SECRET_AGE: Metric = Metric {
    name: "exeat_secret_age_seconds",
    kind: Kind::Gauge,
    labels: &["secret"],
    help: "Since a secret of the policy in force was last read; the longest, where environments differ.",
};
pub(crate) const LEAVES: Metric = Metric {
    name: "exeat_leaf_certificates_minted_total",
    kind: Kind::Counter,
    labels: &[],
    help: "Leaf certificates signed by the exeat CA.",
};
pub(crate) const CA_EXPIRY: Metric = Metric {
    name: "exeat_ca_expiry_timestamp_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "When the certificate of the exeat CA ends, as Unix time.",
};
pub(crate) const TOKENS: Metric = Metric {
    name: "exeat_token_fetches_total",
    kind: Kind::Counter,
    labels: &["outcome"],
    help: "Calls of token endpoints that have ended, `granted` or `failed`.",
};
pub(crate) const SCRUBBED: Metric = Metric {
    name: "exeat_scrubbed_secrets_total",
    kind: Kind::Counter,
    labels: &["action"],
    help: "Places in replies where a known secret was masked.",
};
pub(crate) const AUDIT_ERRORS: Metric = Metric {
    name: "exeat_audit_write_errors_total",
    kind: Kind::Counter,
    labels: &[],
    help: "Attempts to write audit records that failed; they are repeated, and no record is skipped.",
};
pub(crate) const AUDIT_QUEUE: Metric = Metric {
    name: "exeat_audit_queue_used",
    kind: Kind::Gauge,
    labels: &[],
    help: "Places of the audit queue that are taken: requests under way and records unwritten.",
};
pub(crate) const AUDIT_CAPACITY: Metric = Metric {
    name: "exeat_audit_queue_capacity",
    kind: Kind::Gauge,
    labels: &[],
    help: "Places of the audit queue; when all are taken, requests are refused.",
};
pub(crate) const AUDIT_LOST: Metric = Metric {
    name: "exeat_audit_lost_records_total",
    kind: Kind::Counter,
    labels: &[],
    help: "Audit records that were lost, with `audit.when_blocked: drop`.",
};
pub(crate) const BUILD: Metric = Metric {
    name: "exeat_build_info",
    kind: Kind::Gauge,
    labels: &["version"],
    help: "Always 1; the label tells the version.",
};
pub(crate) const POLICY: Metric = Metric {
    name: "exeat_policy_info",
    kind: Kind::Gauge,
    labels: &["hash"],
    help: "Always 1; the label tells the policy in force.",
};
pub(crate) const PROCESS_CPU: Metric = Metric {
    name: "process_cpu_seconds_total",
    kind: Kind::Counter,
    labels: &[],
    help: "User and system CPU time of the process, in seconds.",
};
pub(crate) const PROCESS_MEMORY: Metric = Metric {
    name: "process_resident_memory_bytes",
    kind: Kind::Gauge,
    labels: &[],
    help: "Resident memory of the process.",
};
pub(crate) const PROCESS_FDS: Metric = Metric {
    name: "process_open_fds",
    kind: Kind::Gauge,
    labels: &[],
    help: "File descriptors that the process has open.",
};
pub(crate) const PROCESS_MAX_FDS: Metric = Metric {
    name: "process_max_fds",
    kind: Kind::Gauge,
    labels: &[],
    help: "File descriptors that the process may have open.",
};
pub(crate) const PROCESS_START: Metric = Metric {
    name: "process_start_time_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "When the process started, as Unix time.",
};

pub(crate) const LOG_LOST: Metric = Metric {
    name: "exeat_log_lost_lines_total",
    kind: Kind::Counter,
    labels: &[],
    help: "Lines of the log that were lost because nobody has read standard error.",
};

pub(crate) const RELOADS: Metric = Metric {
    name: "exeat_policy_reloads_total",
    kind: Kind::Counter,
    labels: &["outcome"],
    help: "Times that the policy was read again: `loaded`, `unchanged` or `refused`.",
};
pub(crate) const RELOAD_FAILED: Metric = Metric {
    name: "exeat_policy_reload_failed",
    kind: Kind::Gauge,
    labels: &[],
    help: "1 while the policy in the files is refused and an older one is in force, else 0.",
};
pub(crate) const LOADED: Metric = Metric {
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
    REQUEST_BYTES,
    RESPONSE_BYTES,
    AGENT_IN_FLIGHT,
    AGENT_LIMIT,
    BODY_ROOM,
    BODY_ROOM_LIMIT,
    TUNNELS_OPEN,
    TUNNELS,
    DISTRUSTED,
    CONNECTIONS_OPEN,
    CONNECTIONS,
    CLOSED_UNREAD,
    SESSIONS,
    UPSTREAM_OPEN,
    UPSTREAM_IDLE,
    UPSTREAM_OPENED,
    UPSTREAM_REUSED,
    SECRET_FETCHES,
    SECRET_AGE,
    LEAVES,
    CA_EXPIRY,
    TOKENS,
    SCRUBBED,
    AUDIT_ERRORS,
    AUDIT_QUEUE,
    AUDIT_CAPACITY,
    AUDIT_LOST,
    LOG_LOST,
    BUILD,
    POLICY,
    RELOADS,
    RELOAD_FAILED,
    LOADED,
    PROCESS_CPU,
    PROCESS_MEMORY,
    PROCESS_FDS,
    PROCESS_MAX_FDS,
    PROCESS_START,
];

/// The longest that a bucket takes, in nanoseconds. From a tenth of a millisecond, which exeat's own overhead stays under when all is well, to a hundred
/// seconds, past the default deadline of an action; three steps in each power of ten keep a quantile within a factor
/// of about two.
pub(super) const BUCKETS: [u64; 19] = {
    let micro = 1_000;
    let milli = 1_000 * micro;
    let second = 1_000 * milli;
    [
        100 * micro,
        200 * micro,
        500 * micro,
        milli,
        2 * milli,
        5 * milli,
        10 * milli,
        20 * milli,
        50 * milli,
        100 * milli,
        200 * milli,
        500 * milli,
        second,
        2 * second,
        5 * second,
        10 * second,
        20 * second,
        50 * second,
        100 * second,
    ]
};
