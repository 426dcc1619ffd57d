//! `exeat call`: one action, called by hand with everything that a tool call goes through.
//!
//! It is the operator's own door: a disabled action may be tried, `doors` closes nothing, and the whole reply is shown,
//! but for what is sensitive, so that `outputs` and `response` can be written from it. Sessions live in a running
//! exeat; a call by hand has one of its own, with the context and the variables that it is given.

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use crate::action::outcome::OutputName;
use crate::app;
use crate::cli::{Verdict, WithSettings, load, pairs, say};
use crate::exchange::{Call as Asked, Denied, Done, Gate};
use crate::json;
use crate::name::ActionName;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::request::{Caller, Door};
use crate::schema::{ScalarType, Shape};
use crate::sessions::Learnt;

/// Call one action, or show the request that it would send
///
/// Exit status 1: it was refused, could not be carried out, or has not succeeded.
#[derive(Args)]
pub(super) struct Call {
    #[command(flatten)]
    with: WithSettings,
    /// The action's name
    action: String,
    /// One parameter; may be repeated. What is no string in the action's schema is read as JSON
    #[arg(long = "parameter", short = 'p', value_name = "NAME=VALUE")]
    parameter: Vec<String>,
    /// Parameters as a JSON object
    #[arg(long, value_name = "JSON")]
    parameters: Option<String>,
    /// Show the request with the names of secrets for their values, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Show the reply as a `response_example` to paste into the action
    #[arg(long, conflicts_with_all = ["dry_run", "json"])]
    save: bool,
    /// One variable of the context; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    context: Vec<String>,
    /// One variable of the session, as earlier calls would have set it; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    variable: Vec<String>,
    /// Call as this agent, with its actions and in its environment [default: nobody, who may call any]
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// One JSON object for programs instead of text for people
    #[arg(long)]
    json: bool,
}

impl Call {
    pub(super) fn run(mut self) -> anyhow::Result<Verdict> {
        let mut settings = load::settings(std::mem::take(&mut self.with))?;
        settings.audit = settings.audit.or_stderr();
        let Some(policy) = load::policy(&settings.policies) else {
            return Ok(Verdict::Findings);
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let _inside = runtime.enter();
        let gate = app::gate(&settings, policy)?;
        let call = match self.read(&gate, &runtime)? {
            Ok(call) => call,
            Err(refusal) => return self.refused(&refusal, ""),
        };
        if !self.dry_run {
            app::read_secrets(&gate.services);
        }
        let verdict = match self.dry_run {
            true => self.show(&gate, &runtime, call),
            false => self.send(&gate, &runtime, call),
        };
        runtime.block_on(gate.services.audit.close());
        verdict
    }

    fn show(&self, gate: &Gate, runtime: &Runtime, call: Asked) -> anyhow::Result<Verdict> {
        match runtime.block_on(gate.rehearse(call)) {
            Err(stop) => self.refused(&stop.refusal(), ""),
            Ok(masked) => {
                match self.json {
                    true => say(masked.to_json())?,
                    false => say(masked)?,
                }
                Ok(Verdict::Good)
            }
        }
    }

    fn send(&self, gate: &Gate, runtime: &Runtime, call: Asked) -> anyhow::Result<Verdict> {
        let begun = gate.open(Door::Call, None);
        let called = match begun {
            Ok(begun) => runtime.block_on(gate.call(begun, call)),
            Err(refusal) => return self.refused(&refusal, ""),
        };
        match called {
            Ok(done) if self.save => save(&done),
            Ok(done) => {
                match self.json {
                    true => say(done.to_json())?,
                    false => say(for_people(&done))?,
                }
                Ok(verdict(&done))
            }
            Err(Denied {
                refusal,
                request_id,
            }) => self.refused(&refusal, request_id.as_str()),
        }
    }

    fn refused(&self, refusal: &Refusal, request_id: &str) -> anyhow::Result<Verdict> {
        if self.json {
            say(refusal.to_json(request_id))?;
        } else {
            eprintln!("{}", in_words(refusal));
        }
        Ok(Verdict::Findings)
    }

    /// What is asked, as a tool's door would hand it over. The inner error is one that a tool would get too.
    fn read(&self, gate: &Gate, runtime: &Runtime) -> anyhow::Result<Result<Asked, Refusal>> {
        let policy = gate.services.live.snapshot();
        let action = ActionName::parse(&self.action).map_err(|bad| anyhow::anyhow!("{bad}"))?;
        let mut caller = self.caller(gate, &policy)?;
        let parameters = self.read_parameters(&policy, &caller, &action)?;
        let texts: Vec<_> = pairs(&self.context, "--context")?;
        let context = match policy.context().read_texts(texts) {
            Ok(context) => context,
            Err(refusal) => return Ok(Err(refusal)),
        };
        runtime.block_on(self.open_session(gate, &mut caller))?;
        Ok(Ok(Asked {
            door: Door::Call,
            caller,
            action,
            parameters,
            bytes: 0,
            context,
            version: None,
        }))
    }

    fn caller(&self, gate: &Gate, policy: &Policy) -> anyhow::Result<Caller> {
        let environment = gate.services.settings.home(policy);
        load::whoever(policy, self.agent.as_deref(), environment)
    }

    async fn open_session(&self, gate: &Gate, caller: &mut Caller) -> anyhow::Result<()> {
        let sessions = &gate.services.sessions;
        let opened = sessions.open(caller.agent.as_ref(), Map::new()).await?;
        caller.session = Some(opened?);
        let variables = variables(&self.variable)?;
        Ok(sessions.learn(caller, None, variables).await?)
    }

    fn read_parameters(
        &self,
        policy: &Policy,
        caller: &Caller,
        name: &ActionName,
    ) -> anyhow::Result<Map<String, Value>> {
        let mut parameters = match &self.parameters {
            None => Map::new(),
            Some(text) => match json::parse(text.as_bytes()) {
                Ok(Value::Object(parameters)) => parameters,
                Ok(_) => bail!("--parameters: write a JSON object"),
                Err(bad) => bail!("--parameters: {bad}"),
            },
        };
        for (key, value) in named_parameters(policy, caller, name, &self.parameter)? {
            if parameters.insert(key.clone(), value).is_some() {
                bail!("--parameter: {key} is given twice");
            }
        }
        Ok(parameters)
    }
}

/// Variables of a session, as earlier calls would have set them.
pub(super) fn variables(given: &[String]) -> anyhow::Result<Learnt> {
    let mut variables = Vec::new();
    for (name, text) in pairs(given, "--variable")? {
        let name = OutputName::parse(name).with_context(|| format!("--variable {name}"))?;
        variables.push((name, Some(json_or_text(text))));
    }
    Ok(variables)
}

/// Parameters as people write them one by one: what is no string in the action's schema is read as JSON.
pub(super) fn named_parameters(
    policy: &Policy,
    caller: &Caller,
    name: &ActionName,
    given: &[String],
) -> anyhow::Result<Map<String, Value>> {
    let environment = policy.environment(&caller.environment);
    let action = environment.and_then(|it| it.actions.get(name));
    let mut parameters = Map::new();
    for (key, text) in pairs(given, "--parameter")? {
        let shape = action.map_or(Shape::Other, |it| it.parameters.shape(key));
        let value = match shape {
            Shape::Scalar(ScalarType::String) => text.into(),
            _ => json_or_text(text),
        };
        if parameters.insert(key.to_owned(), value).is_some() {
            bail!("--parameter: {key} is given twice");
        }
    }
    Ok(parameters)
}

fn json_or_text(text: &str) -> Value {
    json::parse(text.as_bytes()).unwrap_or_else(|_| text.into())
}

fn verdict(done: &Done) -> Verdict {
    match done.success {
        true => Verdict::Good,
        false => Verdict::Findings,
    }
}

/// The reply below the action's name, as deep as an action's fields stand. JSON is YAML; what is sensitive has been
/// taken out of it.
fn save(done: &Done) -> anyhow::Result<Verdict> {
    eprintln!("{} {}", done.status.as_u16(), done.outcome);
    if !matches!(done.body, Value::Object(_) | Value::Array(_)) {
        eprintln!("exeat: the reply is no JSON object or list, so there is nothing to save");
        return Ok(Verdict::Findings);
    }
    let pretty = serde_json::to_string_pretty(&done.body)?;
    say(format!(
        "    response_example: {}",
        pretty.replace('\n', "\n    ")
    ))?;
    Ok(verdict(done))
}

fn for_people(done: &Done) -> String {
    let mut text = format!("{} {}", done.status.as_u16(), done.outcome);
    if let Some(words) = &done.say {
        text += &format!("\n{words}");
    }
    match &done.body {
        Value::Null => {}
        Value::String(body) => text += &format!("\n\n{body}"),
        body => text += &format!("\n\n{body:#}"),
    }
    if !done.variables.is_empty() {
        text += "\n";
    }
    for (name, value) in &done.variables {
        text += &format!("\n{name} = {value}");
    }
    text
}

fn in_words(refusal: &Refusal) -> String {
    let hints = &refusal.hints;
    let place = hints.pointer.as_ref().map(|it| format!(" at {it}"));
    let mut text = format!(
        "{}{}: {}",
        refusal.code,
        place.unwrap_or_default(),
        refusal.message
    );
    let nearest: Vec<&str> = hints.nearest.iter().map(ActionName::as_str).collect();
    if !nearest.is_empty() {
        text += &format!("\nthe nearest: {}", nearest.join(", "));
    }
    text
}
