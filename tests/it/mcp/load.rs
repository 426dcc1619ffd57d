//! Many calls at once: all are answered, each has its record, and nothing is left of them.

use std::collections::HashSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{arrived, done, hanging};
use crate::world::{Plan, Revision, World, json_reply};

/// Of one client at once.
const CALLS: usize = 1000;

/// Idle connections that exeat keeps to one host.
const KEPT: usize = 64;

const POLICY: &str = r#"
version: 1
secrets: {bot_token: {env: BOT}}
actions:
  get_number:
    description: Returns the number that it is asked for.
    method: GET
    allow_http: true
    url: http://api.two.test/{{number}}
    parameters: {properties: {number: {type: integer}}, required: [number]}
agents:
  bot: {token: {secret: bot_token}, allow: ["*"]}
"#;

/// Each call has a socket at its client, two in exeat and one at its server; here all of them are in one process.
#[test]
fn a_thousand_calls_at_once_are_answered_and_leave_nothing() {
    exeat::app::raise_file_limit();
    for revision in [Revision::Handshake("2025-11-25"), Revision::Stateless] {
        let world = Plan::of(POLICY).secret("bot_token", "bot-secret").start();
        let upstream = hanging(&world);
        let arriving = std::thread::spawn(move || all_arrived(&upstream));
        let mut web = world.web(revision, "bot-secret");
        let calls: Vec<_> = (0..CALLS)
            .map(|number| web.send("tools/call", call(number)))
            .collect();
        // Nothing is answered before everything is there.
        let mut asked = arriving.join().unwrap();
        assert_eq!(in_flight(&world), CALLS);
        for (number, stream) in &mut asked {
            let body = format!(r#"{{"number":{number}}}"#);
            stream.write_all(&json_reply(&body)).unwrap();
        }
        for (number, (id, stream)) in calls.into_iter().enumerate() {
            let answer = web.receive(id, stream).pop().unwrap();
            assert_eq!(done(&answer)["body"], json!({"number": number}));
        }
        let records = world.records(CALLS);
        let ids: HashSet<_> = records.iter().map(|it| &it["request_id"]).collect();
        assert_eq!((records.len(), ids.len()), (CALLS, CALLS));
        assert!(
            records
                .iter()
                .all(|it| it["status"] == 200 && it["door"] == "mcp")
        );
        assert_eq!(in_flight(&world), 0);
        until_so_few_are_open(asked.into_iter().map(|(_, stream)| stream).collect());
    }
}

fn call(number: usize) -> serde_json::Value {
    json!({"name": "get_number", "arguments": {"number": number}})
}

/// The requests of all calls, with the number that each asks for.
fn all_arrived(upstream: &TcpListener) -> Vec<(usize, TcpStream)> {
    let arrive = |_| {
        let (head, stream) = arrived(upstream);
        let number = head
            .strip_prefix("GET /")
            .and_then(|it| it.split(' ').next());
        (number.unwrap().parse().unwrap(), stream)
    };
    (0..CALLS).map(arrive).collect()
}

fn in_flight(world: &World) -> usize {
    let written = world.everything_written();
    let gauge = "exeat_requests_in_flight{door=\"mcp\"} ";
    let line = written.lines().find_map(|it| it.strip_prefix(gauge));
    line.unwrap().parse().unwrap()
}

/// Waits until exeat has closed all connections but those that it keeps for what comes next.
fn until_so_few_are_open(mut open: Vec<TcpStream>) {
    let deadline = Instant::now() + Duration::from_secs(10);
    for stream in &open {
        stream.set_nonblocking(true).unwrap();
    }
    while open.len() > KEPT {
        assert!(Instant::now() < deadline, "{} are still open", open.len());
        let waits = |error: std::io::Error| error.kind() == ErrorKind::WouldBlock;
        open.retain_mut(|stream| stream.read(&mut [0]).is_err_and(waits));
        std::thread::yield_now();
    }
}
