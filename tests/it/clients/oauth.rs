//! An API that wants tokens of a real OAuth2 server, and a client that knows nothing of either.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::installed;
use super::issuer::Issuer;
use super::origin::{Origin, Reply, json as json_reply};
use super::stage::{Ran, Stage};

const POLICY: &str = r#"
version: 1
secrets:
  crm_secret: {env: CRM_SECRET}
auth:
  crm:
    type: oauth2_client_credentials
    token_url: https://login.crm.example/token
    client_id: "agents:1"
    client_secret: {secret: crm_secret}
    scopes: [orders.read]
  writer:
    type: oauth2_client_credentials
    token_url: https://login.crm.example/token
    client_id: "agents:1-by-body"
    client_secret: {secret: crm_secret}
    scopes: [orders.read, orders.write]
    client_auth: body
actions:
  get_order:
    description: Returns one order.
    method: GET
    url: https://api.crm.example/orders/{{id}}
    auth: crm
    parameters: {properties: {id: {type: string}}, required: [id]}
  drop_order:
    description: Deletes one order.
    method: DELETE
    url: https://api.crm.example/orders/{{id}}
    auth: writer
    parameters: {properties: {id: {type: string}}, required: [id]}
"#;

/// With what has to be form-encoded before it goes into `Basic` (RFC 6749 §2.3.1).
const SECRET: &str = "s:e%c&SECRET-CCCC +/=";

/// Server, API, and a stage from which they are reached.
struct World {
    stage: Stage,
    login: Origin,
    crm: Origin,
}

/// The API revokes the token of the first request for `/orders/revoked` before it looks at it.
fn world(known: &'static str) -> World {
    let issuer = Issuer::start("login.crm.example", "agents:1", SECRET);
    let login = issuer.over_tls("login.crm.example");
    let revoked = AtomicBool::new(false);
    let crm = Origin::start("api.crm.example", move |asked| {
        let token = asked.header("authorization")[0]
            .strip_prefix("Bearer ")
            .unwrap();
        if asked.target == "/orders/revoked" && !revoked.swap(true, Ordering::SeqCst) {
            issuer.revoke(token);
        }
        look_at(&issuer, token)
    });
    let stage = Stage::with_policy(POLICY)
        .reaching("login.crm.example", &login)
        .reaching("api.crm.example", &crm)
        .secret("CRM_SECRET", known);
    World { stage, login, crm }
}

fn look_at(issuer: &Arc<Issuer>, token: &str) -> Reply {
    match issuer.scope_of(token) {
        Some(scope) => json_reply(200, &json!({"scope": scope})),
        None => json_reply(401, &json!({"error": "invalid_token"})),
    }
}

fn curl(world: &World, arguments: &[&str]) -> Ran {
    let quiet = ["--silent", "--show-error", "--write-out", " %{http_code}\n"];
    let all = [&quiet[..], arguments].concat();
    world.stage.exec(&installed::program("curl"), &all)
}

#[test]
fn a_client_without_any_credential_is_let_in_with_tokens_of_a_real_server() {
    let world = world(SECRET);
    let ran = curl(
        &world,
        &[
            "https://api.crm.example/orders/1",
            "https://api.crm.example/orders/2",
            "https://api.crm.example/orders/revoked",
        ],
    );
    let expected = "{\"scope\":\"orders.read\"} 200\n".repeat(3);
    assert_eq!(ran.output(), expected, "{ran:#?}");
    // One token for two requests, and another after the 401.
    assert_eq!((world.login.asked().len(), world.crm.asked().len()), (2, 4));
    let records = ran.records();
    let retries: Vec<_> = records.iter().map(|it| it["retries"].clone()).collect();
    assert_eq!(retries, [0, 0, 1], "{ran:#?}");
    for asked in world.crm.asked() {
        let token = asked.header("authorization")[0]
            .strip_prefix("Bearer ")
            .unwrap()
            .to_owned();
        assert!(!ran.mentions(&token), "{ran:#?}");
    }
    assert!(!ran.mentions("SECRET-CCCC"), "{ran:#?}");
}

#[test]
fn a_client_that_shows_itself_in_the_form_gets_its_own_scopes() {
    let world = world(SECRET);
    let ran = curl(
        &world,
        &["--request", "DELETE", "https://api.crm.example/orders/1"],
    );
    assert_eq!(
        ran.output(),
        "{\"scope\":\"orders.read orders.write\"} 200\n"
    );
    assert_eq!(world.login.asked()[0].header("authorization"), [""; 0]);
}

#[test]
fn a_wrong_secret_of_the_client_lets_nothing_out() {
    let world = world("SECRET-DDDD");
    let url = "https://api.crm.example/orders/1";
    let ran = curl(&world, &[url, url]);
    assert_eq!(
        ran.output().matches("\"token_unavailable\"").count(),
        2,
        "{ran:#?}"
    );
    assert_eq!((world.login.asked().len(), world.crm.asked().len()), (1, 0));
    assert!(!ran.mentions("SECRET-DDDD"), "{ran:#?}");
    // Operators read why, agents don't.
    assert!(ran.stderr.contains("invalid_client"), "{ran:#?}");
    assert!(!ran.stdout.contains("invalid_client"), "{ran:#?}");
}
