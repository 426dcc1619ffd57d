//! What a target and a `Host` may look like, in the clear and in a tunnel.

use std::io::Write as _;

use super::{MALFORMED, MISMATCH, connect, get};
use crate::attacks::frames;
use crate::attacks::frames::Told;
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::{Plan, json_reply, read_answer};

#[test]
fn b1_a_target_and_its_host_name_one_server() {
    let stage = Stage::usual();
    for (target, host) in [
        ("http://evil.test/p", "api.good.test"),
        ("http://api.good.test/v1/items/1", "evil.test"),
        ("https://api.good.test/v1/items/1", "evil.test"),
        ("http://api.good.test/v1/items/1", "api.two.test"),
        ("http://api.two.test/me", "api.good.test"),
        ("http://api.good.test/v1/items/1", "api.good.test.evil.test"),
        (
            "http://api.good.test/v1/items/1",
            "api.good.test, evil.test",
        ),
        ("http://api.good.test/v1/items/1", "api.good.test evil.test"),
        ("http://api.good.test/v1/items/1", "api.good.test:8443"),
        ("http://api.good.test/v1/items/1", "api.good.test:443"),
        ("https://api.good.test/v1/items/1", "api.good.test:80"),
        ("http://api.good.test:443/v1/items/1", "api.good.test"),
        ("http://api.good.test/v1/items/1", "http://api.good.test"),
        ("http://api.good.test/v1/items/1", "//api.good.test"),
        ("http://api.good.test/v1/items/1", "api.good.test/"),
        (
            "http://api.good.test/v1/items/1",
            "api.good.test/v1/items/1",
        ),
        ("http://api.good.test/v1/items/1", "api.good.test?"),
        ("http://api.good.test/v1/items/1", "203.0.114.10"),
        ("http://api.good.test/v1/items/1", ""),
    ] {
        stage.refuses(
            Door::Proxy,
            &get(target, &format!("Host: {host}")),
            MALFORMED,
        );
    }
    for (target, host) in [
        ("api.good.test:443", "evil.test:443"),
        ("evil.test:443", "api.good.test:443"),
        ("api.good.test:443", "api.good.test:80"),
        ("api.good.test:443", "api.good.test:8443"),
        ("api.good.test:443", ""),
    ] {
        let sent = connect(target, &format!("Host: {host}"));
        stage.refuses_and_closes(Door::Proxy, sent.as_bytes(), MALFORMED);
    }
}

/// Lines of which none, or more than one, is a `Host`; the first fits.
const HOSTS: [&str; 15] = [
    "Host: api.good.test\r\nHost: api.good.test",
    "Host: api.good.test\r\nHost: evil.test",
    "Host: evil.test\r\nHost: api.good.test",
    "Host: api.good.test\r\nhost: api.good.test",
    "HOST: api.good.test\r\nX: y\r\nhOST: api.two.test",
    "Host: api.good.test\r\nHost:",
    "X-Host: api.good.test",
    "Host : api.good.test",
    "Host\t: api.good.test",
    " Host: api.good.test",
    "Host: api.good.test\r\n evil.test",
    "Host: api.good.test\r\n\tevil.test",
    "Host:\tapi.good.test",
    "Host: api.good.test\t",
    "Host: api.good.test\rHost: evil.test",
];

#[test]
fn b3_there_is_one_host() {
    let stage = Stage::usual();
    for lines in HOSTS {
        for door in Door::ALL {
            let target = match door {
                Door::Proxy => "http://api.good.test/v1/items/1",
                Door::Tunnel => "/v1/items/1",
            };
            stage.refuses_and_closes(door, &get(target, lines), MALFORMED);
        }
        let sent = connect("api.good.test:443", lines);
        stage.refuses_and_closes(Door::Proxy, sent.as_bytes(), MALFORMED);
    }
}

#[test]
fn b3_there_is_one_host_on_a_stream() {
    let stage = Stage::usual();
    let (good, evil): (&[u8], &[u8]) = (b"api.good.test", b"evil.test");
    for (authority, hosts, code) in [
        (Some(good), &[good, good][..], "request_malformed"),
        (None, &[good, good], "request_malformed"),
        (None, &[good, evil], "request_malformed"),
        (None, &[], "request_malformed"),
        (None, &[good], "request_malformed"),
        (None, &[evil], "request_malformed"),
        (Some(good), &[evil], "host_mismatch"),
        (Some(evil), &[good], "host_mismatch"),
        (Some(good), &[b""], "host_mismatch"),
        (Some(good), &[b"api.good.test:80"], "host_mismatch"),
        (
            Some(good),
            &[b"api.good.test, api.good.test"],
            "host_mismatch",
        ),
    ] {
        let fields: Vec<(&str, &[u8])> = hosts.iter().map(|it| ("host", *it)).collect();
        let case = format!("{authority:?} {hosts:?}");
        let record = stage.records_alone(&case, || {
            let told = frames::get(&stage, authority, &fields);
            assert!(
                matches!(told, Told::Answer(text) if text.contains(code)),
                "{case}"
            );
        });
        assert_eq!(record["code"], code, "{case}: {record}");
    }
    for (authority, fields) in [
        (Some(good), &[][..]),
        (Some(good), &[("host", good)]),
        (Some(good), &[("host", b"API.GOOD.TEST.:443")]),
    ] {
        let told = frames::get(&stage, authority, fields);
        assert_eq!(told, Told::Answer("{}".into()), "{fields:?}");
    }
}

#[test]
fn b6_a_path_on_the_proxys_port_is_no_page_and_no_route() {
    let stage = Stage::usual();
    let own = stage.world.proxy().to_string();
    let mut bodies = Vec::new();
    for path in [
        "/",
        "/v1/items/1",
        "/metrics",
        "/healthz",
        "/readyz",
        "/ca.pem",
        "/audit/head",
        "/v1/actions",
        "/v1/actions/get_item",
        "/v1/tools",
        "/v1/openapi.json",
        "/mcp",
        "/proxy.pac",
        "/http://api.good.test/v1/items/1",
        "/?url=http://api.good.test/v1/items/1",
        "/..",
    ] {
        for host in [
            "api.good.test",
            "evil.test",
            "exeat",
            "127.0.0.1",
            own.as_str(),
        ] {
            for method in ["GET", "POST", "OPTIONS", "BREW"] {
                let sent = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
                let case = format!("{method} {path} {host}");
                let record = stage.records_alone(&case, || {
                    let answer = stage.world.client().raw(&sent);
                    assert_eq!(
                        (answer.status, answer.refusal()),
                        (400, "not_a_proxy_request")
                    );
                    bodies.push(answer.json()["error"]["message"].clone());
                });
                assert_eq!(record["code"], "not_a_proxy_request", "{case}: {record}");
                assert!(record.get("host").is_none(), "{case}: {record}");
            }
        }
    }
    assert!(bodies.iter().all(|it| *it == bodies[0]), "{bodies:#?}");
}

#[test]
fn b7_two_slashes_begin_no_host() {
    let stage = Stage::usual();
    for target in [
        "//evil.test/v1",
        "//api.good.test/v1/items/1",
        "///v1/items/1",
        "//",
        "//api.good.test",
    ] {
        for door in Door::ALL {
            stage.refuses_and_closes(door, &get(target, "Host: api.good.test"), MALFORMED);
        }
    }
}

#[test]
fn b8_a_host_and_a_port_are_the_target_of_a_connect_alone() {
    let stage = Stage::usual();
    for target in [
        "evil.test:80",
        "api.good.test:443",
        "api.good.test:80/v1/items/1",
        "api.good.test",
        "api.good.test/v1/items/1",
        "v1/items/1",
        "?fields=name",
        "[::1]:443",
        "*",
    ] {
        for method in ["GET", "POST", "TRACE"] {
            let sent = format!("{method} {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n");
            for door in Door::ALL {
                stage.refuses_and_closes(door, sent.as_bytes(), MALFORMED);
            }
        }
    }
}

#[test]
fn b10_a_connect_names_a_host_and_a_port_and_nothing_else() {
    let stage = Stage::usual();
    for target in [
        "http://api.good.test:443/",
        "https://api.good.test:443",
        "//api.good.test:443",
        "/path",
        "/",
        "*",
        "*:443",
        "api.good.test:443/",
        "api.good.test:443/v1",
        "api.good.test:443?x",
        "api.good.test:443#x",
        "api.good.test:443,api.two.test:443",
        "tcp:api.good.test:443",
        "",
    ] {
        let sent = connect(target, "Host: api.good.test:443");
        stage.refuses_and_closes(Door::Proxy, sent.as_bytes(), MALFORMED);
    }
    // In a tunnel there is no other one.
    let sent = connect("api.good.test:443", "Host: api.good.test:443");
    stage.refuses(Door::Tunnel, sent.as_bytes(), (405, "method_refused"));
}

#[test]
fn b12_schemes_are_http_and_https() {
    let stage = Stage::usual();
    for target in [
        "ftp://api.good.test/v1/items/1",
        "gopher://api.good.test/1",
        "urn:x",
        "cache_object://api.good.test/info",
        "file:///etc/passwd",
        "file://api.good.test/etc/passwd",
        "ws://api.good.test/v1/ws",
        "wss://api.good.test/v1/ws",
        "http+unix://%2Frun%2Fdocker.sock/",
        "unix:/run/docker.sock",
        "h2c://api.good.test/v1/items/1",
        "httpx://api.good.test/v1/items/1",
        "xhttp://api.good.test/v1/items/1",
        "http2://api.good.test/v1/items/1",
        "https+http://api.good.test/v1/items/1",
        "view-source:http://api.good.test/v1/items/1",
        "url:http://api.good.test/v1/items/1",
        "javascript://api.good.test/%0aalert(1)",
        "data:,x",
        "mailto:x@api.good.test",
        "ldap://api.good.test/",
        "dict://api.good.test/",
        "whois://api.good.test/",
        "about:blank",
        "http%3a//api.good.test/v1/items/1",
        "://api.good.test/v1/items/1",
        ":http://api.good.test/v1/items/1",
    ] {
        for door in Door::ALL {
            stage.refuses(door, &get(target, "Host: api.good.test"), MALFORMED);
        }
    }
}

/// Whatever the client speaks to the proxy, the server hears TLS.
#[test]
fn b13_a_whole_https_url_leaves_over_tls() {
    let stage = Stage::usual();
    let clear = stage
        .world
        .plain_origin("api.good.test", 80, |_| json_reply("{}"));
    let canonical = Door::Proxy.get("/v1/items/1");
    for target in [
        "https://api.good.test/v1/items/1",
        "https://api.good.test:443/v1/items/1",
        "HTTPS://api.good.test/v1/items/1",
    ] {
        let authority = target.split('/').nth(2).unwrap();
        stage.same(
            Door::Proxy,
            &get(target, &format!("Host: {authority}")),
            &canonical,
        );
    }
    assert_eq!(clear.connections(), 0);
    let good = "https://api.good.test";
    for (path, expected) in [
        ("/admin", (403, "action_undeclared")),
        ("/v1/items/A", (403, "parameter_invalid")),
        ("/v1/items/../x", (400, "path_not_canonical")),
        (":80/v1/items/1", (403, "port_undeclared")),
        (":8443/v1/items/1", (403, "port_undeclared")),
    ] {
        let target = format!("{good}{path}");
        let authority = target.split('/').nth(2).unwrap();
        stage.refuses(
            Door::Proxy,
            &get(&target, &format!("Host: {authority}")),
            expected,
        );
    }
}

/// A host that is declared in cleartext is not reached by the name of TLS.
#[test]
fn b13_nothing_that_asks_for_tls_leaves_in_the_clear() {
    let plain = "  plain:\n    description: Tells what everybody may know.\n    method: GET\n    url: http://evil.test/p\n    allow_http: true\n";
    let stage = Stage::of(Plan::of(&format!("{POLICY}{plain}")));
    let clear = stage
        .world
        .plain_origin("evil.test", 80, |_| json_reply("{}"));
    for (port, code) in [("", "port_undeclared"), (":80", "action_undeclared")] {
        let sent = get(
            &format!("https://evil.test{port}/p"),
            &format!("Host: evil.test{port}"),
        );
        stage.refuses(Door::Proxy, &sent, (403, code));
    }
    let sent = connect("evil.test:443", "Host: evil.test:443");
    stage.refuses_and_closes(Door::Proxy, sent.as_bytes(), (403, "port_undeclared"));
    assert_eq!(clear.connections(), 0);
    let answer = stage.world.client().get("http://evil.test/p");
    assert_eq!((answer.status, clear.connections()), (200, 1));
}

#[test]
fn b14_cleartext_is_carried_over_tls_or_refused_as_the_operator_says() {
    let targets = [
        ("http://api.good.test/v1/items/1", "api.good.test"),
        ("http://api.good.test:80/v1/items/1", "api.good.test:80"),
        ("http://api.good.test:443/v1/items/1", "api.good.test:443"),
        ("HTTP://api.good.test/v1/items/1", "api.good.test"),
    ];
    let stage = Stage::usual();
    let clear = stage
        .world
        .plain_origin("api.good.test", 80, |_| json_reply("{}"));
    let canonical = get("https://api.good.test/v1/items/1", "Host: api.good.test");
    for (target, host) in targets {
        stage.same(
            Door::Proxy,
            &get(target, &format!("Host: {host}")),
            &canonical,
        );
    }
    assert_eq!(clear.connections(), 0);
    let stage = Stage::of(Plan::of(POLICY).refusing_plain_http());
    for (target, host) in targets {
        let sent = get(target, &format!("Host: {host}"));
        stage.refuses(Door::Proxy, &sent, (403, "https_required"));
    }
    stage.serves(Door::Proxy, &canonical);
    stage.serves(Door::Tunnel, &Door::Tunnel.get("/v1/items/1"));
}

#[test]
fn b15_a_host_in_a_tunnel_is_the_tunnels() {
    let stage = Stage::usual();
    for host in [
        "evil.test",
        "api.two.test",
        "a.wild.test",
        "good.test",
        "x.api.good.test",
        "api.good.test.evil.test",
        "api.good.test@evil.test",
        "api.good.test, evil.test",
        "api.good.test/",
        "203.0.114.10",
        "localhost",
        "",
    ] {
        let lines = format!("Host: {host}");
        stage.refuses(Door::Tunnel, &get("/v1/items/1", &lines), MISMATCH);
        let sent = format!("GET /v1/items/1 HTTP/1.0\r\n{lines}\r\n\r\n");
        stage.refuses(Door::Tunnel, sent.as_bytes(), MISMATCH);
    }
}

/// Also where the other host is declared, and the path fits it: none of the two credentials leaves.
#[test]
fn b16_a_url_in_a_tunnel_is_of_its_host() {
    let stage = Stage::usual();
    for (target, host) in [
        ("https://api.two.test/me", "api.good.test"),
        ("https://api.two.test/me", "api.two.test"),
        ("https://api.two.test/v1/items/1", "api.good.test"),
        ("https://evil.test/v1/items/1", "api.good.test"),
        ("http://api.two.test/me", "api.two.test"),
        ("http://api.good.test/v1/items/1", "api.good.test"),
        ("https://api.good.test/v1/items/1", "api.two.test"),
        ("https://api.good.test:80/v1/items/1", "api.good.test"),
        (
            "https://api.good.test:8443/v1/items/1",
            "api.good.test:8443",
        ),
    ] {
        stage.refuses(
            Door::Tunnel,
            &get(target, &format!("Host: {host}")),
            MISMATCH,
        );
    }
    // The tunnel goes on as the one it was.
    let mut tunnel = stage.world.client().tunnel("api.good.test");
    for (host, status) in [("api.two.test", 421), ("api.good.test", 200)] {
        let target = format!("https://{host}/v1/items/1");
        tunnel
            .write_all(&get(&target, &format!("Host: {host}")))
            .unwrap();
        assert_eq!(read_answer(&mut tunnel, "GET").unwrap().status, status);
    }
    let seen = stage.seen();
    assert_eq!(seen.len(), 1, "{seen:#?}");
    assert_eq!(seen[0].header("authorization"), ["Bearer SECRET-AAAA"]);
}

#[test]
fn b18_a_port_is_a_part_of_who_a_tunnel_is_to() {
    let stage = Stage::usual();
    for port in ["8443", "80", "444", "4430", "0", "0443", "+443", "443x", ""] {
        let lines = format!("Host: api.good.test:{port}");
        stage.refuses(Door::Tunnel, &get("/v1/items/1", &lines), MISMATCH);
    }
    let canonical = Door::Tunnel.get("/v1/items/1");
    stage.same(
        Door::Tunnel,
        &get("/v1/items/1", "Host: api.good.test:443"),
        &canonical,
    );
}
