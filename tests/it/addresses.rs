//! Where a declared name may lead: the public internet, what the policy opens, and never the machine's own credentials.

use crate::world::{Plan, World, json_reply};

const POLICY: &str = r#"
version: 1
actions:
  public: {description: Lives on the internet., method: GET, url: https://api.good.test/x}
  crm: {description: Lives in the private network., method: GET, url: "https://crm.good.test:8443/x"}
  other: {description: Lives there on another port., method: GET, url: "https://crm.good.test:9443/x"}
  open: {description: May live anywhere at all., method: GET, url: https://open.good.test/x}
  wild: {description: Has many names., method: GET, url: "https://*.wild.test/x"}
network:
  allow_private:
    - {host: crm.good.test, addresses: [10.0.5.0/24, "fd00::/8"], port: 8443}
    - {host: open.good.test, addresses: [0.0.0.0/0, "::/0"], port: 443}
"#;

fn world() -> World {
    Plan::of(POLICY).start()
}

/// One address of every block that is not the public internet, plain and inside IPv6.
const CLOSED: [&str; 51] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.5",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.1.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.251",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:7f00:1",
    "::ffff:203.0.114.10",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:5",
    "64:ff9b:1::a00:5",
    "100::1",
    "2001::80ff:fffe",
    "2001:2::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:5::1",
    "2a00::5efe:7f00:1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::5efe:7f00:1",
    "fec0::1",
    "ff02::1",
    "4000::1",
    "8000::1",
    "100:0:0:1::1",
    "2001:10::1",
];

/// Where clouds keep the credentials of a machine.
const METADATA: [&str; 10] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::ffff:a9fe:a9fe",
    "64:ff9b::a9fe:a9fe",
];

#[test]
fn a_name_that_leads_off_the_public_internet_is_asked_for_once_and_never_dialled() {
    let world = world();
    let client = world.client();
    for (count, address) in CLOSED.iter().chain(&METADATA).enumerate() {
        world.resolve("api.good.test", &[address]);
        let answer = client.get("http://api.good.test/x");
        assert_eq!(
            (answer.status, answer.refusal()),
            (403, "address_refused"),
            "{address}"
        );
        assert!(!answer.text().contains(address), "{}", answer.text());
        assert_eq!(world.lookups().len(), count + 1, "{address}");
    }
    assert!(world.dials().is_empty());
}

#[test]
fn one_closed_answer_spoils_all_the_others() {
    for answers in [
        &["203.0.114.10", "10.0.0.5"][..],
        &["2606:4700::1", "203.0.114.10", "::1"],
        &["203.0.114.10", "fd00:ec2::254"],
    ] {
        let world = world();
        world.resolve("api.good.test", answers);
        let answer = world.client().get("http://api.good.test/x");
        assert_eq!(answer.refusal(), "address_refused", "{answers:?}");
        assert!(world.dials().is_empty());
    }
}

#[test]
fn an_exemption_opens_its_host_and_port_and_nothing_else() {
    for (host, port, address, opens) in [
        ("crm.good.test", 8443, "10.0.5.7", true),
        ("crm.good.test", 8443, "fd12::7", true),
        ("crm.good.test", 8443, "203.0.114.10", true),
        ("crm.good.test", 8443, "10.0.6.7", false),
        ("crm.good.test", 8443, "127.0.0.1", false),
        ("crm.good.test", 8443, "::ffff:10.0.5.7", false),
        ("crm.good.test", 9443, "10.0.5.7", false),
        ("api.good.test", 443, "10.0.5.7", false),
        ("open.good.test", 443, "192.168.7.7", true),
        ("open.good.test", 443, "fe80::7", true),
    ] {
        let world = world();
        world.resolve(host, &[address]);
        let origin = world.origin_at(host, port, |_| json_reply("{}"));
        let answer = world.client().get(&format!("https://{host}:{port}/x"));
        let expected = if opens { "none" } else { "address_refused" };
        assert_eq!(
            answer.refusal(),
            expected,
            "{host}:{port} {address}: {}",
            answer.text()
        );
        assert_eq!(origin.seen().len(), usize::from(opens));
        assert_eq!(world.dials().len(), usize::from(opens));
    }
}

#[test]
fn no_exemption_opens_the_machines_credentials() {
    let world = world();
    for address in METADATA {
        world.resolve("open.good.test", &[address]);
        let answer = world.client().get("http://open.good.test/x");
        assert_eq!(answer.refusal(), "address_refused", "{address}");
    }
    assert!(world.dials().is_empty());
}

#[test]
fn a_name_is_asked_for_once_for_each_dial_and_judged_anew() {
    let world = world();
    let origin = world.origin("api.good.test", |_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
    });
    assert_eq!(world.client().get("http://api.good.test/x").status, 200);
    assert_eq!((world.lookups().len(), world.dials().len()), (1, 1));
    world.resolve("api.good.test", &["127.0.0.1"]);
    let answer = world.client().get("http://api.good.test/x");
    assert_eq!(answer.refusal(), "address_refused");
    assert_eq!((world.lookups().len(), world.dials().len()), (2, 1));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn names_and_addresses_that_nobody_declared_are_never_asked_for() {
    for (target, expected) in [
        ("c2VjcmV0.evil.test", "host_undeclared"),
        ("a.b.wild.test", "host_undeclared"),
        ("wild.test", "host_undeclared"),
        ("api.good.test.evil.test", "host_undeclared"),
        ("metadata.google.internal", "host_undeclared"),
        ("printer.local", "host_undeclared"),
        ("x.localhost", "host_undeclared"),
        ("169.254.169.254", "address_refused"),
        ("[::1]", "address_refused"),
        ("[fd00:ec2::254]", "address_refused"),
        ("[::ffff:169.254.169.254]", "address_refused"),
        ("203.0.114.10", "address_refused"),
        ("0x7f000001", "request_malformed"),
        ("0177.0.0.1", "request_malformed"),
        ("127.1", "request_malformed"),
        ("0", "request_malformed"),
        ("1.2.3", "request_malformed"),
        ("010.8.8.8", "request_malformed"),
        ("08.8.8.8", "request_malformed"),
        ("api.good.test:22", "port_undeclared"),
        ("api.good.test:6379", "port_undeclared"),
        ("crm.good.test", "port_undeclared"),
    ] {
        let world = world();
        let answer = world.client().get(&format!("http://{target}/x"));
        assert_eq!(answer.refusal(), expected, "{target}: {}", answer.text());
        world.assert_nothing_left();
    }
}

#[test]
fn a_redirect_is_the_answer_and_is_not_followed() {
    for location in [
        "http://169.254.169.254/latest/",
        "https://evil.test/",
        "//evil.test/x",
    ] {
        let world = world();
        world.origin("api.good.test", move |_| {
            format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
                .into_bytes()
        });
        let answer = world.client().get("http://api.good.test/x");
        assert_eq!(
            (answer.status, answer.header("location")),
            (302, Some(location))
        );
        assert_eq!((world.lookups().len(), world.dials().len()), (1, 1));
    }
}
