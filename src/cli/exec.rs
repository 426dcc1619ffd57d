//! `exeat exec -- CMD`: a program behind the proxy, with nothing to configure in it.
//!
//! The proxy and the tools listener run in this process for as long as the program does, on ports of its own; what the
//! program writes to its output is the program's alone, so audit records go to standard error unless the settings name
//! another place.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::app;
use crate::cli::{Verdict, WithSettings, load};
use crate::name::{AgentName, EnvironmentName};
use crate::policy::Policy;
use crate::request::{SessionId, encode};
use crate::secret::Secret;
use crate::sessions::Bounds;
use crate::vault::{Sources, Vault as _};

/// Start a program behind the proxy, with every proxy and CA variable set
///
/// It finds the same actions as tools at $EXEAT_TOOLS_URL, with $EXEAT_TOKEN and $EXEAT_SESSION.
///
/// Environment variables that hold secrets of the policy are not passed on.
#[derive(Args)]
pub(super) struct Exec {
    #[command(flatten)]
    with: WithSettings,
    /// The agent that the program is; needed where the policy has `agents:`
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// One variable of the context, for all that the program does; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    context: Vec<String>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Exec {
    pub(super) fn run(mut self) -> anyhow::Result<Verdict> {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let given = &mut self.with.given;
        given.proxy_listen = Some(anywhere);
        given.tools_listen = Some(anywhere);
        given.admin_listen = Some(anywhere);
        given.workers.get_or_insert(1);
        let mut settings = load::settings(self.with)?;
        settings.audit = settings.audit.or_stderr();
        settings.sessions = AS_LONG_AS_THE_PROGRAM;
        let Some(policy) = load::policy(&settings.policies) else {
            return Ok(Verdict::Findings);
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let environment = app::environment(&settings, &policy)?;
        let vault = Sources::new(app::store(&settings.state_dir));
        let identity = identity(
            self.agent.as_deref(),
            &policy,
            &environment,
            (&vault, &runtime),
        )?;
        let context = load::context(&self.context, &policy)?;
        let withheld: Vec<String> = policy.secret_variables().map(str::to_owned).collect();
        let running = app::start(app::prepare(&settings, policy)?)?;
        let sessions = &running.services().sessions;
        let agent = identity.as_ref().map(|(name, _)| name);
        let session = runtime.block_on(sessions.open(agent, context))?;
        let session = session.context("no session could be opened for the program")?;
        let login = login(identity.as_ref(), &session)?;
        let mut variables = variables(running.proxy, &login, &settings.state_dir)?;
        variables.extend(tools(running.tools, identity.as_ref(), &session));
        let status = runtime.block_on(run_child(&self.command, &variables, &withheld));
        running.stop();
        Ok(Verdict::Status(code(status?)))
    }
}

/// A program could not go on in another session once its own has ended, so that one has to last.
const AS_LONG_AS_THE_PROGRAM: Bounds = Bounds {
    idle: Duration::MAX,
    lifetime: Duration::MAX,
    ..Bounds::DEFAULT
};

/// An agent's name and token.
type Identity = (AgentName, Secret);

fn identity(
    named: Option<&str>,
    policy: &Policy,
    environment: &EnvironmentName,
    (vault, runtime): (&Sources, &Runtime),
) -> anyhow::Result<Option<Identity>> {
    let Some((name, agent)) = load::agent(policy, named)? else {
        return Ok(None);
    };
    let environment = agent.environment.as_ref().unwrap_or(environment);
    let source = policy.secret_source(&agent.token, environment);
    let source = source.context("the agent's token has no source in its environment")?;
    let token = runtime.block_on(vault.get(&agent.token, source))?;
    Ok(Some((name.clone(), token)))
}

/// User name and password for the proxy's URL. Where there are no agents the password says nothing, but some clients
/// send no user name without one.
fn login(identity: Option<&Identity>, session: &SessionId) -> anyhow::Result<String> {
    let id = session.expose();
    let Some((name, token)) = identity else {
        return Ok(format!("~{id}:x"));
    };
    let token = std::str::from_utf8(token.expose())
        .context("the agent's token is not text, so no URL can hold it")?;
    Ok(format!("{name}~{id}:{}", encode(token)))
}

/// Variables that name the proxy, in the spellings that programs read.
const PROXY: [&str; 6] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
];
/// Variables with exceptions from the proxy: there are none.
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// Variables that name a file with all CAs to trust.
const BUNDLE: [&str; 11] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "AWS_CA_BUNDLE",
    "BUNDLE_SSL_CA_CERT",
    "npm_config_cafile",
    "CARGO_HTTP_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
];
/// Variables that name a file with CAs to trust beside the program's own.
const ADDITION: [&str; 2] = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"];

fn variables(
    proxy: SocketAddr,
    login: &str,
    state_dir: &Path,
) -> anyhow::Result<BTreeMap<&'static str, OsString>> {
    let url = format!("http://{login}@{proxy}");
    let ca = std::path::absolute(app::ca_file(state_dir))?;
    let bundle = write_bundle(&ca)?;
    let mut variables = BTreeMap::new();
    variables.extend(PROXY.map(|name| (name, OsString::from(&url))));
    variables.extend(NO_PROXY.map(|name| (name, OsString::new())));
    variables.extend(BUNDLE.map(|name| (name, bundle.clone().into_os_string())));
    variables.extend(ADDITION.map(|name| (name, ca.clone().into_os_string())));
    // Node reads the proxy variables only when asked to.
    variables.insert("NODE_USE_ENV_PROXY", "1".into());
    Ok(variables)
}

/// Where the program can call the same actions as tools, and how it shows there who it is, in which session. Where
/// there are no agents the token says nothing, but a program need not know that.
fn tools(
    listener: SocketAddr,
    identity: Option<&Identity>,
    session: &SessionId,
) -> [(&'static str, OsString); 3] {
    let token = identity.map_or(&b"x"[..], |(_, token)| token.expose());
    [
        ("EXEAT_TOOLS_URL", format!("http://{listener}").into()),
        ("EXEAT_TOKEN", OsStr::from_bytes(token).to_owned()),
        ("EXEAT_SESSION", session.expose().into()),
    ]
}

/// The system's CAs and ours in one file: most variables replace what a program trusts, and declared tunnels still
/// show it certificates of the public internet.
fn write_bundle(ca: &Path) -> anyhow::Result<PathBuf> {
    let mut pem = std::fs::read_to_string(ca)?;
    for certificate in rustls_native_certs::load_native_certs().certs {
        pem.push_str(&app::to_pem(&certificate));
    }
    let bundle = ca.with_file_name("bundle.pem");
    // Written aside and renamed, since another program behind the proxy may be reading it.
    let aside = ca.with_file_name(format!("bundle.pem.{}", std::process::id()));
    std::fs::write(&aside, pem).with_context(|| format!("{}", aside.display()))?;
    std::fs::rename(&aside, &bundle)?;
    Ok(bundle)
}

async fn run_child(
    command: &[OsString],
    variables: &BTreeMap<&'static str, OsString>,
    withheld: &[String],
) -> anyhow::Result<ExitStatus> {
    let [program, arguments @ ..] = command else {
        bail!("name the program to start");
    };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut child = Command::new(program);
    child.args(arguments);
    for name in withheld {
        child.env_remove(name);
    }
    let mut child = child
        .envs(variables)
        .spawn()
        .with_context(|| format!("{} could not be started", program.display()))?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            // The terminal has sent it to the program as well, which decides what it means.
            _ = interrupt.recv() => {}
            _ = terminate.recv() => terminate_child(&child),
        }
    }
}

/// The program is asked to end as exeat was, and may take its time; whoever is in a hurry sends SIGKILL.
fn terminate_child(child: &Child) {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let Some(id) = id.and_then(Pid::from_raw) else {
        return;
    };
    if let Err(error) = kill_process(id, Signal::TERM) {
        tracing::warn!(%error, "the program could not be told to end");
    }
}

/// As shells say it: 128 and the number of the signal.
fn code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
