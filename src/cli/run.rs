//! `exeat run`: the proxy, until it is told to stop.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use crate::app;
use crate::app::{Reloader, Running, Settings, Signature};
use crate::cli::{Verdict, WithSettings, load};
use crate::exchange::Services;

/// Start the proxy
#[derive(Args)]
pub(super) struct Run {
    #[command(flatten)]
    with: WithSettings,
    /// Announce that it is ready as one JSON object also on a terminal, on standard error as well
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(super) fn run(self) -> anyhow::Result<Verdict> {
        let settings = load::settings(self.with)?;
        // Looked at first: what changes while the policy is read is seen to have changed.
        let seen = Signature::of(&settings.policies);
        let Some(policy) = load::policy(&settings.policies) else {
            return Ok(Verdict::Findings);
        };
        app::raise_file_limit();
        let signals = Signals::new()?;
        let mut running = app::start(app::prepare(&settings, policy)?)?;
        let reloader = Reloader::start(&settings, running.services().clone(), seen)?;
        // Where the log is JSON, so is this: a collector reads both.
        let as_json = self.json || !std::io::stderr().is_terminal();
        announce(&running, &settings, as_json);
        let Signals { runtime, mut heard } = signals;
        let second = runtime.block_on(async {
            let services = running.services().clone();
            heard
                .stop(|said| said.obey(Some(&reloader), &services))
                .await;
            // What stops takes no other policy.
            drop(reloader);
            running.begin_stop();
            let second = tokio::select! {
                () = running.ended() => return None,
                second = heard.stop(|said| said.obey(None, &services)) => second,
            };
            running.cut();
            // However it is then, the process ends.
            let _ = timeout(LAST_WORDS, running.ended()).await;
            Some(second)
        });
        Ok(second.map_or(Verdict::Good, |it| Verdict::Status(it.code())))
    }
}

/// After a second signal: a second for the last records, and as long for everything else.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A signal that is none to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// SIGHUP: files have changed, or have been moved.
    HungUp,
    /// SIGUSR1: the audit file has been moved.
    User,
}

impl Said {
    /// Does what it says.
    fn obey(self, reloader: Option<&Reloader>, services: &Services) {
        services.audit.reopen();
        if self == Self::HungUp
            && let Some(reloader) = reloader
        {
            reloader.now();
        }
    }
}

fn announce(running: &Running, settings: &Settings, as_json: bool) {
    let (proxy, tools, admin) = (running.proxy, running.tools, running.admin);
    let ca = app::ca_file(&settings.state_dir);
    let ready = if as_json {
        let ready = json!({
            "ready": true, "proxy": proxy.to_string(), "tools": tools.to_string(),
            "admin": admin.to_string(), "ca": ca,
        });
        ready.to_string()
    } else {
        format!(
            "exeat is ready: proxy http://{proxy}, tools http://{tools}, health and metrics http://{admin}, CA {}",
            ca.display()
        )
    };
    // It is ready, whether or not anybody reads that.
    let _ = writeln!(std::io::stderr(), "{ready}");
}

/// The signals of operators, and a runtime to wait for them. A logrotate sends SIGHUP or SIGUSR1 when it has moved the
/// audit file.
struct Signals {
    runtime: Runtime,
    heard: Heard,
}

struct Heard {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    user: Signal,
}

/// A signal to stop.
#[derive(Clone, Copy)]
enum Stop {
    Interrupt,
    Terminate,
}

impl Stop {
    /// As shells say it: 128 and the number of the signal.
    fn code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

impl Signals {
    /// Takes them over before anything is started, so that none is missed.
    fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let heard = {
            let _inside = runtime.enter();
            Heard {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hang_up: signal(SignalKind::hangup())?,
                user: signal(SignalKind::user_defined1())?,
            }
        };
        Ok(Self { runtime, heard })
    }
}

impl Heard {
    /// The next signal to stop. Others are handed on.
    async fn stop(&mut self, hand_on: impl Fn(Said)) -> Stop {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return Stop::Interrupt,
                _ = self.terminate.recv() => return Stop::Terminate,
                _ = self.hang_up.recv() => hand_on(Said::HungUp),
                _ = self.user.recv() => hand_on(Said::User),
            }
        }
    }
}
