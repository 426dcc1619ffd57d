//! HTTP/2 inside a tunnel.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{Builder, SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::world::{SECURE, World};
use crate::drain::Phase;

type Client = SendRequest<Full<Bytes>>;

async fn client(world: &World) -> Client {
    let stream = world.tunnel(SECURE, 443).await;
    let tls = world.secured(stream, SECURE, &["h2"]).await.unwrap();
    let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(tls))
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

async fn refused(client: &mut Client, request: Request<Full<Bytes>>) -> (u16, String) {
    client.ready().await.unwrap();
    let response = client.send_request(request).await.unwrap();
    let status = response.status();
    assert_ne!(status, StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    (
        status.as_u16(),
        json["error"]["code"].as_str().unwrap().to_owned(),
    )
}

/// A request by URL and headers, and the refusal that it gets.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    u16,
    &'static str,
);

const CASES: &[Case] = &[
    (
        "https://api.good.test/nothing",
        &[],
        403,
        "action_undeclared",
    ),
    ("https://api.two.test/me", &[], 421, "host_mismatch"),
    ("https://api.good.test:8443/me", &[], 421, "host_mismatch"),
    (
        "https://api.good.test/me",
        &[("host", "evil.test")],
        421,
        "host_mismatch",
    ),
    (
        "https://api.good.test/me",
        &[("host", SECURE), ("host", SECURE)],
        400,
        "request_malformed",
    ),
    (
        "https://api.good.test//evil.test/x",
        &[],
        400,
        "request_malformed",
    ),
    ("http://api.good.test/me", &[], 400, "request_malformed"),
    (
        "https://api.good.test/me",
        &[("x_key", "1")],
        400,
        "request_malformed",
    ),
    (
        "https://api.good.test/me",
        &[("x-a", "a\u{e9}")],
        400,
        "request_malformed",
    ),
    (
        "https://api.good.test/me",
        &[("expect", "200-ok")],
        417,
        "expectation_failed",
    ),
    (
        "https://api.good.test/me",
        &[("authorization", "a"), ("authorization", "a")],
        400,
        "request_malformed",
    ),
];

#[tokio::test]
async fn each_stream_is_judged_and_recorded_by_itself() {
    let world = World::new().await;
    let mut client = client(&world).await;
    for (url, headers, status, code) in CASES {
        let mut request = Request::builder().uri(*url);
        for (name, value) in *headers {
            request = request.header(*name, value.as_bytes());
        }
        let request = request.body(Full::default()).unwrap();
        let answer = refused(&mut client, request).await;
        assert_eq!(answer, (*status, (*code).to_owned()), "{url} {headers:?}");
    }
    let trace = Request::builder()
        .method(Method::TRACE)
        .uri("https://api.good.test/me");
    let answer = refused(&mut client, trace.body(Full::default()).unwrap()).await;
    assert_eq!(answer, (405, "method_refused".into()));
    drop(client);
    let records = world.settled(CASES.len() + 1).await;
    assert_eq!(
        records.len(),
        CASES.len() + 1,
        "the CONNECT has none of its own"
    );
    assert!(records.iter().all(|it| it["http_version"] == "HTTP/2.0"));
    assert_eq!(world.dials(), 0);
}

#[tokio::test]
async fn an_idle_connection_ends_and_is_recorded_if_nothing_was_asked() {
    let world = World::hasty().await;
    let mut client = client(&world).await;
    while client.ready().await.is_ok() {
        tokio::task::yield_now().await;
    }
    let records = world.settled(1).await;
    assert_eq!(records[0]["method"], "CONNECT");
    assert_eq!(records[0]["end"], "failed");
}

#[tokio::test]
async fn a_connection_hears_of_a_stop_and_ends() {
    let world = World::new().await;
    let mut client = client(&world).await;
    let nothing = || Request::get("https://api.good.test/nothing").body(Full::default());
    assert_eq!(refused(&mut client, nothing().unwrap()).await.0, 403);
    world.gate.services.drain.enter(Phase::Draining);
    while client.ready().await.is_ok() {
        tokio::task::yield_now().await;
    }
    let gone = client.send_request(nothing().unwrap()).await;
    assert!(gone.is_err());
    assert_eq!(world.settled(1).await.len(), 1);
}

#[tokio::test]
async fn a_client_that_makes_no_room_for_its_answers_does_not_stay() {
    let world = World::hasty().await;
    let stream = world.tunnel(SECURE, 443).await;
    let tls = world.secured(stream, SECURE, &["h2"]).await.unwrap();
    let mut builder = Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(0);
    let handshake = builder.handshake::<_, Full<Bytes>>(TokioIo::new(tls));
    let (mut client, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("https://api.good.test/nothing").body(Full::default());
    let response = client.send_request(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let ended = tokio::time::timeout(Duration::from_secs(10), connection).await;
    assert!(ended.is_ok(), "the connection is still there");
}
