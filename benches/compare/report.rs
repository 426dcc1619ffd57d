//! Everything that was measured, as JSON, for programs that draw or compare it.
//!
//! `--json FILE` writes one object. Names end with their unit; a ratio has none, and neither has a number of things.
//!
//! | Field | What |
//! |---|---|
//! | `schema` | `exeat-compare/1`; the number changes with the meaning of a field |
//! | `exeat` | version of the package |
//! | `machine` | `cores`, `cpu_model`, `kernel`, `memory_kib`, `pinned` (were processes held to their cores?) |
//! | `trials` | one object for each, with its `trial` (as in `--trial`), its `title` and its facts |
//!
//! Facts of a trial that compares contenders in scenarios:
//!
//! | Field | What |
//! |---|---|
//! | `rounds`, `connections`, `requests_per_round`, `steady_seconds` | how much was measured |
//! | `references` | names of those with which the others are compared: the one with the lowest median |
//! | `scenarios[]` | `mode`, `http`, `reply_bytes` |
//! | `scenarios[].saturated` | in a closed loop: `contenders[]` |
//! | `scenarios[].steady` | in an open loop, or null: `rate_per_second`, `contenders[]` |
//! | `contenders[].cpu_ratio`, `.p99_ratio` | over rounds: `median`, `lower_quartile`, `upper_quartile`, and `interval`, which holds the median in 95 of 100 cases |
//! | `contenders[].rounds[]` | `cpu_us` per request, `busy_cores`, `p50_us`, `p99_us`, `p999_us`, `max_us`, `requests_per_second` |
//!
//! Who can't do a scenario is missing from it. The facts of other trials stand with them.

use std::fs;
use std::path::Path;
use std::thread;

use anyhow::Context;
use serde_json::Value;
use serde_json::json;

use crate::process;

/// What all trials have found.
#[derive(Default)]
pub(crate) struct Report {
    trials: Vec<Value>,
}

impl Report {
    /// Keeps the facts of one trial: an object.
    pub(crate) fn add(&mut self, trial: &str, title: &str, facts: Value) {
        let mut entry = json!({"trial": trial, "title": title});
        if let (Value::Object(entry), Value::Object(facts)) = (&mut entry, facts) {
            entry.extend(facts);
        }
        self.trials.push(entry);
    }

    /// Writes all of it.
    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let whole = json!({
            "schema": "exeat-compare/1",
            "exeat": env!("CARGO_PKG_VERSION"),
            "machine": machine(),
            "trials": self.trials,
        });
        let text = serde_json::to_string_pretty(&whole)? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// What figures depend on, and nothing by which the machine would be known again.
fn machine() -> Value {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    json!({
        "cores": thread::available_parallelism().ok(),
        "cpu_model": field("/proc/cpuinfo", "model name"),
        "kernel": kernel.map(|it| it.trim().to_owned()),
        "memory_kib": field("/proc/meminfo", "MemTotal")
            .and_then(|it| it.split_whitespace().next()?.parse::<u64>().ok()),
        "pinned": process::taskset_is_there(),
    })
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}
