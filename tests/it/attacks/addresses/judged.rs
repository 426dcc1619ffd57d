//! Where a declared name may lead: every block of the registries, in every form.

use super::{REFUSED, leads_nowhere, passes_nowhere, stage};
use crate::attacks::stage::Door;

/// Where clouds keep the credentials of a machine.
const METADATA_V4: [&str; 6] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
];

const METADATA_V6: [&str; 2] = ["fd00:ec2::254", "fd20:ce::254"];

/// Literally and behind names, one of which may be anywhere as far as its policy says.
fn never_opens(addresses: &[&str]) {
    let stage = stage();
    for address in addresses {
        let literal = match address.contains(':') {
            true => format!("[{address}]"),
            false => (*address).to_owned(),
        };
        for url in [
            format!("http://{literal}/latest"),
            format!("https://{literal}:8443/"),
        ] {
            let get = format!("GET {url} HTTP/1.1\r\nHost: {literal}\r\n\r\n");
            let expected = match url.contains(":8443") {
                true => format!("GET {url} HTTP/1.1\r\nHost: {literal}:8443\r\n\r\n"),
                false => get,
            };
            stage.refuses(Door::Proxy, expected.as_bytes(), REFUSED);
        }
        let connect = format!("CONNECT {literal}:80 HTTP/1.1\r\nHost: {literal}:80\r\n\r\n");
        stage.refuses_and_closes(Door::Proxy, connect.as_bytes(), REFUSED);
        for host in ["api.good.test", "open.good.test"] {
            leads_nowhere(&stage, host, &[address]);
        }
        passes_nowhere(&stage, &[address]);
    }
}

#[test]
fn d3_a_machines_credentials_are_never_opened() {
    never_opens(&METADATA_V4);
}

#[test]
fn d4_a_machines_credentials_are_never_opened_by_ipv6() {
    never_opens(&METADATA_V6);
}

/// As the public internet of IPv6 hides them.
#[test]
fn d3_a_machines_credentials_are_never_opened_in_any_form() {
    let stage = stage();
    for address in [
        "::ffff:a9fe:a9fe",
        "::169.254.169.254",
        "::ffff:0:a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "2002:a9fe:a9fe::1",
        "2001:0:808:808::5601:5601",
        "2a00::5efe:a9fe:a9fe",
        "fe80::200:5efe:a9fe:a9fe",
        "::ffff:168.63.129.16",
        "64:ff9b::168.63.129.16",
        "2002:a83f:8110::",
    ] {
        leads_nowhere(&stage, "open.good.test", &[address]);
    }
}

fn closed(addresses: &[&str]) {
    let stage = stage();
    for address in addresses {
        leads_nowhere(&stage, "api.good.test", &[address]);
    }
    passes_nowhere(&stage, addresses);
}

#[test]
fn d6_an_ipv4_address_inside_an_ipv6_one_is_looked_at() {
    closed(&[
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:a9fe:a9fe",
        "::ffff:203.0.114.10",
        "::ffff:0.0.0.0",
        "::127.0.0.1",
        "::10.0.0.1",
        "::203.0.114.10",
        "::ffff:0:7f00:1",
        "::ffff:0:a00:1",
        "::ffff:0:cb00:720a",
        "::2",
        "::1:2",
    ]);
}

#[test]
fn d7_an_address_behind_nat64_is_looked_at() {
    closed(&[
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:5",
        "64:ff9b::",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1::a00:5",
        "64:ff9b:1:a00:5::",
        "64:ff9b:1::cb00:720a",
        "64:ff9b:ffff::1",
        "64:ff9b:0:1::cb00:720a",
    ]);
}

#[test]
fn d8_an_address_at_the_end_of_a_tunnel_is_looked_at() {
    closed(&[
        "2002:7f00:1::1",
        "2002:a00:5::1",
        "2002:c0a8:101::",
        "2002:cb00:720a::1",
        "2001::80ff:fffe",
        "2001:0:808:808::f7f7:f7f7",
        "2001:0:a00:1::f7f7:f7f7",
        "2a00::5efe:7f00:1",
        "2a00::200:5efe:a00:1",
        "2a00::5efe:cb00:720a",
        "fe80::5efe:7f00:1",
    ]);
}

#[test]
fn d9_special_blocks_of_ipv4_are_closed() {
    closed(&[
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.5",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.254",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.31.196.1",
        "192.52.193.1",
        "192.88.99.1",
        "192.168.1.1",
        "192.175.48.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.251",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
    ]);
}

#[test]
fn d10_only_the_public_part_of_ipv6_is_open() {
    closed(&[
        "::",
        "::1",
        "100::1",
        "100:0:0:1::1",
        "1fff::1",
        "2001:2::1",
        "2001:4:112::1",
        "2001:10::1",
        "2001:20::1",
        "2001:30::1",
        "2001:db8::1",
        "2620:4f:8000::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "8000::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ]);
    // What is beside them is open, which is to say dialled.
    let stage = stage();
    for address in ["2000::1", "2606:4700::1", "2a00:1450::1", "3ffe::1"] {
        stage.world.resolve("api.good.test", &[address]);
        let answer = stage.world.client().get("http://api.good.test/v1/items/1");
        assert_eq!(answer.refusal(), "upstream_unreachable", "{address}");
        let dialled = stage.world.dials().last().unwrap().ip();
        assert_eq!(dialled.to_string(), address);
    }
}
