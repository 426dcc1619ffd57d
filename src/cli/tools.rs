//! `exeat tools`: what a request to a language model says about the actions.

use clap::Args;

use crate::app;
use crate::cli::{Verdict, WithSettings, load, say};
use crate::policy;
use crate::request::Caller;
use crate::toolbox;
use crate::toolbox::{Format, Tool};

/// Print the actions as tools, for the request to a language model
///
/// What is printed goes under `tools` there. Of an action it has the name, the description and the parameters: no URL,
/// no header, no secret.
#[derive(Args)]
pub(super) struct Tools {
    #[command(flatten)]
    with: WithSettings,
    /// openai, openai-responses, anthropic, mcp or gemini
    #[arg(long)]
    format: Format,
    /// Whose tools; needed where the policy has `agents:`
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
}

impl Tools {
    pub(super) fn run(self) -> anyhow::Result<Verdict> {
        let settings = load::settings(self.with)?;
        let Some(policy) = load::policy(&settings.policies) else {
            return Ok(Verdict::Findings);
        };
        let agent = load::agent(&policy, self.agent.as_deref())?;
        let own = agent.and_then(|(_, agent)| agent.environment.clone());
        let caller = Caller {
            agent: agent.map(|(name, _)| name.clone()),
            environment: match own {
                Some(own) => own,
                None => app::environment(&settings, &policy)?,
            },
            session: None,
        };
        let usable = policy::usable(&policy, &caller, self.format.door());
        let tools = toolbox::definitions(usable.map(|action| Tool::of(action)), self.format);
        say(format_args!("{tools:#}"))?;
        Ok(Verdict::Good)
    }
}
