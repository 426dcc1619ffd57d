//! `exeat check`: every mistake in the policy, at once.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::{Verdict, load, say};
use crate::policy;
use crate::policy::Policy;
use crate::problem::{Problem, Severity};

/// Read policy files and tell every mistake in them
#[derive(Args)]
pub(super) struct Check {
    /// Folder with policy files, or one file [default: that of the settings]
    #[arg(env = "EXEAT_POLICIES")]
    path: Option<PathBuf>,
    /// Settings file [default: exeat.yaml, if there is one]
    #[arg(long, env = "EXEAT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// One JSON object for programs instead of text for people
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<Verdict> {
        let path = match self.path {
            Some(path) => path,
            None => load::policies(self.config)?,
        };
        let loaded = policy::load(&path);
        let problems = loaded.problems.sorted();
        let is_good = loaded.policy.is_some();
        if self.json {
            say(for_programs(loaded.policy.as_ref(), &problems))?;
        } else {
            let style = load::style(std::io::stdout().is_terminal());
            for problem in &problems {
                say(loaded.sources.render(problem, style))?;
            }
            say(summary(loaded.policy.as_ref(), &problems))?;
        }
        Ok(if is_good {
            Verdict::Good
        } else {
            Verdict::Findings
        })
    }
}

fn for_programs(policy: Option<&Policy>, problems: &[Problem]) -> Value {
    let problems: Vec<Value> = problems.iter().map(Problem::json).collect();
    json!({
        "good": policy.is_some(),
        "policy_hash": policy.map(|it| it.hash().to_string()),
        "problems": problems,
    })
}

fn summary(policy: Option<&Policy>, problems: &[Problem]) -> String {
    let is_error = |it: &&Problem| it.severity() == Severity::Error;
    let errors = problems.iter().filter(is_error).count();
    let warnings = counted(problems.len() - errors, "warning");
    match policy {
        Some(policy) => {
            let first = policy.environments().first();
            let actions = first.map_or(0, |it| it.actions.len());
            format!("good: {}, {warnings}", counted(actions, "action"))
        }
        None => format!("{}, {warnings}: not loaded", counted(errors, "error")),
    }
}

pub(super) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
