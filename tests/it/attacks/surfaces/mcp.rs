//! Messages of MCP that are odd: batches, ids, methods, sizes, depths, heads.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::attacks::stage::Stage;
use crate::world::{Revision, read_answer};

/// What is no single message, and the code of JSON-RPC that says so.
fn unreadable() -> Vec<(String, i32)> {
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_item","arguments":{"id":"1"}}}"#;
    let deep = |open: &str, close: &str, depth: usize| {
        let (open, close) = (open.repeat(depth), close.repeat(depth));
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":{open}1{close}}}}}"#)
    };
    vec![
        (format!("[{call},{call}]"), -32600),
        (format!("[{call}]"), -32600),
        ("[]".into(), -32600),
        (format!("{call}{call}"), -32700),
        (format!("{call},"), -32700),
        (call.replace("\"id\":1,", "\"id\":1,\"id\":2,"), -32700),
        (
            call.replace("\"method\":", "\"METHOD\":\"ping\",\"method\":"),
            -32700,
        ),
        (call.replace("\"jsonrpc\":\"2.0\",", ""), -32600),
        (call.replace("2.0", "1.0"), -32600),
        (
            call.replace("\"jsonrpc\":\"2.0\"", "\"jsonrpc\":2.0"),
            -32600,
        ),
        (call.replace("\"id\":1", "\"id\":{}"), -32600),
        (call.replace("\"id\":1", "\"id\":[1]"), -32600),
        (call.replace("\"id\":1", "\"id\":true"), -32600),
        ("null".into(), -32600),
        ("\"tools/call\"".into(), -32600),
        ("7".into(), -32600),
        ("{".into(), -32700),
        ("\u{feff}{}".into(), -32700),
        (deep("[", "]", 200), -32700),
        (deep("{\"a\":", "}", 100_000), -32700),
        (deep("[", "]", 100_000), -32700),
    ]
}

#[test]
fn m9_what_is_not_one_message_is_refused_and_recorded_once() {
    let stage = Stage::usual();
    let world = &stage.world;
    let mut number = 0;
    for revision in Revision::ALL {
        let web = world.web(revision, "");
        let head = web.head(&json!({"method": "tools/call", "params": {"name": "get_item"}}));
        for (body, code) in unreadable() {
            let shown = &body[..body.len().min(120)];
            let mut stream = world.knock("POST", &head, &body);
            let answer = read_answer(&mut stream, "POST").unwrap();
            assert_eq!(answer.status, 400, "{shown}: {answer:?}");
            let told = answer.json();
            assert_eq!(told["error"]["code"], code, "{shown}");
            assert_eq!(told["id"], Value::Null, "{shown}");
            number += 1;
            let records = world.records(number);
            assert_eq!(records[number - 1]["code"], "request_malformed", "{shown}");
        }
    }
    assert_eq!(world.records(number).len(), number);
    world.assert_nothing_left();
}

#[test]
fn m9_over_a_pipe_as_well_and_the_next_line_is_served() {
    let stage = Stage::usual();
    let mut pipe = stage
        .world
        .pipe(Revision::Handshake("2025-11-25"), None, None);
    let mut number = 0;
    for (line, code) in unreadable() {
        pipe.write(&line);
        let answer = pipe.read();
        assert_eq!(
            answer["error"]["code"],
            code,
            "{}",
            &line[..line.len().min(120)]
        );
        number += 1;
        assert_eq!(
            stage.world.records(number)[number - 1]["code"],
            "request_malformed"
        );
    }
    assert_eq!(pipe.tools().len(), 4);
    stage.world.assert_nothing_left();
}

/// Ten megabytes are read where there is a message in them, and counted against the action's own limit.
#[test]
fn m9_a_long_message_is_judged_by_the_limit_of_its_action() {
    let stage = Stage::usual();
    let name = "x".repeat(10 << 20);
    let mut pipe = stage.world.pipe(Revision::Stateless, None, None);
    let answer = pipe.call("create_item", json!({"name": name, "qty": 1}));
    let code = &answer["result"]["structuredContent"]["error"]["code"];
    assert_eq!(code, "too_large");
    assert_eq!(pipe.tools().len(), 4);
    let mut web = stage.world.web(Revision::Stateless, "");
    let (_, mut stream) = {
        let params =
            json!({"name": "create_item", "arguments": {"name": "x".repeat(900_000), "qty": 1}});
        web.send("tools/call", params)
    };
    let answer = read_answer(&mut stream, "POST").unwrap();
    assert_eq!(
        answer.json()["result"]["structuredContent"]["error"]["code"],
        "parameter_invalid"
    );
    // Over HTTP the largest message is that of the policy.
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "x".repeat(2 << 20)}});
    let mut stream = TcpStream::connect(stage.world.tools()).unwrap();
    let head = web.head(&body).join("\r\n");
    let body = body.to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all((head + &body).as_bytes());
    let answer = read_answer(&mut stream, "POST").unwrap();
    assert_eq!((answer.status, answer.refusal()), (413, "too_large"));
    stage.world.assert_nothing_left();
}

#[test]
fn m9_each_message_with_the_same_id_is_a_call_of_its_own() {
    let stage = Stage::usual();
    let mut pipe = stage
        .world
        .pipe(Revision::Handshake("2025-11-25"), None, None);
    for id in [json!(7), json!(7), json!("7"), json!("7"), json!("")] {
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": "get_item", "arguments": {"id": "1"}}});
        pipe.write(&call.to_string());
        let answer = pipe.read();
        assert_eq!(answer["id"], id);
        assert_eq!(answer["result"]["isError"], false, "{answer}");
    }
    assert_eq!(stage.good.seen().len(), 5);
    assert_eq!(stage.world.records(5).len(), 5);
}

/// Nothing that asks for no answer does anything, and what is no method is told so.
#[test]
fn m9_notifications_call_nothing_and_unknown_methods_are_none() {
    let stage = Stage::usual();
    for revision in Revision::ALL {
        let mut pipe = stage.world.pipe(revision, None, None);
        assert_eq!(pipe.tools().len(), 4);
        for method in [
            "tools/call",
            "tools/list",
            "ping",
            "initialize",
            "notifications/nothing",
        ] {
            let note = json!({"jsonrpc": "2.0", "method": method,
                "params": {"name": "get_item", "arguments": {"id": "1"}, "_meta": revision.meta()}});
            pipe.write(&note.to_string());
        }
        for method in [
            "tools/destroy",
            "Tools/Call",
            "tools/call ",
            "",
            "rpc.discover",
            "admin/reload",
            "tools\u{2f}\u{200b}call",
        ] {
            let answer = pipe.request(
                method,
                json!({"name": "get_item", "arguments": {"id": "1"}}),
            );
            assert_eq!(answer["error"]["code"], -32601, "{method:?}: {answer}");
        }
        assert_eq!(pipe.tools().len(), 4);
        pipe.close();
    }
    assert!(stage.seen().is_empty());
    stage.world.assert_nothing_left();
}

/// What rmcp refuses for its head alone is told in JSON, quotes nothing, and is recorded.
#[test]
fn m9_a_head_that_is_not_one_of_mcp_is_told_in_json_and_recorded() {
    let stage = Stage::usual();
    let world = &stage.world;
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    let mut number = 0;
    for revision in Revision::ALL {
        let web = world.web(revision, "");
        let head = web.head(&json!({"method": "ping"}));
        let with = |line: &str, instead: &str| -> Vec<String> {
            let kept = head.iter().filter(|it| !it.starts_with(line));
            kept.cloned().chain([instead.to_owned()]).collect()
        };
        for (head, status) in [
            (with("Accept:", "Accept: text/html"), 406),
            (with("Accept:", "Accept: application/json"), 406),
            (with("Accept:", "X: y"), 406),
            (
                with(
                    "MCP-Protocol-Version:",
                    "MCP-Protocol-Version: 1999-01-01-evil",
                ),
                400,
            ),
            (
                with("MCP-Protocol-Version:", "MCP-Protocol-Version: ../../evil"),
                400,
            ),
        ] {
            let mut stream = world.knock("POST", &head, &ping);
            let answer = read_answer(&mut stream, "POST").unwrap();
            assert_eq!(answer.status, status, "{head:?}: {answer:?}");
            assert_eq!(
                answer.header("content-type"),
                Some("application/json"),
                "{answer:?}"
            );
            assert!(answer.json()["error"]["code"].is_i64(), "{answer:?}");
            assert!(!answer.text().contains("evil"), "{answer:?}");
            number += 1;
            let records = world.records(number);
            assert_eq!(records[number - 1]["code"], "request_malformed", "{head:?}");
            assert_eq!(records.len(), number, "{head:?}");
        }
    }
    world.assert_nothing_left();
}
