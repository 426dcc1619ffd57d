//! One terminal record for every request, however it ends.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use crate::world::{Reply, Then, World, json_reply, read_answer, read_head};

const GET: &str = "GET http://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n";

#[test]
fn as_many_requests_as_records() {
    let mut world = World::usual();
    world.origin("api.good.test", |_| json_reply("{}"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut stream = world.client().connect();
                for _ in 0..10 {
                    stream.write_all(GET.as_bytes()).unwrap();
                    assert_eq!(read_answer(&mut stream, "GET").unwrap().status, 200);
                    let evil = GET.replace("api.good", "evil");
                    stream.write_all(evil.as_bytes()).unwrap();
                    assert_eq!(read_answer(&mut stream, "GET").unwrap().status, 403);
                }
            });
        }
    });
    let records = world.last_records();
    assert_eq!(records.len(), 160);
    let mut ids: Vec<&str> = records
        .iter()
        .map(|it| it["request_id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 160);
    let numbers: Vec<u64> = records
        .iter()
        .map(|it| it["seq"].as_u64().unwrap())
        .collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    let allowed = records.iter().filter(|it| it["end"] == "complete").count();
    assert_eq!(allowed, 80);
}

#[test]
fn requests_that_the_end_of_exeat_cuts_off() {
    let mut world = World::usual();
    let (arrived, arrival) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (arrived, released) = (Mutex::new(arrived), Mutex::new(released));
    world.origin("api.good.test", move |seen| {
        if seen.line().contains("/half") {
            let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal\n";
            return Reply::and(half, Then::Stay);
        }
        arrived.lock().unwrap().send(()).unwrap();
        let _ = released
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        json_reply("{}").into()
    });
    let mut waiting = world.client().connect();
    waiting.write_all(GET.as_bytes()).unwrap();
    arrival.recv().unwrap();
    let mut reading = world.client().connect();
    let half = GET.replace("/1 ", "/half ");
    reading.write_all(half.as_bytes()).unwrap();
    read_head(&mut reading).unwrap();
    reading.read_exact(&mut [0; 4]).unwrap();
    let mut sending = world.client().connect();
    let post = "POST http://api.good.test/v1/items HTTP/1.1\r\nHost: api.good.test\r\n\
                Content-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    sending.write_all(post.as_bytes()).unwrap();
    read_head(&mut sending).unwrap();
    let records = world.last_records();
    drop(release);
    let mut ends: Vec<&str> = records
        .iter()
        .map(|it| it["end"].as_str().unwrap())
        .collect();
    ends.sort_unstable();
    assert_eq!(ends, ["abandoned", "abandoned", "stopped"], "{records:#?}");
}

#[test]
fn a_connection_without_a_byte_is_no_request() {
    let mut world = World::usual();
    for _ in 0..3 {
        let stream = world.client().connect();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut stream = stream;
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    assert_eq!(world.last_records().len(), 0);
}

#[test]
fn a_tunnel_with_requests_has_their_records_and_none_of_its_own() {
    let mut world = World::usual();
    world.origin("api.good.test", |_| json_reply("{}"));
    let mut tunnel = world.client().tunnel("api.good.test");
    for path in ["/v1/items/1", "/admin", "/v1/items/2"] {
        write!(tunnel, "GET {path} HTTP/1.1\r\nHost: api.good.test\r\n\r\n").unwrap();
        read_answer(&mut tunnel, "GET").unwrap();
    }
    drop(tunnel);
    let records = world.last_records();
    let methods: Vec<_> = records
        .iter()
        .map(|it| it["method"].as_str().unwrap())
        .collect();
    assert_eq!(methods, ["GET"; 3]);
    assert!(records.iter().all(|it| it["tls"] == "1.3"));
}
