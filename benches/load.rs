//! What loading costs: CPU time and memory for a policy of 10,000 actions, read from files as `exeat run` does.
//!
//! `cargo bench --bench load`. The goals, below 1 s and 200 MB, are kept by policies of look-ups (0.7 s, 155 MB) and by
//! those of which a quarter writes, with body templates and patterns (0.8 s, 185 MB). Each measurement is a process of
//! its own, since memory that was once used says nothing about the next load: the binary starts itself again with a
//! folder to load.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use anyhow::ensure;
use exeat::policy;
use exeat::problem::Problem;
use rustix::time::ClockId;
use rustix::time::clock_gettime;

/// The allocator of the exeat binary: memory is that which it would take.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Declared actions; one run more than one, so that a cost which grows faster than the policy shows.
const SIZES: [usize; 3] = [100, 1_000, 10_000];

/// Without `--bench`, as in `cargo test --benches`: does it work at all?
const SMOKE: [usize; 1] = [100];

/// Processes of each size. Printed is the median.
const ROUNDS: usize = 5;

/// Actions in one file, which may have 1 MiB.
const ACTIONS_OF_A_FILE: usize = 500;

/// Actions of one host and connection.
const ACTIONS_OF_A_HOST: usize = 10;

/// What the actions do.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Each reads one thing, by three parameters.
    LookUps,
    /// Every fourth has a body template, a pattern and named outcomes.
    AQuarterWrites,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::LookUps => "look-ups",
            Self::AQuarterWrites => "a quarter writes",
        }
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, folder] = arguments.as_slice()
        && first == "--load"
    {
        return load(Path::new(folder));
    }
    let is_measured = arguments.iter().any(|it| it == "--bench");
    let (sizes, rounds) = match is_measured {
        true => (SIZES.as_slice(), ROUNDS),
        false => (SMOKE.as_slice(), 1),
    };
    println!(
        "{:<18} {:>8} {:>10} {:>10}",
        "", "actions", "CPU ms", "peak MB"
    );
    for kind in [Kind::LookUps, Kind::AQuarterWrites] {
        for size in sizes {
            let [milliseconds, peak] = measure(kind, *size, rounds)?;
            println!(
                "{:<18} {size:>8} {milliseconds:>10.1} {peak:>10.1}",
                kind.name()
            );
        }
    }
    Ok(())
}

/// CPU time in milliseconds, and the peak of resident memory in MB.
fn measure(kind: Kind, size: usize, rounds: usize) -> anyhow::Result<[f64; 2]> {
    let folder = tempfile::tempdir()?;
    write_policy(kind, folder.path(), size)?;
    let mut runs = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let program = env::current_exe()?;
        let output = Command::new(program)
            .arg("--load")
            .arg(folder.path())
            .output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "loading failed: {errors}");
        let figures: Vec<f64> = serde_json::from_slice(&output.stdout)?;
        runs.push(figures);
    }
    let median = |figure: usize| {
        let mut values: Vec<f64> = runs.iter().map(|run| run[figure]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Ok([median(0), median(1)])
}

/// The part of the process that is measured.
fn load(folder: &Path) -> anyhow::Result<()> {
    let start = cpu_time();
    let loaded = policy::load(folder);
    let milliseconds = (cpu_time() - start) / 1e6;
    let peak = peak()?;
    let problems = loaded.problems.iter().take(3).map(Problem::headline);
    let problems: Vec<_> = problems.collect();
    ensure!(problems.is_empty(), "the policy of the bench: {problems:?}");
    println!("[{milliseconds}, {peak}]");
    Ok(())
}

/// Nanoseconds of this process, all threads, in user and kernel mode.
fn cpu_time() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// The most memory that this process has had, in MB of a million bytes.
fn peak() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mut lines = status.lines();
    let line = lines.find_map(|it| it.strip_prefix("VmHWM:")?.strip_suffix(" kB"));
    let kilobytes: f64 = line.context("no VmHWM")?.trim().parse()?;
    Ok(kilobytes * 1024.0 / 1e6)
}

fn write_policy(kind: Kind, folder: &Path, size: usize) -> anyhow::Result<()> {
    fs::write(folder.join("ground.yaml"), ground(size))?;
    for first in (0..size).step_by(ACTIONS_OF_A_FILE) {
        let mut text = "version: 1\nactions:\n".to_owned();
        for number in first..size.min(first + ACTIONS_OF_A_FILE) {
            match kind {
                Kind::AQuarterWrites if number % 4 == 3 => write_creation(number, &mut text)?,
                _ => write_look_up(number, &mut text)?,
            }
        }
        fs::write(folder.join(format!("actions-{first}.yaml")), text)?;
    }
    Ok(())
}

fn ground(size: usize) -> String {
    let mut text = "version: 1
secrets:
  agent_token: {env: AGENT_TOKEN}
  api_token: {env: API_TOKEN}
static_variables: {PROJECT: EX}
auth:
  api: {type: bearer, token: {secret: api_token}}
agents:
  bench: {token: {secret: agent_token}, allow: [\"*\"]}
connections:
"
    .to_owned();
    for host in 0..size.div_ceil(ACTIONS_OF_A_HOST) {
        let line = format!(
            "  api_{host}: {{base_url: \"https://api{host}.example.com/v2\", auth: api, timeout: 10s}}\n"
        );
        text.push_str(&line);
    }
    text
}

fn write_creation(number: usize, text: &mut String) -> std::fmt::Result {
    let host = number / ACTIONS_OF_A_HOST;
    write!(
        text,
        "  create_{number}:
    description: Creates a ticket in the queue of a team. Use it where nothing else helps.
    connection: api_{host}
    method: POST
    path: /q{number}/tickets
    parameters:
      type: object
      properties:
        summary: {{type: string, minLength: 1, maxLength: 200}}
        details: {{type: string, maxLength: 4000, description: What happened}}
        priority: {{enum: [low, medium, high]}}
        team: {{type: string, minLength: 1, pattern: \"^[a-z]{{2,10}}$\"}}
      required: [summary, details, priority]
    body: |
      {{\"fields\": {{
        \"project\": {{\"key\": \"{{{{.static_variables.PROJECT}}}}\"}},
        \"summary\": \"{{{{summary}}}}\", \"details\": \"{{{{details}}}}\",
        {{{{if .parameters.team}}}}\"team\": \"{{{{.parameters.team}}}}\",{{{{end}}}}
        \"priority\": \"{{{{priority}}}}\"}}}}
    outcomes: {{\"201\": created, \"401\": bad_credentials, others: failed}}
"
    )
}

fn write_look_up(number: usize, text: &mut String) -> std::fmt::Result {
    let host = number / ACTIONS_OF_A_HOST;
    write!(
        text,
        "  get_{number}:
    description: Reads one document in one language. Use it when somebody asks for it.
    connection: api_{host}
    method: GET
    path: /d{number}/documents/{{{{id}}}}
    parameters:
      type: object
      properties:
        id: {{type: string, maxLength: 64}}
        lang: {{type: string, maxLength: 8}}
        page: {{type: integer, minimum: 1}}
      required: [id]
"
    )
}
