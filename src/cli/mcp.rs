//! `exeat mcp`: an agent's actions as MCP tools, over the standard input and output of the client that starts it.
//!
//! The process is the client's alone: it has the policy, the secrets and the way out of a running exeat, but no
//! listener, and one session, in which every call is made. Standard output is the protocol's, so audit records go to
//! standard error unless the settings name another place.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::app;
use crate::app::Settings;
use crate::cli::{Verdict, WithSettings, load};
use crate::exchange::Gate;
use crate::mcp;
use crate::policy::Policy;
use crate::request::Caller;

/// Offer an agent's actions as MCP tools, on standard input and output
#[derive(Args)]
pub(super) struct Mcp {
    #[command(flatten)]
    with: WithSettings,
    /// The agent whose tools these are; needed where the policy has `agents:`
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// One variable of the context, for all that the client does; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    context: Vec<String>,
}

impl Mcp {
    pub(super) fn run(mut self) -> anyhow::Result<Verdict> {
        let mut settings = load::settings(std::mem::take(&mut self.with))?;
        settings.audit = settings.audit.or_stderr();
        let Some(policy) = load::policy(&settings.policies) else {
            return Ok(Verdict::Findings);
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let served = runtime.block_on(self.serve(&settings, policy));
        // A read of standard input that nobody waits for any more would hold the process up.
        runtime.shutdown_background();
        served.map(|()| Verdict::Good)
    }

    async fn serve(&self, settings: &Settings, policy: Policy) -> anyhow::Result<()> {
        let environment = app::environment(settings, &policy)?;
        let agent = load::agent(&policy, self.agent.as_deref())?;
        let mut caller = load::caller(agent, &environment);
        let said = load::context(&self.context, &policy)?;
        let gate = Arc::new(app::gate(settings, policy)?);
        app::read_secrets(&gate.services);
        let sessions = &gate.services.sessions;
        let opened = sessions.open(caller.agent.as_ref(), said).await?;
        caller.session = Some(opened.context("no session could be opened for the client")?);
        let served = until_told_to_stop(gate.clone(), caller).await;
        gate.services.audit.close().await;
        served
    }
}

/// A client that has had enough closes our input, then sends SIGTERM.
async fn until_told_to_stop(gate: Arc<Gate>, caller: Caller) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let streams = (tokio::io::stdin(), tokio::io::stdout());
    tokio::select! {
        served = mcp::serve(gate, caller, streams) => Ok(served?),
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}
