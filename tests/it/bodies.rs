//! What a request carries: parameters that are checked and written anew, or bytes that are passed on under a cap.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::world::{Answer, Plan, World, json_reply, read_answer};

const POLICY: &str = r#"
version: 1
actions:
  upload:
    description: Takes a file of any kind.
    method: POST
    url: http://files.good.test/upload
    allow_http: true
    accept_body: any
    max_request_bytes: 16
  upload_image:
    description: Takes an image.
    method: PUT
    url: http://files.good.test/image
    allow_http: true
    accept_body: any
    content_types: [image/png, image/jpeg]
  order:
    description: Takes an order with its lines.
    method: POST
    url: https://api.good.test/orders
    max_request_bytes: 300
    parameters:
      properties:
        customer:
          type: object
          properties: {name: {type: string}, vip: {type: boolean, default: false}}
          required: [name]
        lines:
          type: array
          items: {type: object, properties: {sku: {type: string}, count: {type: integer}}, required: [sku]}
      required: [customer, lines]
  rename:
    description: Gives an item a name.
    method: PATCH
    url: https://api.good.test/items/{{id}}
    content_types: [application/x-www-form-urlencoded]
    query: {dry: "{{dry}}"}
    parameters:
      properties: {id: {type: string}, name: {type: string}, tags: {type: array, items: {type: string}}, dry: {type: boolean}}
      required: [id, name]
  patch:
    description: Changes an item by a merge patch.
    method: PATCH
    url: https://api.good.test/patches/{{id}}
    content_types: [application/merge-patch+json]
    parameters: {properties: {id: {type: string}, name: {type: string}}, required: [id]}
  wire:
    description: Takes exactly this JSON.
    method: POST
    url: https://api.good.test/wire
    accept_body: {type: object, properties: {op: {enum: [add]}, n: {type: integer}}, required: [op]}
  loose:
    description: Takes any JSON members.
    method: POST
    url: https://api.good.test/loose
    parameters: {properties: {qty: {type: integer}}, additionalProperties: true}
  start:
    description: Starts a run, without parameters.
    method: POST
    url: https://api.good.test/start
"#;

const JSON: &str = "Content-Type: application/json";

fn world() -> World {
    let world = Plan::of(POLICY).start();
    world.resolve("files.good.test", &["203.0.114.40"]);
    world
}

/// An origin of one connection, whose bytes a test reads as they come.
struct Wire(TcpListener);

impl Wire {
    fn of(world: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        world.lead("files.good.test", 80, listener.local_addr().unwrap());
        Self(listener)
    }

    fn accept(&self) -> TcpStream {
        let (stream, _) = self.0.accept().unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        stream
    }
}

/// Reads until what came ends with these bytes.
fn read_until(stream: &mut impl Read, end: &str) -> String {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !seen.ends_with(end.as_bytes()) {
        stream.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    String::from_utf8(seen).unwrap()
}

#[test]
fn a_body_of_any_kind_arrives_while_it_is_still_being_sent() {
    for (framing, first, last) in [
        ("Content-Length: 10", "first", "-last"),
        (
            "Transfer-Encoding: chunked",
            "5\r\nfirst\r\n",
            "5\r\n-last\r\n0\r\n\r\n",
        ),
    ] {
        let world = world();
        let wire = Wire::of(&world);
        let mut client = world.client().connect();
        write!(
            client,
            "POST http://files.good.test/upload HTTP/1.1\r\nHost: files.good.test\r\n\
             Content-Type: application/x-thing; v=1\r\nContent-Encoding: gzip\r\n{framing}\r\n\r\n{first}"
        )
        .unwrap();
        let mut origin = wire.accept();
        // The client's last byte is sent only after its first bytes have arrived.
        let head = read_until(&mut origin, "first").to_ascii_lowercase();
        assert!(
            head.contains("\r\ncontent-type: application/x-thing; v=1\r\n"),
            "{head}"
        );
        assert!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
        client.write_all(last.as_bytes()).unwrap();
        read_until(&mut origin, "-last");
        origin.write_all(&json_reply("{}")).unwrap();
        assert_eq!(read_answer(&mut client, "POST").unwrap().status, 200);
        let record = world.record();
        assert_eq!(record["body"], "unread");
        assert_eq!(record["bytes_in"], 10);
    }
}

#[test]
fn only_a_request_whose_head_was_accepted_is_asked_to_continue() {
    let world = world();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let body = r#"{"qty":1}"#;
    let mut client = world.client().connect();
    write!(
        client,
        "POST http://api.good.test/loose HTTP/1.1\r\nHost: api.good.test\r\n{JSON}\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    assert_eq!(
        read_until(&mut client, "\r\n\r\n"),
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    client.write_all(body.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut client, "POST").unwrap().status, 200);
    assert_eq!(origin.only().header("expect"), [""; 0]);

    for target in ["api.good.test/nothing", "evil.test/loose"] {
        let host = target.split('/').next().unwrap();
        let answer = world.client().raw(&format!(
            "POST http://{target} HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
        ));
        assert_eq!(answer.status, 403, "{answer:?}");
    }
}

fn send(world: &World, method: &str, path: &str, kind: &str, body: &str) -> Answer {
    let url = format!("http://api.good.test{path}");
    let headers = if kind.is_empty() { vec![] } else { vec![kind] };
    world.client().send(method, &url, &headers, body)
}

#[test]
fn a_checked_body_is_written_anew_in_the_order_of_its_schema() {
    let form = "Content-Type: application/x-www-form-urlencoded";
    let merge = "Content-Type: application/merge-patch+json";
    for (method, path, kind, body, kind_sent, sent) in [
        (
            "POST",
            "/orders",
            JSON,
            r#" {"lines":[{"count":2,"sku":"\u0061"}],"customer":{"name":"B"}} "#,
            "application/json",
            r#"{"customer":{"name":"B","vip":false},"lines":[{"sku":"a","count":2}]}"#,
        ),
        (
            "PATCH",
            "/items/7?dry=true",
            form,
            "tags=a%2Bb&name=x+y&tags=%C3%A9",
            "application/x-www-form-urlencoded",
            "name=x%20y&tags=a%2Bb&tags=%C3%A9",
        ),
        (
            "PATCH",
            "/patches/7",
            merge,
            r#"{"name":"n"}"#,
            "application/merge-patch+json",
            r#"{"name":"n"}"#,
        ),
        (
            "POST",
            "/wire",
            JSON,
            r#"{"n": 1, "op":"add"}"#,
            "application/json",
            r#"{"op":"add","n":1}"#,
        ),
        (
            "POST",
            "/loose",
            JSON,
            r#"{"z":[1,{"b":2,"a":1}],"qty":1,"a":null}"#,
            "application/json",
            r#"{"qty":1,"a":null,"z":[1,{"a":1,"b":2}]}"#,
        ),
    ] {
        let world = world();
        let origin = world.origin("api.good.test", |_| json_reply("{}"));
        let answer = send(&world, method, path, kind, body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let seen = origin.only();
        assert_eq!(seen.line(), format!("{method} {path} HTTP/1.1"));
        assert_eq!(seen.header("content-type"), [kind_sent], "{path}");
        assert_eq!(seen.text(), sent, "{path}");
    }
}

#[test]
fn a_body_that_was_not_declared_goes_nowhere() {
    let merge = "Content-Type: application/merge-patch+json";
    let form = "Content-Type: application/x-www-form-urlencoded";
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let wide = "a".repeat(200);
    for (method, path, kind, body, expected) in [
        (
            "POST",
            "/orders",
            JSON,
            r#"{"customer":{"name":"B","Name":"C"},"lines":[]}"#,
            "parameter_duplicate",
        ),
        (
            "POST",
            "/orders",
            JSON,
            r#"{"customer":{"name":"B","admin":1},"lines":[]}"#,
            "parameter_undeclared",
        ),
        (
            "POST",
            "/orders",
            JSON,
            r#"{"customer":{"name":"B"},"lines":[{"sku":"a","x":1}]}"#,
            "parameter_undeclared",
        ),
        (
            "POST",
            "/orders",
            JSON,
            r#"{"customer":{"name":"B"},"lines":[{}]}"#,
            "parameter_missing",
        ),
        (
            "POST",
            "/orders",
            JSON,
            r#"{"customer":{"name":"\ud800"},"lines":[]}"#,
            "parameter_invalid",
        ),
        (
            "POST",
            "/orders",
            JSON,
            "{\"customer\":{\"name\":\"\\u0000\"},\"lines\":[]}",
            "parameter_invalid",
        ),
        (
            "POST",
            "/orders",
            JSON,
            "\u{feff}{}",
            "content_type_refused",
        ),
        (
            "POST",
            "/orders",
            form,
            "customer=1&lines=1",
            "content_type_refused",
        ),
        (
            "POST",
            "/orders",
            "",
            r#"{"customer":{"name":"B"},"lines":[]}"#,
            "content_type_refused",
        ),
        (
            "POST",
            "/orders",
            "Content-Type: multipart/form-data; boundary=x",
            "--x--",
            "content_type_refused",
        ),
        (
            "POST",
            "/orders",
            "Content-Type: application/json; charset=utf-16",
            "{}",
            "content_type_refused",
        ),
        (
            "POST",
            "/orders",
            "Content-Type: application/json\r\nContent-Type: application/json",
            "{}",
            "request_malformed",
        ),
        (
            "POST",
            "/orders",
            "Content-Type: application/json\r\nContent-Encoding: gzip",
            "{}",
            "content_type_refused",
        ),
        (
            "PATCH",
            "/items/7",
            JSON,
            r#"{"name":"x"}"#,
            "content_type_refused",
        ),
        (
            "PATCH",
            "/items/7",
            form,
            "name=x&id=8",
            "parameter_undeclared",
        ),
        (
            "PATCH",
            "/items/7",
            form,
            "name=x&dry=true",
            "parameter_undeclared",
        ),
        (
            "PATCH",
            "/items/7?name=x",
            form,
            "name=x",
            "parameter_undeclared",
        ),
        (
            "PATCH",
            "/items/7",
            form,
            "name=x&Name=y",
            "parameter_duplicate",
        ),
        ("PATCH", "/items/7", form, "name=x;id=8", "body_unexpected"),
        ("PATCH", "/items/7", form, "name=%zz", "body_unexpected"),
        (
            "PATCH",
            "/patches/7",
            merge,
            r#"{"id":"8"}"#,
            "parameter_undeclared",
        ),
        (
            "POST",
            "/wire",
            JSON,
            r#"{"op":"del"}"#,
            "parameter_invalid",
        ),
        (
            "POST",
            "/wire",
            JSON,
            r#"{"op":"add","x":1}"#,
            "parameter_undeclared",
        ),
        (
            "POST",
            "/wire",
            "Content-Type: application/merge-patch+json",
            r#"{"op":"add"}"#,
            "content_type_refused",
        ),
        (
            "POST",
            "/loose",
            JSON,
            r#"{"qty":1,"Qty":9}"#,
            "parameter_duplicate",
        ),
        (
            "POST",
            "/loose",
            JSON,
            r#"{"Qty":9}"#,
            "parameter_undeclared",
        ),
        (
            "POST",
            "/loose",
            JSON,
            r#"{"x":1,"X":9}"#,
            "parameter_duplicate",
        ),
        ("POST", "/loose", JSON, &deep, "body_unexpected"),
        ("POST", "/loose?x=1", JSON, "{}", "parameter_undeclared"),
        ("POST", "/start", JSON, "{}", "body_unexpected"),
        (
            "POST",
            "/start",
            "Content-Type: text/plain",
            &wide,
            "body_unexpected",
        ),
        ("POST", "/start?x=1", "", "", "parameter_undeclared"),
    ] {
        let world = world();
        let answer = send(&world, method, path, kind, body);
        let shown = &body[..body.len().min(80)];
        let told = answer.text();
        assert_eq!(answer.refusal(), expected, "{path} {kind} {shown}: {told}");
        world.assert_nothing_left();
    }
}

#[test]
fn a_post_without_parameters_has_an_empty_body() {
    let world = world();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    assert_eq!(send(&world, "POST", "/start", "", "").status, 200);
    let seen = origin.only();
    assert_eq!(
        (seen.header("content-length"), seen.text()),
        (vec!["0"], "")
    );
}

#[test]
fn an_unread_body_has_one_declared_media_type() {
    for (kind, expected) in [
        ("Content-Type: image/png", (200, "none")),
        ("Content-Type: image/PNG", (200, "none")),
        ("Content-Type: text/html", (415, "content_type_refused")),
        ("", (415, "content_type_refused")),
        (
            "Content-Type: image/png\r\nContent-Type: text/html",
            (400, "request_malformed"),
        ),
    ] {
        let world = world();
        let origin = world.plain_origin("files.good.test", 80, |_| json_reply("{}"));
        let url = "http://files.good.test/image";
        let headers = if kind.is_empty() { vec![] } else { vec![kind] };
        let answer = world.client().send("PUT", url, &headers, "bytes");
        assert_eq!((answer.status, answer.refusal()), expected, "{kind}");
        assert_eq!(origin.seen().len(), usize::from(answer.status == 200));
    }
}
