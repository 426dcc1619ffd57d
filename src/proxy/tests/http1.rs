//! HTTP/1 in the clear.

use tokio::io::AsyncWriteExt;

use crate::request::Door;

use super::world::{PLAIN, SECURE, World, refused, rest, until};

fn get(world: &World, item: &str, lines: &str) -> String {
    let host = format!("{PLAIN}:{}", world.port);
    format!("GET http://{host}/v1/items/{item} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")
}

fn post(world: &World, item: &str, lines: &str, body: &str) -> String {
    let host = format!("{PLAIN}:{}", world.port);
    let head = format!("POST http://{host}/v1/uploads/{item} HTTP/1.1\r\nHost: {host}\r\n{lines}");
    format!("{head}\r\n{body}")
}

const CLOSE: &str = "Connection: close\r\n";

#[tokio::test]
async fn a_permitted_request_gets_its_answer_and_one_record() {
    let world = World::new().await;
    let answer = world.talk(get(&world, "1", CLOSE)).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"),
        "{answer}"
    );
    let records = world.records().await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["end"], "complete");
    assert_eq!(records[0]["action"], "get_item");
}

#[tokio::test]
async fn what_is_no_request_is_answered_recorded_and_closed() {
    for (bytes, status, code) in [
        ("GET / HTTP/1.1\nHost: a\n\n", 400, "request_malformed"),
        (
            "GET /v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
            400,
            "not_a_proxy_request",
        ),
        (
            "GET //evil.test/v1 HTTP/1.1\r\nHost: a.test\r\n\r\n",
            400,
            "request_malformed",
        ),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "request_malformed"),
        ("\x16\x03\x01\x02\x00", 400, "request_malformed"),
        (
            "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nExpect: x\r\nConnection: close\r\n\r\n",
            417,
            "expectation_failed",
        ),
        (
            "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\
             Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
            400,
            "request_malformed",
        ),
        (
            "GET http://evil.test/p HTTP/1.1\r\nHost: api.good.test\r\nConnection: close\r\n\r\n",
            400,
            "request_malformed",
        ),
        (
            "TRACE http://a.test/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
            405,
            "method_refused",
        ),
        (
            "GET http://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
            403,
            "address_refused",
        ),
        (
            "GET http://evil.test/ HTTP/1.0\r\n\r\n",
            403,
            "host_undeclared",
        ),
    ] {
        let world = World::new().await;
        let close = bytes.replace(
            "/v1/items/1 HTTP/1.1\r\n",
            "/v1/items/1 HTTP/1.1\r\nConnection: close\r\n",
        );
        let answer = world.talk(&close).await;
        assert_eq!(refused(&answer), (status, code.to_owned()), "{bytes}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        let records = world.records().await;
        assert_eq!(records.len(), 1, "{bytes}");
        assert_eq!(records[0]["code"], code, "{bytes}");
        assert_eq!(world.dials(), 0);
    }
}

#[tokio::test]
async fn sizes_of_a_head_have_their_own_codes() {
    let world = World::new().await;
    let large = format!(
        "GET http://a.test/ HTTP/1.1\r\nX: {}\r\n\r\n",
        "a".repeat(500_000)
    );
    assert_eq!(
        refused(&world.talk(large).await),
        (431, "head_too_large".into()),
        "F26"
    );
    let long = format!("GET http://a.test/{} HTTP/1.1\r\n\r\n", "a".repeat(100_000));
    assert_eq!(
        refused(&world.talk(long).await),
        (414, "target_too_long".into()),
        "F26"
    );
}

#[tokio::test]
async fn pipelined_requests_are_decided_one_by_one_and_in_order() {
    let world = World::new().await;
    let second = "GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n";
    let all = [get(&world, "1", ""), second.into(), get(&world, "2", CLOSE)].concat();
    let answer = world.talk(all).await;
    let statuses: Vec<&str> = answer
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|it| &it[..3])
        .collect();
    assert_eq!(statuses, ["200", "403", "200"], "F27");
    assert_eq!(world.settled(3).await.len(), 3);
    assert_eq!(
        world.dials(),
        1,
        "the second request reuses the first one's connection"
    );
}

#[tokio::test]
async fn an_answer_of_unknown_length_comes_in_chunks_or_until_the_end() {
    let world = World::new().await;
    let answer = world.talk(get(&world, "stream", CLOSE)).await;
    assert!(
        answer.contains("\r\ntransfer-encoding: chunked\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("0\r\n\r\n"), "{answer}");
    let old = get(&world, "stream", "").replace("HTTP/1.1", "HTTP/1.0");
    let answer = world.talk(old).await;
    assert!(answer.ends_with("\r\n\r\nonetwo"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_end_as_if_it_were_whole() {
    let world = World::new().await;
    let answer = world.talk(get(&world, "broken", "")).await;
    assert!(answer.ends_with("\r\n\r\n3\r\none\r\n"), "{answer}");
    let mut client = world.connect().await;
    let old = get(&world, "broken", "").replace("HTTP/1.1", "HTTP/1.0");
    client.write_all(old.as_bytes()).await.unwrap();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut client, &mut Vec::new()).await;
    assert!(
        read.is_err(),
        "an answer that ends where the connection does ends with a reset"
    );
}

#[tokio::test]
async fn an_answer_to_head_has_the_length_and_no_body() {
    let world = World::new().await;
    let answer = world
        .talk(get(&world, "1", CLOSE).replacen("GET", "HEAD", 1))
        .await;
    assert!(answer.contains("\r\ncontent-length: 2\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(world.records().await[0]["end"], "complete");
}

#[tokio::test]
async fn a_body_is_read_by_its_framing() {
    let world = World::new().await;
    let sized = post(&world, "length", "Content-Length: 5\r\n", "hello");
    let chunked = post(
        &world,
        "length",
        "Transfer-Encoding: chunked\r\n",
        "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    );
    let last = get(&world, "1", CLOSE);
    let answer = world.talk([sized, chunked, last].concat()).await;
    assert_eq!(answer.matches("\r\n\r\n5").count(), 2, "{answer}");
    assert!(
        answer.ends_with("ok"),
        "the connection is used again after both: {answer}"
    );
    let records = world.settled(3).await;
    assert_eq!(records[0]["bytes_in"], 5);
}

#[tokio::test]
async fn a_client_that_waits_is_told_to_continue_once_its_head_is_permitted() {
    let world = World::new().await;
    let lines = "Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n";
    let mut client = world.connect().await;
    client
        .write_all(post(&world, "length", lines, "").as_bytes())
        .await
        .unwrap();
    assert_eq!(
        until(&mut client, "\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    client.write_all(b"hello").await.unwrap();
    let answer = rest(&mut client).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with('5'),
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_that_waits_hears_the_refusal_and_nothing_before() {
    let world = World::new().await;
    let lines = "Content-Length: 5\r\nExpect: 100-continue\r\n";
    let head = post(&world, "length", lines, "").replace("/v1/uploads", "/v1/other");
    let answer = world.talk(head).await;
    assert_eq!(refused(&answer), (403, "action_undeclared".into()), "B31");
}

#[tokio::test]
async fn nothing_is_read_as_a_request_behind_a_body_that_was_not_read() {
    let world = World::new().await;
    let smuggled = get(&world, "1", "");
    let lines = format!("Content-Length: {}\r\n", smuggled.len());
    let refused_post =
        post(&world, "length", &lines, &smuggled).replace("/v1/uploads", "/v1/other");
    let answer = world.talk(refused_post).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "F32: {answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"));
    assert_eq!(world.records().await.len(), 1);
}

#[tokio::test]
async fn a_broken_chunk_ends_the_connection_and_never_completes_the_request() {
    let world = World::new().await;
    let bad = post(
        &world,
        "length",
        "Transfer-Encoding: chunked\r\n",
        "2\r\nabX",
    );
    let answer = world.talk(bad).await;
    assert_eq!(refused(&answer), (400, "request_malformed".into()), "F20");
    assert_eq!(world.records().await[0]["end"], "failed");
}

#[tokio::test]
async fn a_slow_head_is_answered_and_a_silent_connection_is_not() {
    let world = World::hasty().await;
    let answer = world.talk("GET http://a.test/ HT").await;
    assert_eq!(refused(&answer), (408, "client_too_slow".into()));
    assert_eq!(world.records().await.len(), 1);
    assert_eq!(world.talk("").await, "");
    let answer = world.talk(get(&world, "1", "")).await;
    assert!(
        answer.ends_with("ok"),
        "an idle connection is closed without a word: {answer}"
    );
    assert_eq!(world.records().await.len(), 2);
}

#[tokio::test]
async fn a_body_that_stops_is_answered() {
    let world = World::hasty().await;
    let answer = world
        .talk(post(&world, "length", "Content-Length: 5\r\n", "he"))
        .await;
    assert_eq!(refused(&answer), (408, "client_too_slow".into()));
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request() {
    let world = World::new().await;
    let mut client = world.connect().await;
    client
        .write_all(get(&world, "never", "").as_bytes())
        .await
        .unwrap();
    while world.dials() == 0 {
        tokio::task::yield_now().await;
    }
    drop(client);
    let records = world.settled(1).await;
    assert_eq!(records[0]["end"], "abandoned");
}

#[tokio::test]
async fn a_client_that_leaves_within_a_head_is_recorded() {
    let world = World::new().await;
    let mut client = world.connect().await;
    client.write_all(b"GET http").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await, "");
    let records = world.settled(1).await;
    assert_eq!(records[0]["end"], "failed");
}

#[tokio::test]
async fn an_agent_that_does_not_say_who_it_is_is_asked() {
    let world = World::guarded().await;
    let answer = world.talk(get(&world, "1", CLOSE)).await;
    assert_eq!(refused(&answer), (407, "agent_unknown".into()));
    assert!(answer.contains("proxy-authenticate: Basic"));
    let connect = format!("CONNECT {SECURE}:443 HTTP/1.1\r\nHost: {SECURE}:443\r\n\r\n");
    assert_eq!(
        refused(&world.talk(connect).await),
        (407, "agent_unknown".into())
    );
    assert_eq!((world.dials(), world.records().await.len()), (0, 2));
}

#[tokio::test]
async fn a_client_that_leaves_between_two_events_ends_its_stream() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let request = get(&world, "event", "");
    client.write_all(request.as_bytes()).await.unwrap();
    assert!(
        until(&mut client, "event\r\n")
            .await
            .starts_with("HTTP/1.1 200")
    );
    drop(client);
    assert_eq!(world.settled(1).await[0]["end"], "aborted");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_is_the_last_on_its_connection() {
    let world = World::new().await;
    let part = post(&world, "early", "Content-Length: 100\r\n", "half");
    let answer = world.talk(part).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(world.settled(1).await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    let world = World::new().await;
    let mut places = Vec::new();
    while let Ok(begun) = world.gate.begin(Door::Proxy, None) {
        places.push(begun);
    }
    let answer = world.talk(get(&world, "1", "")).await;
    assert_eq!(refused(&answer), (503, "overloaded".into()));
    assert_eq!(world.dials(), 0);
}
