//! `exeat explain`: the rules that a request or call meets, what each says, and the request that would leave.

use anyhow::{Context as _, anyhow};
use clap::Args;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::app;
use crate::cli::{Verdict, WithSettings, call, load, pairs, say, without_record};
use crate::json;
use crate::name::{ActionName, EnvironmentName};
use crate::policy::Policy;
use crate::policy::explain::{Finding, Looked};
use crate::policy::trial::{Asked, AskedRequest};
use crate::refusal::Refusal;
use crate::rehearsal;
use crate::rehearsal::{Decided, Explanation, Rehearsal};
use crate::request::Caller;
use crate::sessions;
use crate::sessions::Moment;

/// Tell why a request or call is permitted or refused, rule by rule
///
/// Nothing is sent and no secret is read: where one would stand, its name does. Exit status 1: it is refused.
#[derive(Args)]
pub(super) struct Explain {
    #[command(flatten)]
    with: WithSettings,
    /// The request's method
    #[arg(required_unless_present = "call", conflicts_with = "call")]
    method: Option<String>,
    /// The request's URL
    #[arg(required_unless_present = "call")]
    url: Option<String>,
    /// One header of the request; may be repeated
    #[arg(short = 'H', long, value_name = "NAME: VALUE", conflicts_with = "call")]
    header: Vec<String>,
    /// The request's body; JSON unless a header says something else
    #[arg(short, long, value_name = "BODY", conflicts_with = "call")]
    data: Option<String>,
    /// Explain a call of this action instead, as tools make it
    #[arg(long, value_name = "ACTION")]
    call: Option<String>,
    /// One parameter of the call; may be repeated. What is no string in the action's schema is read as JSON
    #[arg(long, short = 'p', value_name = "NAME=VALUE", requires = "call")]
    parameter: Vec<String>,
    /// Who asks; needed where the policy has `agents:`
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// One variable of the context; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    context: Vec<String>,
    /// One variable of the session, as earlier calls would have set it; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    variable: Vec<String>,
    /// One JSON object for programs instead of text for people
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) fn run(mut self) -> anyhow::Result<Verdict> {
        let settings = load::settings(std::mem::take(&mut self.with))?;
        let Some(policy) = load::policy(&settings.policies) else {
            return Ok(Verdict::Findings);
        };
        let environment = app::environment(&settings, &policy)?;
        let caller = self.caller(&policy, environment)?;
        let asked = self.asked(&policy, &caller)?;
        let texts = pairs(&self.context, "--context")?;
        let said = policy.context().read_texts(texts);
        let said = said.map_err(|refusal| anyhow!("--context: {}", refusal.message))?;
        let learnt = call::variables(&self.variable)?;
        let session = rehearsal::session(caller.agent.as_ref(), said, learnt);
        let session = session.context("a session has no room for so much")?;
        let at = Moment {
            now: OffsetDateTime::now_utc(),
            instant: std::time::Instant::now(),
        };
        let facts = sessions::facts(&policy, &caller, at, Some(session));
        let rehearsal = Rehearsal {
            policy: &policy.into(),
            caller: &caller,
            facts: &facts,
            plain_http: settings.plain_http,
        };
        let explanation = rehearsal.explain(&asked);
        match self.json {
            true => say(for_programs(&explanation))?,
            false => say(for_people(&explanation))?,
        }
        Ok(match explanation.verdict {
            Ok(_) => Verdict::Good,
            Err(_) => Verdict::Findings,
        })
    }

    fn caller(&self, policy: &Policy, default: EnvironmentName) -> anyhow::Result<Caller> {
        Ok(Caller {
            session: Some(rehearsal::session_id()),
            ..load::whoever(policy, self.agent.as_deref(), &default)?
        })
    }

    fn asked(&self, policy: &Policy, caller: &Caller) -> anyhow::Result<Asked> {
        if let Some(name) = &self.call {
            let action = ActionName::parse(name).map_err(|bad| anyhow!("--call {name}: {bad}"))?;
            let parameters = call::named_parameters(policy, caller, &action, &self.parameter)?;
            return Ok(Asked::Call { action, parameters });
        }
        let body = self.data.clone().unwrap_or_default();
        let mut headers = self.headers()?;
        if json::parse(body.as_bytes()).is_ok() {
            let is_json = HeaderValue::from_static("application/json");
            headers.entry(CONTENT_TYPE).or_insert(is_json);
        }
        Ok(Asked::Request(AskedRequest {
            method: self.method.clone().unwrap_or_default(),
            url: self.url.clone().unwrap_or_default(),
            headers,
            body: body.into_bytes().into(),
        }))
    }

    fn headers(&self) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for text in &self.header {
            let (name, value) = text
                .split_once(':')
                .with_context(|| format!("-H {text}: write NAME: VALUE"))?;
            let name = HeaderName::try_from(name).with_context(|| format!("-H {text}"))?;
            let value = HeaderValue::try_from(value.trim());
            headers.append(name, value.with_context(|| format!("-H {text}"))?);
        }
        Ok(headers)
    }
}

fn for_people(explanation: &Explanation) -> String {
    let lines: Vec<String> = explanation.trail.iter().map(line).collect();
    let trail = lines.join("\n");
    match &explanation.verdict {
        Ok(Decided { action, masked, .. }) => {
            format!("{trail}\n\npermitted: {}\n\n{masked}", action.name)
        }
        Err(refusal) => format!("{trail}\n\n{}", refused(refusal)),
    }
}

fn line(looked: &Looked) -> String {
    let mark = match looked.finding {
        Finding::Good => "ok",
        Finding::Against => "NO",
        Finding::Note => "-",
    };
    let rule = looked.rule.as_str();
    format!("{rule:<14}  {mark:<2}  {}", looked.says)
}

fn refused(refusal: &Refusal) -> String {
    let (code, status) = (refusal.code, refusal.code.status().as_u16());
    format!(
        "refused: {code} ({status})\n\n{:#}",
        without_record(refusal)
    )
}

fn for_programs(explanation: &Explanation) -> Value {
    let looked = |it: &Looked| json!({"rule": it.rule.as_str(), "finding": it.finding.as_str(), "says": it.says});
    let trail: Vec<Value> = explanation.trail.iter().map(looked).collect();
    match &explanation.verdict {
        Ok(Decided { action, masked, .. }) => json!({
            "permitted": true, "action": action.name.as_str(), "request": masked.to_json(), "trail": trail,
        }),
        Err(refusal) => json!({
            "permitted": false, "refusal": without_record(refusal)["error"], "trail": trail,
        }),
    }
}
