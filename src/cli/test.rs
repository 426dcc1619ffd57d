//! `exeat test`: the policy's own tests, tried without network and without secrets.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::{Verdict, load, say, without_record};
use crate::policy;
use crate::policy::Policy;
use crate::policy::trial::{Trial, Trials};
use crate::problem::{Problem, Problems, Sources};
use crate::rehearsal;
use crate::rehearsal::{Failure, Played};

/// Try the policy's tests, without network and without secrets
///
/// Tests stand in files named `NAME.test.yaml` beside the policies.
#[derive(Args)]
pub(super) struct Test {
    /// Folder with policies and their tests, one policy file, or one file of tests [default: that of the settings]
    #[arg(env = "EXEAT_POLICIES")]
    path: Option<PathBuf>,
    /// Settings file [default: exeat.yaml, if there is one]
    #[arg(long, env = "EXEAT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// One JSON object for programs instead of text for people
    #[arg(long)]
    json: bool,
}

impl Test {
    pub(super) fn run(self) -> anyhow::Result<Verdict> {
        let default = || load::policies(self.config);
        let (policies, tests) = match self.path {
            None => {
                let policies = default()?;
                let tests = tests_beside(&policies);
                (policies, tests)
            }
            Some(path) if is_tests(&path) => (policies_of(&path, default()?), path),
            Some(path) => {
                let tests = tests_beside(&path);
                (path, tests)
            }
        };
        let loaded = policy::load(&policies);
        let Some(policy) = loaded.policy else {
            return findings(loaded.problems, &loaded.sources, self.json);
        };
        let Trials {
            trials,
            problems,
            sources,
        } = policy::trials(&tests, &policy);
        if problems.has_errors() {
            return findings(problems, &sources, self.json);
        }
        let policy = Arc::new(policy);
        let played: Vec<Played<'_>> = trials
            .iter()
            .map(|trial| rehearsal::play(&policy, trial))
            .collect();
        tell(&policy, &played, self.json)
    }
}

fn is_tests(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}

/// The tests of a folder are in it; those of one file are in the file beside it.
fn tests_beside(policies: &Path) -> PathBuf {
    if policies.is_dir() {
        return policies.to_owned();
    }
    let ending = policies.extension().unwrap_or_default().to_string_lossy();
    policies.with_extension(format!("test.{ending}"))
}

/// A file of tests is about the whole policy in which it stands.
fn policies_of(tests: &Path, default: PathBuf) -> PathBuf {
    let absolute = |path: &Path| std::fs::canonicalize(path).ok();
    let is_inside = absolute(tests)
        .zip(absolute(&default))
        .is_some_and(|(tests, folder)| tests.starts_with(folder));
    if is_inside {
        return default;
    }
    match tests.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => ".".into(),
    }
}

/// What could not be read, in the policy or in its tests: nothing was tried.
fn findings(problems: Problems, sources: &Sources, as_json: bool) -> anyhow::Result<Verdict> {
    let problems = problems.sorted();
    if as_json {
        let problems: Vec<Value> = problems.iter().map(Problem::json).collect();
        say(json!({
            "good": false, "policy_hash": null, "passed": 0, "failed": 0, "tests": [], "problems": problems,
        }))?;
    } else {
        let style = load::style(std::io::stdout().is_terminal());
        for problem in &problems {
            say(sources.render(problem, style))?;
        }
        say("no test was tried")?;
    }
    Ok(Verdict::Findings)
}

fn tell(policy: &Policy, played: &[Played<'_>], as_json: bool) -> anyhow::Result<Verdict> {
    let failed = played.iter().filter(|it| !it.failures.is_empty()).count();
    let passed = played.len() - failed;
    if as_json {
        let tests: Vec<Value> = played.iter().map(played_json).collect();
        say(json!({
            "good": failed == 0, "policy_hash": policy.hash().to_string(), "passed": passed, "failed": failed,
            "tests": tests, "problems": [],
        }))?;
    } else {
        for it in played {
            say(in_words(it))?;
        }
        say(summary(passed, failed))?;
    }
    Ok(match failed {
        0 => Verdict::Good,
        _ => Verdict::Findings,
    })
}

fn summary(passed: usize, failed: usize) -> String {
    match (passed, failed) {
        (0, 0) => "there are no tests: write some in NAME.test.yaml beside the policy".to_owned(),
        _ => format!("{passed} passed, {failed} failed"),
    }
}

fn in_words(played: &Played<'_>) -> String {
    let Trial { name, place, .. } = played.trial;
    if played.failures.is_empty() {
        return format!("ok      {name}");
    }
    let mut text = format!("FAILED  {name} ({place})");
    for failure in &played.failures {
        text.push_str(&failure_in_words(failure));
    }
    text
}

fn failure_in_words(failure: &Failure) -> String {
    let step = failure.step.as_ref();
    let step = step.map(|it| format!("{it}: ")).unwrap_or_default();
    let Failure {
        place,
        what,
        expected,
        got,
        ..
    } = failure;
    let mut text =
        format!("\n    {place}: {step}{what}\n      expected  {expected}\n      got       {got}");
    if let Some(mark) = first_difference(expected, got) {
        text.push_str(&format!("\n                {mark}"));
    }
    text
}

/// A mark below the first character that differs, where two lines of some length begin alike.
fn first_difference(expected: &str, got: &str) -> Option<String> {
    let alike = expected.chars().zip(got.chars());
    let alike = alike.take_while(|(one, other)| one == other).count();
    let is_line = |it: &str| !it.contains('\n') && it.chars().count() <= 200;
    let helps = alike >= 4 && is_line(expected) && is_line(got);
    helps.then(|| format!("{}^", " ".repeat(alike)))
}

fn played_json(played: &Played<'_>) -> Value {
    let Trial { name, place, .. } = played.trial;
    let failures: Vec<Value> = played.failures.iter().map(failure_json).collect();
    json!({
        "name": name, "file": &**place.file(), "line": place.line(), "column": place.column(),
        "passed": failures.is_empty(), "failures": failures,
    })
}

fn failure_json(failure: &Failure) -> Value {
    let place = &failure.place;
    let refusal = failure.refusal.as_ref();
    let refusal = refusal.map(|it| without_record(it)["error"].clone());
    json!({
        "step": failure.step, "what": failure.what, "expected": failure.expected, "got": failure.got,
        "file": &**place.file(), "line": place.line(), "column": place.column(), "refusal": refusal,
    })
}
