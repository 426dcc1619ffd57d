//! Group K: tokens by client credentials.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use serde_json::json;

use super::texts;
use crate::world::{Origin, Plan, Revision, Seen, World, json_reply};

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
fn k1_a_token_endpoint_has_to_have_a_public_address() {
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
fn k3_without_a_token_nothing_is_sent_and_nothing_is_quoted() {
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
fn k5_many_at_once_cost_one_call_of_the_endpoint() {
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
fn k5_nobody_waits_for_a_token_longer_than_the_timeout_of_the_action() {
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
fn k7_a_401_drops_the_token_and_an_idempotent_request_is_sent_once_more() {
    let world = world();
    let (issuer, api) = (issuer(&world), api(&world, 2));
    let answer = world.client().get("http://api.good.test/orders/7");
    assert_eq!((answer.status, answer.refusal()), (200, "none"));
    assert_eq!(tokens(&api), ["Bearer token-1", "Bearer token-2"]);
    assert_eq!(issuer.seen().len(), 2);
    assert_eq!(world.record()["retries"], 1);
}

#[test]
fn k7_a_401_to_a_request_that_is_not_idempotent_is_its_answer() {
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
fn k7_an_api_that_always_answers_401_does_not_make_a_loop() {
    let world = world();
    let (issuer, api) = (issuer(&world), api(&world, usize::MAX));
    let answer = world.client().get("http://api.good.test/orders/7");
    assert_eq!((answer.status, answer.refusal()), (401, "none"));
    assert_eq!((api.seen().len(), issuer.seen().len()), (2, 2));
    assert_eq!(world.record()["retries"], 1);
}

#[test]
fn k9_another_scope_is_another_principal() {
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
fn k9_an_agent_gets_the_tokens_of_its_own_environment_only() {
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
fn k11_a_token_is_fetched_once_and_used_by_all_requests_of_its_connector() {
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
fn k12_a_lost_client_secret_is_told_as_such_and_nothing_is_dialled() {
    let world = world();
    world.lose_secret("crm_secret");
    let answer = world.client().get("http://api.good.test/orders/7");
    assert_eq!(
        (answer.status, answer.refusal()),
        (503, "secret_unavailable")
    );
    assert_eq!(world.dials(), []);
}

/// The policy's first connector with another endpoint.
fn with_endpoint(url: &str) -> String {
    POLICY.replacen("https://auth.good.test/oauth2/token", url, 1)
}

#[test]
fn k1_an_endpoint_is_a_name_over_tls_and_nothing_else() {
    for url in [
        "http://auth.good.test/oauth2/token",
        "HTTP://auth.good.test/oauth2/token",
        "ftp://auth.good.test/token",
        "//auth.good.test/token",
        "https://203.0.114.40/token",
        "https://[2001:db8::1]/token",
        "https://0x7f.1/token",
        "https://2130706433/token",
        "https://*.good.test/token",
        "https://user:pass@auth.good.test/token",
        "https://auth.good.test/token?x=1",
        "https://auth.good.test/token#x",
        "https://auth.good.test/{{id}}/token",
        "https://auth.good.test:0/token",
        "https:///token",
    ] {
        texts::refused(&with_endpoint(url), "policy.yaml:8:");
    }
}

#[test]
fn k1_an_endpoint_that_leads_elsewhere_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        for target in [
            "https://evil.test/",
            "http://auth.good.test/",
            "/elsewhere",
            "https://10.0.0.5/",
        ] {
            let world = world();
            let api = api(&world, 1);
            let issuer = world.origin("auth.good.test", move |_| {
                format!(
                    "HTTP/1.1 {status} Moved\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
                )
                .into_bytes()
            });
            let answer = world.client().get("http://api.good.test/orders/7");
            assert_eq!(
                (answer.status, answer.refusal()),
                (503, "token_unavailable")
            );
            assert_eq!((issuer.seen().len(), api.seen().len()), (1, 0));
            assert_eq!(world.lookups(), ["auth.good.test"]);
            assert_eq!(world.dials().len(), 1);
        }
    }
}

/// A reply with a token and something more in the object.
fn granted(more: &str) -> Vec<u8> {
    json_reply(&format!(
        r#"{{"access_token":"token-1","token_type":"Bearer"{more}}}"#
    ))
}

#[test]
fn k2_every_lifetime_is_cut_to_what_is_sensible() {
    for (lifetime, calls) in [
        // Kept: a second request does without another call.
        (r#","expires_in":3600"#, 1),
        (r#","expires_in":"3600""#, 1),
        ("", 1),
        (r#","expires_in":null"#, 1),
        (r#","expires_in":1e300"#, 1),
        (r#","expires_in":9223372036854775808"#, 1),
        (
            r#","expires_in":"340282366920938463463374607431768211456""#,
            1,
        ),
        // Good for whoever waited for it alone.
        (r#","expires_in":0"#, 2),
        (r#","expires_in":-1"#, 2),
        (r#","expires_in":-9223372036854775808"#, 2),
        (r#","expires_in":-1e300"#, 2),
        (r#","expires_in":"0""#, 2),
    ] {
        let world = world();
        let api = api(&world, 1);
        let issuer = world.origin("auth.good.test", move |_| granted(lifetime));
        for _ in 0..2 {
            let answer = world.client().get("http://api.good.test/orders/7");
            assert_eq!(answer.status, 200, "{lifetime}: {answer:?}");
        }
        assert_eq!(tokens(&api), ["Bearer token-1"; 2], "{lifetime}");
        assert_eq!(issuer.seen().len(), calls, "{lifetime}");
    }
    for lifetime in [
        "\"soon\"",
        "\"-1\"",
        "\"1e9\"",
        "\" 60\"",
        "\"\"",
        "true",
        "[60]",
        "{}",
        "NaN",
        "18446744073709551616",
        "1e999",
        "0x10",
        "060",
    ] {
        let world = world();
        let api = api(&world, 1);
        let more = format!(r#","expires_in":{lifetime}"#);
        world.origin("auth.good.test", move |_| granted(&more));
        let answer = world.client().get("http://api.good.test/orders/7");
        assert_eq!(
            (answer.status, answer.refusal()),
            (503, "token_unavailable"),
            "{lifetime}"
        );
        assert_eq!(api.seen(), [], "{lifetime}");
    }
}

/// Ten seconds is what the call itself has; nobody waits for it longer than the action's own time.
#[test]
fn k3_an_endpoint_that_drips_is_not_waited_for() {
    let world = world();
    let api = api(&world, 1);
    let (given_up, waiting) = std::sync::mpsc::channel::<()>();
    let waiting = std::sync::Mutex::new(waiting);
    world.scripted("auth.good.test", 443, move |stream| {
        crate::world::read_request(stream);
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
        let _ = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.flush());
        let _ = waiting
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .recv();
    });
    let answer = world.client().get("http://api.good.test/soon");
    assert_eq!(
        (answer.status, answer.refusal()),
        (503, "token_unavailable")
    );
    assert_eq!(api.seen(), []);
    drop(given_up);
}

#[test]
fn k4_only_a_bearer_token_of_visible_characters_is_one() {
    for kind in ["Bearer", "bearer", "bEaReR", "BEARER"] {
        let world = world();
        let api = api(&world, 1);
        world.origin("auth.good.test", move |_| {
            json_reply(&format!(
                r#"{{"access_token":"token-1","token_type":"{kind}"}}"#
            ))
        });
        assert_eq!(
            world.client().get("http://api.good.test/orders/7").status,
            200
        );
        assert_eq!(tokens(&api), ["Bearer token-1"]);
    }
    for reply in [
        r#"{"access_token":"token-1","token_type":"mac"}"#,
        r#"{"access_token":"token-1","token_type":"DPoP"}"#,
        r#"{"access_token":"token-1","token_type":"bearer "}"#,
        r#"{"access_token":"token-1","token_type":"bearer, mac"}"#,
        r#"{"access_token":"token-1","token_type":""}"#,
        r#"{"access_token":"token-1","token_type":["bearer"]}"#,
        r#"{"access_token":"token-1","token_type":null}"#,
        r#"{"access_token":"token-1"}"#,
        r#"{"access_token":"token-1","token_type":"bearer","token_type":"mac"}"#,
        r#"{"access_token":"token-1","access_token":"token-2","token_type":"bearer"}"#,
        r#"{"access_token":"","token_type":"bearer"}"#,
        r#"{"access_token":" ","token_type":"bearer"}"#,
        r#"{"access_token":"token-1 x","token_type":"bearer"}"#,
        r#"{"access_token":"token-1\r\nX-Evil: y","token_type":"bearer"}"#,
        r#"{"access_token":"token-1\n","token_type":"bearer"}"#,
        r#"{"access_token":"token-1\u0000","token_type":"bearer"}"#,
        r#"{"access_token":"token-1\t","token_type":"bearer"}"#,
        r#"{"access_token":"token-1\u007f","token_type":"bearer"}"#,
        r#"{"access_token":"tok\u00e9n-1","token_type":"bearer"}"#,
        r#"{"access_token":17,"token_type":"bearer"}"#,
        r#"{"access_token":null,"token_type":"bearer"}"#,
        r#"{"Access_Token":"token-1","token_type":"bearer"}"#,
        r#"["token-1"]"#,
        "null",
    ] {
        let world = world();
        let api = api(&world, 1);
        world.origin("auth.good.test", move |_| json_reply(reply));
        let answer = world.client().get("http://api.good.test/orders/7");
        assert_eq!(
            (answer.status, answer.refusal()),
            (503, "token_unavailable"),
            "{reply}"
        );
        assert_eq!(api.seen(), [], "{reply}");
        assert!(!world.everything_written().contains("token-1"), "{reply}");
    }
}

/// What `expires_in` counts from is a clock that nobody can set. How tokens are renewed ahead of their end is told in
/// the tests of `src/tokens`, which have a clock of their own.
#[test]
fn k10_the_clock_of_tokens_is_not_the_one_that_is_set() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tokens");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains("SystemTime") && !text.contains("OffsetDateTime"),
            "{path:?}"
        );
    }
}

/// A token that the server does not take any more, though its time is not over: as after a jump of the server's clock.
#[test]
fn k10_a_token_that_ends_early_costs_one_more_try() {
    let world = world();
    let issuer = issuer(&world);
    let first_good = Arc::new(AtomicUsize::new(1));
    let good = first_good.clone();
    let api = world.origin("api.good.test", move |seen| {
        let number: usize = seen.header("authorization")[0]
            .strip_prefix("Bearer token-")
            .unwrap()
            .parse()
            .unwrap();
        match number >= good.load(Ordering::SeqCst) {
            true => json_reply("{}"),
            false => unauthorized(),
        }
    });
    for (number, expected) in [(1, 1), (2, 2), (2, 2)] {
        first_good.store(number, Ordering::SeqCst);
        assert_eq!(
            world.client().get("http://api.good.test/orders/7").status,
            200
        );
        assert_eq!(issuer.seen().len(), expected);
    }
    assert_eq!(
        tokens(&api),
        [
            "Bearer token-1",
            "Bearer token-1",
            "Bearer token-2",
            "Bearer token-2"
        ]
    );
}

/// RFC 6749 §2.3.1: both are form-encoded before they are joined, or stand in the form, and never both.
#[test]
fn k11_a_client_shows_who_it_is_in_one_way_and_encoded_for_it() {
    for (id, secret, basic, form) in [
        // base64("agents:x"), and so on.
        (
            "agents",
            "x",
            "YWdlbnRzOng=",
            "client_id=agents&client_secret=x",
        ),
        (
            "a:b",
            "c:d",
            "YSUzQWI6YyUzQWQ=",
            "client_id=a%3Ab&client_secret=c%3Ad",
        ),
        (
            "a b",
            "%41+/=",
            "YSUyMGI6JTI1NDElMkIlMkYlM0Q=",
            "client_id=a%20b&client_secret=%2541%2B%2F%3D",
        ),
        (
            "a&b=c",
            "\"\\;#",
            "YSUyNmIlM0RjOiUyMiU1QyUzQiUyMw==",
            "client_id=a%26b%3Dc&client_secret=%22%5C%3B%23",
        ),
        (
            "u",
            "\u{20ac}",
            "dTolRTIlODIlQUM=",
            "client_id=u&client_secret=%E2%82%AC",
        ),
    ] {
        let policy = POLICY.replace("client_id: agents", &format!("client_id: \"{id}\""));
        let world = Plan::of(&policy).secret("crm_secret", secret).start();
        world.resolve("auth.good.test", &["203.0.114.40"]);
        let (issuer, _api) = (issuer(&world), api(&world, 1));
        let client = world.client();
        assert_eq!(client.get("http://api.good.test/orders/7").status, 200);
        let json = ["Content-Type: application/json"];
        let answer = client.send(
            "POST",
            "http://api.good.test/orders",
            &json,
            r#"{"name":"x"}"#,
        );
        assert_eq!(answer.status, 200);
        let seen = issuer.seen();
        assert_eq!(
            seen[0].header("authorization"),
            [format!("Basic {basic}")],
            "{id}"
        );
        assert!(!seen[0].text().contains("client_id"), "{}", seen[0].text());
        assert_eq!(seen[1].header("authorization"), [""; 0]);
        assert!(seen[1].text().ends_with(form), "{}", seen[1].text());
    }
}

#[test]
fn k12_what_an_endpoint_says_of_its_refusal_is_repeated_to_nobody() {
    let encoded = "YWdlbnRzOnMlM0FlJTI1YyUyNlNFQ1JFVC1DQ0ND";
    for (status, body) in [
        (
            400,
            r#"{"error":"invalid_client","error_description":"s:e%c&SECRET-CCCC is wrong"}"#
                .to_owned(),
        ),
        (401, r#"{"error":"SECRET-CCCC"}"#.into()),
        (
            401,
            format!(r#"{{"error":"invalid_client","error_uri":"https://evil.test/?{encoded}"}}"#),
        ),
        (500, "SECRET-CCCC".into()),
        (
            200,
            format!(r#"{{"access_token":"a b","token_type":"bearer","assertion":"{encoded}"}}"#),
        ),
    ] {
        let world = world();
        let api = api(&world, 1);
        let told = body.clone();
        world.origin("auth.good.test", move |_| {
            let length = told.len();
            format!(
                "HTTP/1.1 {status} SECRET-CCCC\r\nContent-Type: application/json\r\nX-Echo: SECRET-CCCC\r\nContent-Length: {length}\r\n\r\n{told}"
            )
            .into_bytes()
        });
        let answer = world.client().get("http://api.good.test/orders/7");
        assert_eq!(
            (answer.status, answer.refusal()),
            (503, "token_unavailable"),
            "{body}"
        );
        let called = world.call("get_order", "", &json!({"parameters": {"id": "7"}}));
        let mut pipe = world.pipe(Revision::ALL[1], None, None);
        let said = pipe.call("get_order", json!({"id": "7"})).to_string();
        world.records(3);
        for text in [
            answer.head.as_str(),
            answer.text(),
            called.text(),
            &said,
            &world.everything_written(),
        ] {
            assert!(
                !text.contains("SECRET") && !text.contains(encoded),
                "{body}: {text}"
            );
        }
        assert_eq!(api.seen(), []);
    }
}

#[test]
fn k13_a_token_that_comes_back_is_masked_while_it_is_good_and_after() {
    let world = world();
    let _issuer = issuer(&world);
    world.origin("api.good.test", |seen| {
        let sent = seen.header("authorization").join("");
        match sent.as_str() {
            // The first one is refused.
            "Bearer token-1" => unauthorized(),
            _ => json_reply(
                &json!({"sent": sent, "before": "token-1", "hex": "746f6b656e2d32"}).to_string(),
            ),
        }
    });
    let told = world.client().get("http://api.good.test/orders/7");
    // A token of seven characters stands in texts by chance.
    assert_eq!(told.json()["sent"], "Bearer token-2");
    let world = self::world();
    world.origin("auth.good.test", |_| {
        json_reply(r#"{"access_token":"TOKEN-LONG-ENOUGH","token_type":"bearer","expires_in":0}"#)
    });
    world.origin("api.good.test", |seen| {
        json_reply(
            &json!({"sent": seen.header("authorization"), "b64": "VE9LRU4tTE9ORy1FTk9VR0g="})
                .to_string(),
        )
    });
    let json = ["Content-Type: application/json"];
    let told = world.client().send(
        "POST",
        "http://api.good.test/orders",
        &json,
        r#"{"name":"x"}"#,
    );
    assert_eq!(told.json()["sent"][0], format!("Bearer {}", "*".repeat(17)));
    assert!(!told.text().contains("VE9LRU4"), "{told:?}");
    let called = world.call("add_order", "", &json!({"parameters": {"name": "x"}}));
    assert!(!called.text().contains("TOKEN-LONG"), "{called:?}");
}
