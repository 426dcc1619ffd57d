//! The command line. Output for people on a terminal, `--json` for programs; exit 0 good, 1 findings or refusal, 2
//! usage.

mod audit;
mod ca;
mod call;
mod check;
mod demo;
mod exec;
mod explain;
mod load;
mod mcp;
mod run;
mod schema;
mod secret;
mod test;
mod tools;

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use serde_json::Value;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::app::Given;
use crate::log::Log;
use crate::refusal::Refusal;

/// exeat: the gate between AI agents and the internet.
#[derive(Parser)]
#[command(name = "exeat", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the proxy
    Run(run::Run),
    /// Read policy files and tell every mistake in them
    Check(check::Check),
    /// Try the policy's tests, without network and without secrets
    Test(test::Test),
    /// Tell why a request or call is permitted or refused, rule by rule
    Explain(explain::Explain),
    /// Call one action, or show the request that it would send
    Call(call::Call),
    /// Start a program behind the proxy, with every proxy and CA variable set
    Exec(exec::Exec),
    /// Offer an agent's actions as MCP tools, on standard input and output
    Mcp(mcp::Mcp),
    /// Show or make the CA that agents have to trust
    Ca(ca::Ca),
    /// Print the JSON Schema of policy files, for editors
    Schema(schema::Schema),
    /// Print the actions as tools, for the request to a language model
    Tools(tools::Tools),
    /// Read audit records, and tell whether they are whole
    Audit(audit::Command),
    /// Keep secrets in an encrypted file
    Secret(secret::Command),
    /// Watch three requests go through, or not, beside a stand-in API on this machine
    Demo(demo::Demo),
}

/// Settings, and where their file is.
#[derive(Args, Clone, Debug, Default)]
struct WithSettings {
    /// Settings file [default: exeat.yaml, if there is one]
    #[arg(long, env = "EXEAT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
}

/// How a command ended that did not fail.
enum Verdict {
    Good,
    /// Findings, which have been told.
    Findings,
    /// The exit status of a child.
    Status(u8),
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = log_to_stderr();
    keep_memory_private();
    let verdict = match arguments.command {
        Command::Run(run) => run.run(),
        Command::Check(check) => check.run(),
        Command::Test(test) => test.run(),
        Command::Explain(explain) => explain.run(),
        Command::Call(call) => call.run(),
        Command::Exec(exec) => exec.run(),
        Command::Mcp(mcp) => mcp.run(),
        Command::Ca(ca) => ca.run(),
        Command::Schema(schema) => schema.run(),
        Command::Tools(tools) => tools.run(),
        Command::Audit(audit) => audit.run(),
        Command::Secret(secret) => secret.run(),
        Command::Demo(demo) => demo.run(),
    };
    // What was logged comes before the last word.
    if let Some(log) = log {
        log.finish();
    }
    match verdict {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Findings) => ExitCode::from(1),
        Ok(Verdict::Status(status)) => ExitCode::from(status),
        Err(error) => {
            eprintln!("exeat: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Keeps other processes of the same user, the child of `exeat exec` above all, from reading this one's memory and
/// first environment through `/proc`, and core dumps from being written (prctl(2), `PR_SET_DUMPABLE`). Root can all the
/// same.
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other processes of this user may read exeat's memory");
    }
}

/// A refusal as the agent would see it, without the id of a record: there is none.
fn without_record(refusal: &Refusal) -> Value {
    let mut told = refusal.to_json("");
    if let Some(Value::Object(error)) = told.get_mut("error") {
        error.shift_remove("request_id");
    }
    told
}

/// The values of a flag that may be repeated.
fn pairs<'a>(given: &'a [String], flag: &str) -> anyhow::Result<Vec<(&'a str, &'a str)>> {
    let pair = |it: &'a String| {
        let pair = it.split_once('=');
        pair.with_context(|| format!("{flag} {it}: write NAME=VALUE"))
    };
    given.iter().map(pair).collect()
}

/// Writes to standard output. Whoever reads it may have seen enough: `exeat check | head` is no failure.
fn say(text: impl Display) -> anyhow::Result<()> {
    say_or_end(text).map(drop)
}

/// The same, and says whether there is somebody who reads on.
fn say_or_end(text: impl Display) -> anyhow::Result<bool> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("standard output"),
    }
}

/// Text on a terminal, JSON otherwise. `EXEAT_LOG` is a level (`error` to `trace`), `warn` if it is none.
///
/// Only exeat's own words: at `trace`, libraries write down requests as they leave, with a credential in the query.
fn log_to_stderr() -> Option<Log> {
    let level = std::env::var("EXEAT_LOG").ok();
    let level = level.and_then(|level| level.parse().ok());
    let own = Targets::new().with_target("exeat", level.unwrap_or(LevelFilter::WARN));
    let log = Log::to(std::io::stderr())
        .inspect_err(|error| eprintln!("exeat: there will be no log: {error}"))
        .ok()?;
    // Nobody may be reading any more. Told of on standard error, as is usual, that would be a panic.
    let layer = fmt::layer()
        .with_writer(log.clone())
        .log_internal_errors(false);
    let set = if std::io::stderr().is_terminal() {
        registry().with(layer.with_filter(own)).try_init()
    } else {
        // A panic is an error like another, on one line.
        std::panic::set_hook(Box::new(
            |panic| tracing::error!(%panic, "a thread panicked"),
        ));
        registry().with(layer.json().with_filter(own)).try_init()
    };
    if let Err(error) = set {
        eprintln!("exeat: there will be no log: {error}");
    }
    Some(log)
}
