//! Connections: silent ones, more than there are places or descriptors for, storms of short ones.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use exeat::app::CONNECTIONS;
use exeat::proxy::ClientLimits;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::{Apart, IDLE, crowd, until};
use crate::attacks::stage::{Door, Line, POLICY, Stage};
use crate::world::{Plan, json_reply, read_answer};

#[test]
fn l1_ten_thousand_silent_connections_take_little_and_are_served_around() {
    let (_turn, most) = crowd(10_000);
    let apart = Apart::with(json_reply("{}"), &["--workers", "2"]);
    assert_eq!(apart.get().status, 200);
    let before = apart.started.memory();
    let mut silent = Vec::new();
    while silent.len() < most {
        let some = (0..500).map(|_| TcpStream::connect(apart.started.proxy).unwrap());
        silent.extend(some);
        // More at once than the kernel keeps waiting would come late.
        until("all have arrived", || apart.arrived() > silent.len());
    }
    until("there are no more than may be", || {
        apart.open() <= 2 * CONNECTIONS
    });
    // Who comes is served, here and at the other listeners.
    for _ in 0..20 {
        assert_eq!(apart.get().status, 200);
    }
    assert_eq!(apart.started.page("/healthz").status, 200);
    let mut tools = TcpStream::connect(apart.started.tools).unwrap();
    let list = format!(
        "GET /v1/actions HTTP/1.1\r\nHost: {}\r\n\r\n",
        apart.started.tools
    );
    tools.write_all(list.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut tools, "GET").unwrap().status, 200);
    drop(silent);
    apart.is_well_after(before, most.min(2 * CONNECTIONS) * IDLE);
}

#[test]
fn l1_half_heads_take_what_was_read_of_them_and_no_more() {
    let (_turn, most) = crowd(2_000);
    let apart = Apart::with(json_reply("{}"), &["--workers", "2"]);
    let before = apart.started.memory();
    // Just below the longest head, and never its end.
    let head = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(60_000));
    let half: Vec<TcpStream> = (0..most)
        .map(|_| {
            let mut stream = TcpStream::connect(apart.started.proxy).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    until("all have arrived", || apart.arrived() == most);
    drop(half);
    apart.is_well_after(before, most * 2 * 64 * 1024);
}

#[test]
fn l1_silence_and_drops_of_a_head_end_at_their_deadline() {
    let clients = ClientLimits {
        head: Duration::from_millis(200),
        keep_alive: Duration::from_millis(200),
        ..ClientLimits::default()
    };
    let stage = Stage::of(Plan::of(POLICY).clients(clients));
    let starts = [
        "",
        "G",
        "GET / HTTP/1.1\r\n",
        "CONNECT api.good.test:443 HTTP/1.1\r\nHost",
    ];
    let mut waiting: Vec<_> = (0..400)
        .map(|number| {
            let mut stream = stage.world.client().connect();
            stream.write_all(starts[number % 4].as_bytes()).unwrap();
            stream
        })
        .collect();
    for (number, stream) in waiting.iter_mut().enumerate() {
        let answer = read_answer(stream, "GET");
        let code = answer.as_ref().map(|it| (it.status, it.refusal()));
        let expected = (number % 4 != 0).then_some((408, "client_too_slow"));
        assert_eq!(code, expected, "{:?}", starts[number % 4]);
    }
    let records = stage.world.records(300);
    assert_eq!(records.len(), 300, "silence is no request");
    stage.world.assert_nothing_left();
    assert_eq!(
        stage
            .world
            .client()
            .get("http://api.good.test/v1/items/1")
            .status,
        200
    );
}

/// Those that have said nothing go first, then those that said it long ago.
#[test]
fn l1_whoever_fills_all_places_keeps_nobody_out() {
    let stage = Stage::of(Plan::of(POLICY).connections(64));
    let world = &stage.world;
    let get = Door::Proxy.get("/v1/items/1");
    let mut kept = world.client().connect();
    kept.write_all(&get).unwrap();
    assert_eq!(read_answer(&mut kept, "GET").unwrap().status, 200);
    let starts = ["", "GET / HTTP/1.1\r\nHost: a", "", ""];
    let crowd: Vec<_> = (0..1000)
        .map(|number| {
            let mut stream = world.client().connect();
            stream.write_all(starts[number % 4].as_bytes()).unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(
            world.client().get("http://api.good.test/v1/items/1").status,
            200
        );
    }
    // Who has asked before is not taken for one of the crowd.
    kept.write_all(&get).unwrap();
    assert_eq!(read_answer(&mut kept, "GET").unwrap().status, 200);
    drop(crowd);
}

#[test]
fn l1_idle_tunnels_and_handshakes_make_room_as_well() {
    let stage = Stage::of(Plan::of(POLICY).connections(32));
    let client = stage.world.client();
    for kind in 0..3 {
        let mut crowd: Vec<Box<dyn Line>> = Vec::new();
        for _ in 0..64 {
            match kind {
                0 => crowd.push(Box::new(client.open("api.good.test:443", &[]).1)),
                1 => {
                    let mut tunnel = stage.open(Door::Tunnel);
                    tunnel.write_all(&Door::Tunnel.get("/v1/items/1")).unwrap();
                    assert_eq!(stage.answer(&mut tunnel, "GET").unwrap().status, 200);
                    crowd.push(tunnel);
                }
                _ => crowd.push(stage.open(Door::Proxy)),
            }
        }
        assert_eq!(
            client.get("http://api.good.test/v1/items/1").status,
            200,
            "{kind}"
        );
    }
}

#[test]
fn l1_the_other_listeners_are_kept_by_nobody() {
    let stage = Stage::of(Plan::of(POLICY).connections(64));
    let world = &stage.world;
    for listener in [world.tools(), world.admin()] {
        let crowd: Vec<_> = (0..600)
            .map(|number| {
                let mut stream = TcpStream::connect(listener).unwrap();
                let half = if number % 2 == 0 { "" } else { "GET /" };
                // It may have had to leave already.
                let _ = stream.write_all(half.as_bytes());
                stream
            })
            .collect();
        for _ in 0..20 {
            let page = if listener == world.admin() {
                "/healthz"
            } else {
                "/v1/actions"
            };
            let mut stream = TcpStream::connect(listener).unwrap();
            let get =
                format!("GET {page} HTTP/1.1\r\nHost: {listener}\r\nConnection: close\r\n\r\n");
            stream.write_all(get.as_bytes()).unwrap();
            assert_eq!(
                read_answer(&mut stream, "GET").unwrap().status,
                200,
                "{listener}"
            );
        }
        drop(crowd);
    }
}

/// Each failure to accept is told: that they are few for the time shows that nothing spins.
#[test]
fn l1_without_descriptors_it_waits_and_serves_again() {
    let mut apart = Apart::with_descriptors(128);
    let started = Instant::now();
    let crowd: Vec<TcpStream> = (0..600)
        .map(|_| TcpStream::connect(apart.started.proxy).unwrap())
        .collect();
    apart.started.says("could not be accepted");
    drop(crowd);
    assert_eq!(apart.get().status, 200);
    assert_eq!(apart.started.page("/healthz").status, 200);
    let most = 3 + 3 * started.elapsed().as_millis() / 50;
    apart.started.signal("-TERM");
    let (code, _, said) = apart.started.end();
    assert_eq!(code, Some(0), "{said}");
    let times = said.matches("could not be accepted").count() as u128;
    assert!(times <= most, "{times} in the time of {most}");
}

#[test]
fn l9_storms_of_connections_and_handshakes_leave_health_and_others_served() {
    let (_turn, _) = crowd(1_000);
    let apart = Apart::with(json_reply("{}"), &["--workers", "2"]);
    let mut kept = apart.started.connect();
    assert_eq!(Apart::get_on(&mut kept).status, 200);
    let before = apart.started.memory();
    let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (proxy, hello) = (apart.started.proxy, hello("tls.good.test"));
    let storm = |kind: usize| {
        while !is_over.load(Ordering::Relaxed) {
            let mut stream = TcpStream::connect(proxy).unwrap();
            let connect = "CONNECT tls.good.test:443 HTTP/1.1\r\nHost: tls.good.test:443\r\n\r\n";
            let bytes = match kind {
                0 => b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n".to_vec(),
                1 => [connect.as_bytes(), &hello].concat(),
                2 => [connect.as_bytes(), &hello[..40]].concat(),
                _ => Vec::new(),
            };
            let _ = stream.write_all(&bytes);
            // Some go without having waited, and some when they have been answered.
            if kind < 2 {
                let _ = stream.read(&mut [0; 4096]);
            }
            let _ = stream.shutdown(Shutdown::Both);
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for kind in 0..4 {
            scope.spawn(move || storm(kind));
        }
        let mut rounds = 0;
        while rounds < 30 || count.load(Ordering::Relaxed) < 4_000 {
            assert_eq!(apart.started.page("/healthz").status, 200);
            assert_eq!(Apart::get_on(&mut kept).status, 200);
            rounds += 1;
        }
        is_over.store(true, Ordering::Relaxed);
    });
    apart.is_well_after(before, 1_000 * IDLE);
}

/// A whole first message of TLS, which exeat has to answer with a signature.
pub(super) fn hello(host: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = host.to_owned().try_into().unwrap();
    let mut session = ClientConnection::new(config.into(), name).unwrap();
    let mut bytes = Vec::new();
    session.write_tls(&mut bytes).unwrap();
    bytes
}
