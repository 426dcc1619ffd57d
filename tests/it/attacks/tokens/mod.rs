//! Group K: tokens by client credentials.

mod endpoint;
mod held;

use std::sync::atomic::{AtomicUsize, Ordering};

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
