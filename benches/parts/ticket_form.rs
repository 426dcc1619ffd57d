//! An action with ten parameters and a body template of 2 KB, and what is planned by it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use exeat::action::Action;
use exeat::action::Arguments;
use exeat::action::Content;
use exeat::action::Facts;
use exeat::action::Planned;
use exeat::action::Recognised;
use exeat::action::plan;
use exeat::action::recognise;
use exeat::body::Body;
use exeat::name::ActionName;
use exeat::name::EnvironmentName;
use exeat::policy;
use exeat::problem::Problem;
use exeat::refusal::Refusal;
use exeat::request::Caller;
use exeat::request::Destination;
use exeat::request::Door;
use exeat::request::Intent;
use exeat::request::Path;
use exeat::request::Query;
use http::HeaderMap;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use time::OffsetDateTime;

/// Of policies that name none.
const ENVIRONMENT: &str = "default";

/// An action as those who replace a ticket form write it: one parameter in the path, one in the query, eight in the
/// body.
const ACTION: &str = r#"
version: 1
actions:
  create_ticket:
    description: Creates a ticket in the queue of a team, in the name of a customer.
    method: POST
    url: https://desk.example.com/api/v2/teams/{{team}}/tickets
    query: {notify: "{{notify}}"}
    parameters:
      type: object
      properties:
        team: {type: string, maxLength: 40}
        notify: {type: boolean}
        summary: {type: string, minLength: 1, maxLength: 200}
        details: {type: string, maxLength: 4000}
        priority: {enum: [low, medium, high, urgent]}
        points: {type: integer, minimum: 0, maximum: 100}
        labels: {type: array, items: {type: string}, maxItems: 10}
        customer_name: {type: string, maxLength: 100}
        customer_email: {type: string, format: email}
        estimate: {type: number, minimum: 0}
      required: [team, notify, summary, details, priority, points, labels, customer_name, customer_email, estimate]
    body: |
"#;

/// What the body is made of; more literal text is added until it has [`BODY_BYTES`].
const BODY: &str = r#"{
  "ticket": {
    "subject": "[agent] {{.parameters.summary}}",
    "description": {"version": 1, "type": "doc", "content": [
      {"type": "paragraph", "content": [{"type": "text", "text": "{{.parameters.details}}"}]}]},
    "priority": "{{.parameters.priority}}",
    "points": {{.parameters.points}},
    "tags": {{.parameters.labels}},
    "requester": {"name": "{{.parameters.customer_name}}", "email": "{{.parameters.customer_email}}"},
    "estimate": {"hours": {{.parameters.estimate}}, "confirmed": false}
  },
  "fields": [
"#;

const BODY_BYTES: usize = 2048;

/// The action, and a request that is recognised as what was planned.
pub(crate) struct TicketForm {
    pub(crate) action: Arc<Action>,
    facts: Facts,
    intent: Intent,
    body: Bytes,
}

impl TicketForm {
    pub(crate) fn new() -> Self {
        let action = action();
        let facts = facts();
        let planned = plan(&action, arguments(), &facts).expect("the parameters fit");
        let Body::Bytes(body) = planned.body else {
            panic!("a template makes bytes");
        };
        let form = Self {
            action,
            facts,
            intent: intent(&planned.path, &planned.query),
            body,
        };
        let recognised = form.recognise().expect("what is planned is recognised");
        assert_eq!(recognised.arguments.parameters, parameters());
        form
    }

    pub(crate) fn plan(&self, arguments: Arguments) -> Result<Planned, Refusal> {
        plan(&self.action, arguments, &self.facts)
    }

    pub(crate) fn recognise(&self) -> Result<Recognised, Refusal> {
        let content = Content::Read(self.body.clone());
        recognise(&self.action, &self.intent, content, &self.facts)
    }
}

pub(crate) fn arguments() -> Arguments {
    Arguments {
        parameters: parameters(),
        ..Arguments::default()
    }
}

pub(crate) fn parameters() -> Map<String, Value> {
    let parameters = json!({
        "team": "support emea",
        "notify": true,
        "summary": "The invoice of October shows the wrong address",
        "details": "The customer wrote:\n\"The address of our old office is still on it.\"\nThey ask for a new one by \
            Friday, since their accounting closes the month then, and for a word from somebody when it is on its way.",
        "priority": "high",
        "points": 3,
        "labels": ["billing", "address"],
        "customer_name": "Grace Hopper",
        "customer_email": "grace@example.com",
        "estimate": 1.5
    });
    match parameters {
        Value::Object(parameters) => parameters,
        other => panic!("{other} is no object"),
    }
}

fn action() -> Arc<Action> {
    let mut body = BODY.to_owned();
    for number in 0.. {
        let field = format!(
            "    {{\"id\": \"custom_{number}\", \"value\": \"a sentence which the policy fixes, such as the terms of the service\"}}"
        );
        body.push_str(&field);
        if body.len() + "\n  ]\n}\n".len() >= BODY_BYTES {
            break;
        }
        body.push_str(",\n");
    }
    body.push_str("\n  ]\n}\n");
    let body: String = body.lines().map(|line| format!("      {line}\n")).collect();
    let files = [(
        "tickets.yaml".to_owned(),
        format!("{ACTION}{body}").into_bytes(),
    )];
    let loaded = policy::from_texts(&files);
    let problems: Vec<_> = loaded.problems.iter().map(Problem::headline).collect();
    let policy = loaded.policy;
    let policy = policy.unwrap_or_else(|| panic!("the policy of the bench: {problems:?}"));
    let name = ActionName::parse("create_ticket").expect("a name");
    policy.environments()[0].actions[&name].clone()
}

fn intent(path: &str, query: &str) -> Intent {
    let target = Destination::of_absolute("https://desk.example.com/").expect("a URL");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Intent {
        door: Door::Proxy,
        caller: Caller {
            agent: None,
            environment: EnvironmentName::parse(ENVIRONMENT).expect("a name"),
            session: None,
        },
        method: http::Method::POST,
        destination: target.destination,
        path: Path::parse(path).expect("a planned path is canonical"),
        query: Query::parse(query).expect("a planned query is canonical"),
        headers,
    }
}

fn facts() -> Facts {
    let environment = EnvironmentName::parse(ENVIRONMENT).expect("a name");
    Facts::bare(environment, OffsetDateTime::UNIX_EPOCH, Instant::now())
}
