//! Declared tunnels: passed on unopened to the one server they name, and to nobody before that is known.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::world::{Client, Plan, World, json_reply, read_answer, rest};

const POLICY: &str = r#"
version: 1
actions:
  get_item:
    description: Returns one item of the catalogue.
    method: GET
    url: https://api.two.test/items
tunnels:
  packages: {hosts: [api.good.test], ports: [443, 8443]}
"#;

fn world() -> World {
    Plan::of(POLICY).start()
}

fn open(client: &Client) -> TcpStream {
    let (answer, stream) = client.open("api.good.test:443", &[]);
    assert_eq!(answer.head, "HTTP/1.1 200 Connection Established\r\n\r\n");
    stream
}

fn hello(client: &Client, server_name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    client
        .session(server_name, &[])
        .write_tls(&mut bytes)
        .unwrap();
    bytes
}

/// The end of the tunnel, after which nothing more comes.
fn end(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

#[test]
fn bytes_go_both_ways_between_the_client_and_the_server_alone() {
    let mut world = world();
    let origin = world.origin("api.good.test", |seen| {
        json_reply(&format!("{:?}", seen.line()))
    });
    let client = world.client().trusting(&world.origin_roots());
    let mut tunnel = client.tunnel("api.good.test");
    for item in 1..=3 {
        // What is inside is the server's business: no action has this path.
        write!(
            tunnel,
            "GET /any/{item} HTTP/1.1\r\nHost: api.good.test\r\nX: SECRET-BBBB\r\n\r\n"
        )
        .unwrap();
        let answer = read_answer(&mut tunnel, "GET").unwrap();
        assert_eq!(
            answer.text(),
            format!("{:?}", format!("GET /any/{item} HTTP/1.1"))
        );
        assert_eq!(answer.header("exeat-request-id"), None);
    }
    tunnel.conn.send_close_notify();
    tunnel.flush().unwrap();
    assert_eq!(rest(&mut tunnel), "");
    drop(tunnel);
    world.records(2);
    assert_eq!(
        (
            origin.connections(),
            world.lookups().len(),
            world.fetched().len()
        ),
        (1, 1, 0)
    );
    let records = world.last_records();
    assert_eq!(records.len(), 2, "{records:#?}");
    assert_eq!(records[0]["event"], "opened");
    assert_eq!(records[0]["decision"], "allowed");
    assert!(records[1].get("event").is_none());
    assert_eq!(records[1]["end"], "complete");
    assert_eq!(records[0]["request_id"], records[1]["request_id"]);
    assert!(records[1]["bytes_in"].as_u64().unwrap() > 300);
    assert!(records[1]["bytes_out"].as_u64().unwrap() > 500);
    assert_eq!(records[1]["body"], "unread");
    assert!(records[1].get("path").is_none());
}

#[test]
fn the_life_of_a_tunnel_is_not_the_time_that_exeat_took() {
    let world = world();
    world.origin("api.good.test", |_| json_reply("{}"));
    let client = world.client().trusting(&world.origin_roots());
    let mut tunnel = client.tunnel("api.good.test");
    write!(tunnel, "GET / HTTP/1.1\r\nHost: api.good.test\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut tunnel, "GET").unwrap().status, 200);
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(300) {
        std::thread::yield_now();
    }
    tunnel.conn.send_close_notify();
    tunnel.flush().unwrap();
    assert_eq!(rest(&mut tunnel), "");
    drop(tunnel);
    let record = &world.records(2)[1];
    assert!(record["upstream_ms"].as_f64().unwrap() >= 300.0, "{record}");
}

#[test]
fn a_hello_arrives_whole_however_it_was_cut() {
    for segment in [1, 100, 10_000] {
        let world = world();
        world.origin("api.good.test", |_| json_reply("{}"));
        let client = world.client().trusting(&world.origin_roots());
        let mut session = client.session("api.good.test", &[]);
        let mut first = Vec::new();
        session.write_tls(&mut first).unwrap();
        let mut stream = open(&client);
        for piece in first.chunks(segment) {
            stream.write_all(piece).unwrap();
        }
        let mut tunnel = rustls::StreamOwned::new(session, stream);
        write!(tunnel, "GET / HTTP/1.1\r\nHost: api.good.test\r\n\r\n").unwrap();
        assert_eq!(
            read_answer(&mut tunnel, "GET").unwrap().status,
            200,
            "{segment}"
        );
    }
}

#[test]
fn nobody_is_asked_or_dialled_before_the_hello_is_judged() {
    let mut world = world();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let client = world.client();
    let first = hello(&client, "api.good.test");
    let mut stream = open(&client);
    stream.write_all(&first[..first.len() - 1]).unwrap();
    // The answers of other connections show that time has passed for this one.
    for _ in 0..3 {
        assert_eq!(world.client().get("http://evil.test/").status, 403);
    }
    world.assert_nothing_left();
    assert_eq!(origin.connections(), 0);
    stream.shutdown(Shutdown::Both).unwrap();
    let records = world.last_records();
    assert_eq!(records.len(), 4, "{records:#?}");
    assert_eq!(records[3]["decision"], "failed");
    assert!(world.dials().is_empty());
}

#[test]
fn a_tunnel_is_for_its_own_host_and_ports_and_for_connect_alone() {
    let mut world = world();
    let connect = |target: &str| format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    let get = |url: &str| format!("GET {url} HTTP/1.1\r\nHost: api.good.test\r\n\r\n");
    for (bytes, code) in [
        (connect("api.good.test:22"), "port_undeclared"),
        (connect("api.good.test:80"), "port_undeclared"),
        (connect("x.api.good.test:8443"), "host_undeclared"),
        (connect("evil.test:8443"), "host_undeclared"),
        (get("http://api.good.test/"), "host_undeclared"),
        (get("https://api.good.test/"), "action_undeclared"),
    ] {
        world.refuses(bytes.as_bytes(), (403, code));
    }
    assert_eq!(world.last_records().len(), 6);
}

#[test]
fn a_server_that_cannot_be_reached_ends_the_tunnel_and_is_recorded() {
    let mut world = world();
    let client = world.client();
    let mut stream = open(&client);
    stream.write_all(&hello(&client, "api.good.test")).unwrap();
    assert_eq!(end(stream), b"");
    let records = world.last_records();
    assert_eq!(
        (records.len(), &records[0]["code"]),
        (1, &"upstream_unreachable".into())
    );
    assert_eq!(records[0]["upstream_addr"], "203.0.114.10:443");
}
