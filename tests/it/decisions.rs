//! From the head of a request to what the origin saw, or to a refusal that left no trace outside.

use std::io::Write as _;

use crate::world::{POLICY, Plan, World, json_reply, read_answer, rest};

#[test]
fn an_allowed_request_arrives_with_our_credential_and_no_other() {
    let world = World::usual();
    let origin = world.origin("api.good.test", |_| json_reply(r#"{"id":"7"}"#));
    let answer = world.client().send(
        "GET",
        "http://api.good.test/v1/items/7?fields=name",
        &["Authorization: Bearer ATTACKER", "X-Forwarded-For: 1.2.3.4"],
        "",
    );
    assert_eq!((answer.status, answer.text()), (200, r#"{"id":"7"}"#));
    let seen = origin.only();
    assert_eq!(seen.line(), "GET /v1/items/7?fields=name HTTP/1.1");
    assert_eq!(seen.header("host"), ["api.good.test"]);
    assert_eq!(seen.header("authorization"), ["Bearer SECRET-AAAA"]);
    assert_eq!(seen.header("x-forwarded-for"), [""; 0]);
    let record = world.record();
    assert_eq!(record["decision"], "allowed");
    assert_eq!(record["action"], "get_item");
    assert_eq!(record["path"], "/v1/items/{{id}}");
    assert_eq!(record["status"], 200);
    assert!(!world.everything_written().contains("SECRET-AAAA"));
    assert!(!world.everything_written().contains("ATTACKER"));
}

#[test]
fn the_same_request_inside_a_tunnel_is_decided_the_same() {
    let world = World::usual();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let url = "https://api.good.test/v1/items/7";
    assert_eq!(world.client().send_inside("GET", url, &[], "").status, 200);
    assert_eq!(world.client().get(url).status, 200);
    let seen = origin.seen();
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn a_refused_request_costs_nothing_outside() {
    for (method, url, body, expected) in [
        ("GET", "http://evil.test/p", "", (403, "host_undeclared")),
        (
            "GET",
            "http://api.good.test:22/v1/items/1",
            "",
            (403, "port_undeclared"),
        ),
        (
            "GET",
            "http://api.good.test/v2/items/1",
            "",
            (403, "action_undeclared"),
        ),
        (
            "DELETE",
            "http://api.good.test/v1/items/1",
            "",
            (403, "action_undeclared"),
        ),
        (
            "HEAD",
            "http://api.good.test/v1/items/1",
            "",
            (403, "action_undeclared"),
        ),
        (
            "TRACE",
            "http://api.good.test/v1/items/1",
            "",
            (405, "method_refused"),
        ),
        (
            "get",
            "http://api.good.test/v1/items/1",
            "",
            (405, "method_refused"),
        ),
        (
            "GET",
            "http://api.good.test/v1/items/../admin",
            "",
            (400, "path_not_canonical"),
        ),
        (
            "GET",
            "http://api.good.test/v1/items/a%2fb",
            "",
            (400, "path_not_canonical"),
        ),
        (
            "GET",
            "http://api.good.test/v1/items/A",
            "",
            (403, "parameter_invalid"),
        ),
        (
            "GET",
            "http://api.good.test/v1/items/1?mode=xml",
            "",
            (403, "parameter_undeclared"),
        ),
        (
            "GET",
            "http://api.good.test/v1/items/1?fields=x",
            "",
            (403, "parameter_invalid"),
        ),
        (
            "GET",
            "http://api.good.test/v1/items/1?fields=name&fields=qty",
            "",
            (400, "parameter_duplicate"),
        ),
        (
            "GET",
            "http://api.good.test/v1/items/1",
            "x",
            (400, "body_unexpected"),
        ),
        (
            "GET",
            "http://127.0.0.1:9090/metrics",
            "",
            (403, "address_refused"),
        ),
        ("GET", "http://2130706433/", "", (400, "request_malformed")),
        (
            "GET",
            "ftp://api.good.test/",
            "",
            (400, "request_malformed"),
        ),
        (
            "POST",
            "http://api.good.test/v1/items",
            "",
            (400, "parameter_missing"),
        ),
    ] {
        let world = World::usual();
        let answer = world.client().send(method, url, &[], body);
        let shown = format!("{method} {url}: {answer:?}");
        assert_eq!((answer.status, answer.refusal()), expected, "{shown}");
        assert_eq!(world.record()["code"], expected.1, "{shown}");
        world.assert_nothing_left();
    }
}

#[test]
fn a_json_body_is_rebuilt_from_what_was_checked() {
    let world = World::usual();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let json = ["Content-Type: application/json"];
    let body = "{ \"qty\" : 7,\n \"name\": \"\\u00e9\" }";
    let answer = world
        .client()
        .send("POST", "http://api.good.test/v1/items", &json, body);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(origin.only().text(), r#"{"name":"é","qty":7}"#);
}

#[test]
fn a_body_that_can_be_read_in_two_ways_is_refused() {
    for (kind, body, expected) in [
        (
            "application/json",
            r#"{"name":"a","qty":1,"qty":9}"#,
            (400, "parameter_duplicate"),
        ),
        (
            "application/json",
            r#"{"name":"a","qty":1,"\u0071ty":9}"#,
            (400, "parameter_duplicate"),
        ),
        (
            "application/json",
            r#"{"name":"a","qty":1,"x":9}"#,
            (403, "parameter_undeclared"),
        ),
        (
            "application/json",
            r#"{"name":"a","qty":1.5}"#,
            (403, "parameter_invalid"),
        ),
        (
            "application/json",
            r#"{"name":"a","qty":"1"}"#,
            (403, "parameter_invalid"),
        ),
        (
            "application/json",
            r#"{"name":"a"}"#,
            (400, "parameter_missing"),
        ),
        ("application/json", "[1]", (400, "body_unexpected")),
        ("application/json", "{\"name\":", (400, "body_unexpected")),
        (
            "text/plain",
            r#"{"name":"a","qty":1}"#,
            (415, "content_type_refused"),
        ),
        (
            "application/json; charset=utf-7",
            r#"{"name":"a","qty":1}"#,
            (415, "content_type_refused"),
        ),
        (
            "application/x-www-form-urlencoded",
            "name=a&qty=1&qty=2",
            (400, "parameter_duplicate"),
        ),
        (
            "application/x-www-form-urlencoded",
            "name=a&qty=01",
            (403, "parameter_invalid"),
        ),
    ] {
        let world = World::usual();
        let kind = format!("Content-Type: {kind}");
        let url = "http://api.good.test/v1/items";
        let answer = world.client().send("POST", url, &[&kind], body);
        let shown = format!("{kind} {body}: {answer:?}");
        assert_eq!((answer.status, answer.refusal()), expected, "{shown}");
        world.assert_nothing_left();
    }
}

#[test]
fn a_form_goes_upstream_as_the_first_content_type() {
    let world = World::usual();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let form = ["Content-Type: application/x-www-form-urlencoded"];
    let url = "http://api.good.test/v1/items";
    let answer = world.client().send("POST", url, &form, "qty=7&name=a+b");
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = origin.only();
    assert_eq!(seen.header("content-type"), ["application/json"]);
    assert_eq!(seen.text(), r#"{"name":"a b","qty":7}"#);
}

#[test]
fn a_query_credential_is_replaced_in_any_encoding() {
    for query in ["key=attacker", "k%65y=attacker", "key=a&key=b", ""] {
        let world = World::usual();
        let origin = world.origin("api.two.test", |_| json_reply("{}"));
        let answer = world
            .client()
            .get(&format!("http://api.two.test/me?{query}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(origin.only().line(), "GET /me?key=SECRET-BBBB HTTP/1.1");
        assert!(!world.everything_written().contains("SECRET-BBBB"));
    }
    let world = World::usual();
    let answer = world.client().get("http://api.two.test/me?KEY=attacker");
    assert_eq!(answer.refusal(), "parameter_undeclared");
    world.assert_nothing_left();
}

#[test]
fn a_missing_secret_means_no_request() {
    let world = World::usual();
    world.lose_secret("good_token");
    let answer = world.client().get("http://api.good.test/v1/items/7");
    assert_eq!(
        (answer.status, answer.refusal()),
        (503, "secret_unavailable")
    );
    assert_eq!(world.record()["decision"], "failed");
    assert!(world.dials().is_empty());
}

#[test]
fn cleartext_is_refused_where_the_operator_says_so() {
    let world = Plan::of(POLICY).refusing_plain_http().start();
    let answer = world.client().get("http://api.good.test/v1/items/7");
    assert_eq!((answer.status, answer.refusal()), (403, "https_required"));
    world.assert_nothing_left();
}

#[test]
fn a_host_at_a_private_address_is_asked_for_once_and_never_dialled() {
    let world = World::usual();
    world.resolve("api.good.test", &["10.0.0.5"]);
    let answer = world.client().get("http://api.good.test/v1/items/7");
    assert_eq!((answer.status, answer.refusal()), (403, "address_refused"));
    assert_eq!(world.lookups(), ["api.good.test"]);
    assert!(world.dials().is_empty());
}

#[test]
fn one_connection_to_the_origin_serves_many_requests() {
    let world = World::usual();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let mut stream = world.client().connect();
    for _ in 0..3 {
        let head = "GET http://api.good.test/v1/items/7 HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let answer = read_answer(&mut stream, "GET").unwrap();
        assert_eq!(answer.status, 200);
    }
    assert_eq!((origin.seen().len(), origin.connections()), (3, 1));
    assert_eq!(world.records(3).len(), 3);
}

#[test]
fn an_old_client_is_served_once() {
    let world = World::usual();
    world.origin("api.good.test", |_| json_reply("{}"));
    let mut stream = world.client().connect();
    let head = "GET http://api.good.test/v1/items/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    stream.write_all(head.repeat(2).as_bytes()).unwrap();
    let answer = read_answer(&mut stream, "GET").unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(rest(&mut stream), "");
    assert_eq!(world.record()["http_version"], "HTTP/1.0");
}
