//! What the policy opens and closes, what it cannot open, and what else could lead somewhere.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::Arc;

use exeat::dial::{Answer, Static, System};
use exeat::policy;
use exeat::request::Host;

use super::{leads_nowhere, policy as usual, stage};
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::{Desk, Plan, Reply, Seen, Started, Then, json_reply, origin_apart, rest};

#[test]
fn d7_a_prefix_of_the_operators_own_is_looked_through() {
    let prefixes = ["2001:67c:2960:6464::/96", "2a01:5e0:1::/48", "fd00:64::/96"];
    let quoted = prefixes.map(|it| format!("{it:?}")).join(", ");
    let policy = usual().replace("network:\n", &format!("network:\n  nat64: [{quoted}]\n"));
    let stage = Stage::of(Plan::of(&policy));
    stage.world.resolve("open.good.test", &["203.0.114.40"]);
    for address in [
        "2001:67c:2960:6464::a9fe:a9fe",
        "2001:67c:2960:6464::7f00:1",
        "2001:67c:2960:6464::a00:5",
        "2a01:5e0:1:a9fe:a9:fe00::",
        "2a01:5e0:1:a00:0:500::",
        "fd00:64::a9fe:a9fe",
        "fd00:64::a00:5",
    ] {
        leads_nowhere(&stage, "api.good.test", &[address]);
    }
    // The machine's credentials are not opened by an exemption of everything either.
    for address in ["2001:67c:2960:6464::a9fe:a9fe", "fd00:64::a9fe:a9fe"] {
        leads_nowhere(&stage, "open.good.test", &[address]);
    }
    for address in ["2001:67c:2960:6464::cb00:720a", "fd00:64::cb00:720a"] {
        stage.world.resolve("api.good.test", &[address]);
        let closing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        let closing = move |_: &Seen| Reply::and(closing, Then::Close);
        stage.world.origin("api.good.test", closing);
        let answer = stage.world.client().get("http://api.good.test/v1/items/1");
        assert_eq!(answer.status, 200, "{address}: {answer:?}");
    }
    assert!(!stage.world.dials().is_empty());
    let loaded = policy::from_texts(&[(
        "p.yaml".into(),
        usual()
            .replace("network:\n", "network:\n  nat64: [\"2001:67c::/33\"]\n")
            .into_bytes(),
    )]);
    assert!(
        loaded.policy.is_none(),
        "a length that RFC 6052 does not have"
    );
}

#[test]
fn d24_our_own_listeners_are_never_a_destination() {
    let stage = stage();
    let listeners = [
        stage.world.proxy(),
        stage.world.tools(),
        stage.world.admin(),
    ];
    let mut count = 0;
    for (number, listener) in listeners.into_iter().enumerate() {
        let port = listener.port();
        for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
            let get = format!("GET http://{host}/metrics HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let expected = match host.starts_with("127") {
                true => "address_refused",
                false => "host_undeclared",
            };
            let got = stage.world.client().raw(&get);
            assert_eq!((got.status, got.refusal()), (403, expected), "{host}");
            count += 1;
        }
        // Declared, with everything private opened for it, by names that lead to the machine itself.
        let policy = format!(
            "{}actions:\n  own: {{description: Is exeat itself., method: GET, url: 'http://metrics.wild.test:{port}/metrics', allow_http: true}}\n\
             network: {{allow_private: [{{host: metrics.wild.test, addresses: [0.0.0.0/0, '::/0'], port: {port}}}]}}\n",
            "version: 1\n"
        );
        stage.world.reload(&policy);
        let url = format!("http://metrics.wild.test:{port}/metrics");
        for address in ["127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::"] {
            stage.world.resolve("metrics.wild.test", &[address]);
            let answer = stage.world.client().get(&url);
            let own = (answer.status, answer.refusal());
            count += 1;
            if address == "::" {
                // Nobody of ours listens on IPv6.
                assert_ne!(own.0, 200, "{address}");
                continue;
            }
            assert_eq!(own, (403, "address_refused"), "{number} {address}");
            let called = stage.world.call("own", "", &serde_json::json!({}));
            assert_eq!(called.refusal(), "address_refused", "{address}");
            count += 1;
            let records = stage.world.records(count);
            let detail = records[count - 1]["detail"].as_str().unwrap();
            assert!(detail.contains("exeat's own listeners"), "{detail}");
        }
    }
    // Nor is one reached by a tunnel that passes.
    let port = stage.world.admin().port();
    let policy = format!(
        "version: 1\ntunnels: {{own: {{hosts: [own.good.test], ports: [{port}]}}}}\n\
         network: {{allow_private: [{{host: own.good.test, addresses: [127.0.0.0/8], port: {port}}}]}}\n"
    );
    stage.world.reload(&policy);
    stage.world.resolve("own.good.test", &["127.0.0.1"]);
    let client = stage.world.client();
    let (answer, mut stream) = client.open(&format!("own.good.test:{port}"), &[]);
    assert_eq!(answer.status, 200);
    client
        .session("own.good.test", &[])
        .write_tls(&mut stream)
        .unwrap();
    assert_eq!(rest(&mut stream), "");
    assert_eq!(
        stage.world.records(count + 1)[count]["code"],
        "address_refused"
    );
    let reached = |it: &std::net::SocketAddr| it.ip().is_loopback();
    assert!(!stage.world.dials().iter().any(reached));
}

#[test]
fn d25_an_exemption_opens_its_host_and_port_and_nothing_else() {
    let opened = |host: &str, port: u16, address: &str| {
        let stage = stage();
        stage.world.resolve(host, &[address]);
        let origin = stage.world.origin_at(host, port, |_| json_reply("{}"));
        let path = if host == "api.good.test" {
            "/v1/items/1"
        } else {
            "/x"
        };
        let answer = stage
            .world
            .client()
            .get(&format!("https://{host}:{port}{path}"));
        let dials = stage.world.dials().len();
        assert_eq!(origin.seen().len(), dials, "{host}:{port} {address}");
        match answer.refusal() {
            "none" => true,
            "address_refused" => false,
            other => panic!("{other}: {host}:{port} {address}"),
        }
    };
    for (host, port, address, opens) in [
        ("crm.good.test", 8443, "10.0.5.7", true),
        ("crm.good.test", 8443, "fd12::7", true),
        ("crm.good.test", 8443, "203.0.114.10", true),
        ("crm.good.test", 8443, "10.0.6.7", false),
        ("crm.good.test", 8443, "10.0.4.255", false),
        ("crm.good.test", 8443, "127.0.0.1", false),
        ("crm.good.test", 8443, "::ffff:10.0.5.7", false),
        ("crm.good.test", 8443, "64:ff9b::a00:507", false),
        ("crm.good.test", 22, "10.0.5.7", false),
        ("api.good.test", 443, "10.0.5.7", false),
        ("api.good.test", 443, "fd12::7", false),
        ("open.good.test", 443, "192.168.7.7", true),
        ("open.good.test", 443, "fe80::7", true),
    ] {
        assert_eq!(
            opened(host, port, address),
            opens,
            "{host}:{port} {address}"
        );
    }
    let stage = stage();
    for port in [22, 80, 443] {
        let connect =
            format!("CONNECT crm.good.test:{port} HTTP/1.1\r\nHost: crm.good.test:{port}\r\n\r\n");
        if port == 22 {
            continue;
        }
        let expected = (403, "port_undeclared");
        stage.refuses_and_closes(Door::Proxy, connect.as_bytes(), expected);
    }
}

#[test]
fn d26_what_is_denied_is_closed_whatever_opens_it() {
    let lists = "network:\n  deny: [10.0.5.53/32, 192.168.0.0/16, \"fd00:5::/32\", 203.0.114.66]\n";
    let policy = usual().replace("network:\n", lists);
    for (host, port, address, opens) in [
        ("crm.good.test", 8443, "10.0.5.53", false),
        ("crm.good.test", 8443, "10.0.5.52", true),
        ("crm.good.test", 8443, "10.0.5.54", true),
        ("crm.good.test", 8443, "fd00:5::1", false),
        ("crm.good.test", 8443, "fd00:6::1", true),
        ("open.good.test", 443, "192.168.7.7", false),
        ("open.good.test", 443, "::ffff:192.168.7.7", false),
        ("open.good.test", 443, "::192.168.7.7", false),
        ("open.good.test", 443, "64:ff9b::c0a8:707", false),
        ("open.good.test", 443, "2002:c0a8:707::1", false),
        ("open.good.test", 443, "192.169.7.7", true),
        ("api.good.test", 443, "203.0.114.66", false),
        ("api.good.test", 443, "64:ff9b::cb00:7242", false),
        ("api.good.test", 443, "203.0.114.65", true),
    ] {
        let stage = Stage::of(Plan::of(&policy));
        stage.world.resolve(host, &[address]);
        stage.world.origin_at(host, port, |_| json_reply("{}"));
        let path = if host == "api.good.test" {
            "/v1/items/1"
        } else {
            "/x"
        };
        let answer = stage
            .world
            .client()
            .get(&format!("https://{host}:{port}{path}"));
        let expected = if opens { "none" } else { "address_refused" };
        assert_eq!(
            answer.refusal(),
            expected,
            "{host}:{port} {address}: {answer:?}"
        );
        assert_eq!(stage.world.dials().len(), usize::from(opens));
        if !opens {
            let record = stage.world.record();
            let detail = record["detail"].as_str().unwrap();
            assert!(detail.contains("network.deny"), "{detail}");
            assert!(!answer.text().contains("deny"), "{}", answer.text());
        }
    }
}

#[test]
fn d27_variables_that_name_a_proxy_are_not_read() {
    let (origin, ca) = origin_apart("api.good.test", &json_reply("{\"direct\": true}"));
    let port = origin.address().port();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let proxy = elsewhere.local_addr().unwrap();
    let desk = Desk::with(&format!(
        "version: 1\nactions:\n  open: {{description: Returns what anybody may read., method: GET, url: 'https://api.good.test/open'}}\n\
         network: {{allow_private: [{{host: api.good.test, addresses: [127.0.0.1], port: {port}}}]}}\n"
    ));
    std::fs::write(desk.path("ca.pem"), ca).unwrap();
    let host = format!("api.good.test=127.0.0.1:{port}");
    let arguments = [
        "--host",
        &host,
        "--extra-ca",
        "ca.pem",
        "--audit",
        "audit.jsonl",
    ];
    let mut variables: Vec<(String, String)> = Vec::new();
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY"] {
        for scheme in ["http", "socks5h"] {
            let value = format!("{scheme}://user:SECRET-AAAA@{proxy}");
            let name = if scheme == "http" {
                name.to_owned()
            } else {
                name.to_lowercase()
            };
            variables.push((name, value));
        }
    }
    for name in ["NO_PROXY", "no_proxy"] {
        variables.push((name.to_owned(), "api.good.test".to_owned()));
    }
    variables.push(("REQUEST_METHOD".to_owned(), "GET".to_owned()));
    for variables in [variables.clone(), variables[..8].to_vec()] {
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let started = Started::with(&desk, &arguments, &variables);
        let answer = started.get("http://api.good.test/open");
        assert_eq!((answer.status, answer.text()), (200, "{\"direct\": true}"));
        started.signal("-TERM");
        let (code, out, said) = started.end();
        assert_eq!(code, Some(0));
        assert!(!format!("{out}{said}").contains("SECRET-AAAA"), "{said}");
    }
    assert!(elsewhere.accept().is_err(), "nobody came");
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn d28_a_static_name_is_judged_as_dns_is() {
    for (address, expected) in [
        ("10.1.1.1", "address_refused"),
        ("127.0.0.1:8443", "address_refused"),
        ("169.254.169.254", "address_refused"),
        ("[::1]:443", "address_refused"),
        ("203.0.114.10", "none"),
    ] {
        let host = Host::parse("api.good.test").unwrap();
        let answer: Answer = address.parse().unwrap();
        let stage = Stage::of(Plan::of(POLICY).resolving(move || {
            let hosts = HashMap::from([(host.clone(), vec![answer])]);
            Static::new(hosts, Arc::new(System::default()))
        }));
        let answer = stage.world.client().get("http://api.good.test/v1/items/1");
        assert_eq!(answer.refusal(), expected, "{address}: {answer:?}");
        assert_eq!(stage.world.dials().len(), usize::from(expected == "none"));
    }
}
