//! From settings to the parts of a running exeat: what is read, made and bound at start.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::app::{AuditSettings, AuditTarget, Parts, Settings};
use crate::audit::{Audit, Queue};
use crate::authority::{Authority, CERTIFICATE};
use crate::dial;
use crate::dial::{Dialer, Resolve, Static, System, Tcp, Tls};
use crate::drain::Drain;
use crate::exchange;
use crate::exchange::{Gate, Services};
use crate::known::Known;
use crate::lease::Leases;
use crate::live::Live;
use crate::meter::Meter;
use crate::metrics::{Metrics, Upstreams};
use crate::name::EnvironmentName;
use crate::policy::Policy;
use crate::proxy::ClientLimits;
use crate::secret::Secret;
use crate::sessions::InMemory;
use crate::tokens::Tokens;
use crate::vault::{Sources, Store};

/// What a stop waits for. Container runtimes send SIGKILL 10 s after SIGTERM (Kubernetes after 30), and the records are
/// to be written by then. Whoever has longer answers under way sets more, there and here.
pub(super) const DRAIN: Duration = Duration::from_secs(8);

/// The XDG base directory specification's place for state.
pub(super) fn default_state_dir() -> Result<PathBuf, String> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = set("XDG_STATE_HOME").map(PathBuf::from);
    let home = || set("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    base.or_else(home)
        .map(|base| base.join("exeat"))
        .ok_or_else(|| "set --state-dir: neither XDG_STATE_HOME nor HOME is set".into())
}

/// Where the CA is, inside the state folder.
pub fn ca_folder(state_dir: &Path) -> PathBuf {
    state_dir.join("ca")
}

/// The CA's certificate, for whoever has to trust it.
pub fn ca_file(state_dir: &Path) -> PathBuf {
    ca_folder(state_dir).join(CERTIFICATE)
}

/// The secret store of a state folder, which need not be there.
pub fn store(state_dir: &Path) -> Store {
    Store::at(&state_dir.join("secrets"))
}

/// Reads what has to be read, and binds all listeners.
///
/// # Errors
/// Anything without which it would not be safe to start, in words for the operator.
pub fn prepare(settings: &Settings, policy: Policy) -> anyhow::Result<Parts> {
    let admin_token = read_admin_token(settings)?;
    refuse_open_listeners(settings, &policy, admin_token.is_some())?;
    let services = Arc::new(services(settings, policy)?);
    read_secrets(&services);
    Ok(Parts {
        services,
        dial: dialling(settings)?,
        proxy: bind(settings.proxy_listen, "proxy_listen")?,
        tools: bind(settings.tools_listen, "tools_listen")?,
        admin: bind(settings.admin_listen, "admin_listen")?,
        admin_token,
        workers: settings.workers,
        connections: settings.connections,
        clients: ClientLimits::default(),
        drain: settings.drain,
        stop_delay: settings.stop_delay,
    })
}

/// A gate without listeners, on the runtime that this is called in: for a command that carries out a request itself.
/// No secret is read yet ([`read_secrets`]).
///
/// # Errors
/// As [`prepare`].
pub fn gate(settings: &Settings, policy: Policy) -> anyhow::Result<Gate> {
    let listeners = vec![
        settings.proxy_listen,
        settings.tools_listen,
        settings.admin_listen,
    ];
    let setup = dial::Setup {
        own: dial::Own::new(listeners),
        ..dialling(settings)?()
    };
    Ok(Gate {
        services: Arc::new(services(settings, policy)?),
        dialer: Dialer::new(setup),
    })
}

fn services(settings: &Settings, policy: Policy) -> anyhow::Result<Services> {
    environment(settings, &policy)?;
    let metrics = Arc::new(Metrics::new());
    metrics.policy_in_force();
    let authority = open_authority(&settings.state_dir)?.counting(&metrics);
    let known = Arc::new(Known::default());
    let sources = Sources::new(store(&settings.state_dir)).counting(&metrics);
    let vault = known.watching(Arc::new(sources));
    let (live, drain) = (Live::new(Arc::new(policy)), Drain::default());
    Ok(Services {
        leases: Leases::new(&live, &drain, settings.grace),
        live,
        drain,
        tokens: Tokens::new(vault.clone(), known.clone(), metrics.clone()),
        vault,
        known,
        sessions: Arc::new(InMemory::new(settings.sessions)),
        meter: Meter::default(),
        audit: open_audit(&settings.audit, &metrics)?,
        metrics,
        authority,
        room: exchange::Room::default(),
        shares: exchange::Shares::of(settings.agent_requests, settings.agent_tunnels),
        settings: exchange::Settings {
            environment: settings.environment.clone(),
            plain_http: settings.plain_http,
            on_echo: settings.on_echo,
            shows_values: settings.audit.parameters,
            redaction: settings.audit.redaction.clone(),
        },
    })
}

/// How long secrets may take that nobody waits for yet: a file may lie on a network that hangs.
const READING: Duration = Duration::from_secs(2);

/// Has [`Services::read_secrets`] done on a thread of its own, since a file that hangs cannot be given up.
pub fn read_secrets(services: &Arc<Services>) {
    let (done, waiting) = mpsc::channel();
    let services = services.clone();
    let read = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        if let Ok(runtime) = runtime {
            runtime.block_on(services.read_secrets());
            // An error means that nobody waited so long.
            let _ = done.send(());
        }
    };
    let thread = std::thread::Builder::new().name("exeat-secrets".into());
    if thread.spawn(read).is_err() || waiting.recv_timeout(READING).is_err() {
        tracing::warn!(
            "not all secrets could be read yet; until then replies are not searched for them"
        );
    }
}

/// A certificate as text (RFC 7468 §5).
pub fn to_pem(certificate: &[u8]) -> String {
    let encoded = STANDARD.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// Opens the CA of a state folder, or makes one.
///
/// # Errors
/// See [`Authority::open_or_create`].
pub fn open_authority(state_dir: &Path) -> anyhow::Result<Authority> {
    Ok(Authority::open_or_create(&ca_folder(state_dir))?)
}

/// Whoever can reach a listener off loopback has to prove who they are.
fn refuse_open_listeners(
    settings: &Settings,
    policy: &Policy,
    has_admin_token: bool,
) -> anyhow::Result<()> {
    let listeners = [
        ("the proxy", settings.proxy_listen),
        ("the tools listener", settings.tools_listen),
    ];
    if let Some(open) = open_to_all(&listeners, policy) {
        bail!("{open}; declare agents with tokens, or listen on 127.0.0.1");
    }
    if !settings.admin_listen.ip().is_loopback() && !has_admin_token {
        bail!(
            "the admin listener is on {}, where others can reach it, without a token; \
             set --admin-token-file, or listen on 127.0.0.1",
            settings.admin_listen
        );
    }
    Ok(())
}

/// A listener that others can reach, where everybody might use every action.
pub(super) fn open_to_all(
    listeners: &[(&'static str, SocketAddr)],
    policy: &Policy,
) -> Option<String> {
    let mut listeners = listeners.iter();
    let open = listeners.find(|(_, address)| !address.ip().is_loopback());
    let (what, address) = open.filter(|_| policy.agents().is_none())?;
    let why = "where others can reach it, and the policy has no `agents:`";
    Some(format!("{what} is on {address}, {why}"))
}

fn read_admin_token(settings: &Settings) -> anyhow::Result<Option<Secret>> {
    let Some(file) = &settings.admin_token_file else {
        return Ok(None);
    };
    let mut bytes =
        std::fs::read(file).with_context(|| format!("the admin token in {}", file.display()))?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
    }
    match Secret::new(bytes) {
        Ok(token) => Ok(Some(token)),
        Err(bad) => bail!("the admin token in {}: {bad}", file.display()),
    }
}

/// Where callers live whom no `agents:` entry places.
///
/// # Errors
/// The policy does not have the environment that the settings name.
pub fn environment(settings: &Settings, policy: &Policy) -> anyhow::Result<EnvironmentName> {
    let declared = policy.environments();
    match &settings.environment {
        None => Ok(declared
            .first()
            .context("the policy has no environment")?
            .name
            .clone()),
        Some(name) if policy.environment(name).is_some() => Ok(name.clone()),
        Some(name) => {
            let names: Vec<&str> = declared.iter().map(|it| it.name.as_str()).collect();
            bail!(
                "the policy has no environment {name}; it has {}",
                names.join(", ")
            )
        }
    }
}

fn open_audit(settings: &AuditSettings, metrics: &Arc<Metrics>) -> anyhow::Result<Audit> {
    let queue = Queue {
        when_blocked: settings.when_blocked,
        ..Queue::default()
    };
    Ok(match &settings.to {
        AuditTarget::Stdout => Audit::to_stdout(queue, metrics)?,
        AuditTarget::Stderr => Audit::to_stderr(queue, metrics)?,
        AuditTarget::File(file) => Audit::to_file(file, settings.rotation, queue, metrics)
            .with_context(|| format!("the audit file {}", file.display()))?,
    })
}

fn dialling(settings: &Settings) -> anyhow::Result<Arc<dyn Fn() -> dial::Setup + Send + Sync>> {
    let tls = Tls::load(&settings.extra_ca)?;
    let hosts = settings.hosts.clone();
    Ok(Arc::new(move || {
        let system: Arc<dyn Resolve> = Arc::new(System::new());
        dial::Setup {
            resolver: Arc::new(Static::new(hosts.clone(), system)),
            connector: Arc::new(Tcp),
            tls: tls.clone(),
            own: dial::Own::default(),
            limits: dial::Limits::default(),
            counted: Upstreams::default(),
        }
    }))
}

fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("{setting}: {address} cannot be bound"))
}
