//! Ports: one, in one spelling, and in a CONNECT never left to be guessed.

use std::io::Write as _;

use super::{MALFORMED, refused_beside, url};
use crate::attacks::stage::{Door, Line as _, Stage};

/// An authority with a port that is none, wherever one can stand.
fn refused_port(stage: &Stage, port: &str) {
    let authority = format!("api.good.test{port}");
    for host in [authority.as_str(), "api.good.test:443"] {
        let connect = format!("CONNECT {authority} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stage.refuses_and_closes(Door::Proxy, connect.as_bytes(), MALFORMED);
    }
    for host in [authority.as_str(), "api.good.test"] {
        for scheme in ["http", "https"] {
            let target = format!("{scheme}://{authority}/v1/items/1");
            let sent = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            for door in Door::ALL {
                stage.refuses(door, sent.as_bytes(), MALFORMED);
            }
        }
    }
    refused_beside(stage, authority.as_bytes());
}

fn all_refused(ports: &[&str]) {
    let stage = Stage::usual();
    for port in ports {
        refused_port(&stage, port);
    }
}

#[test]
fn a12_a_host_has_one_port() {
    all_refused(&[
        ":443:80",
        ":80:443",
        ":443:443",
        ":443:",
        "::443",
        ":443:80:443",
    ]);
    let stage = Stage::usual();
    for port in [":443,80", ":443;80", ":443-444", ":443@80", ":443%3a80"] {
        refused_port(&stage, port);
    }
}

#[test]
fn a13_a_connect_says_its_port() {
    let stage = Stage::usual();
    for target in [
        "api.good.test",
        "api.good.test.",
        "api.good.test:",
        "api.good.test.:",
        "evil.test",
        "https:",
    ] {
        for host in [target, "api.good.test", "api.good.test:443"] {
            let connect = format!("CONNECT {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            stage.refuses_and_closes(Door::Proxy, connect.as_bytes(), MALFORMED);
        }
    }
    // A URL may leave its port out, and not half of it.
    refused_port(&stage, ":");
    stage.serves(Door::Proxy, &url("http", b"api.good.test"));
    // `Host` may leave out the port that HTTPS has, beside a target that says it.
    let mut tunnel = stage.world.client().connect();
    tunnel
        .write_all(b"CONNECT api.good.test:443 HTTP/1.1\r\nHost: api.good.test\r\n\r\n")
        .unwrap();
    assert_eq!(crate::world::read_head(&mut tunnel).unwrap().status, 200);
    tunnel.finish();
}

#[test]
fn a14_a_port_is_from_1_to_65535() {
    all_refused(&[
        ":0",
        ":65536",
        ":65979",
        ":99999",
        ":4294967739",
        ":18446744073709552059",
        ":340282366920938463463374607431768211899",
        ":-65093",
        ":-1",
        ":999999999999999999999999999999999999999999999999999999",
    ]);
    let stage = Stage::usual();
    for port in [1, 22, 25, 80, 444, 6379, 8443, 65535] {
        let undeclared = (403, "port_undeclared");
        let authority = format!("api.good.test:{port}");
        let connect = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        stage.refuses_and_closes(Door::Proxy, connect.as_bytes(), undeclared);
        stage.refuses(Door::Proxy, &url("https", authority.as_bytes()), undeclared);
        // A URL of `http://` says 80 by saying nothing.
        if port != 80 {
            refused_beside(&stage, authority.as_bytes());
        }
    }
}

#[test]
fn a15_a_port_has_one_spelling() {
    all_refused(&[
        ":0443",
        ":00443",
        ":+443",
        ":-443",
        ":443x",
        ":x443",
        ":443.",
        ":443.0",
        ":4e2",
        ":0x1bb",
        ":0o673",
        ":4_43",
        ":４４３",
        ":٤٤٣",
        ":443\u{ad}",
        ":%34%34%33",
        ":https",
        ":*",
    ]);
    let stage = Stage::usual();
    for port in ["4 43", " 443", "443 ", "443\t", "4\t43", "443\0", "443\x0b"] {
        let connect =
            format!("CONNECT api.good.test:{port} HTTP/1.1\r\nHost: api.good.test:443\r\n\r\n");
        stage.refuses_and_closes(Door::Proxy, connect.as_bytes(), MALFORMED);
        let get = format!(
            "GET http://api.good.test:{port}/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n"
        );
        stage.refuses_and_closes(Door::Proxy, get.as_bytes(), MALFORMED);
    }
}
