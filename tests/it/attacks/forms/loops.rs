//! Requests that lead back to exeat: by its address, by a name, by somebody else.

use std::net::SocketAddr;

use super::{connect, get};
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::{Plan, Seen, World, json_reply};

const ADDRESS: (u16, &str) = (403, "address_refused");

fn listeners(world: &World) -> [SocketAddr; 3] {
    [world.proxy(), world.tools(), world.admin()]
}

#[test]
fn b33_no_address_of_ours_is_a_target() {
    let stage = Stage::usual();
    for listener in listeners(&stage.world) {
        let port = listener.port();
        for host in [
            "127.0.0.1",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "127.0.0.2",
        ] {
            let authority = format!("{host}:{port}");
            let lines = format!("Host: {authority}");
            let sent = connect(&authority, &lines);
            stage.refuses_and_closes(Door::Proxy, sent.as_bytes(), ADDRESS);
            for scheme in ["http", "https"] {
                let sent = get(&format!("{scheme}://{authority}/metrics"), &lines);
                stage.refuses(Door::Proxy, &sent, ADDRESS);
            }
        }
        for host in [
            "localhost",
            "exeat.local",
            "127.1",
            "2130706433",
            "ip6-localhost",
        ] {
            let authority = format!("{host}:{port}");
            let sent = get(
                &format!("http://{authority}/metrics"),
                &format!("Host: {authority}"),
            );
            let expected = match host.ends_with(|it: char| it.is_ascii_digit()) {
                true => super::MALFORMED,
                false => (403, "host_undeclared"),
            };
            stage.refuses(Door::Proxy, &sent, expected);
        }
    }
}

/// Not even where a policy exempts the host, its addresses and the port.
#[test]
fn b33_no_name_leads_to_a_listener_of_ours() {
    let world = World::usual();
    for listener in listeners(&world) {
        let port = listener.port();
        world.reload(&format!(
            "version: 1\nactions:\n  back: {{description: Leads back to us., method: GET, url: \"http://priv.test:{port}/x\", allow_http: true}}\n\
             tunnels:\n  back: {{hosts: [evil.test], ports: [{port}]}}\n\
             network:\n  allow_private:\n\
             \x20   - {{host: priv.test, addresses: [127.0.0.0/8, 0.0.0.0/32, \"::1/128\"], port: {port}}}\n\
             \x20   - {{host: evil.test, addresses: [127.0.0.0/8], port: {port}}}\n"
        ));
        for address in ["127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"] {
            world.resolve("priv.test", &[address]);
            let answer = world.client().get(&format!("http://priv.test:{port}/x"));
            assert_eq!(
                (answer.status, answer.refusal()),
                ADDRESS,
                "{address} {answer:?}"
            );
        }
        world.resolve("evil.test", &["127.0.0.1"]);
        let client = world.client();
        let (answer, mut stream) = client.open(&format!("evil.test:{port}"), &[]);
        assert_eq!(answer.status, 200);
        client
            .session("evil.test", &[])
            .write_tls(&mut stream)
            .unwrap();
        assert_eq!(crate::world::rest(&mut stream), "");
    }
    assert!(world.dials().is_empty());
    let records = world.records(12);
    assert!(
        records.iter().all(|it| it["code"] == ADDRESS.1),
        "{records:#?}"
    );
    assert_eq!(records.len(), 12);
}

/// An address in front of exeat that nobody can know for one of ours: what leaves is never what the proxy takes, so the
/// second arrival is the last.
#[test]
fn b33_what_comes_back_through_somebody_elses_address_comes_back_once() {
    let plain = "  plain:\n    description: Tells what everybody may know.\n    method: GET\n    url: http://evil.test/p\n    allow_http: true\n";
    let policy = format!("{POLICY}{plain}");
    let world = Plan::of(&policy).start();
    world.lead("api.good.test", 443, world.proxy());
    let answer = world.client().get("http://api.good.test/v1/items/1");
    assert_eq!((answer.status, answer.refusal()), (502, "upstream_tls"));
    assert_eq!(codes(world), ["request_malformed", "upstream_tls"]);
    type Case = (fn(&World) -> SocketAddr, u16, &'static [&'static str]);
    let listeners: [Case; 3] = [
        (World::proxy, 400, &["none", "not_a_proxy_request"]),
        (World::tools, 403, &["browser_refused", "none"]),
        // An operator's page has no record of its own.
        (World::admin, 403, &["none"]),
    ];
    for (listener, status, expected) in listeners {
        let world = Plan::of(&policy).start();
        world.lead("evil.test", 80, listener(&world));
        let answer = world.client().get("http://evil.test/p");
        let got = (answer.status, answer.header("exeat-refusal"));
        assert_eq!(got, (status, None), "{expected:?}: {answer:?}");
        assert_eq!(codes(world), expected);
    }
}

/// Of all records, in alphabetical order.
fn codes(mut world: World) -> Vec<String> {
    let records = world.last_records();
    let codes = records
        .iter()
        .map(|it| it["code"].as_str().unwrap_or("none").to_owned());
    let mut codes: Vec<String> = codes.collect();
    codes.sort();
    codes
}

/// A server that answers by asking exeat again would do so for ever: an agent's share ends it.
#[test]
fn b33_a_server_that_asks_us_again_is_answered_as_often_as_its_agent_may_ask() {
    let world = Plan::of(POLICY).shares(3).start();
    let client = world.client();
    let origin = world.origin("api.good.test", move |_: &Seen| {
        let answer = client.get("http://api.good.test/v1/items/1");
        json_reply(&format!(
            "\"{} {}\"",
            answer.refusal(),
            answer.text().replace('"', "'")
        ))
    });
    let answer = world.client().get("http://api.good.test/v1/items/1");
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("overloaded"), "{}", answer.text());
    assert_eq!(origin.seen().len(), 3);
    let records = world.records(4);
    let refused = records
        .iter()
        .filter(|it| it["code"] == "overloaded")
        .count();
    assert_eq!((records.len(), refused), (4, 1));
}

/// There is no mark of ours that a request could carry, and none by which a server could know us.
#[test]
fn b33_a_request_that_says_it_was_here_before_is_like_any_other() {
    let stage = Stage::usual();
    for door in Door::ALL {
        let canonical = door.get("/v1/items/1");
        for lines in [
            "Via: 1.1 exeat\r\n",
            "Via: 1.1 127.0.0.1:8080, 2 exeat\r\n",
            "Exeat-Request-Id: 01JD\r\n",
            "Exeat-Loop: 1\r\n",
            "X-Loop-Detect: 1\r\nCDN-Loop: exeat\r\n",
        ] {
            let sent = door.request("GET", "api.good.test", "/v1/items/1", lines, "");
            stage.same(door, &sent, &canonical);
        }
        let (seen, _) = stage.serves(door, &canonical);
        assert!(!seen.head.to_lowercase().contains("exeat"), "{}", seen.head);
        assert_eq!(seen.header("via"), [""; 0]);
    }
}
