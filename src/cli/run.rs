//! `exeat run`: the proxy, until it is told to stop.

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app;
use crate::app::{Running, Settings};
use crate::cli::{Verdict, WithSettings, load};

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
        let Some(policy) = load::policy(&settings.policies) else {
            return Ok(Verdict::Findings);
        };
        app::raise_file_limit();
        let signals = Signals::new()?;
        let running = app::start(app::prepare(&settings, policy)?)?;
        // Where the log is JSON, so is this: a collector reads both.
        let as_json = self.json || !std::io::stderr().is_terminal();
        announce(&running, &settings, as_json);
        signals.wait(&running);
        running.stop();
        Ok(Verdict::Good)
    }
}

fn announce(running: &Running, settings: &Settings, as_json: bool) {
    let (proxy, tools, admin) = (running.proxy, running.tools, running.admin);
    let ca = app::ca_file(&settings.state_dir);
    if as_json {
        let ready = json!({
            "ready": true, "proxy": proxy.to_string(), "tools": tools.to_string(),
            "admin": admin.to_string(), "ca": ca,
        });
        eprintln!("{ready}");
    } else {
        eprintln!(
            "exeat is ready: proxy http://{proxy}, tools http://{tools}, health and metrics http://{admin}, CA {}",
            ca.display()
        );
    }
}

/// SIGINT and SIGTERM end it; SIGHUP and SIGUSR1 are what a logrotate sends when it has moved the audit file.
struct Signals {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    user: Signal,
}

impl Signals {
    /// Takes them over before anything is started, so that none is missed.
    fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let inside = runtime.enter();
        let (interrupt, terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        let (hang_up, user) = (
            signal(SignalKind::hangup())?,
            signal(SignalKind::user_defined1())?,
        );
        drop(inside);
        Ok(Self {
            runtime,
            interrupt,
            terminate,
            hang_up,
            user,
        })
    }

    fn wait(mut self, running: &Running) {
        self.runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = self.interrupt.recv() => break,
                    _ = self.terminate.recv() => break,
                    _ = self.hang_up.recv() => running.services().audit.reopen(),
                    _ = self.user.recv() => running.services().audit.reopen(),
                }
            }
        });
    }
}
