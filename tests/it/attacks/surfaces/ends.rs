//! Clients of MCP that do not read, or do not wait.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use exeat::proxy::ClientLimits;
use serde_json::json;

use crate::attacks::stage::{POLICY, Stage};
use crate::world::{Plan, Revision, World, json_reply, read_head};

/// More than two sockets hold.
const LARGE: usize = 10 << 20;

#[test]
fn m15_a_client_that_does_not_read_its_result_loses_the_connection() {
    let clients = ClientLimits {
        write_stall: Duration::from_millis(100),
        ..ClientLimits::default()
    };
    let large = "    auth: good\n    max_response_bytes: 64MiB\n    parameters:\n      properties:\n        id:";
    let usual = "    auth: good\n    parameters:\n      properties:\n        id:";
    let policy = POLICY.replace(usual, large);
    assert_ne!(policy, POLICY);
    let mut stage = Stage::of(Plan::of(&policy).clients(clients));
    let reply = format!(r#"{{"text":"{}"}}"#, "x".repeat(LARGE));
    stage.good = stage
        .world
        .origin("api.good.test", move |_| json_reply(&reply));
    for revision in Revision::ALL {
        let mut web = stage.world.web(revision, "");
        let call = json!({"name": "get_item", "arguments": {"id": "1"}});
        let (_, mut stream) = web.send("tools/call", call);
        read_head(&mut stream).unwrap();
        // Somebody else is served meanwhile.
        assert_eq!(
            stage.world.tool("GET", "/v1/openapi.json", "", None).status,
            200
        );
        let deadline = Instant::now() + Duration::from_secs(20);
        while is_open(&stage.world) > 0 {
            assert!(Instant::now() < deadline, "it is still open");
            std::thread::yield_now();
        }
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        // As text and as a value.
        assert!(rest.len() < 2 * LARGE, "it was not whole");
    }
}

/// Connections of the tools listener.
fn is_open(world: &World) -> usize {
    let written = world.everything_written();
    let name = "exeat_connections_open{listener=\"tools\"} ";
    let line = written.lines().find_map(|it| it.strip_prefix(name));
    line.unwrap().parse().unwrap()
}

/// Of many changes a client that was busy hears that there were some: there is no queue of them.
#[test]
fn m15_what_a_listener_has_not_heard_does_not_pile_up() {
    for revision in Revision::ALL {
        let stage = Stage::usual();
        let mut web = stage.world.web(revision, "");
        let mut events = web.listen();
        if revision == Revision::Stateless {
            events.next();
        }
        let changed = POLICY.replace("Returns one item", "Shows one item");
        for number in 0..200 {
            stage
                .world
                .reload(if number % 2 == 0 { &changed } else { POLICY });
        }
        assert_eq!(events.next()["method"], "notifications/tools/list_changed");
        assert_eq!(web.tools().len(), 4);
    }
}

const WITH_SLOW: &str = "  slow:
    description: Takes its time to answer.
    method: POST
    allow_http: true
    url: http://slow.test/
    parameters: {properties: {text: {type: string}}, required: [text]}
";

/// A world with a server that answers nothing, and where its requests arrive.
fn hanging() -> (Stage, TcpListener) {
    let policy = format!("{POLICY}{WITH_SLOW}");
    let stage = Stage::of(Plan::of(&policy));
    stage.world.resolve("slow.test", &["203.0.114.50"]);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    stage
        .world
        .lead("slow.test", 80, server.local_addr().unwrap());
    (stage, server)
}

/// A request that has arrived whole.
fn arrived(server: &TcpListener) -> TcpStream {
    let (mut stream, _) = server.accept().unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"}") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    stream
}

/// Its connection ends without anybody having answered, and one record says so, with what the client had sent.
fn is_given_up(stage: &Stage, mut asked: TcpStream, bytes: usize) {
    let _ = asked.read_to_end(&mut Vec::new());
    let record = stage.world.record();
    assert_eq!(record["end"], "abandoned", "{record}");
    assert_eq!(record["action"], "slow");
    assert_eq!(record["decision"], "allowed");
    assert_eq!(record["bytes_in"], bytes, "{record}");
}

#[test]
fn m16_a_call_that_is_cancelled_takes_its_request_with_it() {
    let arguments = json!({"text": "x".repeat(1000)});
    let bytes = arguments.to_string().len();
    for revision in Revision::ALL {
        let (stage, server) = hanging();
        let mut pipe = stage.world.pipe(revision, None, None);
        let id = pipe.send(
            "tools/call",
            json!({"name": "slow", "arguments": arguments}),
        );
        let asked = arrived(&server);
        let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        pipe.write(&note.to_string());
        is_given_up(&stage, asked, bytes);
        assert_eq!(
            pipe.tools().len(),
            5,
            "nothing comes for what was cancelled"
        );
    }
}

#[test]
fn m16_a_client_that_closes_its_socket_takes_its_request_along() {
    let arguments = json!({"text": "x".repeat(1000)});
    let bytes = arguments.to_string().len();
    for revision in Revision::ALL {
        for how in [Shutdown::Both, Shutdown::Write] {
            let (stage, server) = hanging();
            let mut web = stage.world.web(revision, "");
            let (_, stream) = web.send(
                "tools/call",
                json!({"name": "slow", "arguments": arguments}),
            );
            let asked = arrived(&server);
            stream.shutdown(how).unwrap();
            is_given_up(&stage, asked, bytes);
        }
    }
    let (stage, server) = hanging();
    let body = json!({"parameters": arguments}).to_string();
    let tools = stage.world.tools();
    let mut stream = TcpStream::connect(tools).unwrap();
    let head = format!(
        "POST /v1/actions/slow HTTP/1.1\r\nHost: {tools}\r\nContent-Type: application/json"
    );
    write!(
        stream,
        "{head}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let asked = arrived(&server);
    drop(stream);
    is_given_up(&stage, asked, bytes);
}

/// Another agent's call, or one that is over, cannot be cancelled; and a note about none is none.
#[test]
fn m16_only_the_clients_own_call_is_cancelled() {
    let (stage, server) = hanging();
    let latest = Revision::Handshake("2025-11-25");
    let mut own = stage.world.pipe(latest, None, None);
    let mut other = stage.world.pipe(latest, None, None);
    let id = own.send(
        "tools/call",
        json!({"name": "slow", "arguments": {"text": "a"}}),
    );
    let mut asked = arrived(&server);
    for requests in [json!(id), json!("1"), json!(99)] {
        let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": requests}});
        other.write(&note.to_string());
    }
    // Answered after them.
    assert_eq!(other.tools().len(), 5);
    asked.write_all(&json_reply("{}")).unwrap();
    let answer = own.read();
    assert_eq!(answer["id"], id);
    assert_eq!(answer["result"]["isError"], false, "{answer}");
}
