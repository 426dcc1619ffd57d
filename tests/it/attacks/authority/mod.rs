//! Group A: who a request is for, in every place that can say it: the target of a CONNECT, an absolute target, `Host`,
//! `:authority`, the server name in TLS.

mod hellos;
mod names;
mod ports;
mod spellings;

use super::frames;
use super::frames::Told;
use super::stage::{Door, Stage};

const MALFORMED: (u16, &str) = (400, "request_malformed");
const ADDRESS: (u16, &str) = (403, "address_refused");
const UNDECLARED: (u16, &str) = (403, "host_undeclared");
const MISMATCH: (u16, &str) = (421, "host_mismatch");

/// A host that no place takes. Targets are refused so; beside a good target it is another server than that one.
fn refused_everywhere(stage: &Stage, host: &[u8], expected: (u16, &str)) {
    for port in ["", ":443"] {
        let authority = [host, port.as_bytes()].concat();
        refused_as_target(stage, &authority, expected);
    }
    refused_beside(stage, host);
    refused_in_a_handshake(stage, host);
}

/// An authority that is refused so as a target of a CONNECT, where it must have a port, and of a URL, where it may.
fn refused_as_target(stage: &Stage, authority: &[u8], expected: (u16, &str)) {
    let door = Door::Proxy;
    if authority.ends_with(b":443") {
        let connect = [
            b"CONNECT ",
            authority,
            b" HTTP/1.1\r\n",
            &host_line(authority),
        ]
        .concat();
        stage.refuses_and_closes(door, &connect, expected);
    }
    for scheme in ["http", "https"] {
        stage.refuses(door, &url(scheme, authority), expected);
    }
    stage.refuses(Door::Tunnel, &url("https", authority), expected);
}

/// A GET of a whole URL, of which `Host` says the same.
fn url(scheme: &str, authority: &[u8]) -> Vec<u8> {
    let start = format!("GET {scheme}://").into_bytes();
    [
        &start[..],
        authority,
        b"/v1/items/1 HTTP/1.1\r\n",
        &host_line(authority),
    ]
    .concat()
}

/// The last line of a head. What can't stand in a header stands in the target alone.
fn host_line(authority: &[u8]) -> Vec<u8> {
    let said = if is_printable(authority) {
        authority
    } else {
        b"api.good.test"
    };
    [b"Host: ", said, b"\r\n\r\n"].concat()
}

/// An authority beside a target that names `api.good.test`.
fn refused_beside(stage: &Stage, authority: &[u8]) {
    let host = [b"/v1/items/1 HTTP/1.1\r\nHost: ", authority, b"\r\n\r\n"].concat();
    let clear = [&b"GET http://api.good.test"[..], &host].concat();
    stage.refuses(Door::Proxy, &clear, MALFORMED);
    let expected = if is_printable(authority) {
        MISMATCH
    } else {
        MALFORMED
    };
    stage.refuses(Door::Tunnel, &[&b"GET "[..], &host].concat(), expected);
    refused_on_a_stream(stage, Some(authority), &[]);
    refused_on_a_stream(stage, Some(b"api.good.test"), &[("host", authority)]);
}

/// What HTTP/2 lets through of it names another server; the rest it refuses itself.
fn refused_on_a_stream(stage: &Stage, authority: Option<&[u8]>, fields: &[(&str, &[u8])]) {
    let case = format!("{:?} {fields:?}", authority.map(String::from_utf8_lossy));
    let mut told = Told::Reset;
    let record = stage.records_alone(&case, || told = frames::get(stage, authority, fields));
    match told {
        Told::Reset => assert_eq!(record["decision"], "failed", "{case}: {record}"),
        Told::Answer(text) => {
            let code = record["code"].as_str().unwrap();
            assert!(
                ["host_mismatch", "request_malformed"].contains(&code),
                "{case}: {record}"
            );
            assert!(text.contains(code), "{case}: {text}");
        }
    }
}

/// A server name that is not the host of the tunnel: an alert, and nothing behind it.
fn refused_in_a_handshake(stage: &Stage, name: &[u8]) {
    let case = format!("server name {:?}", String::from_utf8_lossy(name));
    let client = stage.world.client();
    let hello = hellos::naming(&client, "api.good.test", name);
    let mut back = Vec::new();
    let record = stage.records_alone(&case, || {
        back = hellos::answer_to(&client, "api.good.test:443", &hello);
    });
    assert_eq!(back.first(), Some(&21), "{case}: {back:x?}");
    let code = record["code"].as_str().unwrap();
    assert!(
        ["server_name_mismatch", "tls_expected"].contains(&code),
        "{case}: {record}"
    );
}

/// A host that could be somebody's and is nobody's: refused by name, inside the tunnel where there is one.
fn undeclared_everywhere(stage: &Stage, host: &str) {
    let authority = host.as_bytes();
    for scheme in ["http", "https"] {
        stage.refuses(Door::Proxy, &url(scheme, authority), UNDECLARED);
    }
    let record = stage.records_alone(host, || {
        let url = format!("https://{host}/v1/items/1");
        let answer = stage.world.client().send_inside("GET", &url, &[], "");
        assert_eq!((answer.status, answer.refusal()), UNDECLARED, "{host}");
    });
    assert_eq!(record["code"], UNDECLARED.1, "{host}: {record}");
    refused_beside(stage, authority);
    refused_in_a_handshake(stage, authority);
}

fn is_printable(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_graphic)
}
