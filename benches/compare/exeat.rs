//! exeat as a contender: the policy that it runs, and how it is started.
//!
//! It runs as a user's would: a thousand declared actions, an agent with a token, parameters with a schema, a bearer
//! token to inject, rates that nobody reaches, replies searched for secrets, an audit file with its chain, metrics.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use crate::load::Form;
use crate::origin;
use crate::process::Process;
use crate::rounds::EVERYTHING;
use crate::stage::Contender;
use crate::stage::READY_WITHIN;
use crate::stage::Stage;

/// Declared actions, the five below among them.
pub(crate) const ACTIONS: usize = 1_000;

/// Actions for requests of the bench; all others are there since policies have many.
const NEEDED_ACTIONS: usize = 5;

const AGENT: &str = "bench";
const AGENT_TOKEN: &str = "token-of-the-bench-agent";

/// The line that `exeat run --json` prints once it listens.
#[derive(Deserialize)]
struct Ready {
    proxy: SocketAddr,
    tools: SocketAddr,
    ca: PathBuf,
}

/// The doors by which an action is called; the proxy is the one that the others are compared with.
pub(crate) const DOORS: [(&str, Option<Form>); 4] = [
    ("proxy", None),
    ("HTTP tool", Some(Form::Tool)),
    ("MCP 2025-11-25", Some(Form::Mcp)),
    ("MCP 2026-07-28", Some(Form::McpStateless)),
];

/// Writes the policy and starts `exeat run` with it, on the cores of the proxies. `name` is the contender's and its
/// folder's.
pub(crate) fn start(stage: &Stage, name: &str, program: &Path) -> anyhow::Result<Contender> {
    Ok(Running::start(stage, name, program)?.by_door(name, None))
}

/// What differs from the exeat of most trials.
pub(crate) struct Variant {
    /// Declared actions.
    pub(crate) actions: usize,
    /// Settings beside the usual ones, as flags.
    pub(crate) flags: Vec<String>,
}

impl Default for Variant {
    fn default() -> Self {
        Self {
            actions: ACTIONS,
            flags: Vec::new(),
        }
    }
}

/// An exeat that is not started yet: what it reads is written.
pub(crate) struct Prepared {
    name: String,
    command: Command,
}

impl Prepared {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(mut self) -> anyhow::Result<Contender> {
        let process = Process::start_on_stderr(&self.name, &mut self.command)?;
        Ok(Running::of(process)?.by_door(&self.name, None))
    }
}

/// Writes the policy for an `exeat run` on the cores of the proxies. One that had the same name before has left its CA.
pub(crate) fn prepare(
    stage: &Stage,
    name: &str,
    program: &Path,
    variant: &Variant,
) -> anyhow::Result<Prepared> {
    Ok(Prepared {
        name: name.to_owned(),
        command: command(stage, name, program, variant)?,
    })
}

/// As [`start`], once for each of its doors.
pub(crate) fn doors(stage: &Stage, program: &Path) -> anyhow::Result<Vec<Contender>> {
    let running = Running::start(stage, "doors", program)?;
    let doors = DOORS.map(|(name, form)| running.by_door(name, form));
    Ok(doors.into())
}

/// One exeat for one of its doors.
pub(crate) fn door(
    stage: &Stage,
    (name, form): (&str, Option<Form>),
    program: &Path,
) -> anyhow::Result<Contender> {
    Ok(Running::start(stage, "door", program)?.by_door(name, form))
}

struct Running {
    process: Rc<Process>,
    ready: Ready,
}

impl Running {
    fn start(stage: &Stage, name: &str, program: &Path) -> anyhow::Result<Self> {
        let mut command = command(stage, name, program, &Variant::default())?;
        Self::of(Process::start_on_stderr(name, &mut command)?)
    }

    fn of(process: Process) -> anyhow::Result<Self> {
        let ready = process.read(READY_WITHIN);
        Ok(Self {
            process: Rc::new(process),
            ready: ready.context("`exeat run` did not say where it listens")?,
        })
    }

    fn by_door(&self, name: &str, form: Option<Form>) -> Contender {
        let basic = BASE64_STANDARD.encode(format!("{AGENT}:{AGENT_TOKEN}"));
        let (address, authorization) = match form {
            Some(_) => (self.ready.tools, format!("Bearer {AGENT_TOKEN}")),
            None => (self.ready.proxy, format!("Basic {basic}")),
        };
        Contender {
            name: name.to_owned(),
            processes: vec![self.process.clone()],
            address,
            form,
            abilities: EVERYTHING.to_vec(),
            must_succeed: true,
            trust: self.ready.ca.clone(),
            authorization: Some(authorization),
        }
    }
}

fn command(
    stage: &Stage,
    name: &str,
    program: &Path,
    variant: &Variant,
) -> anyhow::Result<Command> {
    let folder = stage.folder().join(name);
    // Alone in a folder: the one around them is watched too, and would tell of every line in the audit file.
    let (policies, state) = (folder.join("conf/policies"), folder.join("state"));
    write_policies(&policies, &stage.ports, variant.actions)?;
    let mut command = stage.on_proxy_cores(program);
    command
        .args(["run", "--json"])
        .arg("--policies")
        .arg(&policies)
        .arg("--state-dir")
        .arg(&state);
    command.args([
        "--proxy-listen",
        "127.0.0.1:0",
        "--tools-listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--workers",
        &stage.proxy_cores.to_string(),
    ]);
    command
        .arg("--extra-ca")
        .arg(stage.ca_file())
        .arg("--audit")
        .arg(folder.join("audit.jsonl"));
    for host in [origin::PLAIN_HOST, origin::TLS_HOST, origin::TUNNEL_HOST] {
        command.arg("--host").arg(format!("{host}=127.0.0.1"));
    }
    command
        .env("BENCH_AGENT_TOKEN", AGENT_TOKEN)
        .env("BENCH_API_TOKEN", "token-of-the-bench-api")
        .args(&variant.flags);
    Ok(command)
}

/// Actions in one file, which may have a mebibyte.
const ACTIONS_OF_A_FILE: usize = 1_000;

fn write_policies(folder: &Path, ports: &origin::Ready, actions: usize) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("bench.yaml"), policy(ports)?)?;
    let others: Vec<_> = (0..actions.saturating_sub(NEEDED_ACTIONS)).collect();
    for (number, others) in others.chunks(ACTIONS_OF_A_FILE).enumerate() {
        let mut text = "version: 1\nactions:\n".to_owned();
        for other in others {
            // Some actions to a host, many hosts: as in the policies of a company.
            let base = format!("https://api{}.example.com/v{other}", other / 10);
            write_action(&mut text, &format!("get_other_{other}"), &base, "auth: api")?;
        }
        fs::write(folder.join(format!("others-{number}.yaml")), text)?;
    }
    Ok(())
}

fn policy(ports: &origin::Ready) -> anyhow::Result<String> {
    let (plain, tls, http2) = (ports.plain, ports.tls, ports.http2);
    let (plain_host, tls_host) = (origin::PLAIN_HOST, origin::TLS_HOST);
    let tunnel_host = origin::TUNNEL_HOST;
    let mut text = format!(
        "version: 1
secrets:
  agent_token: {{env: BENCH_AGENT_TOKEN}}
  api_token: {{env: BENCH_API_TOKEN}}
auth:
  api: {{type: bearer, token: {{secret: api_token}}}}
agents:
  {AGENT}: {{token: {{secret: agent_token}}, allow: [\"get_*\"]}}
network:
  allow_private:
    - {{host: {plain_host}, addresses: [127.0.0.1/32], port: {plain}}}
    - {{host: {tls_host}, addresses: [127.0.0.1/32], port: {tls}}}
    - {{host: {tls_host}, addresses: [127.0.0.1/32], port: {http2}}}
    - {{host: {tunnel_host}, addresses: [127.0.0.1/32], port: {tls}}}
    - {{host: {tunnel_host}, addresses: [127.0.0.1/32], port: {http2}}}
tunnels:
  unopened: {{hosts: [{tunnel_host}], ports: [{tls}, {http2}]}}
actions:
"
    );
    write_action(
        &mut text,
        "get_plain",
        &format!("http://{plain_host}:{plain}"),
        "allow_http: true",
    )?;
    write_action(
        &mut text,
        "get_tls",
        &format!("https://{tls_host}:{tls}"),
        "auth: api",
    )?;
    write_action(
        &mut text,
        "get_http2",
        &format!("https://{tls_host}:{http2}"),
        "auth: api",
    )?;
    write!(
        text,
        "  {}:
    description: Reads one document together with others.
    method: GET
    url: \"https://{tls_host}:{tls}{}\"
    parameters: {{properties: {{count: {{type: integer, minimum: 1}}}}, required: [count]}}
    auth: api
",
        origin::TOGETHER,
        origin::TOGETHER_PATH,
    )?;
    let below = format!("https://*.{}", origin::MANY_HOSTS);
    write_action(&mut text, "get_many", &below, "")?;
    Ok(text)
}

fn write_action(text: &mut String, name: &str, base: &str, last_field: &str) -> std::fmt::Result {
    write!(
        text,
        "  {name}:
    description: Reads one document in one language.
    method: GET
    url: \"{base}/v1/documents/{{{{size}}}}\"
    parameters:
      type: object
      properties:
        size: {{type: string, enum: [1k, 64k]}}
        lang: {{type: string, maxLength: 8}}
        page: {{type: integer, minimum: 1}}
      required: [size]
    rate_limit: {{limit: 1000000, per: second, key: agent}}
    {last_field}
"
    )
}
