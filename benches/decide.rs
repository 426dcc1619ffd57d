//! What deciding costs: a GET with one path and two query parameters, against policies of 10 to 100,000 actions.
//!
//! `cargo bench --bench decide`. The figures must not grow with the policy: hosts and paths are looked up, not scanned.
//! What a whole proxied request costs is measured by `loopback`.

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use criterion::BatchSize;
use criterion::BenchmarkId;
use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
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

criterion_group!(benches, decide);
criterion_main!(benches);

/// Declared actions.
const SIZES: [usize; 3] = [10, 1_000, 100_000];

/// Actions of one host: some each, as in the policies of a company.
const ACTIONS_OF_A_HOST: usize = 10;

/// Actions in one file, which may have 1 MiB.
const ACTIONS_OF_A_FILE: usize = 2_000;

/// Actions that are asked for in turn, spread over the policy: asking for one only would keep its part of the index in
/// the nearest cache, which no real traffic does.
const ASKED: usize = 64;

/// Of policies that name none.
const ENVIRONMENT: &str = "default";

fn decide(criterion: &mut Criterion) {
    for size in SIZES {
        let policy = load(size);
        measure(criterion, size, &policy);
    }
}

fn measure(criterion: &mut Criterion, size: usize, policy: &Arc<Policy>) {
    let facts = facts();
    let intents: Vec<Intent> = (0..ASKED)
        .map(|turn| intent(&host(turn * size / ASKED), turn * size / ASKED))
        .collect();
    let undeclared = intent("api.undeclared.example", 0);
    assert_decisions(policy, &intents, &undeclared, &facts);

    let mut turns = intents.iter().cycle();
    let mut next = || turns.next().expect("a cycle has no end");
    let mut group = criterion.benchmark_group("decide");
    group.bench_function(BenchmarkId::new("whole", size), |bencher| {
        bencher.iter(|| whole(policy, next(), &facts));
    });
    group.bench_function(BenchmarkId::new("part-select", size), |bencher| {
        bencher.iter(|| policy::select(policy, black_box(next())));
    });
    group.bench_function(BenchmarkId::new("part-recognise", size), |bencher| {
        bencher.iter_batched(
            || selected(policy, next()),
            |(selected, intent)| (recognised(&selected, intent, &facts), selected),
            BatchSize::SmallInput,
        );
    });
    group.bench_function(BenchmarkId::new("part-decide", size), |bencher| {
        bencher.iter_batched(
            || {
                let (selected, intent) = selected(policy, next());
                let recognised = recognised(&selected, intent, &facts);
                (selected, recognised.expect("the request fits"), intent)
            },
            |(selected, recognised, intent)| {
                let host = &intent.destination.host;
                policy::decide(selected, host, recognised.arguments, &facts)
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function(BenchmarkId::new("refuse-host", size), |bencher| {
        bencher.iter(|| whole(policy, black_box(&undeclared), &facts));
    });
    group.finish();
}

/// What is measured is what it is taken for.
fn assert_decisions(policy: &Arc<Policy>, intents: &[Intent], undeclared: &Intent, facts: &Facts) {
    for intent in intents {
        let permit = whole(policy, intent, facts).expect("the request is declared");
        assert_eq!(permit.planned().query, "lang=en&page=1");
    }
    let refusal = whole(policy, undeclared, facts).expect_err("nothing declares that host");
    assert_eq!(refusal.code, Code::HostUndeclared);
}

/// From a canonical head to a permit: two decisions, with the parameters taken out between them.
fn whole(policy: &Arc<Policy>, intent: &Intent, facts: &Facts) -> Result<Permit, Refusal> {
    let selected = policy::select(policy, intent)?;
    let recognised = recognised(&selected, intent, facts)?;
    let host = &intent.destination.host;
    policy::decide(selected, host, recognised.arguments, facts)
}

fn selected<'a>(policy: &Arc<Policy>, intent: &'a Intent) -> (Selected, &'a Intent) {
    let selected = policy::select(policy, intent);
    (selected.expect("the request is declared"), intent)
}

fn recognised(selected: &Selected, intent: &Intent, facts: &Facts) -> Result<Recognised, Refusal> {
    recognise(
        selected.action(),
        intent,
        Content::Read(Bytes::new()),
        facts,
    )
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
