//! Another policy from the files, while exeat runs: read on a thread of its own, checked, and put in force or not.
//!
//! A policy that does not check changes nothing and is told with all its problems: in the log, in the metrics, on the
//! page of readiness, and in a line of the audit log. Neither does one that would open what is closed ([`Rules`]). What
//! follows a policy into force is `exchange`'s matter.

mod quiet;
mod signature;
mod watch;

use std::net::SocketAddr;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::app::Settings;
use crate::app::setup::{environment, open_to_all, read_secrets};
use crate::audit::PolicyRefused;
use crate::drain::Phase;
use crate::exchange::Services;
use crate::metrics::Reload;
use crate::policy;
use crate::policy::{Loaded, Policy};
use crate::problem::{Place, Problem, Severity};

use quiet::Quiet;
pub use signature::Signature;
use watch::Watch;

/// How often the files are looked at where no event tells of a change: network file systems, links to files elsewhere,
/// a machine that has no watches left. One look is a system call for each file.
const LOOK: Duration = Duration::from_secs(5);

/// Files that change while they are read may be halves of two policies. So often they are read once more.
const TRIES: u32 = 5;

/// Reads the policy again when its files change, or when it is told to. Ends when it is dropped.
pub struct Reloader {
    wakes: mpsc::Sender<Wake>,
}

/// What the thread waits for.
enum Wake {
    /// Something happened to the files.
    Changed,
    /// Read them now, whatever happened.
    Now,
    Stop,
}

/// What a new policy must not change, as at the start.
struct Rules {
    settings: Settings,
    listeners: [(&'static str, SocketAddr); 2],
}

impl Reloader {
    /// Starts the thread. `seen` is what the files were like before the policy in force was read from them.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(
        settings: &Settings,
        services: Arc<Services>,
        seen: Signature,
    ) -> anyhow::Result<Self> {
        let (wakes, waiting) = mpsc::channel();
        let watch = settings.watch.then(|| {
            let wakes = wakes.clone();
            // An error means that the thread has ended.
            Watch::new(&settings.policies, move || drop(wakes.send(Wake::Changed)))
        });
        let task = Task {
            path: settings.policies.clone(),
            rules: Rules::of(settings),
            services,
            seen,
            watch,
            tries: 0,
        };
        std::thread::Builder::new()
            .name("exeat-reload".into())
            .spawn(move || task.run(&waiting))
            .context("the thread that reads policies could not be started")?;
        Ok(Self { wakes })
    }

    /// Has the policy read now, also if nothing has changed.
    pub fn now(&self) {
        // An error means that the thread has ended, by a panic that it has told.
        let _ = self.wakes.send(Wake::Now);
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        let _ = self.wakes.send(Wake::Stop);
    }
}

/// The thread's own.
struct Task {
    path: PathBuf,
    rules: Rules,
    services: Arc<Services>,
    /// What the files were like when they were last read.
    seen: Signature,
    watch: Option<Watch>,
    /// So often in a row the files have changed while they were read.
    tries: u32,
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Wait until something happens.
    Wait,
    /// Wait until nothing happens any more, then read.
    Settle,
    Read,
    Stop,
}

impl Task {
    fn run(mut self, wakes: &mpsc::Receiver<Wake>) {
        let mut next = match self.watch.is_some() && Signature::of(&self.path) != self.seen {
            true => Next::Settle,
            false => Next::Wait,
        };
        loop {
            next = match next {
                Next::Wait => self.wait(wakes),
                Next::Settle => settle(wakes),
                Next::Read => self.read(),
                Next::Stop => return,
            }
        }
    }

    fn wait(&self, wakes: &mpsc::Receiver<Wake>) -> Next {
        let wake = match self.watch {
            Some(_) => wakes.recv_timeout(LOOK),
            None => wakes.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match wake {
            Ok(Wake::Changed) => Next::Settle,
            Ok(Wake::Now) => Next::Read,
            Err(RecvTimeoutError::Timeout) if Signature::of(&self.path) == self.seen => Next::Wait,
            Err(RecvTimeoutError::Timeout) => Next::Settle,
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => Next::Stop,
        }
    }

    fn read(&mut self) -> Next {
        if let Some(watch) = &mut self.watch {
            watch.renew();
        }
        let before = Signature::of(&self.path);
        let loaded = unless_it_panics(|| policy::load(&self.path));
        self.seen = Signature::of(&self.path);
        let Some(loaded) = loaded else {
            self.tries = 0;
            let message = "exeat could not read these files, by a mistake of its own";
            let remedy = "the log has the panic; please report it";
            self.refuse(vec![self.problem(message, remedy)]);
            return Next::Wait;
        };
        let is_whole = self.seen == before && is_of(&self.path, &loaded);
        if !is_whole && self.tries < TRIES {
            self.tries += 1;
            return Next::Settle;
        }
        let tries = std::mem::take(&mut self.tries);
        if !is_whole {
            let message = format!(
                "the files have changed {} times while they were read",
                tries + 1
            );
            self.refuse(vec![
                self.problem(&message, "write them aside and rename them"),
            ]);
            return Next::Wait;
        }
        let problems = loaded.problems.sorted();
        match loaded.policy {
            None => self.refuse(problems),
            // What stops takes no other policy.
            Some(_) if self.services.drain.has_reached(Phase::Announced) => {}
            Some(policy) => self.take(policy, &problems),
        }
        Next::Wait
    }

    fn take(&self, policy: Policy, warnings: &[Problem]) {
        let Services { live, metrics, .. } = &*self.services;
        let now = live.snapshot();
        if now.hash() == policy.hash() {
            metrics.reloaded(Reload::Unchanged);
            live.confirm();
            return tracing::info!(policy_hash = %now.hash(), "the policy was read and has not changed");
        }
        if let Some((message, remedy)) = self.rules.against(&policy, &now) {
            return self.refuse(vec![self.problem(&message, remedy)]);
        }
        let policy = Arc::new(policy);
        self.services.renew(&policy);
        read_secrets(&self.services);
        for warning in warnings {
            tracing::warn!("{}", told(warning));
        }
        tracing::info!(policy_hash = %policy.hash(), "another policy is in force");
    }

    fn refuse(&self, problems: Vec<Problem>) {
        let services = &self.services;
        let known = services.known.forms();
        let redaction = &services.settings.redaction;
        let (mistakes, warnings): (Vec<_>, Vec<_>) = problems
            .into_iter()
            .partition(|it| it.severity() == Severity::Error);
        // A secret may have been pasted where a name belongs, and a message quotes what it is about.
        let shown = |it: &Problem| redaction.text(&told(it), &known).into_owned();
        let lines: Vec<String> = mistakes.iter().map(shown).collect();
        for warning in &warnings {
            tracing::warn!("{}", shown(warning));
        }
        services.metrics.reloaded(Reload::Refused);
        services.audit.policy_refused(PolicyRefused {
            in_force: services.live.snapshot().hash().clone(),
            problems: lines.len(),
            first: lines.first().cloned().unwrap_or_default(),
        });
        services.live.refuse(mistakes);
        for line in lines {
            tracing::error!("{line}");
        }
        let path = self.path.display();
        tracing::error!("the policy in {path} is not put in force: the one before stays");
    }

    fn problem(&self, message: &str, remedy: &str) -> Problem {
        let place = Place::of_file(&self.path.to_string_lossy().into());
        Problem::error(&place, message).remedy(remedy)
    }
}

/// Whether a policy is what the files say when they are read once more. Files that were swapped and swapped back in the
/// meantime look as if nothing had happened, and what was read may be halves of both.
fn is_of(path: &Path, loaded: &Loaded) -> bool {
    let policy = loaded.policy.as_ref();
    policy.is_none_or(|it| *it.hash() == policy::hash_of(path))
}

/// A mistake of ours in reading files must not be the end of reloading. The panic itself is told by its hook.
fn unless_it_panics<T>(load: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(load)).ok()
}

/// On one line, and without one of the file.
fn told(problem: &Problem) -> String {
    match problem.remedy_text() {
        Some(remedy) => format!("{}; {remedy}", problem.headline()),
        None => problem.headline(),
    }
}

/// Waits until the files have been left alone for a while.
fn settle(wakes: &mpsc::Receiver<Wake>) -> Next {
    let mut quiet = Quiet::since(Instant::now());
    loop {
        match wakes.recv_timeout(quiet.left(Instant::now())) {
            Ok(Wake::Changed) => quiet.heard(Instant::now()),
            Ok(Wake::Now) | Err(RecvTimeoutError::Timeout) => return Next::Read,
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return Next::Stop,
        }
    }
}

impl Rules {
    fn of(settings: &Settings) -> Self {
        Self {
            listeners: [
                ("the proxy", settings.proxy_listen),
                ("the tools listener", settings.tools_listen),
            ],
            settings: settings.clone(),
        }
    }

    /// What speaks against putting this policy in force after that one, and what to do about it.
    fn against(&self, policy: &Policy, before: &Policy) -> Option<(String, &'static str)> {
        if before.agents().is_some() && policy.agents().is_none() {
            let message = "the section `agents:` is gone, so everybody might use every action";
            return Some((
                message.into(),
                "put it back, or start exeat anew without it",
            ));
        }
        if let Some(message) = open_to_all(&self.listeners, policy) {
            return Some((message, "declare agents with tokens"));
        }
        let environment = environment(&self.settings, policy).err()?;
        let remedy = "put it back, or start exeat anew with another --environment";
        Some((environment.to_string(), remedy))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::app::Given;

    const OPEN: &str = "version: 1\nactions: {a: {description: Does something., method: GET, url: \"https://a.good.test/\"}}\n";
    const CLOSED: &str = "secrets: {t: {env: T}}\nagents: {bot: {token: {secret: t}, environment: default, allow: [a]}}\n";
    const TWO: &str = "environments: [production, staging]\n";

    fn read(parts: &[&str]) -> Policy {
        let text = parts.concat();
        let loaded = policy::from_texts(&[("p.yaml".into(), text.clone().into())]);
        let told: Vec<String> = loaded.problems.iter().map(Problem::headline).collect();
        loaded.policy.unwrap_or_else(|| panic!("{text}{told:#?}"))
    }

    #[test]
    fn a_panic_while_files_are_read_ends_no_more_than_the_reading() {
        assert_eq!(unless_it_panics(|| 1), Some(1));
        let panicking = || -> u8 { panic!("as a mistake of ours would") };
        assert_eq!(unless_it_panics(panicking), None);
    }

    #[test]
    fn a_policy_is_of_its_files_while_they_say_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a.yaml"), folder.path().join("b.yaml"));
        let closed = format!("version: 1\n{CLOSED}");
        fs::write(&a, OPEN).unwrap();
        fs::write(&b, &closed).unwrap();
        let loaded = policy::load(folder.path());
        assert!(loaded.policy.is_some());
        assert!(is_of(folder.path(), &loaded));
        fs::write(&b, closed.replace("allow: [a]", "allow: [ ]")).unwrap();
        assert!(!is_of(folder.path(), &loaded));
        fs::remove_file(&b).unwrap();
        assert!(!is_of(folder.path(), &loaded));
        fs::write(&b, &closed).unwrap();
        assert!(is_of(folder.path(), &loaded));
    }

    #[test]
    fn a_policy_that_would_open_what_is_closed_is_not_put_in_force() {
        let rules = |flags: &[&str]| {
            let command = clap::Command::new("exeat");
            let command = <Given as clap::Args>::augment_args(command);
            let matches = command.get_matches_from([&["exeat"], flags].concat());
            let given = <Given as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
            Rules::of(&Settings::complete(given, Given::default()).unwrap())
        };
        let (usual, staging) = (rules(&[]), rules(&["--environment", "staging"]));
        let everywhere = rules(&["--tools-listen", "0.0.0.0:0"]);
        let (open, closed, two) = (read(&[OPEN]), read(&[OPEN, CLOSED]), read(&[OPEN, TWO]));
        for (rules, policy, before, says) in [
            (&usual, &open, &open, None),
            (&usual, &closed, &open, None),
            (&usual, &open, &closed, Some("`agents:` is gone")),
            (&usual, &two, &open, None),
            (&staging, &two, &two, None),
            (&staging, &open, &two, Some("no environment staging")),
            (&everywhere, &closed, &closed, None),
            (&everywhere, &open, &open, Some("no `agents:`")),
        ] {
            let against = rules.against(policy, before).map(|(message, _)| message);
            let is_expected = match (&against, says) {
                (Some(message), Some(part)) => message.contains(part),
                (got, says) => got.is_none() && says.is_none(),
            };
            assert!(is_expected, "{against:?}, {says:?}");
        }
    }
}
