//! Verify, then look up: what has to succeed before what, for whom, and how nobody gets round it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use exeat::request::SessionId;
use serde_json::json;

use crate::world::{Answer, Origin, Plan, Reply, Seen, Then, World, json_reply};

const POLICY: &str = r#"
version: 1
secrets:
  company_token: {env: COMPANY}
  bot_token: {env: BOT}
  other_token: {env: OTHER}
auth:
  company: {type: bearer, token: {secret: company_token}}
connections:
  company: {base_url: https://api.good.test, auth: company}
actions:
  verify_customer:
    description: Verifies a customer by number and PIN. Use it before anything about a customer.
    connection: company
    path: /auth/verify
    method: POST
    variables:
      - {name: customer_id, type: string, required: true}
      - {name: phone_pin, type: string, required: true}
    success: {path: $.verified, equals: true}
    outcomes: {2xx: verified, others: not_verified}
    outputs: {customer.number: {path: $.number}}
  lookup_orders:
    description: Lists the orders of a customer who has been verified.
    connection: company
    path: /customers/{{customer_id}}/orders
    method: GET
    parameters: {properties: {customer_id: {type: string}}, required: [customer_id]}
    requires: [{action: verify_customer, within: 15m, bind: {customer_id: customer_id}}]
  find_orders:
    description: Finds orders of a customer who has been verified.
    connection: company
    path: /orders
    method: GET
    parameters: {properties: {customer: {type: string}}, required: [customer]}
    requires: [{action: verify_customer, bind: {customer: customer_id}}]
  cancel_order:
    description: Cancels an order of a customer who has been verified.
    connection: company
    path: /orders/cancel
    method: POST
    parameters:
      properties: {customer: {type: integer}, order: {type: string}}
      required: [customer, order]
    requires: [{action: verify_customer, bind: {customer: outputs.customer.number}}]
  show_offers:
    description: Shows offers to anybody who has been verified.
    connection: company
    path: /offers
    method: GET
    requires: [{action: verify_customer}]
agents:
  bot: {token: {secret: bot_token}, allow: ["*"]}
  other: {token: {secret: other_token}, allow: ["*"]}
"#;

/// Who calls: user name and password for the proxy.
type Login<'a> = (&'a str, &'a str);

const LOOKUP: (&str, &str, &str) = ("GET", "/customers/12345/orders", "");
const FIND: (&str, &str, &str) = ("GET", "/orders?customer=12345", "");
const CANCEL: (&str, &str, &str) = (
    "POST",
    "/orders/cancel",
    r#"{"customer":12345,"order":"ORD-789"}"#,
);
const OFFERS: (&str, &str, &str) = ("GET", "/offers", "");

fn world_of(policy: &str) -> World {
    Plan::of(policy)
        .secret("company_token", "company-secret")
        .secret("bot_token", "bot-secret")
        .secret("other_token", "other-secret")
        .start()
}

fn world() -> (World, Origin) {
    let world = world_of(POLICY);
    let origin = world.origin("api.good.test", reply);
    (world, origin)
}

/// The PIN says what comes of a verification.
fn reply(seen: &Seen) -> Reply {
    let no = r#"{"verified":false,"number":12345}"#;
    let yes = r#"{"verified":true,"number":12345,"customer_name":"John Smith"}"#;
    if !seen.line().starts_with("POST /auth/verify ") {
        return json_reply(r#"{"orders":[{"id":"ORD-789","status":"shipped"}]}"#).into();
    }
    match pin(seen).as_str() {
        "5678" => json_reply(yes).into(),
        "gone" => Reply::and("", Then::Close),
        "cut" => Reply::and(
            &format!("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{yes}"),
            Then::Cut,
        ),
        "500" => Reply::and(
            &format!(
                "HTTP/1.1 500 Oh\r\nContent-Length: {}\r\n\r\n{yes}",
                yes.len()
            ),
            Then::Stay,
        ),
        "other" => json_reply(&yes.replace("12345", "54321")).into(),
        "text" => json_reply(&yes.replace("12345", r#""12345""#)).into(),
        _ => json_reply(no).into(),
    }
}

fn pin(seen: &Seen) -> String {
    let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    body["phone_pin"].as_str().unwrap().to_owned()
}

fn send(
    world: &World,
    (user, password): Login<'_>,
    (method, path, body): (&str, &str, &str),
) -> Answer {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    let login = format!("Proxy-Authorization: Basic {pair}");
    let url = format!("https://api.good.test{path}");
    let headers = [login.as_str(), "Content-Type: application/json"];
    world.client().send(method, &url, &headers, body)
}

fn verify(world: &World, login: Login<'_>, (customer, pin): (&str, &str)) -> Answer {
    let body = format!(r#"{{"customer_id":"{customer}","phone_pin":"{pin}"}}"#);
    send(world, login, ("POST", "/auth/verify", &body))
}

/// Whether a request went through. If not, nothing of it left exeat, and the refusal says what to call.
fn passes(world: &World, login: Login<'_>, request: (&str, &str, &str)) -> bool {
    let outside = || {
        let secrets = world.fetched();
        let fetched = secrets.iter().filter(|it| *it == "company_token").count();
        (world.lookups(), world.dials(), fetched)
    };
    let before = outside();
    let answer = send(world, login, request);
    if answer.status == 200 {
        return true;
    }
    assert_eq!(
        (answer.status, answer.refusal()),
        (403, "precondition_unmet"),
        "{answer:?}"
    );
    assert_eq!(answer.json()["error"]["call_first"], "verify_customer");
    assert_eq!(outside(), before, "{request:?}");
    false
}

fn user(world: &World, agent: &str) -> String {
    format!("{agent}~{}", world.open_session(Some(agent)))
}

#[test]
fn who_was_verified_may_be_looked_up() {
    let (world, origin) = world();
    let user = user(&world, "bot");
    let login = (user.as_str(), "bot-secret");
    let all = [LOOKUP, FIND, CANCEL, OFFERS];
    for request in all {
        assert!(!passes(&world, login, request), "{request:?}");
    }
    assert_eq!(origin.seen().len(), 0);
    assert_eq!(verify(&world, login, ("12345", "5678")).status, 200);
    for request in all {
        assert!(passes(&world, login, request), "{request:?}");
    }
    let orders = send(&world, login, LOOKUP).json();
    assert_eq!(orders["orders"][0]["status"], "shipped");
}

#[test]
fn nobody_else_may_be_looked_up() {
    let (world, origin) = world();
    let user = user(&world, "bot");
    let login = (user.as_str(), "bot-secret");
    verify(&world, login, ("12345", "5678"));
    let before = origin.seen().len();
    for request in [
        ("GET", "/customers/12346/orders", ""),
        ("GET", "/customers/12345%20/orders", ""),
        ("GET", "/customers/012345/orders", ""),
        ("GET", "/orders?customer=12346", ""),
        (
            "POST",
            "/orders/cancel",
            r#"{"customer":12346,"order":"ORD-1"}"#,
        ),
    ] {
        assert!(!passes(&world, login, request), "{request:?}");
    }
    assert_eq!(origin.seen().len(), before);
    // The same value in another spelling is the same value: what was checked is what is sent.
    assert!(passes(
        &world,
        login,
        ("GET", "/customers/%312345/orders", "")
    ));
    assert!(
        origin.seen()[before]
            .line()
            .starts_with("GET /customers/12345/orders ")
    );
}

#[test]
fn a_verification_that_failed_opens_nothing() {
    for pin in ["0000", "500", "gone", "cut"] {
        let (world, _origin) = world();
        let user = user(&world, "bot");
        let login = (user.as_str(), "bot-secret");
        verify(&world, login, ("12345", pin));
        for request in [LOOKUP, FIND, CANCEL, OFFERS] {
            assert!(!passes(&world, login, request), "{pin} {request:?}");
        }
        // And it takes away what was open.
        verify(&world, login, ("12345", "5678"));
        assert!(passes(&world, login, LOOKUP), "{pin}");
        verify(&world, login, ("12345", pin));
        for request in [LOOKUP, FIND, CANCEL, OFFERS] {
            assert!(!passes(&world, login, request), "{pin} {request:?}");
        }
    }
}

#[test]
fn a_reply_that_broke_off_is_no_success_even_where_nothing_in_it_is_read() {
    let policy = POLICY
        .replace("    success: {path: $.verified, equals: true}\n", "")
        .replace("    outputs: {customer.number: {path: $.number}}\n", "")
        .replace("outputs.customer.number", "customer_id")
        .replace("customer: {type: integer}", "customer: {type: string}");
    let world = world_of(&policy);
    let _origin = world.origin("api.good.test", reply);
    let user = user(&world, "bot");
    let login = (user.as_str(), "bot-secret");
    for (pin, expected) in [
        ("cut", false),
        ("500", false),
        ("0000", true),
        ("cut", false),
    ] {
        verify(&world, login, ("12345", pin));
        assert_eq!(passes(&world, login, LOOKUP), expected, "{pin}");
    }
}

#[test]
fn a_wrong_pin_for_one_says_nothing_of_another() {
    let (world, _origin) = world();
    let user = user(&world, "bot");
    let login = (user.as_str(), "bot-secret");
    verify(&world, login, ("12345", "5678"));
    verify(&world, login, ("12346", "0000"));
    for (request, expected) in [
        (LOOKUP, true),
        (FIND, true),
        // Bound to an output, or to nothing, it is the latest of all that counts.
        (CANCEL, false),
        (OFFERS, false),
        (("GET", "/customers/12346/orders", ""), false),
    ] {
        assert_eq!(passes(&world, login, request), expected, "{request:?}");
    }
}

#[test]
fn a_call_that_was_refused_is_no_attempt() {
    let (world, _origin) = world();
    let user = user(&world, "bot");
    let login = (user.as_str(), "bot-secret");
    verify(&world, login, ("12345", "5678"));
    let wrong = ("POST", "/auth/verify", r#"{"customer_id":"12345"}"#);
    assert_eq!(send(&world, login, wrong).refusal(), "parameter_missing");
    assert!(passes(&world, login, LOOKUP));
}

#[test]
fn what_the_reply_says_is_who_was_verified() {
    let (world, _origin) = world();
    let user = user(&world, "bot");
    let login = (user.as_str(), "bot-secret");
    for (pin, expected) in [("other", false), ("text", false), ("5678", true)] {
        verify(&world, login, ("12345", pin));
        assert_eq!(passes(&world, login, CANCEL), expected, "{pin}");
        assert!(passes(&world, login, LOOKUP), "{pin}");
    }
}

#[test]
fn a_verification_counts_in_its_own_session_of_its_own_agent() {
    let (world, _origin) = world();
    let mine = user(&world, "bot");
    verify(&world, (&mine, "bot-secret"), ("12345", "5678"));
    let id = mine.trim_start_matches("bot~");
    for (user, password) in [
        (user(&world, "bot"), "bot-secret"),
        ("bot".to_owned(), "bot-secret"),
        (format!("bot~{}", "0".repeat(32)), "bot-secret"),
        (format!("other~{id}"), "other-secret"),
        (user(&world, "other"), "other-secret"),
    ] {
        assert!(!passes(&world, (&user, password), LOOKUP), "{user}");
    }
    // Nor can another agent take it away, or add to it.
    verify(
        &world,
        (&format!("other~{id}"), "other-secret"),
        ("12345", "0000"),
    );
    assert!(passes(&world, (&mine, "bot-secret"), LOOKUP));
    verify(
        &world,
        (&format!("other~{id}"), "other-secret"),
        ("777", "5678"),
    );
    let theirs = ("GET", "/customers/777/orders", "");
    assert!(!passes(&world, (&mine, "bot-secret"), theirs));
}

#[test]
fn without_a_session_nothing_is_met_and_the_refusal_says_so() {
    let (world, _origin) = world();
    let login = ("bot", "bot-secret");
    assert_eq!(verify(&world, login, ("12345", "5678")).status, 200);
    assert!(!passes(&world, login, LOOKUP));
    let refused = |login| {
        let answer = send(&world, login, LOOKUP).json();
        answer["error"]["message"].as_str().unwrap().to_owned()
    };
    assert!(refused(login).contains("names none that is open"));
    let user = user(&world, "bot");
    assert_eq!(
        refused((&user, "bot-secret")),
        "verify_customer has to succeed first in this session, with the same customer_id, \
         at most 15m ago; call it, then call again"
    );
}

#[test]
fn a_verification_is_good_for_as_long_as_the_policy_says() {
    let world = world_of(&POLICY.replace("15m", "2ms"));
    let _origin = world.origin("api.good.test", |seen| {
        // The age of an attempt counts from before it is sent.
        let came = Instant::now();
        while came.elapsed() < Duration::from_millis(3) {
            std::thread::yield_now();
        }
        reply(seen)
    });
    let user = user(&world, "bot");
    let login = (user.as_str(), "bot-secret");
    verify(&world, login, ("12345", "5678"));
    assert!(!passes(&world, login, LOOKUP));
    assert!(passes(&world, login, FIND));
}

/// Verifies while a verification that began before is held at the origin, and then lets that one end.
fn overlapped(first: &str, second: &str) -> bool {
    let (release, held): (Sender<()>, Receiver<()>) = channel();
    let (arrive, arrived) = channel();
    let (held, first_pin) = (Arc::new(Mutex::new(Some(held))), first.to_owned());
    let world = world_of(POLICY);
    let origin = world.origin("api.good.test", move |seen| {
        let gate = held.lock().unwrap().take();
        if let Some(gate) = gate {
            assert_eq!(pin(seen), first_pin);
            arrive.send(()).unwrap();
            gate.recv().unwrap();
        }
        reply(seen)
    });
    let user = user(&world, "bot");
    let login = (user.as_str(), "bot-secret");
    std::thread::scope(|threads| {
        let held_back = threads.spawn(|| verify(&world, login, ("12345", first)));
        arrived.recv().unwrap();
        assert!(!passes_without_proof(&world, login), "one is under way");
        verify(&world, login, ("12345", second));
        release.send(()).unwrap();
        held_back.join().unwrap();
    });
    drop(origin);
    passes_without_proof(&world, login)
}

fn passes_without_proof(world: &World, login: Login<'_>) -> bool {
    send(world, login, LOOKUP).status == 200
}

#[test]
fn of_two_verifications_at_once_the_one_that_began_last_counts() {
    assert!(!overlapped("5678", "0000"));
    assert!(overlapped("0000", "5678"));
    assert!(overlapped("5678", "5678"));
}

#[test]
fn a_session_is_looked_at_when_the_request_is_decided() {
    let (world, _origin) = world();
    let user = user(&world, "bot");
    let login = (user.as_str(), "bot-secret");
    // One tunnel, opened before anybody was verified.
    let pair = STANDARD.encode(format!("{user}:bot-secret"));
    let header = format!("Proxy-Authorization: Basic {pair}");
    let mut tunnel = world
        .client()
        .tunnel_as("api.good.test", "api.good.test", &[&header]);
    let mut ask = || {
        let request = b"GET /customers/12345/orders HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
        std::io::Write::write_all(&mut tunnel, request).unwrap();
        crate::world::read_answer(&mut tunnel, "GET")
            .unwrap()
            .status
    };
    assert_eq!(ask(), 403);
    verify(&world, login, ("12345", "5678"));
    assert_eq!(ask(), 200);
    verify(&world, login, ("12345", "0000"));
    assert_eq!(ask(), 403);
}

#[test]
fn the_record_says_how_it_went_and_in_which_session() {
    let (world, _origin) = world();
    let user = user(&world, "bot");
    let login = (user.as_str(), "bot-secret");
    send(&world, login, LOOKUP);
    verify(&world, login, ("12345", "0000"));
    verify(&world, login, ("12345", "5678"));
    send(&world, login, LOOKUP);
    verify(&world, ("bot", "bot-secret"), ("12345", "5678"));
    let records = world.records(5);
    let told = records.iter().map(|it| {
        let text = |name: &str| it[name].as_str().unwrap_or("").to_owned();
        ["decision", "code", "outcome", "end"].map(text)
    });
    let expected = [
        ["refused", "precondition_unmet", "", "refused"],
        ["allowed", "", "not_verified", "complete"],
        ["allowed", "", "verified", "complete"],
        ["allowed", "", "succeeded", "complete"],
        ["allowed", "", "verified", "complete"],
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let id = user.trim_start_matches("bot~");
    let hash = SessionId::parse(id).unwrap().hash();
    let sessions: Vec<_> = records.iter().map(|it| it["session"].as_str()).collect();
    let own = Some(hash.as_str());
    assert_eq!(sessions, [own, own, own, own, None]);
    let written = world.everything_written();
    for label in [r#"outcome="not_verified""#, r#"outcome="verified""#] {
        assert!(written.contains(label), "{written}");
    }
    for hidden in [id, "John Smith"] {
        assert!(!written.contains(hidden), "{hidden}: {written}");
    }
}

/// Looks up orders by the tool door.
fn called(world: &World, token: &str, (id, customer): (&str, &str)) -> Answer {
    let body = json!({"session": id, "parameters": {"customer_id": customer}});
    world.call("lookup_orders", token, &body)
}

#[test]
fn a_session_is_the_same_at_every_door() {
    let (world, origin) = world();
    let user = user(&world, "bot");
    let login = (user.as_str(), "bot-secret");
    let id = user.trim_start_matches("bot~");
    let refused = called(&world, "bot-secret", (id, "12345"));
    assert_eq!(refused.refusal(), "precondition_unmet");
    assert_eq!(refused.json()["error"]["call_first"], "verify_customer");
    assert_eq!(origin.seen().len(), 0);
    // The short form of parameters reads the number as the string that the policy asks for.
    for (pin, expected) in [("5678", true), ("0000", false), ("5678", true)] {
        let parameters = json!({"customer_id": 12345, "phone_pin": pin});
        let body = json!({"session": id, "parameters": parameters});
        world.call("verify_customer", "bot-secret", &body);
        assert_eq!(passes(&world, login, LOOKUP), expected, "{pin}");
        let answer = called(&world, "bot-secret", (id, "12345"));
        assert_eq!(answer.status == 200, expected, "{pin}");
    }
    verify(&world, login, ("777", "5678"));
    for (token, id, customer, expected) in [
        ("bot-secret", id, "777", "none"),
        ("bot-secret", id, "778", "precondition_unmet"),
        ("other-secret", id, "777", "precondition_unmet"),
        (
            "bot-secret",
            "00000000000000000000000000000000",
            "777",
            "precondition_unmet",
        ),
    ] {
        let answer = called(&world, token, (id, customer));
        assert_eq!(answer.refusal(), expected, "{token} {id} {customer}");
    }
    let nowhere = json!({"parameters": {"customer_id": "777"}});
    let answer = world.call("lookup_orders", "bot-secret", &nowhere);
    assert_eq!(answer.refusal(), "precondition_unmet");
}
