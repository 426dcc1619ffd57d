//! exeat as a contender: the policy that it runs, and how it is started.
//!
//! It runs as a user's would: a thousand declared actions, an agent with a token, parameters with a schema, a bearer
//! token to inject.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use crate::origin;
use crate::process::Process;
use crate::stage::Contender;
use crate::stage::READY_WITHIN;
use crate::stage::Stage;

/// Declared actions beside the two that are called.
const OTHER_ACTIONS: usize = 998;

const AGENT: &str = "bench";
const AGENT_TOKEN: &str = "token-of-the-bench-agent";

/// The line that `exeat run --json` prints once it listens.
#[derive(Deserialize)]
struct Ready {
    proxy: SocketAddr,
    ca: PathBuf,
}

/// Writes the policy and starts `exeat run` with it, on the cores of the proxies. `name` is the contender's and its
/// folder's.
pub(crate) fn start(stage: &Stage, name: &str, program: &Path) -> anyhow::Result<Contender> {
    let folder = stage.folder().join(name);
    let (policies, state) = (folder.join("policies"), folder.join("state"));
    fs::create_dir_all(&policies)?;
    fs::write(policies.join("bench.yaml"), policy(&stage.ports)?)?;
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
    for host in [origin::PLAIN_HOST, origin::TLS_HOST] {
        command.arg("--host").arg(format!("{host}=127.0.0.1"));
    }
    command
        .env("BENCH_AGENT_TOKEN", AGENT_TOKEN)
        .env("BENCH_API_TOKEN", "token-of-the-bench-api");
    let process = Process::start_on_stderr(name, &mut command)?;
    let ready: Ready = process
        .read(READY_WITHIN)
        .context("`exeat run` did not say where it listens")?;
    let credential = BASE64_STANDARD.encode(format!("{AGENT}:{AGENT_TOKEN}"));
    Ok(Contender {
        name: name.to_owned(),
        process,
        address: ready.proxy,
        trust: ready.ca,
        authorization: Some(format!("Basic {credential}")),
    })
}

fn policy(ports: &origin::Ready) -> anyhow::Result<String> {
    let (plain, tls) = (ports.plain, ports.tls);
    let (plain_host, tls_host) = (origin::PLAIN_HOST, origin::TLS_HOST);
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
    for other in 0..OTHER_ACTIONS {
        // Some actions to a host, many hosts: as in the policies of a company.
        let base = format!("https://api{}.example.com/v{other}", other / 10);
        write_action(&mut text, &format!("get_other_{other}"), &base, "auth: api")?;
    }
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
    {last_field}
"
    )
}
