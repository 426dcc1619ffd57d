//! How long clients may take, and how many there may be: at the proxy, at the tools and at the operator's pages.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use exeat::proxy::ClientLimits;
use serde_json::json;

use crate::world::{Plan, World, json_reply, read_answer};

const POLICY: &str = r#"
version: 1
actions:
  create_item:
    description: Adds an item.
    method: POST
    url: https://api.good.test/v1/items
    parameters: {properties: {name: {type: string}}, required: [name]}
  large:
    description: Returns much.
    method: GET
    url: https://api.good.test/v1/large
    max_response_bytes: 1GiB
tunnels:
  packages: {hosts: [packages.good.test], ports: [443]}
"#;

const SHORT: Duration = Duration::from_millis(50);

fn world(clients: ClientLimits) -> World {
    Plan::of(POLICY).clients(clients).start()
}

/// What comes until the connection ends.
fn end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_head_that_does_not_end_is_not_waited_for() {
    let world = world(ClientLimits {
        head: SHORT,
        ..ClientLimits::default()
    });
    let mut silent = world.client().connect();
    assert_eq!(end(&mut silent), "");
    let mut slow = world.client().connect();
    slow.write_all(b"GET http://api.good.test/v1/large HTTP/1.1\r\nHost:")
        .unwrap();
    let answer = read_answer(&mut slow, "GET").unwrap();
    assert_eq!((answer.status, answer.refusal()), (408, "client_too_slow"));
    assert_eq!(end(&mut slow), "");
    assert_eq!(world.record()["code"], "client_too_slow");
}

#[test]
fn a_body_that_stops_is_not_waited_for() {
    let world = world(ClientLimits {
        body_idle: SHORT,
        ..ClientLimits::default()
    });
    let mut stream = world.client().connect();
    let head = "POST http://api.good.test/v1/items HTTP/1.1\r\nHost: api.good.test\r\n\
                Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = read_answer(&mut stream, "POST").unwrap();
    assert_eq!((answer.status, answer.refusal()), (408, "client_too_slow"));
    world.assert_nothing_left();
}

#[test]
fn a_handshake_in_a_tunnel_that_does_not_begin_is_not_waited_for() {
    let world = world(ClientLimits {
        handshake: SHORT,
        ..ClientLimits::default()
    });
    for host in ["api.good.test", "packages.good.test"] {
        let (_, mut stream) = world.client().open(&format!("{host}:443"), &[]);
        assert_eq!(end(&mut stream), "", "{host}");
    }
    for record in world.records(2) {
        assert_eq!(record["code"], "client_too_slow", "{record}");
    }
}

/// Asks again and again and reads no answer: sooner or later a write fails, since the other side has given up.
fn asks_without_reading(address: SocketAddr, path: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").repeat(100);
    let error = loop {
        if let Err(error) = stream.write_all(request.as_bytes()) {
            break error;
        }
    };
    let gone = [
        std::io::ErrorKind::ConnectionReset,
        std::io::ErrorKind::BrokenPipe,
    ];
    assert!(gone.contains(&error.kind()), "{path}: {error}");
}

#[test]
fn who_reads_no_answer_of_the_other_listeners_loses_the_connection() {
    let world = world(ClientLimits {
        write_stall: SHORT,
        ..ClientLimits::default()
    });
    asks_without_reading(world.tools(), "/v1/openapi.json");
    asks_without_reading(world.admin(), "/metrics");
}

/// All that there may be have a request in hand.
#[test]
fn a_connection_too_many_is_answered_before_anything_of_it_is_read() {
    let world = Plan::of(POLICY).connections(1).start();
    world.silence("api.good.test", 443);
    for (address, door) in [(world.proxy(), "proxy"), (world.tools(), "http")] {
        let dialled = world.dials().len();
        let mut first = TcpStream::connect(address).unwrap();
        let asking = match door {
            "proxy" => {
                "GET http://api.good.test/v1/large HTTP/1.1\r\nHost: api.good.test\r\n\r\n".into()
            }
            _ => format!(
                "POST /v1/actions/large HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
                 Content-Length: 2\r\n\r\n{{}}"
            ),
        };
        first.write_all(asking.as_bytes()).unwrap();
        while world.dials().len() == dialled {
            std::thread::yield_now();
        }
        let mut second = TcpStream::connect(address).unwrap();
        second
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        let answer = read_answer(&mut second, "GET").unwrap();
        assert_eq!(
            (answer.status, answer.refusal()),
            (503, "overloaded"),
            "{door}"
        );
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.json()["error"]["retryable"], json!(true));
        assert_eq!(end(&mut second), "");
        let counted = format!("exeat_refusals_total{{code=\"overloaded\",door=\"{door}\"}} 1");
        assert!(world.everything_written().contains(&counted), "{door}");
    }
}

#[test]
fn an_agent_opens_so_many_tunnels() {
    let world = Plan::of(POLICY).tunnels(1).start();
    let (answer, first) = world.client().open("packages.good.test:443", &[]);
    assert_eq!(answer.status, 200);
    let mut second = world.client().connect();
    let connect =
        b"CONNECT packages.good.test:443 HTTP/1.1\r\nHost: packages.good.test:443\r\n\r\n";
    second.write_all(connect).unwrap();
    let refused = read_answer(&mut second, "GET").unwrap();
    assert_eq!((refused.status, refused.refusal()), (503, "overloaded"));
    // An intercepted one is none: its requests are counted.
    assert_eq!(world.client().open("api.good.test:443", &[]).0.status, 200);
    drop(first);
    world.records(2);
    assert_eq!(
        world.client().open("packages.good.test:443", &[]).0.status,
        200
    );
}
