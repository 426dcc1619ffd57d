//! One action, three doors: the proxy, the HTTP door and MCP send the same request for the same parameters, decide and
//! record it alike, and know the same sessions.

mod case;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

use case::{Case, POLICY, Proxied, cases, encode};

use crate::world::{Origin, Plan, Revision, Seen, Web, World, json_reply};

/// The ways in.
const DOORS: [&str; 3] = ["proxy", "http", "mcp"];

/// One agent's conversation, through all doors.
struct Conversation<'w> {
    world: &'w World,
    session: String,
    web: Web<'w>,
}

/// What the agent was told: null where it was carried out, else the code and the place.
type Told = (Value, Value);

impl<'w> Conversation<'w> {
    fn begin(world: &'w World, revision: Revision) -> Self {
        let session = world.open_session(None);
        let mut web = world.web(revision, "x");
        web.headers.push(format!("Exeat-Session: {session}"));
        Self {
            world,
            session,
            web,
        }
    }

    fn through(&mut self, door: &str, parameters: &Value, proxied: &Proxied) -> Told {
        self.call(door, "act", parameters, proxied)
    }

    fn call(&mut self, door: &str, name: &str, parameters: &Value, proxied: &Proxied) -> Told {
        match door {
            "proxy" => self.send(proxied),
            "http" => {
                let body = json!({"parameters": parameters, "session": self.session});
                let answer = self.world.call(name, "", &body);
                told(&answer.json())
            }
            _ => {
                let answer = self.web.call(name, parameters.clone());
                told(&answer["result"]["structuredContent"])
            }
        }
    }

    fn send(&self, proxied: &Proxied) -> Told {
        let login = STANDARD.encode(format!("~{}:x", self.session));
        let mut headers = vec![format!("Proxy-Authorization: Basic {login}")];
        headers.extend(proxied.headers.iter().cloned());
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let url = format!("https://api.good.test{}", proxied.target);
        let answer = self
            .world
            .client()
            .send(proxied.method, &url, &headers, &proxied.body);
        match answer.refusal() {
            "none" => (Value::Null, Value::Null),
            _ => told(&answer.json()),
        }
    }
}

fn told(answer: &Value) -> Told {
    let error = &answer["error"];
    assert!(
        error.is_object() || answer["request_id"].is_string(),
        "{answer}"
    );
    (error["code"].clone(), error["pointer"].clone())
}

/// Those of a record that tell of the request, whichever door it came through.
fn shared(record: &Value) -> Value {
    let mut shared = record.as_object().unwrap().clone();
    for of_the_door in ["door", "bytes_in", "bytes_out"] {
        shared.remove(of_the_door);
    }
    let of_the_moment = ["time", "request_id", "duration_ms", "upstream_ms"];
    for name in of_the_moment.iter().chain(&["seq", "prev_hash", "hash"]) {
        shared.remove(*name);
    }
    // As it was asked, and a program has its own order.
    for list in ["query", "parameters"] {
        if let Some(names) = shared.get_mut(list).and_then(Value::as_array_mut) {
            names.sort_by_key(Value::to_string);
        }
    }
    shared.into()
}

#[test]
fn every_door_sends_the_same_bytes_for_the_same_parameters() {
    let world = Plan::of(&format!(
        "{POLICY}actions: {{act: {{description: Nothing yet., method: GET, url: api.good.test/}}}}"
    ))
    .start();
    let origin = world.origin("api.good.test", |_| json_reply(r#"{"done":true}"#));
    let conversation = RefCell::new(Conversation::begin(&world, Revision::ALL[1]));
    let mut runner = TestRunner::new(Config {
        cases: 128,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    });
    let carried = Cell::new(0);
    let outcome = runner.run(&cases(), |case| {
        world.reload(&case.policy());
        let is_carried = compare(&world, &origin, &mut conversation.borrow_mut(), &case)?;
        carried.set(carried.get() + u32::from(is_carried));
        Ok(())
    });
    outcome.unwrap();
    let carried = carried.get();
    assert!(carried > 64, "only {carried} of 128 cases were carried out");
}

/// One case through all doors; whether it was carried out.
fn compare(
    world: &World,
    origin: &Origin,
    conversation: &mut Conversation<'_>,
    case: &Case,
) -> Result<bool, TestCaseError> {
    let (parameters, proxied) = (case.parameters(), case.proxied());
    let before = (origin.seen().len(), world.records(0).len());
    let told = DOORS.map(|door| conversation.through(door, &parameters, &proxied));
    let seen: Vec<Seen> = origin.seen().split_off(before.0);
    let records = world.records(before.1 + DOORS.len()).split_off(before.1);
    prop_assert_eq!(&told[1], &told[2], "the tool doors");
    let doors: Vec<&str> = records
        .iter()
        .map(|it| it["door"].as_str().unwrap())
        .collect();
    prop_assert_eq!(doors, DOORS);
    let is_carried = told[1].0.is_null();
    if is_carried {
        prop_assert!(
            told[0].0.is_null(),
            "the proxy says {:?} to {:?}",
            told[0],
            proxied
        );
        prop_assert_eq!(seen.len(), DOORS.len());
        prop_assert_eq!(&seen[0], &seen[1]);
        prop_assert_eq!(&seen[1], &seen[2]);
        prop_assert_eq!(shared(&records[0]), shared(&records[1]));
    } else {
        // In a URL some of what was refused cannot even be read as the same parameter.
        prop_assert!(!told[0].0.is_null(), "the proxy carries {:?}", proxied);
        prop_assert_eq!(seen.len(), 0);
    }
    prop_assert_eq!(shared(&records[1]), shared(&records[2]));
    Ok(is_carried)
}

#[test]
fn only_headers_that_are_let_through_differ() {
    let policy = "actions:\n  act: {description: Takes what is let through., method: GET, url: api.good.test/v1, \
                  auth: bearer, accept_headers: [X-Own]}\n";
    let world = Plan::of(&format!("{POLICY}{policy}")).start();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let mut conversation = Conversation::begin(&world, Revision::ALL[2]);
    let own = [
        "X-Own: 1",
        "X-Other: 2",
        "Accept: text/plain",
        "Authorization: mine",
    ];
    let proxied = Proxied {
        method: "GET",
        target: "/v1".into(),
        headers: own.map(str::to_owned).to_vec(),
        body: String::new(),
    };
    for door in DOORS {
        let told = conversation.through(door, &json!({}), &proxied);
        assert!(told.0.is_null(), "{door}: {told:?}");
    }
    let seen = origin.seen();
    assert_eq!(seen[1], seen[2]);
    let is_own = |line: &&str| line.starts_with("x-own:") || line.starts_with("accept: ");
    let lines = |seen: &Seen| -> Vec<String> {
        seen.head
            .to_lowercase()
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let (proxied, called) = (lines(&seen[0]), lines(&seen[1]));
    let passed: Vec<&str> = proxied.iter().map(String::as_str).filter(is_own).collect();
    assert_eq!(passed.len(), 2, "{proxied:?}");
    let rest: Vec<&str> = proxied
        .iter()
        .map(String::as_str)
        .filter(|it| !is_own(it))
        .collect();
    assert_eq!(rest, called);
}

/// Values that would change a path where they are put in as they are.
const TWISTED: [&str; 16] = [
    "../admin",
    "a/b",
    "a?x=1",
    "%2e%2e",
    "..;",
    "..",
    ".",
    "a\\b",
    "%2F",
    "a#b",
    "..%2fadmin",
    "a;b=c",
    "//",
    "%00",
    "..\\admin",
    "\u{ff0e}\u{ff0e}",
];

#[test]
fn no_value_changes_the_shape_of_a_path() {
    for (pattern, before, after) in [
        ("/v1/items/{{id}}", "/v1/items/", ""),
        ("/v1/items/{{id}}.json", "/v1/items/", ".json"),
        ("/v1/{{id}}/tail", "/v1/", "/tail"),
        ("/v1/files/{{id...}}", "/v1/files/", ""),
    ] {
        let policy = format!(
            "actions:\n  act: {{description: Has a value in its path., method: GET, url: \"api.good.test{pattern}\", \
             parameters: {{properties: {{id: {{type: string}}}}, required: [id]}}}}\n"
        );
        let world = Plan::of(&format!("version: 1\n{policy}")).start();
        let origin = world.origin("api.good.test", |_| json_reply("{}"));
        let mut conversation = Conversation::begin(&world, Revision::ALL[0]);
        for value in TWISTED {
            let encoded = encode(value);
            for (door, spelled) in [
                ("proxy", value),
                ("proxy", &encoded),
                ("http", ""),
                ("mcp", ""),
            ] {
                let proxied = Proxied {
                    method: "GET",
                    target: format!("{before}{spelled}{after}"),
                    headers: Vec::new(),
                    body: String::new(),
                };
                let count = origin.seen().len();
                let told = conversation.through(door, &json!({"id": value}), &proxied);
                let seen = origin.seen().split_off(count);
                assert_eq!(told.0.is_null(), !seen.is_empty(), "{told:?}");
                let target = seen.iter().map(|it| it.line().split(' ').nth(1).unwrap());
                for target in target {
                    let inner = target
                        .strip_prefix(before)
                        .and_then(|it| it.strip_suffix(after));
                    let inner = inner.unwrap_or_else(|| panic!("{door} {value:?}: {target}"));
                    let is_rest = pattern.ends_with("...}}");
                    keeps_its_segments(inner, is_rest, &format!("{door} {value:?}: {target}"));
                }
            }
        }
    }
}

/// As a server reads it that decodes once, or that takes away what stands behind a `;`.
fn keeps_its_segments(inner: &str, may_be_many: bool, place: &str) {
    assert!(!inner.contains(['?', '#', '\\']), "{place}");
    let segments: Vec<&str> = inner.split('/').collect();
    assert!(may_be_many || segments.len() == 1, "{place}");
    for segment in segments {
        let decoded = segment.replace("%2E", ".").replace("%3B", ";");
        let bare = decoded.split(';').next().unwrap();
        assert!(!["", ".", ".."].contains(&bare), "{place}");
        for encoded in ["%2F", "%5C", "%00"] {
            assert!(!segment.contains(encoded), "{place}");
        }
    }
}

const VERIFY_FIRST: &str = r#"
version: 1
actions:
  verify_customer:
    description: Verifies a customer by number and PIN. Use it before anything about a customer.
    method: POST
    url: https://api.good.test/verify
    parameters:
      properties: {customer: {type: string}, pin: {type: string}}
      required: [customer, pin]
    success: {path: $.verified, equals: true}
    outputs: {known.name: {path: $.name, expose: true}}
  lookup_orders:
    description: Lists the orders of a customer who has been verified.
    method: GET
    url: https://api.good.test/customers/{{customer}}/orders
    headers: {X-Name: "{{.variables.known.name}}"}
    parameters: {properties: {customer: {type: string}}, required: [customer]}
    requires: [{action: verify_customer, bind: {customer: customer}}]
"#;

#[test]
fn what_was_verified_at_one_door_may_be_looked_up_at_every_other() {
    let world = Plan::of(VERIFY_FIRST).start();
    let origin = world.origin("api.good.test", |seen| match seen.text().contains("5678") {
        true => json_reply(r#"{"verified":true,"name":"Ada"}"#),
        false => json_reply(r#"{"verified":false}"#),
    });
    for (number, verifying) in DOORS.into_iter().enumerate() {
        let mut conversation = Conversation::begin(&world, Revision::ALL[number]);
        let customer = format!("c{number}");
        for (pin, then) in [
            ("1", "precondition_unmet"),
            ("5678", ""),
            ("2", "precondition_unmet"),
        ] {
            let parameters = json!({"customer": customer, "pin": pin});
            let verify = Proxied {
                method: "POST",
                target: "/verify".into(),
                headers: vec!["Content-Type: application/json".into()],
                body: parameters.to_string(),
            };
            let told = conversation.call(verifying, "verify_customer", &parameters, &verify);
            assert!(told.0.is_null(), "{verifying}: {told:?}");
            for door in DOORS {
                let lookup = Proxied {
                    method: "GET",
                    target: format!("/customers/{customer}/orders"),
                    headers: Vec::new(),
                    body: String::new(),
                };
                let parameters = json!({"customer": customer});
                let told = conversation.call(door, "lookup_orders", &parameters, &lookup);
                assert_eq!(
                    told.0.as_str().unwrap_or_default(),
                    then,
                    "{verifying}, then {door}"
                );
            }
        }
    }
    let looked_up = origin
        .seen()
        .into_iter()
        .filter(|it| it.line().starts_with("GET"));
    let names: Vec<String> = looked_up.map(|it| it.header("x-name").concat()).collect();
    assert_eq!(names, ["Ada"; 9]);
    let sessions = world
        .records(0)
        .into_iter()
        .map(|it| it["session"].to_string());
    let sessions: BTreeSet<String> = sessions.filter(|it| it != "null").collect();
    assert_eq!(
        sessions.len(),
        3,
        "one for each conversation, whatever the door"
    );
}
