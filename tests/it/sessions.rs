//! What a conversation has learned, and who may use it: outputs of one call in the templates of another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exeat::policy;
use exeat::problem::Problem;
use serde_json::{Value, json};

use crate::world::{Answer, Origin, Plan, Seen, World};

const ACTIONS: &str = r#"
version: 1
actions:
  log_in:
    description: Finds out who the customer is.
    method: GET
    url: https://api.good.test/login/{{who}}
    parameters: {properties: {who: {type: string}}, required: [who]}
    outputs:
      customer.id: {path: $.id}
      customer.pin: {path: $.pin, sensitive: true}
  orders:
    description: Lists the orders of the customer.
    method: GET
    url: https://api.good.test/orders
    query: {customer: "{{.variables.customer.id}}"}
    headers: {X-Customer: "c-{{.variables.customer.id}}"}
"#;

const AGENTS: &str = r#"
secrets: {bot_token: {env: BOT}, other_token: {env: OTHER}}
agents:
  bot: {token: {secret: bot_token}, allow: ["*"]}
  other: {token: {secret: other_token}, allow: ["*"]}
"#;

fn world() -> (World, Origin) {
    let world = Plan::of(&format!("{ACTIONS}{AGENTS}"))
        .secret("bot_token", "bot-secret")
        .secret("other_token", "other-secret")
        .start();
    let origin = world.origin("api.good.test", reply);
    (world, origin)
}

fn reply(seen: &Seen) -> Vec<u8> {
    let path = seen.line().split(' ').nth(1).unwrap();
    let (status, body) = match path {
        "/login/ada" => (200, r#"{"id":"a 1","pin":"PIN-1"}"#),
        "/login/bob" => (200, r#"{"id":"b2","pin":"PIN-2"}"#),
        "/login/none" => (200, "{}"),
        "/login/wrong" => (403, r#"{"id":"c3","pin":"PIN-3"}"#),
        _ => (200, "[]"),
    };
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn get(world: &World, (user, password): (&str, &str), path: &str) -> Answer {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    let login = format!("Proxy-Authorization: Basic {pair}");
    let url = format!("https://api.good.test{path}");
    world.client().send("GET", &url, &[&login], "")
}

/// The customer for whom the last request was sent, or why it was refused.
fn customer(world: &World, origin: &Origin, login: (&str, &str)) -> String {
    let before = origin.seen().len();
    let answer = get(world, login, "/orders");
    match origin.seen().get(before) {
        Some(seen) => format!("{} {}", seen.line(), seen.header("x-customer")[0]),
        None => answer.refusal().to_owned(),
    }
}

const ADA: &str = "GET /orders?customer=a%201 HTTP/1.1 c-a 1";
const BOB: &str = "GET /orders?customer=b2 HTTP/1.1 c-b2";

#[test]
fn an_output_is_used_by_later_calls_of_the_session() {
    let (world, origin) = world();
    let user = format!("bot~{}", world.open_session(Some("bot")));
    let login = (user.as_str(), "bot-secret");
    assert_eq!(customer(&world, &origin, login), "variable_missing");
    for (who, expected) in [
        ("ada", ADA),
        // A call that failed teaches nothing, and takes nothing away.
        ("wrong", ADA),
        ("bob", BOB),
        // A success that does not say it any more does.
        ("none", "variable_missing"),
    ] {
        let answer = get(&world, login, &format!("/login/{who}"));
        assert!(!answer.text().contains("PIN"), "{}", answer.text());
        assert_eq!(customer(&world, &origin, login), expected, "{who}");
    }
    assert!(!world.everything_written().contains("PIN"));
}

#[test]
fn nobody_else_uses_what_a_session_has_learned() {
    let (world, origin) = world();
    let ids = [Some("bot"), Some("bot"), Some("other")].map(|it| world.open_session(it));
    let own = format!("bot~{}", ids[0]);
    get(&world, (&own, "bot-secret"), "/login/ada");
    let never = "0".repeat(32);
    for (user, password) in [
        ("bot".to_owned(), "bot-secret"),
        (format!("bot~{}", ids[1]), "bot-secret"),
        (format!("bot~{}", ids[2]), "bot-secret"),
        (format!("bot~{never}"), "bot-secret"),
        ("other".to_owned(), "other-secret"),
        (format!("other~{}", ids[0]), "other-secret"),
        (format!("other~{}", ids[2]), "other-secret"),
    ] {
        let got = customer(&world, &origin, (&user, password));
        assert_eq!(got, "variable_missing", "{user}");
    }
    // Another agent's calls do not reach it either.
    get(
        &world,
        (&format!("other~{}", ids[0]), "other-secret"),
        "/login/bob",
    );
    assert_eq!(customer(&world, &origin, (&own, "bot-secret")), ADA);
    let written = world.everything_written();
    assert!(
        ids.iter().all(|id| !written.contains(id.as_str())),
        "{written}"
    );
}

#[test]
fn only_ids_as_exeat_issues_them_are_taken() {
    let (world, _origin) = world();
    let id = world.open_session(Some("bot"));
    for user in [
        "bot~".to_owned(),
        "bot~mine".to_owned(),
        format!("bot~{}", id.to_uppercase().replace(char::is_numeric, "A")),
        format!("bot~{id}~"),
        format!("~{id}"),
    ] {
        let answer = get(&world, (&user, "bot-secret"), "/login/ada");
        assert_eq!(
            (answer.status, answer.refusal()),
            (407, "agent_unknown"),
            "{user}"
        );
    }
    // An id is no proof of who asks.
    let answer = get(&world, (&format!("bot~{id}"), "guess"), "/login/ada");
    assert_eq!(answer.status, 407);
}

#[test]
fn without_agents_the_id_alone_names_the_session() {
    let world = Plan::of(ACTIONS).start();
    let origin = world.origin("api.good.test", reply);
    let user = format!("~{}", world.open_session(None));
    get(&world, (&user, ""), "/login/ada");
    assert_eq!(customer(&world, &origin, (&user, "x")), ADA);
    for other in [
        "anybody".to_owned(),
        format!("~{}", world.open_session(None)),
    ] {
        assert_eq!(customer(&world, &origin, (&other, "")), "variable_missing");
    }
    assert_eq!(customer(&world, &origin, ("~x", "")), "agent_unknown");
}

#[test]
fn a_tunnel_has_the_session_of_its_connect() {
    let (world, origin) = world();
    let user = format!("bot~{}", world.open_session(Some("bot")));
    get(&world, (&user, "bot-secret"), "/login/ada");
    let pair = STANDARD.encode(format!("{user}:bot-secret"));
    let login = format!("Proxy-Authorization: Basic {pair}");
    let mut tunnel = world
        .client()
        .tunnel_as("api.good.test", "api.good.test", &[&login]);
    let request = b"GET /orders HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
    std::io::Write::write_all(&mut tunnel, request).unwrap();
    let answer = crate::world::read_answer(&mut tunnel, "GET").unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(origin.seen()[1].line().contains("customer=a%201"));
}

#[test]
fn a_guess_at_a_variable_is_refused_like_any_wrong_value() {
    let (world, origin) = world();
    let user = format!("bot~{}", world.open_session(Some("bot")));
    let login = (user.as_str(), "bot-secret");
    get(&world, login, "/login/ada");
    let before = origin.seen().len();
    let answer = get(&world, login, "/orders?customer=b2");
    assert_eq!(answer.refusal(), "parameter_invalid");
    assert!(!answer.text().contains("a 1"), "{}", answer.text());
    assert_eq!(origin.seen().len(), before);
}

#[test]
fn a_template_uses_what_some_action_sets_and_a_sensitive_one_closes_the_proxy() {
    for (variable, more, expected) in [
        ("customer.id", "", None),
        ("customer.id.part", "", None),
        (
            "customer.idd",
            "",
            Some("no action has an output `customer.idd`"),
        ),
        ("customers", "", Some("no action has an output `customers`")),
        (
            "customer.pin",
            "doors: [http]",
            Some("closes the proxy door"),
        ),
        (
            "customer.pin",
            "doors: [proxy]",
            Some("error: a sensitive variable"),
        ),
    ] {
        let text = ACTIONS.replace(
            "{{.variables.customer.id}}",
            &format!("{{{{.variables.{variable}}}}}"),
        );
        let loaded = policy::from_texts(&[("p.yaml".into(), format!("{text}    {more}\n").into())]);
        let told: Vec<String> = loaded.problems.iter().map(Problem::headline).collect();
        match expected {
            None => assert!(told.is_empty(), "{variable} {told:#?}"),
            Some(expected) => assert!(told[0].contains(expected), "{variable} {told:#?}"),
        }
    }
    // A warning, since other doors stay open.
    let text = ACTIONS.replace(".variables.customer.id", ".variables.customer.pin");
    let world = Plan::of(&text).start();
    let origin = world.origin("api.good.test", reply);
    let user = format!("~{}", world.open_session(None));
    get(&world, (&user, ""), "/login/ada");
    assert_eq!(customer(&world, &origin, (&user, "")), "door_closed");
}

const NOTES: &str = r#"
version: 1
context:
  contact.first_name: {type: string}
  contact.visits: {type: integer}
actions:
  note:
    description: Writes a note about the customer.
    method: POST
    url: https://api.good.test/notes
    headers: {X-Conversation: "{{.variables.stellar.conversation_id}}"}
    parameters: {properties: {text: {type: string}}, required: [text]}
    body: |
      {"text": "{{text}}", "name": "{{contact.first_name}}", "visits": {{.variables.contact.visits}},
       "conversationId": "{{stellar.conversation_id}}", "session": "{{session_id}}"}
"#;

/// What the origin got for a note in a session of which the runtime says this, or why it was refused.
fn note(said: &Value) -> (String, Result<Value, String>) {
    let world = Plan::of(NOTES).start();
    let origin = world.origin("api.good.test", reply);
    let id = world.open_session_about(None, said.as_object().unwrap().clone());
    let pair = STANDARD.encode(format!("~{id}:x"));
    let login = format!("Proxy-Authorization: Basic {pair}");
    let headers = [login.as_str(), "Content-Type: application/json"];
    let url = "https://api.good.test/notes";
    let body = r#"{"text":"Called."}"#;
    let answer = world.client().send("POST", url, &headers, body);
    if answer.status != 200 {
        return (id, Err(answer.refusal().to_owned()));
    }
    let seen = origin.only();
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(body["conversationId"], seen.header("x-conversation")[0]);
    (id, Ok(body))
}

#[test]
fn what_the_runtime_says_is_filled_in() {
    let (id, sent) = note(&json!({"contact.first_name": "Ada", "contact.visits": 3}));
    let expected =
        json!({"text": "Called.", "name": "Ada", "visits": 3, "conversationId": id, "session": id});
    assert_eq!(sent, Ok(expected));
    let said = json!({"contact.first_name": "A\"b", "contact.visits": 3, "conversation_id": "c-1"});
    let (id, sent) = note(&said);
    let expected = json!({"text": "Called.", "name": "A\"b", "visits": 3, "conversationId": "c-1", "session": id});
    assert_eq!(sent, Ok(expected));
    for said in [json!({}), json!({"contact.visits": 3})] {
        assert_eq!(note(&said).1, Err("variable_missing".to_owned()), "{said}");
    }
}

#[test]
fn the_id_of_a_session_that_is_not_the_callers_is_printed_nowhere() {
    let policy = NOTES.replace(
        r#""name": "{{contact.first_name}}", "visits": {{.variables.contact.visits}},"#,
        "",
    );
    let world = Plan::of(&format!("{policy}{AGENTS}"))
        .secret("bot_token", "bot-secret")
        .secret("other_token", "other-secret")
        .start();
    let origin = world.origin("api.good.test", reply);
    let id = world.open_session(Some("bot"));
    for (user, password, expected) in [
        (format!("other~{id}"), "other-secret", "variable_missing"),
        (
            format!("bot~{}", "0".repeat(32)),
            "bot-secret",
            "variable_missing",
        ),
        (format!("bot~{id}"), "bot-secret", "none"),
    ] {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        let login = format!("Proxy-Authorization: Basic {pair}");
        let headers = [login.as_str(), "Content-Type: application/json"];
        let url = "https://api.good.test/notes";
        let answer = world
            .client()
            .send("POST", url, &headers, r#"{"text":"x"}"#);
        assert_eq!(answer.refusal(), expected, "{user}");
    }
    assert!(origin.only().text().contains(&id));
}

#[test]
fn a_body_names_only_what_some_action_sets() {
    for (variable, expected) in [
        ("contact.visits", None),
        ("conversation_id", None),
        ("stellar.conversation_id", None),
        (
            "stellar.name",
            Some("no action has an output `stellar.name`"),
        ),
        (
            "contact.visit",
            Some("no action has an output `contact.visit`"),
        ),
        ("customer.id", Some("no action has an output `customer.id`")),
    ] {
        let text = NOTES.replace(
            ".variables.contact.visits",
            &format!(".variables.{variable}"),
        );
        let loaded = policy::from_texts(&[("p.yaml".into(), text.into())]);
        let told: Vec<String> = loaded.problems.iter().map(Problem::headline).collect();
        match expected {
            None => assert!(told.is_empty(), "{variable} {told:#?}"),
            Some(expected) => assert!(told[0].contains(expected), "{variable} {told:#?}"),
        }
    }
}

#[test]
fn an_output_has_no_name_that_the_runtime_or_exeat_gives_a_value() {
    for (name, expected) in [
        (
            "contact.first_name",
            "also the name of the context variable",
        ),
        ("contact", "the start of the context variable"),
        (
            "contact.visits.last",
            "begins with that of the context variable",
        ),
        ("session_id", "is a built-in name"),
        ("stellar.conversation_id", "is a built-in name"),
    ] {
        let text = format!("{NOTES}    outputs: {{{name}: {{path: $.x}}}}\n");
        let loaded = policy::from_texts(&[("p.yaml".into(), text.into())]);
        let told: Vec<String> = loaded.problems.iter().map(Problem::headline).collect();
        assert!(
            told.len() == 1 && told[0].contains(expected),
            "{name} {told:#?}"
        );
    }
}
