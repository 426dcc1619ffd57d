//! A policy of so many actions, and requests that it declares: a GET with one path and two query parameters.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use exeat::action::Content;
use exeat::action::Facts;
use exeat::action::Recognised;
use exeat::action::recognise;
use exeat::name::AgentName;
use exeat::name::EnvironmentName;
use exeat::policy;
use exeat::policy::Permit;
use exeat::policy::Policy;
use exeat::policy::Selected;
use exeat::problem::Problem;
use exeat::refusal::Code;
use exeat::refusal::Refusal;
use exeat::request::Caller;
use exeat::request::Destination;
use exeat::request::Door;
use exeat::request::Intent;
use exeat::request::Path;
use exeat::request::Query;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::header::ACCEPT;
use http::header::HOST;
use http::header::USER_AGENT;
use time::OffsetDateTime;

/// Actions of one host: some each, as in the policies of a company.
const ACTIONS_OF_A_HOST: usize = 10;

/// Actions in one file, which may have 1 MiB.
const ACTIONS_OF_A_FILE: usize = 2_000;

/// Actions that are asked for in turn, spread over the policy: asking for one only would keep its part of the index in
/// the nearest cache, which no real traffic does.
const ASKED: usize = 64;

/// Of policies that name none.
const ENVIRONMENT: &str = "default";

/// What is asked of a policy, and asked already: it is decided as it is taken for, and nothing is done for the first
/// time.
pub(crate) struct Declared {
    pub(crate) policy: Arc<Policy>,
    /// Requests that it declares.
    pub(crate) intents: Vec<Intent>,
    /// One that it does not.
    pub(crate) undeclared: Intent,
    pub(crate) facts: Facts,
}

impl Declared {
    pub(crate) fn of(size: usize) -> Self {
        let number = |turn| turn * size / ASKED;
        let declared = Self {
            policy: load(size),
            intents: (0..ASKED)
                .map(|turn| intent(&host(number(turn)), number(turn)))
                .collect(),
            undeclared: intent("api.undeclared.example", 0),
            facts: facts(),
        };
        for intent in &declared.intents {
            assert_eq!(declared.permit(intent).planned().query, "lang=en&page=1");
        }
        let refusal = declared.whole(&declared.undeclared);
        let refusal = refusal.expect_err("nothing declares that host");
        assert_eq!(refusal.code, Code::HostUndeclared);
        declared
    }

    /// From a canonical head to a permit: two decisions, with the parameters taken out between them.
    pub(crate) fn whole(&self, intent: &Intent) -> Result<Permit, Refusal> {
        let selected = policy::select(&self.policy, intent)?;
        let recognised = self.recognised(&selected, intent)?;
        let host = &intent.destination.host;
        policy::decide(selected, host, recognised.arguments, &self.facts)
    }

    pub(crate) fn permit(&self, intent: &Intent) -> Permit {
        self.whole(intent).expect("the request is declared")
    }

    pub(crate) fn recognised(
        &self,
        selected: &Selected,
        intent: &Intent,
    ) -> Result<Recognised, Refusal> {
        let content = Content::Read(Bytes::new());
        recognise(selected.action(), intent, content, &self.facts)
    }
}

fn load(size: usize) -> Arc<Policy> {
    let loaded = policy::from_texts(&texts(size));
    let problems: Vec<_> = loaded.problems.iter().map(Problem::headline).collect();
    let policy = loaded.policy;
    Arc::new(policy.unwrap_or_else(|| panic!("the policy of the bench: {problems:?}")))
}

fn texts(size: usize) -> Vec<(String, Vec<u8>)> {
    let ground = "version: 1
secrets:
  agent_token: {env: AGENT_TOKEN}
  api_token: {env: API_TOKEN}
auth:
  api: {type: bearer, token: {secret: api_token}}
agents:
  bench: {token: {secret: agent_token}, allow: [\"get_*\"]}
";
    let mut texts = vec![("ground.yaml".to_owned(), ground.as_bytes().to_vec())];
    for first in (0..size).step_by(ACTIONS_OF_A_FILE) {
        let end = size.min(first + ACTIONS_OF_A_FILE);
        texts.push((format!("actions-{first}.yaml"), actions(first..end)));
    }
    texts
}

fn actions(numbers: std::ops::Range<usize>) -> Vec<u8> {
    let mut text = "version: 1\nactions:\n".to_owned();
    for number in numbers {
        let host = host(number);
        write!(
            text,
            "  get_{number}:
    description: Reads one document in one language.
    method: GET
    url: \"https://{host}/v{number}/documents/{{{{id}}}}\"
    parameters:
      type: object
      properties:
        id: {{type: string, maxLength: 64}}
        lang: {{type: string, maxLength: 8}}
        page: {{type: integer, minimum: 1}}
      required: [id]
    auth: api
"
        )
        .expect("memory takes all text");
    }
    text.into_bytes()
}

fn host(number: usize) -> String {
    format!("api{}.example.com", number / ACTIONS_OF_A_HOST)
}

fn intent(host: &str, number: usize) -> Intent {
    let url = format!("https://{host}/");
    let target = Destination::of_absolute(&url).expect("a URL");
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (HOST, host),
        (USER_AGENT, "bench"),
        (ACCEPT, "application/json"),
    ] {
        headers.insert(name, HeaderValue::from_str(value).expect("ASCII"));
    }
    Intent {
        door: Door::Proxy,
        caller: Caller {
            agent: Some(AgentName::parse("bench").expect("a name")),
            environment: EnvironmentName::parse(ENVIRONMENT).expect("a name"),
            session: None,
        },
        method: Method::GET,
        destination: target.destination,
        path: Path::parse(&format!("/v{number}/documents/quarterly-report")).expect("a path"),
        query: Query::parse("lang=en&page=1").expect("a query"),
        headers,
    }
}

fn facts() -> Facts {
    let environment = EnvironmentName::parse(ENVIRONMENT).expect("a name");
    Facts {
        agent_id: "bench".to_owned(),
        agent_name: "bench".to_owned(),
        ..Facts::bare(environment, OffsetDateTime::UNIX_EPOCH, Instant::now())
    }
}
