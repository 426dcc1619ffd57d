//! Connectors whose credential is fetched or stands in the body: token endpoints that behave and that don't.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use crate::world::{Origin, Plan, Seen, World, json_reply};

const POLICY: &str = r#"
version: 1
secrets:
  crm_secret: {env: CRM_SECRET}
auth:
  crm:
    type: oauth2_client_credentials
    token_url: https://auth.good.test/oauth2/token
    client_id: agents
    client_secret: {secret: crm_secret}
    scopes: [orders.read, orders.list]
    audience: https://crm.good.test
    placeholder: no-token-here
  other:
    type: oauth2_client_credentials
    token_url: https://auth.good.test/oauth2/token
    client_id: agents
    client_secret: {secret: crm_secret}
    scopes: [orders.write]
    client_auth: body
actions:
  get_order:
    description: Returns one order.
    method: GET
    url: https://api.good.test/orders/{{id}}
    auth: crm
    parameters: {properties: {id: {type: string}}, required: [id]}
  hurry:
    description: Returns one order soon.
    method: GET
    url: https://api.good.test/soon
    auth: crm
    timeout: 100ms
  add_order:
    description: Adds an order.
    method: POST
    url: https://api.good.test/orders
    auth: other
    parameters: {properties: {name: {type: string}}, required: [name]}
"#;

const CLIENT_SECRET: &str = "s:e%c&SECRET-CCCC";

fn world() -> World {
    let world = Plan::of(POLICY).secret("crm_secret", CLIENT_SECRET).start();
    world.resolve("auth.good.test", &["203.0.114.40"]);
    world
}

/// A token endpoint that gives `token-1`, `token-2` and so on.
fn issuer(world: &World) -> Origin {
    let count = AtomicUsize::new(0);
    world.origin("auth.good.test", move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        json_reply(&format!(
            r#"{{"access_token":"token-{number}","token_type":"Bearer","expires_in":3600}}"#
        ))
    })
}

fn unauthorized() -> Vec<u8> {
    b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_vec()
}

/// An API that takes only tokens of a certain number and after it.
fn api(world: &World, first_good: usize) -> Origin {
    world.origin("api.good.test", move |seen| {
        let token = seen.header("authorization")[0].to_owned();
        let number = token.strip_prefix("Bearer token-").unwrap().parse();
        if number.is_ok_and(|number: usize| number >= first_good) {
            json_reply("{}")
        } else {
            unauthorized()
        }
    })
}

fn tokens(origin: &Origin) -> Vec<String> {
    let sent = |seen: &Seen| seen.header("authorization").join(", ");
    origin.seen().iter().map(sent).collect()
}

#[test]
fn a_token_is_fetched_once_and_used_by_all_requests_of_its_connector() {
    let world = world();
    let (issuer, api) = (issuer(&world), api(&world, 1));
    let client = world.client();
    for headers in [&[][..], &["Authorization: Bearer no-token-here"]] {
        let url = "https://api.good.test/orders/7";
        let answer = client.send_inside("GET", url, headers, "");
        assert_eq!((answer.status, answer.refusal()), (200, "none"));
    }
    assert_eq!(tokens(&api), ["Bearer token-1", "Bearer token-1"]);
    let asked = issuer.only();
    assert_eq!(asked.line(), "POST /oauth2/token HTTP/1.1");
    assert_eq!(asked.header("host"), ["auth.good.test"]);
    assert_eq!(
        asked.header("content-type"),
        ["application/x-www-form-urlencoded"]
    );
    // base64("agents:s%3Ae%25c%26SECRET-CCCC")
    assert_eq!(
        asked.header("authorization"),
        ["Basic YWdlbnRzOnMlM0FlJTI1YyUyNlNFQ1JFVC1DQ0ND"]
    );
    assert_eq!(
        asked.text(),
        "grant_type=client_credentials&scope=orders.read%20orders.list&audience=https%3A%2F%2Fcrm.good.test"
    );
    let records = world.records(2);
    assert!(records.iter().all(|it| it["retries"] == 0), "{records:#?}");
    let written = world.everything_written();
    assert!(!written.contains("token-1") && !written.contains("SECRET"));
    // Agents do not get there themselves.
    let answer = client.get("http://auth.good.test/oauth2/token");
    assert_eq!(answer.refusal(), "host_undeclared");
}

#[test]
fn another_scope_is_another_principal() {
    let world = world();
    let (issuer, api) = (issuer(&world), api(&world, 1));
    let client = world.client();
    client.get("http://api.good.test/orders/7");
    let json = ["Content-Type: application/json"];
    client.send(
        "POST",
        "http://api.good.test/orders",
        &json,
        r#"{"name":"x"}"#,
    );
    assert_eq!(tokens(&api), ["Bearer token-1", "Bearer token-2"]);
    let seen = issuer.seen();
    assert_eq!(seen[1].header("authorization"), [""; 0]);
    assert_eq!(
        seen[1].text(),
        "grant_type=client_credentials&scope=orders.write&client_id=agents&client_secret=s%3Ae%25c%26SECRET-CCCC"
    );
}

const ENVIRONMENTS: &str = r#"
version: 1
environments: [production, staging]
secrets:
  production_secret: {production: {env: P}}
  staging_secret: {staging: {env: S}}
  bot_token: {env: BOT}
  tester_token: {env: TESTER}
auth:
  crm:
    type: oauth2_client_credentials
    token_url: https://auth.good.test/oauth2/token
    client_id: {production: live, staging: trial}
    client_secret: {production: {secret: production_secret}, staging: {secret: staging_secret}}
actions:
  get_order:
    description: Returns one order.
    method: GET
    url: {production: "https://api.good.test/orders", staging: "https://api.two.test/orders"}
    auth: crm
agents:
  bot: {token: {secret: bot_token}, environment: production, allow: ["*"]}
  tester: {token: {secret: tester_token}, environment: staging, allow: ["*"]}
"#;

#[test]
fn an_agent_gets_the_tokens_of_its_own_environment_only() {
    let world = Plan::of(ENVIRONMENTS)
        .secret("production_secret", "p-secret")
        .secret("staging_secret", "s-secret")
        .secret("bot_token", "bot-secret")
        .secret("tester_token", "tester-secret")
        .start();
    world.resolve("auth.good.test", &["203.0.114.40"]);
    let issuer = issuer(&world);
    let production = api(&world, 1);
    let staging = world.origin("api.two.test", |_| json_reply("{}"));
    // base64 of `bot:bot-secret`, `tester:tester-secret`; of `live:p-secret`, `trial:s-secret`.
    for (login, url, client) in [
        (
            "Ym90OmJvdC1zZWNyZXQ=",
            "http://api.good.test/orders",
            "bGl2ZTpwLXNlY3JldA==",
        ),
        (
            "dGVzdGVyOnRlc3Rlci1zZWNyZXQ=",
            "http://api.two.test/orders",
            "dHJpYWw6cy1zZWNyZXQ=",
        ),
    ] {
        let login = format!("Proxy-Authorization: Basic {login}");
        assert_eq!(world.client().send("GET", url, &[&login], "").status, 200);
        let asked = issuer.seen().pop().unwrap();
        assert_eq!(asked.header("authorization"), [format!("Basic {client}")]);
    }
    assert_eq!(tokens(&production), ["Bearer token-1"]);
    assert_eq!(tokens(&staging), ["Bearer token-2"]);
}

#[test]
fn many_at_once_cost_one_call_of_the_endpoint() {
    const MANY: usize = 48;
    let world = world();
    let (issuer, api) = (issuer(&world), api(&world, 1));
    let start = Barrier::new(MANY);
    std::thread::scope(|scope| {
        for _ in 0..MANY {
            scope.spawn(|| {
                let client = world.client();
                start.wait();
                let answer = client.get("http://api.good.test/orders/7");
                assert_eq!(answer.status, 200);
            });
        }
    });
    assert_eq!((issuer.seen().len(), api.seen().len()), (1, MANY));
    let counted = "exeat_token_fetches_total{outcome=\"granted\"} 1\n";
    assert!(world.everything_written().contains(counted));
}

#[test]
fn without_a_token_nothing_is_sent_and_nothing_is_quoted() {
    let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let body =
        |head: &str, text: &str| format!("{head}Content-Length: {}\r\n\r\n{text}", text.len());
    let token = |token: &str, kind: &str| {
        body(
            json,
            &format!(r#"{{"access_token":"{token}","token_type":"{kind}"}}"#),
        )
    };
    let html = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";
    let gzip = format!("{json}Content-Encoding: gzip\r\n");
    let error = "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\n";
    for reply in [
        "HTTP/1.1 302 Found\r\nLocation: https://evil.test/\r\nContent-Length: 0\r\n\r\n".into(),
        body(html, "<p>SECRET-CCCC</p>"),
        format!("{json}Content-Length: 2147483648\r\n\r\n{{"),
        format!(
            "{json}Transfer-Encoding: chunked\r\n\r\n20000\r\n{}\r\n0\r\n\r\n",
            " ".repeat(0x20000)
        ),
        body(&gzip, "{}"),
        body(json, "not JSON SECRET-CCCC"),
        token("t", "mac"),
        token("", "bearer"),
        token("a b", "bearer"),
        token("a\\r\\nX-Evil: y", "bearer"),
        body(json, r#"{"access_token":"t"}"#),
        body(
            error,
            r#"{"error":"invalid_client","error_description":"SECRET-CCCC"}"#,
        ),
        format!("{json}Content-Length: 10\r\nContent-Length: 11\r\n\r\n"),
    ] {
        let world = world();
        let api = api(&world, 1);
        let sent = reply.clone();
        let issuer = world.origin("auth.good.test", move |_| sent.clone().into_bytes());
        for _ in 0..2 {
            let answer = world.client().get("http://api.good.test/orders/7");
            assert_eq!(
                (answer.status, answer.refusal()),
                (503, "token_unavailable"),
                "{reply}"
            );
            assert!(!answer.text().contains("SECRET"), "{reply}");
        }
        assert_eq!(api.seen(), [], "{reply}");
        assert_eq!(
            issuer.seen().len(),
            1,
            "the endpoint is left alone: {reply}"
        );
        let records = world.records(2);
        assert!(records.iter().all(|it| it["code"] == "token_unavailable"));
        assert!(!world.everything_written().contains("SECRET"), "{reply}");
    }
}

#[test]
fn a_token_endpoint_has_to_have_a_public_address() {
    for address in ["10.0.0.5", "127.0.0.1", "169.254.169.254"] {
        let world = world();
        let _api = api(&world, 1);
        world.resolve("auth.good.test", &[address]);
        let answer = world.client().get("http://api.good.test/orders/7");
        assert_eq!(answer.refusal(), "token_unavailable", "{address}");
        assert!(!answer.text().contains(address));
        assert_eq!((world.lookups().len(), world.dials().len()), (1, 0));
        assert!(
            world.record()["detail"]
                .as_str()
                .is_none_or(|it| !it.contains("SECRET"))
        );
    }
}

#[test]
fn a_lost_client_secret_is_told_as_such_and_nothing_is_dialled() {
    let world = world();
    world.lose_secret("crm_secret");
    let answer = world.client().get("http://api.good.test/orders/7");
    assert_eq!(
        (answer.status, answer.refusal()),
        (503, "secret_unavailable")
    );
    assert_eq!(world.dials(), []);
}

#[test]
fn nobody_waits_for_a_token_longer_than_the_timeout_of_the_action() {
    let world = world();
    let (api, answered) = (api(&world, 1), Arc::new(Barrier::new(2)));
    let gate = answered.clone();
    let _issuer = world.origin("auth.good.test", move |_| {
        gate.wait();
        json_reply(r#"{"access_token":"token-1","token_type":"bearer"}"#)
    });
    let client = world.client();
    let answer = client.get("http://api.good.test/soon");
    assert_eq!(
        (answer.status, answer.refusal()),
        (503, "token_unavailable")
    );
    assert_eq!(api.seen(), []);
    // The call went on without whoever began it.
    answered.wait();
    assert_eq!(client.get("http://api.good.test/orders/7").status, 200);
}

#[test]
fn a_401_drops_the_token_and_an_idempotent_request_is_sent_once_more() {
    let world = world();
    let (issuer, api) = (issuer(&world), api(&world, 2));
    let answer = world.client().get("http://api.good.test/orders/7");
    assert_eq!((answer.status, answer.refusal()), (200, "none"));
    assert_eq!(tokens(&api), ["Bearer token-1", "Bearer token-2"]);
    assert_eq!(issuer.seen().len(), 2);
    assert_eq!(world.record()["retries"], 1);
}

#[test]
fn a_401_to_a_request_that_is_not_idempotent_is_its_answer() {
    let world = world();
    let (issuer, api) = (issuer(&world), api(&world, 2));
    let json = ["Content-Type: application/json"];
    for expected in [401, 200] {
        let client = world.client();
        let answer = client.send(
            "POST",
            "http://api.good.test/orders",
            &json,
            r#"{"name":"x"}"#,
        );
        assert_eq!((answer.status, answer.refusal()), (expected, "none"));
    }
    assert_eq!(tokens(&api), ["Bearer token-1", "Bearer token-2"]);
    assert_eq!(issuer.seen().len(), 2);
    let records = world.records(2);
    assert!(records.iter().all(|it| it["retries"] == 0), "{records:#?}");
}

#[test]
fn an_api_that_always_answers_401_does_not_make_a_loop() {
    let world = world();
    let (issuer, api) = (issuer(&world), api(&world, usize::MAX));
    let answer = world.client().get("http://api.good.test/orders/7");
    assert_eq!((answer.status, answer.refusal()), (401, "none"));
    assert_eq!((api.seen().len(), issuer.seen().len()), (2, 2));
    assert_eq!(world.record()["retries"], 1);
}

const IN_BODY: &str = r#"
version: 1
secrets:
  good_token: {env: GOOD_TOKEN}
auth:
  good: {type: api_key, in: body, name: api_key, value: {secret: good_token}, placeholder: no-key-here}
actions:
  search:
    description: Searches the catalogue.
    method: POST
    url: https://api.good.test/search
    auth: good
    parameters: {properties: {q: {type: string}, n: {type: integer}}}
  search_form:
    description: Searches the catalogue as a form.
    method: POST
    url: https://api.good.test/form
    auth: good
    content_types: [application/x-www-form-urlencoded, application/json]
    parameters: {properties: {q: {type: string}}}
  open:
    description: Searches with anything.
    method: POST
    url: https://api.good.test/open
    auth: good
    parameters: {type: object, additionalProperties: true}
"#;

#[test]
fn a_key_in_the_body_is_the_last_member_and_the_only_one_of_its_name() {
    let world = Plan::of(IN_BODY).start();
    let api = world.origin("api.good.test", |_| json_reply("{}"));
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    const KEY: &str = r#""api_key":"SECRET-AAAA""#;
    for (path, kind, body, expected) in [
        ("search", json, "", format!("{{{KEY}}}")),
        ("search", json, "{}", format!("{{{KEY}}}")),
        (
            "search",
            json,
            r#"{"q":"x"}"#,
            format!(r#"{{"q":"x",{KEY}}}"#),
        ),
        (
            "search",
            json,
            r#"{"api_key":"no-key-here","n":1,"q":"x"}"#,
            format!(r#"{{"q":"x","n":1,{KEY}}}"#),
        ),
        (
            "search",
            json,
            r#"{"\u0061pi_key":{"a":[1]},"q":"}"}"#,
            format!(r#"{{"q":"}}",{KEY}}}"#),
        ),
        (
            "search",
            form,
            "q=x&api%5Fkey=mine",
            format!(r#"{{"q":"x",{KEY}}}"#),
        ),
        (
            "form",
            form,
            "api_key=a&q=x+y&api_key=b",
            "q=x%20y&api_key=SECRET-AAAA".into(),
        ),
        (
            "form",
            json,
            r#"{"q":"x"}"#,
            "q=x&api_key=SECRET-AAAA".into(),
        ),
        ("form", form, "", "api_key=SECRET-AAAA".into()),
        (
            "open",
            json,
            r#"{"x":{"y":1}}"#,
            format!(r#"{{"x":{{"y":1}},{KEY}}}"#),
        ),
    ] {
        let kind = format!("Content-Type: {kind}");
        let url = format!("http://api.good.test/{path}");
        let answer = world.client().send("POST", &url, &[&kind], body);
        assert_eq!((answer.status, answer.refusal()), (200, "none"), "{body}");
        assert_eq!(api.seen().last().unwrap().text(), expected, "{body}");
    }
    let records = world.records(10);
    assert_eq!(records[3]["replaced"][0], "body api_key");
    assert!(!world.everything_written().contains("SECRET-AAAA"));
}

#[test]
fn what_could_be_read_as_the_key_in_the_body_is_refused() {
    let json = "Content-Type: application/json";
    let form = "Content-Type: application/x-www-form-urlencoded";
    for (path, kind, body, expected) in [
        (
            "search",
            json,
            r#"{"API_KEY":"mine"}"#,
            "parameter_undeclared",
        ),
        (
            "search",
            json,
            r#"{"api_\u212aey":"mine"}"#,
            "parameter_undeclared",
        ),
        ("search", form, "Api_Key=mine", "parameter_undeclared"),
        (
            "open",
            json,
            r#"{"Api_Key":"mine"}"#,
            "parameter_undeclared",
        ),
        (
            "search",
            json,
            r#"{"api_key":1,"api_key":2}"#,
            "parameter_duplicate",
        ),
        (
            "search",
            json,
            r#"{"q":"no-key-here"}"#,
            "placeholder_misplaced",
        ),
        (
            "open",
            json,
            r#"{"x":{"api_key":"no-key-here"}}"#,
            "placeholder_misplaced",
        ),
    ] {
        let world = Plan::of(IN_BODY).start();
        let url = format!("http://api.good.test/{path}");
        let answer = world.client().send("POST", &url, &[kind], body);
        assert_eq!(answer.refusal(), expected, "{body}");
        world.assert_nothing_left();
    }
}
