//! The operator's pages: out of an agent's reach through the proxy, and changed by nobody.

use super::say;
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::Plan;

/// A policy in which a name of its own leads to this machine, with every exemption that there is.
fn opened(port: u16) -> String {
    format!(
        "{POLICY}  inward: {{description: Leads to this machine., method: GET, \
         url: \"http://inward.test:{port}/metrics\", allow_http: true}}\n\
         network:\n  allow_private:\n    - {{host: inward.test, addresses: [0.0.0.0/0, \"::/0\"], port: {port}}}\n"
    )
}

#[test]
fn m1_no_spelling_of_a_listener_is_a_destination() {
    let stage = Stage::usual();
    let world = &stage.world;
    for listener in [world.admin(), world.proxy(), world.tools()] {
        let port = listener.port();
        for host in [
            "127.0.0.1",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "127.1.2.3",
        ] {
            let at = format!("{host}:{port}");
            for bytes in [
                format!("GET http://{at}/metrics HTTP/1.1\r\nHost: {at}\r\n\r\n"),
                format!("GET https://{at}/healthz HTTP/1.1\r\nHost: {at}\r\n\r\n"),
                format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n"),
            ] {
                stage.refuses(Door::Proxy, bytes.as_bytes(), (403, "address_refused"));
            }
        }
        // Names are for the policy to declare.
        for host in ["localhost", "localhost.localdomain", "admin.localhost"] {
            let at = format!("{host}:{port}");
            let bytes = format!("GET http://{at}/metrics HTTP/1.1\r\nHost: {at}\r\n\r\n");
            stage.refuses(Door::Proxy, bytes.as_bytes(), (403, "host_undeclared"));
        }
        // What only some readers take for an address is refused by all.
        for host in [
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.0.0.1.",
        ] {
            let at = format!("{host}:{port}");
            let bytes = format!("GET http://{at}/metrics HTTP/1.1\r\nHost: {at}\r\n\r\n");
            stage.refuses(Door::Proxy, bytes.as_bytes(), (400, "request_malformed"));
        }
    }
    world.assert_nothing_left();
}

#[test]
fn m1_no_exemption_of_a_policy_opens_a_listener() {
    let world = Plan::of(&opened(80)).start();
    let ports = [world.admin(), world.proxy(), world.tools()].map(|it| it.port());
    for port in ports {
        world.reload(&opened(port));
        for addresses in [
            &["127.0.0.1"][..],
            &["0.0.0.0"],
            &["::ffff:127.0.0.1"],
            &["203.0.114.9", "127.0.0.1"],
        ] {
            world.resolve("inward.test", addresses);
            let url = format!("http://inward.test:{port}/metrics");
            let answer = world.client().get(&url);
            let got = (answer.status, answer.refusal());
            assert_eq!(got, (403, "address_refused"), "{port} {addresses:?}");
            let called = world.call("inward", "", &serde_json::json!({}));
            assert_eq!(called.refusal(), "address_refused", "{port} {addresses:?}");
        }
    }
    assert!(world.dials().is_empty());
}

#[test]
fn m4_nothing_on_the_operators_listener_changes_anything() {
    let stage = Stage::of(Plan::of(POLICY).admin_token("operator-secret"));
    let admin = stage.world.admin();
    let hash = stage.world.policy_hash();
    let own = format!("Host: {admin}\r\n");
    let token = format!("{own}Authorization: Bearer operator-secret\r\n");
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n";
    for (line, headers, body, expected) in [
        // There is no such page: files change a policy, and signals.
        ("POST /admin/reload", format!("{token}{form}"), "a=b", 405),
        ("GET /admin/reload", token.clone(), "", 404),
        ("GET /reload", token.clone(), "", 404),
        ("POST /reload", format!("{own}{form}"), "a=b", 405),
        ("POST /-/reload", format!("{token}{form}"), "a=b", 405),
        (
            "PUT /-/reload",
            format!("{token}Content-Length: 0\r\n"),
            "",
            405,
        ),
        ("DELETE /metrics", token.clone(), "", 405),
        (
            "PATCH /readyz",
            format!("{token}Content-Length: 0\r\n"),
            "",
            405,
        ),
        ("POST /healthz", format!("{token}{form}"), "a=b", 405),
        ("reload /", token.clone(), "", 405),
        ("GET /../metrics", token.clone(), "", 404),
        ("GET /metrics/", token.clone(), "", 404),
        ("GET //metrics", token.clone(), "", 400),
        ("GET /%6detrics", token.clone(), "", 404),
        // Who has no token, or a page of whose browser it is.
        ("GET /metrics", own.clone(), "", 401),
        ("GET /audit/head", own.clone(), "", 401),
        (
            "GET /ca.pem",
            format!("{own}Authorization: Bearer wrong\r\n"),
            "",
            401,
        ),
        (
            "GET /metrics",
            format!("{own}Authorization: Bearer operator-secret2\r\n"),
            "",
            401,
        ),
        (
            "GET /metrics",
            format!("{own}Authorization: operator-secret\r\n"),
            "",
            401,
        ),
        ("GET /metrics?token=operator-secret", own.clone(), "", 401),
        (
            "GET /metrics",
            format!("{own}Cookie: token=operator-secret\r\n"),
            "",
            401,
        ),
        (
            "GET /metrics",
            format!("{token}Origin: http://evil.test\r\n"),
            "",
            403,
        ),
        ("GET /metrics", format!("{token}Origin: null\r\n"), "", 403),
        (
            "POST /admin/reload",
            format!("{token}Origin: http://{admin}\r\n{form}"),
            "a=b",
            403,
        ),
        (
            "GET /metrics",
            "Host: rebound.test\r\nAuthorization: Bearer operator-secret\r\n".into(),
            "",
            403,
        ),
        (
            "GET /metrics",
            format!("{token}Host: evil.test\r\n"),
            "",
            400,
        ),
        ("GET /metrics", token.clone(), "", 200),
        ("GET /healthz", own.clone(), "", 200),
    ] {
        let answer = say(admin, &format!("{line} HTTP/1.1\r\n{headers}\r\n{body}"));
        assert_eq!(answer.status, expected, "{line} {headers}: {answer:?}");
        if expected != 200 {
            assert!(!answer.text().contains("exeat_"), "{answer:?}");
        }
    }
    assert_eq!(stage.world.policy_hash(), hash);
    // From the agents' side there is no way at all.
    let reload = format!(
        "POST http://{admin}/admin/reload HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\n\r\n"
    );
    stage.refuses(Door::Proxy, reload.as_bytes(), (403, "address_refused"));
    for path in ["/metrics", "/admin/reload", "/readyz", "/v1/reload"] {
        let answer = stage.world.tool("GET", path, "operator-secret", None);
        assert_eq!(
            (answer.status, answer.refusal()),
            (404, "page_unknown"),
            "{path}"
        );
    }
}
