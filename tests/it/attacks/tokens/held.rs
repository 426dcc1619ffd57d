//! Tokens that are there: for how long, for whom, and what a 401 does to them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use serde_json::json;

use super::{POLICY, api, issuer, tokens, unauthorized, world};
use crate::world::{Plan, json_reply};

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

/// A reply with a token and something more in the object.
fn granted(more: &str) -> Vec<u8> {
    json_reply(&format!(
        r#"{{"access_token":"token-1","token_type":"Bearer"{more}}}"#
    ))
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
