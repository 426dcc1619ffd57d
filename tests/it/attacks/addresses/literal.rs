//! What is written in place of a name: addresses in every spelling, names of the machine itself, ports.

use exeat::policy;

use super::{REFUSED, stage};
use crate::attacks::stage::{Door, Stage};
use crate::world::rest;

const MALFORMED: (u16, &str) = (400, "request_malformed");
const UNDECLARED: (u16, &str) = (403, "host_undeclared");

/// What other readers take for an IPv4 address, in ways in which none is written.
const LIKE_ADDRESSES: [&str; 40] = [
    "2130706433",
    "2130706433.",
    "02130706433",
    "017700000001",
    "0x7f000001",
    "0X7F000001",
    "0x7f000001.",
    "0177.0.0.1",
    "0177.0.0.01",
    "127.1",
    "127.0.1",
    "127.1.",
    "0x7f.1",
    "0x7f.0.0.0x1",
    "0x7f.0.0.1",
    "127.0.0.0x1",
    "127.0.0.0X",
    "0",
    "0.",
    "0x0",
    "00",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.4.",
    "010.8.8.8",
    "08.8.8.8",
    "8.8.8.08",
    "127.0.0.256",
    "256.256.256.256",
    "4294967296",
    "0xa9fea9fe",
    "2852039166",
    "169.254.43518",
    "169.16689662",
    "0251.0376.0251.0376",
    "a.0x1",
    "x.127.1",
    "example.09",
    "%31%32%37.0.0.1",
    "127%2e0.0.1",
];

/// The same, in ways in which one would be written in brackets.
const LIKE_SIX: [&str; 12] = [
    "[::ffff:127.1]",
    "[::ffff:0177.0.0.1]",
    "[::1",
    "::1",
    "[::1]x",
    "[::1%25lo]",
    "[fe80::1%eth0]",
    "[v1.x]",
    "[127.0.0.1]",
    "[::g]",
    "[]",
    "[1::2::3]",
];

fn refuses(stage: &Stage, host: &str, expected: (u16, &str)) {
    for scheme in ["http", "https"] {
        let get = format!("GET {scheme}://{host}/x HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stage.refuses(Door::Proxy, get.as_bytes(), expected);
    }
    let connect = format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n");
    stage.refuses_and_closes(Door::Proxy, connect.as_bytes(), expected);
}

#[test]
fn d2_what_only_looks_like_an_address_is_no_host() {
    let stage = stage();
    for host in LIKE_ADDRESSES.iter().chain(&LIKE_SIX) {
        refuses(&stage, host, MALFORMED);
        // Inside a tunnel it is another host than that of the tunnel.
        let inside = Door::Tunnel.request("GET", host, "/v1/items/1", "", "");
        stage.refuses(Door::Tunnel, &inside, (421, "host_mismatch"));
    }
    // A name may have digits as long as nobody reads it as a number.
    for host in ["127.0.0.1.nip.io", "1e3", "0x7g", "1-2-3-4.test", "a1"] {
        let get = format!("GET http://{host}/x HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stage.refuses(Door::Proxy, get.as_bytes(), UNDECLARED);
    }
}

#[test]
fn d2_what_only_looks_like_an_address_stands_in_no_policy() {
    for host in LIKE_ADDRESSES.iter().chain(&LIKE_SIX) {
        let text = format!(
            "version: 1\nactions:\n  a: {{description: Reads., method: GET, url: 'https://{host}/x'}}\n"
        );
        let loaded = policy::from_texts(&[("p.yaml".into(), text.into_bytes())]);
        assert!(loaded.policy.is_none(), "{host}");
    }
}

#[test]
fn d2_a_literal_address_is_no_host_either() {
    let stage = stage();
    for host in [
        "203.0.114.10",
        "8.8.8.8",
        "127.0.0.1",
        "10.0.5.7",
        "[2606:4700::1111]",
        "[::1]",
        "[::]",
        "0.0.0.0",
    ] {
        refuses(&stage, host, REFUSED);
    }
}

/// Names that mean the machine, its network or its cloud to somebody, and that no policy has.
#[test]
fn d5_names_of_the_inside_are_undeclared_and_never_asked_for() {
    let stage = stage();
    for host in [
        "metadata.google.internal",
        "metadata.google.internal.",
        "METADATA.google.internal",
        "metadata",
        "metadata.azure.com",
        "instance-data",
        "instance-data.ec2.internal",
        "kubernetes",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "host.docker.internal",
        "gateway.docker.internal",
        "localhost",
        "LOCALHOST.",
        "x.localhost",
        "localhost.localdomain",
        "ip6-localhost",
        "printer.local",
        "wpad",
        "router.home.arpa",
        "1.0.0.127.in-addr.arpa",
        "_dns.resolver.arpa",
    ] {
        let expected = if host.starts_with('_') {
            MALFORMED
        } else {
            UNDECLARED
        };
        for scheme in ["http", "https"] {
            let get = format!("GET {scheme}://{host}/x HTTP/1.1\r\nHost: {host}\r\n\r\n");
            stage.refuses(Door::Proxy, get.as_bytes(), expected);
        }
        let connect = format!("CONNECT {host}:80 HTTP/1.1\r\nHost: {host}:80\r\n\r\n");
        stage.refuses_and_closes(Door::Proxy, connect.as_bytes(), expected);
    }
}

#[test]
fn d19_names_that_carry_something_out_are_never_asked_for() {
    let stage = stage();
    let long = ["c2VjcmV0".repeat(7), "c2VjcmV0".repeat(7)].join(".");
    let deepest = format!("{}evil.test", "a.".repeat(122));
    let below = format!("{long}.api.good.test");
    let far = format!("{long}.evil.test");
    let mut count = 0;
    for host in [
        "c2VjcmV0.evil.test",
        "evil.test",
        "C2VjcmV0.EVIL.test.",
        "c2VjcmV0.api.good.test",
        "c2VjcmV0.good.test",
        "c2VjcmV0.b.wild.test",
        "wild.test",
        "xn--c2vjcmv0.evil.test",
        &far,
        &below,
        &deepest,
    ] {
        for scheme in ["http", "https"] {
            let get = format!("GET {scheme}://{host}/x HTTP/1.1\r\nHost: {host}\r\n\r\n");
            stage.refuses(Door::Proxy, get.as_bytes(), UNDECLARED);
        }
        let connect = format!("CONNECT {host}:8443 HTTP/1.1\r\nHost: {host}:8443\r\n\r\n");
        stage.refuses_and_closes(Door::Proxy, connect.as_bytes(), UNDECLARED);
        // On the port of HTTPS the refusal comes inside.
        let name = host.trim_end_matches('.').to_lowercase();
        let mut tunnel = stage.world.client().tunnel_as(host, &name, &[]);
        let sent = Door::Tunnel.request("GET", host, "/x", "Connection: close\r\n", "");
        std::io::Write::write_all(&mut tunnel, &sent).unwrap();
        let answer = stage.answer(&mut tunnel, "GET").unwrap();
        assert_eq!((answer.status, answer.refusal()), UNDECLARED, "{host}");
        assert_eq!(rest(&mut tunnel), "");
        count += 4;
        stage.world.records(count);
    }
    stage.world.assert_nothing_left();
}

#[test]
fn d23_a_declared_host_is_reached_on_its_own_ports_alone() {
    let stage = stage();
    let ports = [
        1, 21, 22, 23, 25, 53, 80, 110, 139, 445, 2375, 2379, 3306, 5432, 6379, 8080, 8443, 9090,
        9200, 10250, 11211, 27017, 65535,
    ];
    let hosts = ["api.good.test", "a.wild.test", "pkg.good.test"];
    for (host, port) in hosts
        .into_iter()
        .flat_map(|host| ports.map(|it| (host, it)))
    {
        let connect = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
        let expected = (403, "port_undeclared");
        stage.refuses_and_closes(Door::Proxy, connect.as_bytes(), expected);
        if host == "pkg.good.test" {
            continue;
        }
        let url = format!("https://{host}:{port}/v1/items/1");
        let get = format!("GET {url} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
        stage.refuses(Door::Proxy, get.as_bytes(), expected);
    }
    // In no spelling is a port another one.
    for port in [
        "0443", "00443", "+443", "443 ", "65979", "0x1bb", "", "-1", "443:443", "0",
    ] {
        let connect =
            format!("CONNECT api.good.test:{port} HTTP/1.1\r\nHost: api.good.test\r\n\r\n");
        stage.refuses_and_closes(Door::Proxy, connect.as_bytes(), MALFORMED);
        let get = format!(
            "GET https://api.good.test:{port}/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n"
        );
        stage.refuses(Door::Proxy, get.as_bytes(), MALFORMED);
    }
}
