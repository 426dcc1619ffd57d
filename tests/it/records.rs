//! One terminal record for every request, however it ends.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use crate::world::{POLICY, Plan, Reply, Then, World, json_reply, read_answer, read_head};

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
fn a_client_that_leaves_before_the_reply() {
    let mut world = World::usual();
    let (arrived, arrival) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (arrived, released) = (Mutex::new(arrived), Mutex::new(released));
    world.origin("api.good.test", move |_| {
        arrived.lock().unwrap().send(()).unwrap();
        let _ = released
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        json_reply("{}")
    });
    let mut stream = world.client().connect();
    stream.write_all(GET.as_bytes()).unwrap();
    arrival.recv().unwrap();
    drop(stream);
    let record = world.record();
    assert_eq!(
        (&record["end"], &record["decision"]),
        (&"abandoned".into(), &"allowed".into())
    );
    assert_eq!(record["action"], "get_item");
    drop(release);
    assert_eq!(world.last_records().len(), 1);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_the_reply() {
    let mut world = World::usual();
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal\n";
    world.origin("api.good.test", move |_| Vec::from(half));
    let mut stream = world.client().connect();
    stream.write_all(GET.as_bytes()).unwrap();
    read_head(&mut stream).unwrap();
    let mut body = [0; 4];
    stream.read_exact(&mut body).unwrap();
    drop(stream);
    let record = world.record();
    assert_eq!(
        (&record["end"], &record["status"]),
        (&"aborted".into(), &200.into())
    );
    assert_eq!(record["bytes_out"], 4);
    assert_eq!(world.last_records().len(), 1);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_request() {
    let head = "POST http://api.good.test/v1/items HTTP/1.1\r\nHost: api.good.test\r\n\
                Content-Type: application/json\r\n";
    for bytes in [
        "GET http://api.good.test/v1/it".to_owned(),
        GET[..GET.len() - 1].to_owned(),
        format!("{head}Content-Length: 100\r\n\r\n{{"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{{"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n0\r\n"),
    ] {
        let mut world = World::usual();
        let mut stream = world.client().connect();
        stream.write_all(bytes.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let record = world.record();
        assert_eq!(record["code"], "client_gone", "{bytes:?}: {record}");
        world.assert_nothing_left();
        drop(stream);
        assert_eq!(world.last_records().len(), 1, "{bytes:?}");
    }
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
fn a_tunnel_that_comes_to_nothing() {
    for (bytes, decision) in [
        (&b""[..], "failed"),
        (b"\x16", "failed"),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "failed"),
        (b"junk", "refused"),
    ] {
        let mut world = World::usual();
        let (answer, mut stream) = world.client().open("api.good.test:443", &[]);
        assert_eq!(answer.status, 200);
        stream.write_all(bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let record = world.record();
        assert_eq!(
            (&record["decision"], &record["method"]),
            (&decision.into(), &"CONNECT".into())
        );
        drop(stream);
        assert_eq!(world.last_records().len(), 1, "{bytes:x?}");
    }
}

#[test]
fn a_tunnel_whose_client_does_not_trust_us_says_so() {
    let mut world = World::usual();
    let stranger = world.client().trusting(&rustls::RootCertStore::empty());
    let (_, mut stream) = stranger.open("api.good.test:443", &[]);
    let mut session = stranger.session("api.good.test", &[]);
    assert!(session.complete_io(&mut stream).is_err());
    drop(stream);
    assert_eq!(world.record()["detail"], "client_alert=unknown_ca");
    assert_eq!(world.last_records().len(), 1);
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

#[test]
fn a_record_is_one_line_whatever_a_client_sends() {
    let mut world = World::usual();
    let client = world.client();
    for line in [
        "GET http://api.good.test/v1/%22%7D%0A%7B%22decision%22:%22allowed%22 HTTP/1.1",
        "GET http://api.good.test/admin?%0A%7B%22=1&%E2%80%A8=2&\"}{\"=3 HTTP/1.1",
        "}{'\"$%HACK http://api.good.test/ HTTP/1.1",
        "!#$%&'*+-.^`|~ http://api.good.test/v1/items/1 HTTP/1.1",
    ] {
        let request = format!("{line}\r\nHost: api.good.test\r\nX-\"Y: \"}}\r\n\r\n");
        let _ = client.try_raw(request.as_bytes());
    }
    let records = world.last_records();
    assert_eq!(records.len(), 4);
    assert!(
        records.iter().all(|it| it["decision"] == "refused"),
        "{records:#?}"
    );
}

#[test]
fn what_an_agent_sends_as_a_credential_is_in_no_record() {
    let mut world = Plan::of(POLICY).start();
    world.origin("api.good.test", |_| Reply::and("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"SECRET-AAAA\"\r\nContent-Length: 0\r\n\r\n", Then::Stay));
    let client = world.client();
    let lines = [
        "Authorization: Bearer TOPSECRET",
        "Cookie: a=TOPSECRET",
        "X-Api-Key: TOPSECRET",
    ];
    client.send("GET", "http://api.good.test/v1/items/1", &lines, "");
    client.send(
        "GET",
        "http://api.good.test/v1/items/1?token=TOPSECRET",
        &lines,
        "",
    );
    client.send(
        "GET",
        "http://evil.test/TOPSECRET?token=TOPSECRET",
        &lines,
        "",
    );
    client.send("GET", "http://api.two.test/me?key=TOPSECRET", &lines, "");
    client.send(
        "POST",
        "http://api.good.test/v1/items",
        &["Content-Type: application/json"],
        r#"{"name":"TOPSECRET"}"#,
    );
    let written = world.everything_written();
    assert!(!written.contains("TOPSECRET"), "{written}");
    assert_eq!(world.last_records().len(), 5);
}
