//! Clients that read slowly, or not at all.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use exeat::proxy::ClientLimits;

use super::{Apart, MIB, crowd};
use crate::attacks::stage::{POLICY, Stage};
use crate::world::{Plan, World, json_reply, read_head};

/// What a reply on its way may hold in memory, after the documentation and twice.
const ON_ITS_WAY: usize = 2 * 512 * 1024;

#[test]
fn l4_readers_of_a_byte_at_a_time_hold_a_bounded_piece_of_their_replies() {
    let (_turn, most) = crowd(400);
    let apart = Apart::with(json_reply(&"x".repeat(8 * MIB)), &["--workers", "2"]);
    let clients = most / 2;
    let before = apart.started.memory();
    let get = "GET http://api.good.test/item HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
    let mut slow: Vec<TcpStream> = (0..clients)
        .map(|_| {
            let mut stream = apart.started.connect();
            stream.write_all(get.as_bytes()).unwrap();
            stream
        })
        .collect();
    for stream in &mut slow {
        assert_eq!(read_head(stream).unwrap().status, 200);
    }
    for _ in 0..5 {
        for stream in &mut slow {
            stream.read_exact(&mut [0]).unwrap();
        }
        assert_eq!(apart.started.page("/healthz").status, 200);
    }
    drop(slow);
    apart.is_well_after(before, clients * ON_ITS_WAY);
}

fn world_without_patience(bytes: usize) -> Stage {
    let clients = ClientLimits {
        write_stall: Duration::from_millis(50),
        ..ClientLimits::default()
    };
    let policy = POLICY.replace("stream: true", "stream: true\n    max_response_bytes: 1GiB");
    let mut stage = Stage::of(Plan::of(&policy).clients(clients));
    let body = "x".repeat(bytes);
    stage.good = stage.world.origin("api.good.test", move |seen| {
        match seen.line().contains("/stream") {
            true => json_reply(&body),
            false => json_reply("{}"),
        }
    });
    stage
}

fn ask(world: &World) -> TcpStream {
    let mut stream = world.client().connect();
    let get = "GET http://api.good.test/v1/stream HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
    stream.write_all(get.as_bytes()).unwrap();
    stream
}

/// A stream says that it has begun; this is its end.
fn end(stage: &Stage) -> serde_json::Value {
    let is_end = |it: &serde_json::Value| it["action"] == "stream" && it["event"] != "opened";
    loop {
        if let Some(record) = stage.world.records(0).into_iter().find(is_end) {
            return record;
        }
        std::thread::yield_now();
    }
}

#[test]
fn l4_an_answer_that_nobody_reads_is_given_up() {
    let stage = world_without_patience(64 * MIB);
    let _unread = ask(&stage.world);
    assert_eq!(end(&stage)["end"], "aborted");
}

/// Between two bytes somebody else is served.
#[test]
fn l4_a_byte_now_and_then_is_no_reading() {
    let stage = world_without_patience(64 * MIB);
    let mut slow = ask(&stage.world);
    let ended = || {
        let records = stage.world.records(0);
        records.into_iter().any(|it| it["end"] == "aborted")
    };
    while !ended() {
        let other = stage.world.client().get("http://api.good.test/v1/items/1");
        assert_eq!(other.status, 200);
        slow.read_exact(&mut [0]).unwrap();
    }
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(rest.len() < 64 * MIB, "it was not whole");
}
