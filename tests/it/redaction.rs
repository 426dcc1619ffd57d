//! What records show of a request, and what they never do: at every door, in every encoding, also where it is refused.

use serde_json::{Value, json};

use exeat::redact::Redaction;

use crate::world::{Plan, World, json_reply};

pub(crate) const POLICY: &str = r#"
version: 1
secrets: {pay_key: {env: PAY_KEY}, bot: {env: BOT}}
auth: {pay: {type: bearer, token: {secret: pay_key}}}
actions:
  pay:
    description: Pays somebody with a card.
    method: POST
    url: https://api.good.test/v1/pay/{{to}}
    auth: pay
    sensitive: ["$.cards[*].number"]
    query: {note: "{{note}}"}
    parameters:
      properties:
        to: {type: string, maxLength: 40}
        note: {type: string}
        amount: {type: integer, default: 1}
        pin: {type: string, writeOnly: true}
        api_key: {type: string}
        cards: {type: array, items: {type: object, properties: {number: {type: string}, kind: {type: string}}}}
      required: [to]
"#;

const SECRET: &str = "SECRET/AAAA-0123";

pub(crate) fn plan() -> Plan {
    Plan::of(POLICY)
        .secret("pay_key", SECRET)
        .secret("bot", "t")
}

pub(crate) fn world(plan: Plan) -> World {
    let world = plan.start();
    world.origin("api.good.test", |_| json_reply("{}"));
    world
}

fn call(world: &World, parameters: &Value) -> Value {
    let count = world.records(0).len();
    world.call("pay", "", &json!({"parameters": parameters}));
    world.records(count + 1).pop().unwrap()
}

const BODY: &str = r#"{"amount":5,"pin":"9876","cards":[{"number":"4111","kind":"credit"}]}"#;

fn pay(world: &World) -> Value {
    let url = "http://api.good.test/v1/pay/ada?note=rent";
    let headers = ["Content-Type: application/json", "X-Session-Key: 1"];
    let answer = world.client().send("POST", url, &headers, BODY);
    assert_eq!(answer.status, 200, "{answer:?}");
    world.record()
}

#[test]
fn names_are_recorded_and_values_are_not_unless_they_are_asked_for() {
    let record = pay(&world(plan()));
    let mut names: Vec<&str> = record["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["amount", "cards", "note", "pin", "to"]);
    assert_eq!(record["values"], Value::Null);
    let line = record.to_string();
    for value in ["ada", "rent", "9876", "4111", "credit"] {
        assert!(!line.contains(value), "{value} in {line}");
    }
}

#[test]
fn values_are_recorded_but_for_sensitive_ones() {
    let record = pay(&world(plan().showing_values(Redaction::default())));
    let expected = json!({
        "to": "ada", "note": "rent", "amount": 5, "pin": "[redacted]",
        "cards": [{"number": "[redacted]", "kind": "credit"}],
    });
    assert_eq!(record["values"], expected);
}

#[test]
fn a_call_by_name_is_recorded_as_a_request_is_with_its_defaults() {
    let world = world(plan().showing_values(Redaction::default()));
    let record = call(&world, &json!({"to": "ada", "api_key": "x"}));
    let expected = json!({"to": "ada", "amount": 1, "api_key": "[redacted]"});
    assert_eq!(record["values"], expected);
}

#[test]
fn known_secrets_shapes_and_patterns_are_left_out_wherever_they_stand() {
    let patterns = [r"\b\d{4}-\d{4}\b".to_owned()];
    let world = world(plan().showing_values(Redaction::with(&patterns).unwrap()));
    // Known once it has been used.
    pay(&world);
    for (note, shown) in [
        (format!("my {SECRET}"), "my [redacted]"),
        ("SECRET%2FAAAA-0123".into(), "[redacted]"),
        ("U0VDUkVUL0FBQUEtMDEyMw==".into(), "[redacted]w=="),
        ("5345435245542f414141412d30313233".into(), "[redacted]"),
        (
            ["ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"].concat(),
            "[redacted]",
        ),
        ("card 1234-5678".into(), "card [redacted]"),
        (
            "\u{2028}{\"decision\":\"allowed\"}".into(),
            "\u{2028}{\"decision\":\"allowed\"}",
        ),
    ] {
        let record = call(&world, &json!({"to": "ada", "note": note}));
        assert_eq!(record["values"]["note"], shown);
    }
}

#[test]
fn what_fits_no_action_is_recorded_without_its_secrets() {
    let world = world(plan());
    pay(&world);
    let encoded = "SECRET%2FAAAA-0123";
    let url = format!("http://api.good.test/v2/{encoded}?{encoded}=1");
    assert_eq!(world.client().get(&url).refusal(), "path_not_canonical");
    let plain = "5345435245542f414141412d30313233";
    let url = format!("http://api.good.test/v2/{plain}?{plain}=1&city=x");
    assert_eq!(world.client().get(&url).refusal(), "action_undeclared");
    let url = format!("http://{plain}.evil.test/");
    assert_eq!(world.client().get(&url).refusal(), "host_undeclared");
    let url = "http://api.good.test/v1/pay/ada";
    let odd = world.client().send(plain, url, &[], "");
    assert_eq!(odd.refusal(), "method_refused");
    let parent = format!("traceparent: 00-{plain}-00f067aa0ba902b7-01");
    let traced = world.client().send("POST", url, &[&parent], "");
    assert_eq!(traced.status, 200, "{traced:?}");
    let records = world.records(6);
    assert_eq!(records[4]["method"], "redacted");
    assert_eq!(records[2]["path"], "/v2/[redacted]");
    assert_eq!(records[2]["query"], json!(["[redacted]", "city"]));
    assert_eq!(records[3]["host"], "[redacted]");
    for record in &records {
        let line = record.to_string();
        assert!(
            !line.contains(plain) && !line.contains("AAAA-0123"),
            "{line}"
        );
    }
}

#[test]
fn a_refused_call_is_recorded_with_what_it_gave() {
    let world = world(plan().showing_values(Redaction::default()));
    let parameters = json!({"amount": "much", "password": "p", "other": 1});
    let record = call(&world, &parameters);
    assert_eq!(record["decision"], "refused");
    assert_eq!(record["values"]["amount"], "much");
    assert_eq!(record["values"]["password"], "[redacted]");
    assert_eq!(record["values"]["other"], 1);
}
