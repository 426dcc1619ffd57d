//! Names below a `*.` host: so many of them, and no more.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::policy;
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::Plan;

const BUDGET: (u16, &str) = (429, "subdomain_budget");

fn get(host: &str) -> Vec<u8> {
    Door::Proxy.request("GET", host, "/pub/x", "", "")
}

#[test]
fn d20_names_that_an_agent_makes_up_are_a_hundred_and_no_more() {
    let stage = Stage::of(Plan::of(POLICY));
    let client = stage.world.client();
    for number in 0..500 {
        let host = format!("c2VjcmV0LTE{number}.wild.test");
        if number >= 100 {
            stage.refuses(Door::Proxy, &get(&host), BUDGET);
            continue;
        }
        // Nobody has such a name in this world.
        let answer = client.get(&format!("http://{host}/pub/x"));
        assert_eq!(answer.refusal(), "upstream_unreachable", "{host}");
        stage.world.records(number + 1);
    }
    assert_eq!(stage.world.lookups().len(), 100);
    // A known one goes on, in any spelling; another one is as bad as before, at any door.
    for host in ["C2VJCMV0lte7.Wild.TEST.", "c2vjcmv0lte7.wild.test"] {
        let answer = client.get(&format!("http://{host}/pub/x"));
        assert_eq!(answer.refusal(), "upstream_unreachable", "{host}");
    }
    stage.world.records(502);
    let connect = b"CONNECT a.wild.test:443 HTTP/1.1\r\nHost: a.wild.test:443\r\n\r\n";
    stage.refuses_and_closes(Door::Proxy, connect, BUDGET);
    let (refused, _) = client.open("b.wild.test:443", &[]);
    stage.world.records(504);
    let wait = refused.header("retry-after").unwrap();
    assert!(
        (3_500..=3_600).contains(&wait.parse::<u32>().unwrap()),
        "{wait}"
    );
    stage.serves(Door::Proxy, &Door::Proxy.get("/v1/items/1"));
}

#[test]
fn d20_what_is_refused_anyway_uses_nothing_up() {
    let stage = Stage::of(Plan::of(POLICY).naming(2));
    for host in ["a", "b", "c", "d"] {
        let host = format!("{host}.wild.test");
        let bad = Door::Proxy.request("GET", &host, "/pub/NO", "", "");
        stage.refuses(Door::Proxy, &bad, (403, "parameter_invalid"));
        let other = Door::Proxy.request("GET", &host, "/priv/x", "", "");
        stage.refuses(Door::Proxy, &other, (403, "action_undeclared"));
        let port = format!("CONNECT {host}:22 HTTP/1.1\r\nHost: {host}:22\r\n\r\n");
        stage.refuses(Door::Proxy, port.as_bytes(), (403, "port_undeclared"));
    }
    stage.serves(Door::Proxy, &get("a.wild.test"));
    assert_eq!(stage.wild.seen().len(), 1);
}

#[test]
fn d20_tunnels_have_the_same_budget_for_each_host() {
    let stage = Stage::of(Plan::of(&policy()).naming(3));
    let connect = |host: &str| format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n");
    for below in ["pkg.test", "wild.test"] {
        for name in ["a", "b", "c", "a"] {
            let (answer, _) = stage
                .world
                .client()
                .open(&format!("{name}.{below}:443"), &[]);
            assert_eq!(answer.status, 200, "{name}.{below}");
        }
        let records = stage.world.records(if below == "pkg.test" { 4 } else { 9 });
        let gone = |it: &&serde_json::Value| it["code"] == "client_gone";
        assert_eq!(records.iter().filter(gone).count() % 4, 0);
        let sent = connect(&format!("d.{below}"));
        stage.refuses_and_closes(Door::Proxy, sent.as_bytes(), BUDGET);
    }
    // A host that the policy spells out is no name that an agent makes up.
    for _ in 0..5 {
        assert_eq!(
            stage.world.client().open("pkg.good.test:443", &[]).0.status,
            200
        );
    }
}

#[test]
fn d20_each_agent_has_its_own_budget_which_a_reload_leaves_as_it_is() {
    let secrets = "secrets:\n  one_token: {env: ONE}\n  two_token: {env: TWO}\n";
    let agents = "agents:\n  one: {token: {secret: one_token}, allow: [wild]}\n  two: {token: {secret: two_token}, allow: [wild]}\n";
    let policy = POLICY.replace("secrets:\n", secrets) + agents;
    let plan = Plan::of(&policy).naming(2);
    let plan = plan
        .secret("one_token", "one-secret")
        .secret("two_token", "two-secret");
    let world = plan.start();
    let ask = |agent: &str, host: &str| {
        let pair = STANDARD.encode(format!("{agent}:{agent}-secret"));
        let login = format!("Proxy-Authorization: Basic {pair}");
        let url = format!("http://{host}.wild.test/pub/x");
        let answer = world.client().send("GET", &url, &[&login], "");
        answer.refusal().to_owned()
    };
    for (agent, host, expected) in [
        ("one", "x", "upstream_unreachable"),
        ("one", "y", "upstream_unreachable"),
        ("one", "z", "subdomain_budget"),
        ("two", "z", "upstream_unreachable"),
        ("one", "z", "subdomain_budget"),
        ("one", "x", "upstream_unreachable"),
    ] {
        assert_eq!(ask(agent, host), expected, "{agent} {host}");
    }
    world.reload(&format!("{policy}# said anew\n"));
    assert_eq!(ask("one", "z"), "subdomain_budget");
    assert_eq!(ask("two", "y"), "upstream_unreachable");
}
