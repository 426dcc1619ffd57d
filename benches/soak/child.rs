//! The exeat under test: a process with a policy that changes, a memory that is watched, and an end that is waited for.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::certs;
use crate::origin::{Origin, PLAIN, SECURE};

/// What the agent of the bench shows.
pub(crate) const AGENT: (&str, &str) = ("bench", "token-of-the-bench-agent");

/// Longest wait for what exeat does in a moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running exeat.
pub(crate) struct Child {
    process: std::process::Child,
    folder: PathBuf,
    changes: u64,
    admin: SocketAddr,
    /// What clients see of it.
    pub(crate) doors: Doors,
}

/// Where clients go, and what they trust.
#[derive(Clone)]
pub(crate) struct Doors {
    pub(crate) proxy: SocketAddr,
    pub(crate) tools: SocketAddr,
    pub(crate) ca: PathBuf,
}

impl Child {
    /// Starts it and waits until it listens.
    pub(crate) fn start(folder: &Path, origin: &Origin) -> anyhow::Result<Self> {
        fs::create_dir(folder.join("policies"))?;
        fs::write(folder.join("policies/soak.yaml"), policy(origin))?;
        fs::write(folder.join("policies/other.yaml"), other(0))?;
        let mut process = Command::new(env!("CARGO_BIN_EXE_exeat"))
            .args(["run", "--json", "--workers", "2"])
            .args(["proxy", "tools", "admin"].map(|it| format!("--{it}-listen=127.0.0.1:0")))
            .args([PLAIN, SECURE].map(|it| format!("--host={it}=127.0.0.1")))
            .arg("--extra-ca")
            .arg(certs::ca_file(folder))
            .args(["--policies", "policies", "--state-dir"])
            .arg(folder.join("state"))
            .args(["--audit", "audit.jsonl"])
            .current_dir(folder)
            .env("SOAK_AGENT_TOKEN", AGENT.1)
            .env("SOAK_API_TOKEN", "token-of-the-soak-api")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let errors = process.stderr.take().context("it was asked for")?;
        let mut errors = BufReader::new(errors);
        let mut line = String::new();
        errors.read_line(&mut line)?;
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::stderr()));
        let ready: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        let address = |name: &str| -> anyhow::Result<SocketAddr> {
            Ok(ready[name].as_str().context("no address")?.parse()?)
        };
        Ok(Self {
            admin: address("admin")?,
            doors: Doors {
                proxy: address("proxy")?,
                tools: address("tools")?,
                ca: ready["ca"].as_str().context("no certificate")?.into(),
            },
            process,
            folder: folder.to_owned(),
            changes: 0,
        })
    }

    /// Writes another policy as editors do: beside, then over. Every other time it is told so by a signal as well.
    pub(crate) fn change(&mut self) -> anyhow::Result<()> {
        self.changes += 1;
        let beside = self.folder.join("policies/.other.yaml.new");
        fs::write(&beside, other(self.changes))?;
        fs::rename(beside, self.folder.join("policies/other.yaml"))?;
        if self.changes.is_multiple_of(2) {
            kill_process(Pid::from_child(&self.process), Signal::HUP)?;
        }
        Ok(())
    }

    /// How many changes have come into force; none where this build does not reload.
    pub(crate) async fn reloads(&self) -> anyhow::Result<Option<u64>> {
        const LOADED: &str = "exeat_policy_reloads_total{outcome=\"loaded\"} ";
        let page = self.scrape().await?;
        let count = page.lines().find_map(|line| line.strip_prefix(LOADED));
        Ok(count.map(str::parse).transpose()?)
    }

    /// Waits until every change has come into force.
    pub(crate) async fn expect_changed(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Some(loaded) = self.reloads().await? else {
                println!("reloads: this build has none");
                return Ok(());
            };
            if loaded == self.changes {
                println!("reloads: {loaded}, one for each change");
                return Ok(());
            }
            let changes = self.changes;
            ensure!(
                Instant::now() < deadline,
                "{loaded} reloads for {changes} changes"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("no VmRSS")?.parse()?)
    }

    /// The page of metrics.
    #[expect(clippy::disallowed_methods, reason = "the operator of the bench")]
    pub(crate) async fn scrape(&self) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.admin).await?;
        let head = format!(
            "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.admin
        );
        stream.write_all(head.as_bytes()).await?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await?;
        Ok(page)
    }

    /// Waits until nothing is under way any more, and no connection of a client is open.
    pub(crate) async fn expect_settled(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self.scrape().await?;
            let busy: Vec<&str> = page
                .lines()
                .filter(|line| {
                    line.starts_with("exeat_requests_in_flight{")
                        || line.starts_with("exeat_tunnels_open{")
                })
                .filter(|line| !line.ends_with(" 0"))
                .collect();
            if busy.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "still under way: {busy:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends it as an operator would, and gives back where its records are.
    pub(crate) fn stop(&mut self) -> anyhow::Result<PathBuf> {
        kill_process(Pid::from_child(&self.process), Signal::TERM)?;
        let status = self.process.wait()?;
        ensure!(status.success(), "exeat ended with {status}");
        Ok(self.folder.join("audit.jsonl"))
    }

    /// Has the chain of the records verified, where this build has the command for it.
    pub(crate) fn verify(&self, records: &Path) -> anyhow::Result<()> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exeat"));
        if !command.args(["audit", "--help"]).output()?.status.success() {
            println!("chain: this build has no `exeat audit verify`");
            return Ok(());
        }
        let mut verifying = Command::new(env!("CARGO_BIN_EXE_exeat"))
            .args(["audit", "verify"])
            .arg(records)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        if let Some(mut output) = verifying.stdout.take() {
            output.read_to_string(&mut said)?;
        }
        if !verifying.wait()?.success() {
            bail!("the chain is broken: {said}");
        }
        println!("chain: {}", said.trim_end());
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What agents ask for, which does not change.
fn policy(origin: &Origin) -> String {
    let Origin { plain, tls } = origin;
    let mut text = format!(
        "version: 1
secrets: {{agent_token: {{env: SOAK_AGENT_TOKEN}}, api_token: {{env: SOAK_API_TOKEN}}}}
auth: {{api: {{type: bearer, token: {{secret: api_token}}}}}}
agents: {{{}: {{token: {{secret: agent_token}}, allow: [\"*\"]}}}}
network:
  allow_private:
    - {{host: {PLAIN}, addresses: [127.0.0.1/32], port: {plain}}}
    - {{host: {SECURE}, addresses: [127.0.0.1/32], port: {tls}}}
actions:
  post: {{description: Takes a note of something., method: POST, url: \"http://{PLAIN}:{plain}/post\", allow_http: true, parameters: {{properties: {{text: {{type: string}}}}, required: [text]}}}}
  secure: {{description: Answers over TLS., method: GET, url: \"https://{SECURE}:{tls}/quick\", auth: api}}
  events: {{description: Streams what happens., method: GET, url: \"http://{PLAIN}:{plain}/events\", allow_http: true, stream: true}}
",
        AGENT.0
    );
    for name in ["quick", "slow", "large", "cut"] {
        text += &format!(
            "  {name}: {{description: Answers so., method: GET, url: \"http://{PLAIN}:{plain}/{name}\", allow_http: true}}\n"
        );
    }
    text
}

/// What changes: as many more actions as there are times of day, each time others.
fn other(number: u64) -> String {
    let actions = (0..50 + number % 7).map(|it| {
        format!("  other_{it}: {{description: Belongs to change {number}., method: GET, url: \"https://other{it}.example.com/{number}\"}}\n")
    });
    format!("version: 1\nactions:\n{}", actions.collect::<String>())
}

/// Resident memory, second by second.
#[derive(Default)]
pub(crate) struct Memory(Vec<f64>);

impl Memory {
    pub(crate) fn note(&mut self, kib: u64) {
        self.0.push(kib as f64);
    }

    /// Means of whole minutes and of what is left.
    pub(crate) fn by_minute(&self) -> Vec<f64> {
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
        self.0.chunks(60).map(mean).collect()
    }

    /// KiB a minute over the last two thirds, by least squares.
    pub(crate) fn slope(&self) -> f64 {
        let tail = &self.0[self.0.len() / 3..];
        let count = tail.len() as f64;
        let (mean_x, mean_y) = ((count - 1.0) / 2.0, tail.iter().sum::<f64>() / count);
        let (mut above, mut below) = (0.0, 0.0);
        for (x, y) in tail.iter().enumerate() {
            let away = x as f64 - mean_x;
            above += away * (y - mean_y);
            below += away * away;
        }
        if below == 0.0 {
            0.0
        } else {
            above / below * 60.0
        }
    }
}
