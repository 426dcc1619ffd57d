//! What parameters cost: planning and recognising an action with ten of them and a body template of 2 KB, checking
//! them, and checking a schema with conditions.
//!
//! `cargo bench --bench parameters`, in CPU time. The goals: planning and recognising below 10 µs each, a check of the
//! conditions below 2 µs.

mod cpu_time;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::BatchSize;
use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use exeat::action::Action;
use exeat::action::Arguments;
use exeat::action::Content;
use exeat::action::Facts;
use exeat::action::plan;
use exeat::action::recognise;
use exeat::body::Body;
use exeat::name::ActionName;
use exeat::name::EnvironmentName;
use exeat::policy;
use exeat::problem::Problem;
use exeat::request::Caller;
use exeat::request::Destination;
use exeat::request::Door;
use exeat::request::Intent;
use exeat::request::Path;
use exeat::request::Query;
use exeat::schema::Schema;
use http::HeaderMap;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use time::OffsetDateTime;

use crate::cpu_time::CpuTime;

/// The allocator of the exeat binary, on which half of the time depends.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(name = benches; config = cpu_time::criterion(); targets = request, conditions);
criterion_main!(benches);

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

fn request(criterion: &mut Criterion<CpuTime>) {
    let action = action();
    let facts = facts();
    let planned = plan(&action, arguments(), &facts).expect("the parameters fit");
    let Body::Bytes(body) = planned.body else {
        panic!("a template makes bytes");
    };
    let intent = intent(&planned.path, &planned.query);
    let recognised = recognise(&action, &intent, Content::Read(body.clone()), &facts);
    let found = recognised.expect("what is planned is recognised").arguments;
    assert_eq!(found.parameters, parameters());
    let checked = Value::Object(parameters());
    assert_eq!(action.parameters.check(&checked), Ok(()));

    let mut group = criterion.benchmark_group("parameters");
    group.bench_function("plan", |bencher| {
        let plan = |arguments| plan(&action, arguments, &facts);
        bencher.iter_batched(arguments, plan, BatchSize::SmallInput);
    });
    group.bench_function("recognise", |bencher| {
        bencher.iter(|| {
            let content = Content::Read(body.clone());
            recognise(&action, black_box(&intent), content, &facts)
        });
    });
    group.bench_function("check", |bencher| {
        bencher.iter(|| action.parameters.check(black_box(&checked)));
    });
    group.finish();
}

/// The example of the documentation that people bring along: which sub-categories there are depends on the category.
fn conditions(criterion: &mut Criterion<CpuTime>) {
    let listed = |category, listed: Value| {
        json!({
            "if": {"properties": {"category": {"const": category}}},
            "then": {"properties": {"sub_category": {"enum": listed}}}
        })
    };
    let schema = json!({
        "type": "object",
        "properties": {
            "category": {"type": "string", "enum": ["billing", "technical"], "description": "Main issue category"},
            "sub_category": {"type": "string", "description": "Specific issue type within the category"}
        },
        "required": ["category", "sub_category"],
        "allOf": [
            listed("billing", json!(["invoice_dispute", "payment_failed", "refund_request"])),
            listed("technical", json!(["login_issue", "performance", "bug_report"]))
        ]
    });
    let schema = Schema::compile(&schema).expect("a schema");
    let fits = json!({"category": "technical", "sub_category": "bug_report"});
    let differs = json!({"category": "billing", "sub_category": "bug_report"});
    assert_eq!(schema.check(&fits), Ok(()));
    let refused = schema.check(&differs).expect_err("another category");
    assert_eq!(refused.pointer, "/sub_category");

    let mut group = criterion.benchmark_group("conditions");
    group.bench_function("check", |bencher| {
        bencher.iter(|| schema.check(black_box(&fits)));
    });
    group.bench_function("refuse", |bencher| {
        bencher.iter(|| schema.check(black_box(&differs)));
    });
    group.finish();
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

fn arguments() -> Arguments {
    Arguments {
        parameters: parameters(),
        ..Arguments::default()
    }
}

fn parameters() -> Map<String, Value> {
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
