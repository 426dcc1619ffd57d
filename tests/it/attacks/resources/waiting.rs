//! Requests and tunnels that wait for somebody else: for a server that does not answer, or for nothing at all.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exeat::proxy::ClientLimits;

use super::{crowd, until};
use crate::world::{Plan, World, json_reply, read_answer, read_head, rest};

const POLICY: &str = r#"
version: 1
secrets: {a_token: {env: A}, b_token: {env: B}}
actions:
  get_item: {description: Returns one item., method: GET, url: https://api.good.test/item}
  get_other: {description: Is never answered., method: GET, url: https://api.two.test/item, timeout: 2s}
tunnels:
  packages: {hosts: [a.wild.test], ports: [443]}
agents:
  a: {token: {secret: a_token}, allow: ["*"]}
  b: {token: {secret: b_token}, allow: ["*"]}
"#;

fn plan() -> Plan {
    let plan = Plan::of(POLICY).secret("a_token", "a-secret");
    plan.secret("b_token", "b-secret")
}

fn login(agent: &str) -> String {
    let pair = STANDARD.encode(format!("{agent}:{agent}-secret"));
    format!("Proxy-Authorization: Basic {pair}")
}

/// A CONNECT with the first message of TLS behind it.
fn connect(world: &World, agent: &str) -> TcpStream {
    let mut stream = world.client().connect();
    let head = "CONNECT a.wild.test:443 HTTP/1.1\r\nHost: a.wild.test:443";
    let mut hello = Vec::new();
    let mut session = world.client().session("a.wild.test", &[]);
    session.write_tls(&mut hello).unwrap();
    let head = format!("{head}\r\n{}\r\n\r\n", login(agent));
    stream
        .write_all(&[head.as_bytes(), &hello].concat())
        .unwrap();
    stream
}

fn get(world: &World, agent: &str) -> u16 {
    let client = world.client();
    let answer = client.send("GET", "http://api.good.test/item", &[&login(agent)], "");
    answer.status
}

fn ask(world: &World, agent: &str) -> TcpStream {
    let mut stream = world.client().connect();
    let head = "GET http://api.two.test/item HTTP/1.1\r\nHost: api.two.test";
    let bytes = format!("{head}\r\n{}\r\n\r\n", login(agent));
    stream.write_all(bytes.as_bytes()).unwrap();
    stream
}

#[test]
fn l5_thousands_of_tunnels_to_a_silent_server_are_one_agents_share() {
    let (_turn, most) = crowd(8_000);
    let clients = ClientLimits {
        tunnel_connect: Duration::from_secs(3600),
        ..ClientLimits::default()
    };
    let world = plan().tunnels(32).clients(clients).start();
    let _origin = world.origin("api.good.test", |_| json_reply("{}"));
    world.silence("a.wild.test", 443);
    let held: Vec<_> = (0..32)
        .map(|_| {
            let mut stream = connect(&world, "a");
            assert_eq!(read_head(&mut stream).unwrap().status, 200);
            stream
        })
        .collect();
    until("all of the share is dialled", || world.dials().len() == 32);
    for _ in 0..most / 4 {
        let mut stream = connect(&world, "a");
        let answer = read_answer(&mut stream, "GET").unwrap();
        assert_eq!((answer.status, answer.refusal()), (503, "overloaded"));
    }
    assert_eq!(world.dials().len(), 32);
    // Others have their own, and even this one still has its requests.
    let mut other = connect(&world, "b");
    assert_eq!(read_head(&mut other).unwrap().status, 200);
    until("the other's is dialled", || world.dials().len() == 33);
    assert_eq!((get(&world, "b"), get(&world, "a")), (200, 200));
    drop(held);
}

#[test]
fn l5_a_tunnel_to_a_silent_server_is_given_up() {
    let clients = ClientLimits {
        tunnel_connect: Duration::from_millis(50),
        ..ClientLimits::default()
    };
    let world = plan().tunnels(1).clients(clients).start();
    world.silence("a.wild.test", 443);
    for number in 0..3 {
        let mut stream = connect(&world, "a");
        assert_eq!(read_head(&mut stream).unwrap().status, 200);
        assert_eq!(rest(&mut stream), "");
        let record = &world.records(number + 1)[number];
        assert_eq!(record["code"], "upstream_timeout", "{record}");
    }
}

#[test]
fn l5_requests_to_a_silent_server_are_one_agents_share_and_end() {
    let (_turn, most) = crowd(2_000);
    let world = plan().shares(32).start();
    let _origin = world.origin("api.good.test", |_| json_reply("{}"));
    world.silence("api.two.test", 443);
    let mut held: Vec<_> = (0..32).map(|_| ask(&world, "a")).collect();
    until("all of the share is dialled", || world.dials().len() == 32);
    for _ in 0..most / 4 {
        let answer = read_answer(&mut ask(&world, "a"), "GET").unwrap();
        // Some of the first may have come to their end by now.
        if (answer.status, answer.refusal()) != (503, "overloaded") {
            break;
        }
    }
    assert_eq!(get(&world, "b"), 200);
    for stream in &mut held {
        let answer = read_answer(stream, "GET").unwrap();
        assert_eq!((answer.status, answer.refusal()), (504, "upstream_timeout"));
    }
    assert_eq!(get(&world, "a"), 200);
}

#[test]
fn l6_an_agent_with_all_its_tunnels_idle_keeps_nobody_out() {
    let world = plan().tunnels(64).start();
    let _origin = world.origin("api.good.test", |_| json_reply("{}"));
    let _packages = world.origin("a.wild.test", |_| json_reply("{}"));
    let idle: Vec<_> = (0..64)
        .map(|_| {
            let mut stream = connect(&world, "a");
            assert_eq!(read_head(&mut stream).unwrap().status, 200);
            stream
        })
        .collect();
    for _ in 0..64 {
        let answer = read_answer(&mut connect(&world, "a"), "GET").unwrap();
        assert_eq!((answer.status, answer.refusal()), (503, "overloaded"));
    }
    assert_eq!(read_head(&mut connect(&world, "b")).unwrap().status, 200);
    assert_eq!((get(&world, "a"), get(&world, "b")), (200, 200));
    drop(idle);
    until("its tunnels are its own again", || {
        read_head(&mut connect(&world, "a")).unwrap().status == 200
    });
}

#[test]
fn l6_a_tunnel_in_which_nothing_moves_ends() {
    let clients = ClientLimits {
        tunnel_idle: Duration::from_millis(100),
        keep_alive: Duration::from_millis(100),
        handshake: Duration::from_millis(300),
        head: Duration::from_millis(300),
        ..ClientLimits::default()
    };
    let world = plan().tunnels(1).clients(clients).start();
    let _packages = world.origin("a.wild.test", |_| json_reply("{}"));
    for _ in 0..2 {
        let mut passed = connect(&world, "a");
        assert_eq!(read_head(&mut passed).unwrap().status, 200);
        let hello = rest(&mut passed);
        assert!(!hello.is_empty(), "the server's answer to the hello");
        until("it has ended", || {
            let records = world.records(0);
            records.iter().filter(|it| it["end"] == "truncated").count() > 0
        });
    }
    // One that exeat opens, before TLS and after it.
    let (answer, mut silent) = world.client().open("api.good.test:443", &[&login("a")]);
    assert_eq!((answer.status, rest(&mut silent)), (200, String::new()));
    let client = world.client();
    let mut secured = client.tunnel_as("api.good.test", "api.good.test", &[&login("a")]);
    let _ = secured.write_all(b"");
    assert_eq!(rest(&mut secured), "");
}
