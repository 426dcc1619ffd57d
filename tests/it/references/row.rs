//! A row: a line of a document, the policy that says the same, and what has to come out on every side.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exeat::policy;
use exeat::policy::Policy;
use exeat::problem::{Problem, Severity};
use exeat::toolbox;
use exeat::toolbox::{Format, Tool};
use serde_json::{Value, json};

use crate::world::{Answer, Plan, Reply, Seen, Then, World};

/// A feature of a document.
pub(super) struct Row {
    /// Of the document.
    pub(super) line: usize,
    /// A few words of that line.
    pub(super) quote: &'static str,
    policy: String,
    steps: Vec<Step>,
    problems: Vec<&'static str>,
    warnings: Vec<&'static str>,
    hidden: Vec<&'static str>,
    shown: Vec<&'static str>,
    context: &'static str,
}

/// One request after the other, in one session.
struct Step {
    agent: Option<(&'static str, &'static str)>,
    ask: Ask,
    reply: (u16, &'static str),
    expected: Vec<Expected>,
}

/// How a step asks.
enum Ask {
    /// Through the proxy.
    Request {
        method: &'static str,
        url: &'static str,
        headers: Vec<&'static str>,
        body: String,
    },
    /// By name, at the HTTP door.
    Call {
        action: &'static str,
        parameters: &'static str,
    },
}

/// What has to come out of a step.
enum Expected {
    /// The request line that the origin saw, without the version.
    Line(&'static str),
    /// A header that the origin saw, once.
    Sent(&'static str, String),
    /// The origin saw no such header.
    NotSent(&'static str),
    /// The body that the origin saw.
    Body(String),
    /// The origin saw a body that holds this, beside what changes with the time.
    BodyHolds(String),
    /// The code of a refusal, before which nothing left.
    Refused(&'static str),
    /// The code of a fault: the request may have left.
    Broke(&'static str),
    /// A word of the refusal.
    Told(&'static str),
    /// The status that the agent got.
    Status(u16),
    /// The body that the agent got.
    Returned(&'static str),
    Outcome(&'static str),
    /// What a tool is told beside the reply.
    Says(&'static str),
    /// What a tool is shown of the session.
    Variables(&'static str),
    /// A field of the audit record.
    Recorded(&'static str, Value),
}

/// How long a reply takes that never comes.
const SILENCE: u16 = 0;

/// A row that says nothing yet.
pub(super) fn row(line: usize, quote: &'static str) -> Row {
    Row {
        line,
        quote,
        policy: String::new(),
        steps: Vec::new(),
        problems: Vec::new(),
        warnings: Vec::new(),
        hidden: Vec::new(),
        shown: Vec::new(),
        context: "{}",
    }
}

impl Row {
    /// The whole policy.
    pub(super) fn policy(mut self, text: impl Into<String>) -> Self {
        self.policy = text.into();
        self
    }

    /// A policy of one action, `act`, with these fields.
    pub(super) fn action(self, fields: &str) -> Self {
        self.action_and(fields, "")
    }

    /// As [`Row::action`], with other sections before it.
    pub(super) fn action_and(self, fields: &str, sections: &str) -> Self {
        let fields: String = fields.lines().map(|it| format!("    {it}\n")).collect();
        self.policy(format!(
            "version: 1\n{sections}\nactions:\n  act:\n    description: Does what the row says.\n{fields}"
        ))
    }

    /// `exeat check` tells exactly one problem, and this is in it.
    pub(super) fn mistake(mut self, says: &'static str) -> Self {
        self.problems.push(says);
        self
    }

    /// `exeat check` warns of this.
    pub(super) fn warns(mut self, says: &'static str) -> Self {
        self.warnings.push(says);
        self
    }

    /// This stands in the tools that a language model is given.
    pub(super) fn shows(mut self, text: &'static str) -> Self {
        self.shown.push(text);
        self
    }

    /// This text stands in no record and no metric.
    pub(super) fn hides(mut self, text: &'static str) -> Self {
        self.hidden.push(text);
        self
    }

    /// What the runtime says of the conversation.
    pub(super) fn knowing(mut self, json: &'static str) -> Self {
        self.context = json;
        self
    }

    /// A request through the proxy: `GET https://host/path`.
    pub(super) fn sends(mut self, request: &'static str) -> Self {
        let (method, url) = request.split_once(' ').unwrap();
        self.steps.push(Step::asking(Ask::Request {
            method,
            url,
            headers: Vec::new(),
            body: String::new(),
        }));
        self
    }

    /// As [`Row::sends`], with a JSON body.
    pub(super) fn posts(self, request: &'static str, body: impl Into<String>) -> Self {
        let mut row = self
            .sends(request)
            .carrying("Content-Type: application/json");
        if let Ask::Request { body: carried, .. } = &mut row.last().ask {
            *carried = body.into();
        }
        row
    }

    /// With a header of the agent's.
    pub(super) fn carrying(mut self, header: &'static str) -> Self {
        match &mut self.last().ask {
            Ask::Request { headers, .. } => headers.push(header),
            Ask::Call { .. } => panic!("a call has no headers"),
        }
        self
    }

    /// A call of `act` with these parameters.
    pub(super) fn calls(self, parameters: &'static str) -> Self {
        self.calling("act", parameters)
    }

    /// A call of an action with these parameters.
    pub(super) fn calling(mut self, action: &'static str, parameters: &'static str) -> Self {
        self.steps
            .push(Step::asking(Ask::Call { action, parameters }));
        self
    }

    /// As this agent, whose token is that of the policy's secret.
    pub(super) fn by(mut self, agent: &'static str, secret: &'static str) -> Self {
        self.last().agent = Some((agent, secret));
        self
    }

    /// What the origin answers; `{}` with 200 otherwise.
    pub(super) fn answered(mut self, status: u16, body: &'static str) -> Self {
        self.last().reply = (status, body);
        self
    }

    /// The origin never answers.
    pub(super) fn unanswered(self) -> Self {
        self.answered(SILENCE, "")
    }

    /// The request line upstream.
    pub(super) fn leaves(self, line: &'static str) -> Self {
        self.expects(Expected::Line(line))
    }

    /// A header upstream.
    pub(super) fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        self.expects(Expected::Sent(name, value.into()))
    }

    /// No such header upstream.
    pub(super) fn without(self, name: &'static str) -> Self {
        self.expects(Expected::NotSent(name))
    }

    /// The body upstream, byte for byte.
    pub(super) fn body(self, text: impl Into<String>) -> Self {
        self.expects(Expected::Body(text.into()))
    }

    /// A part of the body upstream.
    pub(super) fn body_holds(self, text: impl Into<String>) -> Self {
        self.expects(Expected::BodyHolds(text.into()))
    }

    /// Refused, with nothing sent.
    pub(super) fn refused(self, code: &'static str) -> Self {
        self.expects(Expected::Refused(code))
    }

    /// Broke on the way.
    pub(super) fn breaks(self, code: &'static str) -> Self {
        self.expects(Expected::Broke(code))
    }

    /// The refusal says this.
    pub(super) fn told(self, says: &'static str) -> Self {
        self.expects(Expected::Told(says))
    }

    /// The agent's status.
    pub(super) fn status(self, status: u16) -> Self {
        self.expects(Expected::Status(status))
    }

    /// The agent's body.
    pub(super) fn returned(self, body: &'static str) -> Self {
        self.expects(Expected::Returned(body))
    }

    /// The name of the reply.
    pub(super) fn outcome(self, name: &'static str) -> Self {
        self.expects(Expected::Outcome(name))
    }

    /// What a tool is told beside the reply.
    pub(super) fn says(self, text: &'static str) -> Self {
        self.expects(Expected::Says(text))
    }

    /// What a tool is shown of the session, as JSON.
    pub(super) fn variables(self, json: &'static str) -> Self {
        self.expects(Expected::Variables(json))
    }

    /// A field of the audit record.
    pub(super) fn recorded(self, field: &'static str, value: impl Into<Value>) -> Self {
        self.expects(Expected::Recorded(field, value.into()))
    }

    fn expects(mut self, expected: Expected) -> Self {
        self.last().expected.push(expected);
        self
    }

    fn last(&mut self) -> &mut Step {
        self.steps.last_mut().expect("a step before it")
    }

    /// Everything that is not as the row says.
    pub(super) fn prove(&self) -> Result<(), String> {
        let loaded = policy::from_texts(&[("row.yaml".into(), self.policy.clone().into())]);
        let (errors, warnings): (Vec<&Problem>, Vec<&Problem>) = loaded
            .problems
            .iter()
            .partition(|it| it.severity() == Severity::Error);
        self.prove_problems(&errors, &self.problems)?;
        self.prove_problems(&warnings, &self.warnings)?;
        if let Some(policy) = &loaded.policy {
            self.prove_shown(policy)?;
        }
        let said = [&self.problems, &self.warnings, &self.shown];
        let is_empty = self.steps.is_empty() && said.iter().all(|it| it.is_empty());
        if is_empty || self.steps.iter().any(|it| it.expected.is_empty()) {
            return Err("a row that cannot fail".into());
        }
        if self.steps.is_empty() {
            return Ok(());
        }
        self.prove_steps()
    }

    fn prove_problems(&self, told: &[&Problem], expected: &[&str]) -> Result<(), String> {
        let told: Vec<String> = told.iter().map(|it| told_by(it)).collect();
        let is_as_expected = told.len() == expected.len()
            && told
                .iter()
                .zip(expected)
                .all(|(it, says)| it.contains(says));
        is_as_expected
            .then_some(())
            .ok_or_else(|| format!("expected {expected:?}, told {told:#?}\n{}", self.policy))
    }

    fn prove_shown(&self, policy: &Policy) -> Result<(), String> {
        let actions = policy.environments()[0].actions.values();
        let tools = toolbox::definitions(actions.map(|it| Tool::of(it)), Format::Mcp).to_string();
        let missing = self.shown.iter().find(|it| !tools.contains(**it));
        missing.map_or(Ok(()), |it| Err(format!("{it} is not among {tools}")))
    }

    fn prove_steps(&self) -> Result<(), String> {
        let stage = Stage::of(self);
        for (number, step) in self.steps.iter().enumerate() {
            let done = stage.perform(step);
            for expected in &step.expected {
                done.check(expected)
                    .map_err(|it| format!("step {}: {it}\n{done:#?}", number + 1))?;
            }
        }
        let written = stage.world.everything_written();
        let shown = self.hidden.iter().find(|it| written.contains(**it));
        match shown {
            Some(shown) => Err(format!("{shown} is written: {written}")),
            None => Ok(()),
        }
    }
}

impl Step {
    fn asking(ask: Ask) -> Self {
        Self {
            agent: None,
            ask,
            reply: (200, "{}"),
            expected: Vec::new(),
        }
    }
}

/// A world with an origin behind every host of a row.
struct Stage {
    world: World,
    session: Option<String>,
    reply: Arc<Mutex<(u16, &'static str)>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// What came out of a step.
#[derive(Debug)]
struct Done {
    /// What the origins saw.
    seen: Vec<Seen>,
    answer: Got,
    record: Value,
    session: String,
}

/// What the agent got, at either door.
#[derive(Debug, Default)]
struct Got {
    status: u16,
    refusal: String,
    text: String,
    outcome: String,
    /// The whole answer to a call.
    tool: Value,
}

impl Stage {
    fn of(row: &Row) -> Self {
        let mut plan = Plan::of(&row.policy);
        for name in words_after(&row.policy, "{secret: ") {
            plan = plan.secret(name, &secret(name));
        }
        let world = plan.start();
        let agents = row.steps.iter().any(|it| it.agent.is_some());
        let context = serde_json::from_str(row.context).unwrap();
        let session = (!agents).then(|| world.open_session_about(None, context));
        let stage = Self {
            world,
            session,
            reply: Arc::default(),
            seen: Arc::default(),
        };
        let asked = row.steps.iter().map(|it| match &it.ask {
            Ask::Request { url, .. } => *url,
            Ask::Call { .. } => "",
        });
        let all = format!("{}\n{}", row.policy, asked.collect::<Vec<_>>().join("\n"));
        let mut hosts = words_after(&all, "https://");
        hosts.sort_unstable();
        hosts.dedup();
        for (number, host) in hosts.iter().enumerate() {
            stage.put(host, &format!("203.0.114.{}", 100 + number));
        }
        stage
    }

    /// An origin at an address of its own. One that is asked for a token gives one.
    fn put(&self, host: &str, address: &str) {
        self.world.resolve(host, &[address]);
        let (reply, log) = (self.reply.clone(), self.seen.clone());
        self.world.origin(host, move |seen: &Seen| {
            if seen.line().starts_with("POST /oauth2/token ") {
                return answer(
                    200,
                    r#"{"access_token":"TOKEN-1","token_type":"Bearer","expires_in":3600}"#,
                );
            }
            log.lock().unwrap().push(seen.clone());
            let (status, body) = *reply.lock().unwrap();
            answer(status, body)
        });
    }

    fn perform(&self, step: &Step) -> Done {
        *self.reply.lock().unwrap() = step.reply;
        let before = (self.seen.lock().unwrap().len(), self.world.records(0).len());
        let answer = match &step.ask {
            Ask::Request {
                method,
                url,
                headers,
                body,
            } => {
                let login = match (step.agent, &self.session) {
                    (Some((agent, token)), _) => format!("{agent}:{}", secret(token)),
                    (None, session) => format!("~{}:", session.as_deref().unwrap_or_default()),
                };
                let login = format!("Proxy-Authorization: {}", basic(&login));
                let mut headers = headers.clone();
                headers.push(&login);
                Got::from(self.world.client().send(method, url, &headers, body))
            }
            Ask::Call { action, parameters } => {
                let token = step.agent.map(|(_, token)| secret(token));
                let parameters: Value = serde_json::from_str(parameters).unwrap();
                let call = match &self.session {
                    Some(session) => json!({"parameters": parameters, "session": session}),
                    None => json!({"parameters": parameters}),
                };
                Got::told(self.world.call(action, &token.unwrap_or_default(), &call))
            }
        };
        Done {
            answer,
            record: self.world.records(before.1 + 1)[before.1].clone(),
            seen: self.seen.lock().unwrap()[before.0..].to_vec(),
            session: self.session.clone().unwrap_or_default(),
        }
    }
}

impl From<Answer> for Got {
    fn from(answer: Answer) -> Self {
        Self {
            status: answer.status,
            refusal: answer.refusal().to_owned(),
            text: answer.text().to_owned(),
            outcome: answer
                .header("exeat-outcome")
                .unwrap_or_default()
                .to_owned(),
            tool: Value::Null,
        }
    }
}

impl Got {
    /// What a tool got: the server's reply, told of in ours.
    fn told(answer: Answer) -> Self {
        let tool = answer.json();
        if answer.refusal() != "none" {
            return Self::from(answer);
        }
        Self {
            status: tool["status"].as_u64().unwrap().try_into().unwrap(),
            refusal: "none".into(),
            text: match &tool["body"] {
                Value::String(text) => text.clone(),
                body => body.to_string(),
            },
            outcome: tool["outcome"].as_str().unwrap().to_owned(),
            tool,
        }
    }
}

impl Done {
    fn check(&self, expected: &Expected) -> Result<(), String> {
        let is_so = |is: bool, said: String| is.then_some(()).ok_or(said);
        let sent = || match &self.seen[..] {
            [one] => Ok(one),
            _ => Err("not one request left".to_owned()),
        };
        match expected {
            Expected::Line(line) => {
                let seen = sent()?.line().trim_end_matches(" HTTP/1.1").to_owned();
                is_so(seen == *line, format!("{line} was to leave"))
            }
            Expected::Sent(name, value) => is_so(
                sent()?.header(name) == [value],
                format!("{name}: {value} was to leave"),
            ),
            Expected::NotSent(name) => is_so(
                sent()?.header(name).is_empty(),
                format!("{name} was not to leave"),
            ),
            Expected::Body(body) => {
                // An id is another one in every run.
                let seen = sent()?.text();
                let seen = match &self.session[..] {
                    "" => seen.to_owned(),
                    session => seen.replace(session, "<session>"),
                };
                is_so(seen == *body, format!("{body} was to leave"))
            }
            Expected::BodyHolds(part) => is_so(
                sent()?.text().contains(part),
                format!("{part} was to leave"),
            ),
            Expected::Refused(code) => is_so(
                self.answer.refusal == *code && self.seen.is_empty(),
                format!("{code} was to refuse it"),
            ),
            Expected::Broke(code) => {
                is_so(self.answer.refusal == *code, format!("{code} was to come"))
            }
            Expected::Told(says) => is_so(
                self.answer.text.contains(says),
                format!("{says} was to be told"),
            ),
            Expected::Status(status) => is_so(
                self.answer.status == *status,
                format!("{status} was to come"),
            ),
            Expected::Returned(body) => {
                is_so(self.answer.text == *body, format!("{body} was to come"))
            }
            Expected::Outcome(name) => {
                is_so(self.answer.outcome == *name, format!("{name} was to come"))
            }
            Expected::Says(text) => is_so(
                self.answer.tool["say"] == **text,
                format!("{text} was to be said"),
            ),
            Expected::Variables(json) => {
                let expected: Value = serde_json::from_str(json).unwrap();
                is_so(
                    self.answer.tool["variables"] == expected,
                    format!("{json} was to be shown"),
                )
            }
            Expected::Recorded(field, value) => is_so(
                self.record[field] == *value,
                format!("{field}: {value} was to be recorded"),
            ),
        }
    }
}

/// The value of a secret: of its name, so that a row can tell whose it is.
pub(super) fn secret(name: &str) -> String {
    format!("SECRET-{name}")
}

/// `Basic` of a pair.
pub(super) fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

fn answer(status: u16, body: &str) -> Reply {
    if status == SILENCE {
        return Reply::and("", Then::Stay);
    }
    let (kind, length) = match body.starts_with(['{', '[']) {
        true => ("application/json", body.len()),
        false => ("text/plain", body.len()),
    };
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    Reply::and(&(head + body), Then::Stay)
}

/// What the author of a policy reads.
fn told_by(problem: &Problem) -> String {
    let remedy = problem.remedy_text().unwrap_or_default();
    format!("{} ({remedy})", problem.headline())
}

/// What stands behind a mark, up to what is neither letter, digit, `.`, `-` nor `_`.
fn words_after<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    let is_end = |c: char| !(c.is_ascii_alphanumeric() || ".-_".contains(c));
    let after = text.split(mark).skip(1);
    after
        .map(|it| it.split(is_end).next().unwrap_or_default())
        .collect()
}
