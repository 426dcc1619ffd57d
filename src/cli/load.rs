//! Settings and policies for a command, and what is wrong with them.

use std::io::{ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::app::{AuditTarget, Given, Settings};
use crate::cli::{WithSettings, pairs};
use crate::name::{AgentName, EnvironmentName};
use crate::policy;
use crate::policy::{Agent, Policy};
use crate::problem::{Problems, Sources, Style};
use crate::request::Caller;
use crate::sessions::Said;

/// The settings file that is read where none is named.
const DEFAULT_FILE: &str = "exeat.yaml";

/// Completes the settings of a command.
pub(super) fn settings(with: WithSettings) -> anyhow::Result<Settings> {
    Settings::complete(with.given, from_file(with.config)?).map_err(anyhow::Error::msg)
}

/// Where the policies are, for a command that needs no other setting.
pub(super) fn policies(config: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    from_file(config).map(|given| given.policies())
}

/// Where records go, for a command that reads them.
pub(super) fn audit(config: Option<PathBuf>) -> anyhow::Result<AuditTarget> {
    let given = from_file(config)?;
    Ok(given.audit.to.unwrap_or(AuditTarget::Stdout))
}

fn from_file(config: Option<PathBuf>) -> anyhow::Result<Given> {
    let is_named = config.is_some();
    let file = config.unwrap_or_else(|| DEFAULT_FILE.into());
    match std::fs::read(&file) {
        Ok(bytes) => read(&file, &bytes),
        Err(error) if error.kind() == ErrorKind::NotFound && !is_named => Ok(Given::default()),
        Err(error) => Err(error).context(format!("the settings file {}", file.display())),
    }
}

fn read(file: &Path, bytes: &[u8]) -> anyhow::Result<Given> {
    match Given::read(file, bytes) {
        Ok(given) => Ok(given),
        Err((problems, sources)) => {
            tell(problems, &sources);
            bail!("{} has mistakes", file.display())
        }
    }
}

/// Loads the policy. Where there is none, every mistake has been told.
pub(super) fn policy(path: &Path) -> Option<Policy> {
    let loaded = policy::load(path);
    tell(loaded.problems, &loaded.sources);
    if loaded.policy.is_none() {
        let path = path.display();
        eprintln!("exeat: the policy in {path} has mistakes, so nothing was started");
    }
    loaded.policy
}

/// Who asks by hand: the agent that is named, or nobody in particular.
pub(super) fn whoever(
    policy: &Policy,
    named: Option<&str>,
    environment: &EnvironmentName,
) -> anyhow::Result<Caller> {
    let found = match named {
        Some(named) => agent(policy, Some(named))?,
        None => None,
    };
    Ok(caller(found, environment))
}

fn tell(problems: Problems, sources: &Sources) {
    let style = style(std::io::stderr().is_terminal());
    for problem in problems.sorted() {
        eprintln!("{}", sources.render(&problem, style));
    }
}

/// The agent that `--agent` names: one of the policy's, or none where it has no `agents:`.
pub(super) fn agent<'p>(
    policy: &'p Policy,
    named: Option<&str>,
) -> anyhow::Result<Option<(&'p AgentName, &'p Agent)>> {
    let agents = match (policy.agents(), named) {
        (None, None) => return Ok(None),
        (None, Some(_)) => bail!("--agent: the policy declares no agents"),
        (Some(agents), _) => agents,
    };
    let names: Vec<&str> = agents.keys().map(AgentName::as_str).collect();
    let names = names.join(", ");
    let Some(named) = named else {
        bail!("--agent: say which agent it is: {names}");
    };
    match agents.get_key_value(named) {
        Some(found) => Ok(Some(found)),
        None => bail!("--agent: there is no agent {named}; there are {names}"),
    }
}

/// That agent, or nobody, in their environment or else in the process's; in no session.
pub(super) fn caller(found: Option<(&AgentName, &Agent)>, environment: &EnvironmentName) -> Caller {
    let own = found.and_then(|(_, agent)| agent.environment.as_ref());
    Caller {
        agent: found.map(|(name, _)| name.clone()),
        environment: own.unwrap_or(environment).clone(),
        session: None,
    }
}

/// What the operator says of a session: whoever starts an agent is its runtime.
pub(super) fn context(given: &[String], policy: &Policy) -> anyhow::Result<Said> {
    let texts = pairs(given, "--context")?;
    let said = policy.context().read_texts(texts);
    said.map_err(|refusal| anyhow::anyhow!("--context: {}", refusal.message))
}

/// Colours for people.
pub(super) fn style(is_terminal: bool) -> Style {
    if is_terminal {
        Style::Styled
    } else {
        Style::Plain
    }
}
