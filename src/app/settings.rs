//! Settings of the process: flags, else environment variables, else `exeat.yaml`, else defaults.
//!
//! What a request means stands in policies; nothing here can allow one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::app::CONNECTIONS;
use crate::app::flags::{HostEntry, OnEchoFlag, PlainHttpFlag, Span};
use crate::app::records::{AuditSettings, GivenAudit};
use crate::app::setup::{DRAIN, default_state_dir};
use crate::dial::Answer;
use crate::exchange::{AGENT_REQUESTS, AGENT_TUNNELS, MAX_DISTINCT_LABELS, OnEcho, PlainHttp};
use crate::lease::GRACE;
use crate::name::EnvironmentName;
use crate::request::Host;
use crate::sessions::Bounds;

/// What was given for each setting, in one of the three places.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Folder with policy files, or one file [default: policies]
    #[arg(long, env = "EXEAT_POLICIES", value_name = "PATH")]
    pub policies: Option<PathBuf>,
    /// Environment of requests whose agent has none of its own [default: the policy's first]
    #[arg(long, env = "EXEAT_ENVIRONMENT", value_name = "NAME")]
    pub environment: Option<String>,
    /// Address of the proxy [default: 127.0.0.1:8080]
    #[arg(long, env = "EXEAT_PROXY_LISTEN", value_name = "ADDR")]
    pub proxy_listen: Option<SocketAddr>,
    /// Address of the tools: actions called by name [default: 127.0.0.1:8081]
    #[arg(long, env = "EXEAT_TOOLS_LISTEN", value_name = "ADDR")]
    pub tools_listen: Option<SocketAddr>,
    /// Address of health, metrics and the CA's certificate [default: 127.0.0.1:9090]
    #[arg(long, env = "EXEAT_ADMIN_LISTEN", value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,
    /// File with the token that metrics and the CA's certificate ask for; needed off loopback
    #[arg(long, env = "EXEAT_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// What becomes of http:// requests to https:// actions [default: upgrade]
    #[arg(long, env = "EXEAT_PLAIN_HTTP", value_enum)]
    pub plain_http: Option<PlainHttpFlag>,
    /// What becomes of replies that hold a known secret [default: redact]
    #[arg(long, env = "EXEAT_ON_ECHO", value_enum)]
    pub on_echo: Option<OnEchoFlag>,
    /// PEM file with a CA to trust beside the system's; may be repeated
    #[arg(
        long,
        env = "EXEAT_EXTRA_CA",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub extra_ca: Vec<PathBuf>,
    /// Static name: NAME=ADDRESS or NAME=ADDRESS:PORT; may be repeated
    #[arg(
        long = "host",
        env = "EXEAT_HOSTS",
        value_name = "NAME=ADDR",
        value_delimiter = ','
    )]
    pub hosts: Vec<HostEntry>,
    /// Where audit records go, and how.
    #[command(flatten)]
    pub audit: GivenAudit,
    /// Folder of what exeat keeps: its CA [default: ~/.local/state/exeat]
    #[arg(long, env = "EXEAT_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Worker threads [default: one for each core]
    #[arg(long, env = "EXEAT_WORKERS", value_name = "N")]
    pub workers: Option<usize>,
    /// Requests that one agent may have under way [default: 1024]
    #[arg(long, env = "EXEAT_AGENT_REQUESTS", value_name = "N")]
    pub agent_requests: Option<usize>,
    /// Tunnels that one agent may have open [default: 256]
    #[arg(long, env = "EXEAT_AGENT_TUNNELS", value_name = "N")]
    pub agent_tunnels: Option<usize>,
    /// Names of a `*.` host that one agent may use within an hour [default: 100]
    #[arg(long, env = "EXEAT_MAX_DISTINCT_LABELS", value_name = "N")]
    pub max_distinct_labels: Option<usize>,
    /// Connections of clients that each worker serves [default: 4096]
    #[arg(long, env = "EXEAT_CONNECTIONS", value_name = "N")]
    pub connections: Option<usize>,
    /// Whether changed policy files are put in force, also without SIGHUP [default: true]
    #[arg(long, env = "EXEAT_WATCH", value_name = "BOOL")]
    pub watch: Option<bool>,
    /// How long streams and tunnels go on that a new policy does not permit any more [default: 30s]
    #[arg(long, env = "EXEAT_GRACE", value_name = "TIME")]
    pub grace: Option<Span>,
    /// How long a stop waits for what has begun [default: 8s]
    #[arg(long, env = "EXEAT_DRAIN", value_name = "TIME")]
    pub drain: Option<Span>,
    /// How long requests are still accepted after readiness has failed [default: 0s]
    #[arg(long, env = "EXEAT_STOP_DELAY", value_name = "TIME")]
    pub stop_delay: Option<Span>,
}

/// All settings, whole.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder with policy files, or one file.
    pub policies: PathBuf,
    /// Where callers live whom no `agents:` entry places; else the policy's first environment.
    pub environment: Option<EnvironmentName>,
    /// Where agents connect.
    pub proxy_listen: SocketAddr,
    /// Where tools are called.
    pub tools_listen: SocketAddr,
    /// Where operators look.
    pub admin_listen: SocketAddr,
    /// Read at start.
    pub admin_token_file: Option<PathBuf>,
    /// What becomes of `http://` requests to `https://` actions.
    pub plain_http: PlainHttp,
    /// What becomes of replies that hold a known secret.
    pub on_echo: OnEcho,
    /// CAs to trust beside the system's.
    pub extra_ca: Vec<PathBuf>,
    /// Static names.
    pub hosts: HashMap<Host, Vec<Answer>>,
    /// Where audit records go, and how.
    pub audit: AuditSettings,
    /// What exeat keeps.
    pub state_dir: PathBuf,
    /// At least one.
    pub workers: usize,
    /// At least one: requests that one agent may have under way.
    pub agent_requests: usize,
    /// Whether changed policy files are put in force by themselves.
    pub watch: bool,
    /// How long what lasts goes on that a new policy does not permit any more.
    pub grace: Duration,
    /// How long a stop waits for what has begun.
    pub drain: Duration,
    /// How long requests are still accepted after readiness has failed.
    pub stop_delay: Duration,
    /// At least one: tunnels that one agent may have open.
    pub agent_tunnels: usize,
    /// At least one: names of a `*.` host that one agent may use within an hour.
    pub max_distinct_labels: usize,
    /// At least one: connections of one worker.
    pub connections: usize,
    /// How much sessions keep, and for how long. Not to be set from outside yet.
    pub sessions: Bounds,
}

impl Settings {
    /// Flags and environment variables as given, over a file, over the defaults.
    ///
    /// # Errors
    /// A value that cannot be, in words for the operator.
    pub fn complete(given: Given, file: Given) -> Result<Self, String> {
        let given = given.or(file);
        let policies = given.policies();
        let environment = given
            .environment
            .map(|name| EnvironmentName::parse(&name).map_err(|bad| format!("environment: {bad}")));
        let mut hosts: HashMap<Host, Vec<Answer>> = HashMap::new();
        for entry in given.hosts {
            hosts.entry(entry.host).or_default().push(entry.address);
        }
        Ok(Self {
            policies,
            environment: environment.transpose()?,
            proxy_listen: given
                .proxy_listen
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
            tools_listen: given
                .tools_listen
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8081))),
            admin_listen: given
                .admin_listen
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9090))),
            admin_token_file: given.admin_token_file,
            plain_http: match given.plain_http {
                Some(PlainHttpFlag::Refuse) => PlainHttp::Refuse,
                Some(PlainHttpFlag::Upgrade) | None => PlainHttp::Upgrade,
            },
            on_echo: match given.on_echo {
                Some(OnEchoFlag::Refuse) => OnEcho::Refuse,
                Some(OnEchoFlag::Redact) | None => OnEcho::Redact,
            },
            extra_ca: given.extra_ca,
            hosts,
            audit: given.audit.complete()?,
            state_dir: given.state_dir.map_or_else(default_state_dir, Ok)?,
            workers: match given.workers {
                Some(0) => return Err("workers: at least 1".into()),
                Some(workers) => workers,
                None => std::thread::available_parallelism().map_or(1, usize::from),
            },
            agent_requests: at_least(1, given.agent_requests, "agent_requests", AGENT_REQUESTS)?,
            agent_tunnels: at_least(1, given.agent_tunnels, "agent_tunnels", AGENT_TUNNELS)?,
            max_distinct_labels: at_least(
                1,
                given.max_distinct_labels,
                "max_distinct_labels",
                MAX_DISTINCT_LABELS,
            )?,
            connections: at_least(1, given.connections, "connections", CONNECTIONS)?,
            watch: given.watch.unwrap_or(true),
            grace: given.grace.map_or(GRACE, |it| it.0),
            drain: given.drain.map_or(DRAIN, |it| it.0),
            stop_delay: given.stop_delay.map_or(Duration::ZERO, |it| it.0),
            sessions: Bounds::default(),
        })
    }
}

fn at_least(
    least: usize,
    given: Option<usize>,
    name: &str,
    default: usize,
) -> Result<usize, String> {
    match given {
        Some(given) if given < least => Err(format!("{name}: at least {least}")),
        given => Ok(given.unwrap_or(default)),
    }
}

impl Given {
    /// The folder or file of policies: `policies` unless it is said.
    pub fn policies(&self) -> PathBuf {
        let said = self.policies.clone();
        said.unwrap_or_else(|| "policies".into())
    }

    fn or(self, other: Self) -> Self {
        let first = |a: Vec<PathBuf>, b| if a.is_empty() { b } else { a };
        Self {
            policies: self.policies.or(other.policies),
            environment: self.environment.or(other.environment),
            proxy_listen: self.proxy_listen.or(other.proxy_listen),
            tools_listen: self.tools_listen.or(other.tools_listen),
            admin_listen: self.admin_listen.or(other.admin_listen),
            admin_token_file: self.admin_token_file.or(other.admin_token_file),
            plain_http: self.plain_http.or(other.plain_http),
            on_echo: self.on_echo.or(other.on_echo),
            extra_ca: first(self.extra_ca, other.extra_ca),
            hosts: if self.hosts.is_empty() {
                other.hosts
            } else {
                self.hosts
            },
            audit: self.audit.or(other.audit),
            state_dir: self.state_dir.or(other.state_dir),
            workers: self.workers.or(other.workers),
            agent_requests: self.agent_requests.or(other.agent_requests),
            watch: self.watch.or(other.watch),
            grace: self.grace.or(other.grace),
            drain: self.drain.or(other.drain),
            stop_delay: self.stop_delay.or(other.stop_delay),
            agent_tunnels: self.agent_tunnels.or(other.agent_tunnels),
            max_distinct_labels: self.max_distinct_labels.or(other.max_distinct_labels),
            connections: self.connections.or(other.connections),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::app::flags::AuditTarget;
    use crate::audit::{Rotation, WhenBlocked};
    use crate::problem::Problem;

    fn read(text: &str) -> Result<Given, String> {
        Given::read(Path::new("conf/exeat.yaml"), text.as_bytes())
            .map_err(|(problems, _)| problems.iter().map(Problem::headline).collect())
    }

    #[test]
    fn a_file_gives_what_flags_give() {
        let given = read(
            "policies: policies\nenvironment: staging\nproxy_listen: 127.0.0.1:0\nplain_http: refuse\n\
             extra_ca: [ca.pem]\naudit: audit.jsonl\nworkers: 2\n\
             watch: false\ngrace: 1m\ndrain: 20s\nstop_delay: 500ms\n\
             network:\n  hosts:\n    api.good.test: [127.0.0.1, \"127.0.0.2:8443\"]\n",
        )
        .unwrap();
        assert_eq!(given.policies, Some("conf/policies".into()));
        assert_eq!(given.extra_ca, [PathBuf::from("conf/ca.pem")]);
        assert_eq!(
            given.audit.to,
            Some(AuditTarget::File("conf/audit.jsonl".into()))
        );
        let settings = Settings::complete(Given::default(), given).unwrap();
        assert_eq!(settings.plain_http, PlainHttp::Refuse);
        assert_eq!(settings.workers, 2);
        assert!(!settings.watch);
        let spans = [settings.grace, settings.drain, settings.stop_delay];
        assert_eq!(spans, [60_000, 20_000, 500].map(Duration::from_millis));
        let addresses = &settings.hosts[&Host::parse("api.good.test").unwrap()];
        assert_eq!(addresses[0].port, None);
        assert_eq!(addresses[1].port, Some(8443));
    }

    #[test]
    fn the_audit_log_is_one_value_or_a_section() {
        let given = read(
            "audit: {to: logs/a.jsonl, when_blocked: drop, max_bytes: 100MiB, max_age: 7d, keep: 0}\n",
        )
        .unwrap();
        let audit = Settings::complete(Given::default(), given).unwrap().audit;
        assert_eq!(audit.to, AuditTarget::File("conf/logs/a.jsonl".into()));
        assert_eq!(audit.when_blocked, WhenBlocked::Drop);
        assert_eq!(
            audit.rotation,
            Rotation {
                max_bytes: Some(100 << 20),
                max_age: Some(Duration::from_secs(7 * 86_400)),
                keep: Some(0),
            }
        );
        for (text, says) in [
            (
                "audit: {too: x}\n",
                "to, when_blocked, max_bytes, max_age, keep",
            ),
            ("audit: {when_blocked: wait}\n", "`refuse` or `drop`"),
            ("audit: {max_bytes: 0}\n", "a size is"),
            ("audit: {max_bytes: 99999999999GB}\n", "a size is"),
            ("audit: {max_age: 7}\n", "an age is"),
            ("audit: {keep: -1}\n", "1:15"),
            ("audit: [stdout]\n", "expected a mapping"),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains(says), "{text}: {told}");
        }
        for (text, says) in [
            ("audit: {to: a.jsonl, keep: 3}\n", "max_bytes or max_age"),
            ("audit: {max_bytes: 1GB}\n", "only a file"),
            ("audit: {to: stderr, max_age: 1h}\n", "only a file"),
        ] {
            let told = Settings::complete(Given::default(), read(text).unwrap()).unwrap_err();
            assert!(told.contains(says), "{text}: {told}");
        }
    }

    #[test]
    fn a_flag_beats_the_file() {
        let flags = Given {
            environment: Some("production".into()),
            ..Given::default()
        };
        let settings = Settings::complete(flags, read("environment: staging\n").unwrap()).unwrap();
        assert_eq!(settings.environment.unwrap().as_str(), "production");
    }

    #[test]
    fn mistakes_have_places_and_remedies() {
        for (text, says) in [
            ("polices: x\n", "1:1"),
            ("proxy_listen: nowhere\n", "1:15"),
            ("plain_http: maybe\n", "upgrade"),
            ("on_echo: maybe\n", "redact"),
            ("network:\n  hosts:\n    1.2.3.4: 127.0.0.1\n", "3:5"),
            (
                "network:\n  hosts:\n    a.test: b.test\n",
                "neither an address",
            ),
            ("- a\n", "expected a mapping"),
            ("watch: maybe\n", "expected `true` or `false`"),
            ("drain: 8\n", "a number and a unit"),
            ("grace: 2 weeks\n", "a number and a unit"),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains(says), "{text}: {told}");
        }
    }
}
