//! CONNECT, interception and declared tunnels.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::{SECURE, TUNNEL, World, refused, rest, until};

fn connect(target: &str) -> String {
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
}

#[tokio::test]
async fn a_connect_that_is_refused_is_answered_and_nothing_behind_it_is_read() {
    for (target, status, code) in [
        ("evil.test:8443", 403, "host_undeclared"),
        ("api.good.test:8443", 403, "port_undeclared"),
        ("tunnel.test:1", 403, "port_undeclared"),
        ("127.0.0.1:443", 403, "address_refused"),
        ("[::1]:443", 403, "address_refused"),
        ("api.good.test", 400, "request_malformed"),
        ("api.good.test:0443", 400, "request_malformed"),
        ("api.good.test@evil.test:443", 400, "request_malformed"),
    ] {
        let world = World::new().await;
        let early = "GET http://api.good.test/ HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
        let answer = world.talk(connect(target) + early).await;
        assert_eq!(refused(&answer), (status, code.to_owned()), "B19: {target}");
        let records = world.records().await;
        assert_eq!((records.len(), world.dials()), (1, 0), "{target}");
        assert_eq!(records[0]["code"], code);
    }
}

#[tokio::test]
async fn a_connect_names_one_server() {
    let world = World::new().await;
    let two = "CONNECT api.good.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n";
    assert_eq!(
        refused(&world.talk(two).await),
        (400, "request_malformed".into())
    );
}

#[tokio::test]
async fn requests_inside_have_records_and_the_connect_has_none() {
    let world = World::new().await;
    let stream = world.tunnel(SECURE, 443).await;
    let mut tls = world.secured(stream, SECURE, &["http/1.1"]).await.unwrap();
    for (request, status, code) in [
        (
            "GET /nothing HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
            403,
            "action_undeclared",
        ),
        (
            "GET /me HTTP/1.1\r\nHost: evil.test\r\n\r\n",
            421,
            "host_mismatch",
        ),
        (
            "GET /me HTTP/1.1\r\nHost: api.good.test:8443\r\n\r\n",
            421,
            "host_mismatch",
        ),
        (
            "GET https://api.two.test/me HTTP/1.1\r\nHost: api.two.test\r\n\r\n",
            421,
            "host_mismatch",
        ),
        (
            "GET http://api.good.test/me HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
            421,
            "host_mismatch",
        ),
        (
            "CONNECT api.good.test:443 HTTP/1.1\r\nHost: api.good.test:443\r\n\r\n",
            405,
            "method_refused",
        ),
        (
            "GET https://api.good.test/x HTTP/1.1\r\nHost: api.good.test:443\r\n\r\n",
            403,
            "action_undeclared",
        ),
    ] {
        tls.write_all(request.as_bytes()).await.unwrap();
        let answer = until(&mut tls, "}}\n").await;
        assert_eq!(refused(&answer), (status, code.to_owned()), "{request}");
    }
    tls.shutdown().await.unwrap();
    assert_eq!(rest(&mut tls).await, "");
    let records = world.settled(7).await;
    assert_eq!(records.len(), 7);
    assert!(records.iter().all(|it| it["tls"] == "1.3"), "{records:?}");
    assert_eq!(records[0]["method"], "GET");
    assert_eq!(world.dials(), 0);
}

#[tokio::test]
async fn an_undeclared_host_is_refused_inside_where_it_can_be_read() {
    let world = World::new().await;
    let stream = world.tunnel("evil.test", 443).await;
    let mut tls = world.secured(stream, "evil.test", &[]).await.unwrap();
    let request = "GET /secret?a=b HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n";
    tls.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(
        refused(&rest(&mut tls).await),
        (403, "host_undeclared".into())
    );
    let records = world.records().await;
    assert_eq!((records.len(), world.dials()), (1, 0));
    assert!(records[0].get("path").is_none());
}

#[tokio::test]
async fn another_server_name_gets_an_alert() {
    for (name, alert) in [("evil.test", 112), ("203.0.114.10", 109)] {
        let world = World::new().await;
        let stream = world.tunnel(SECURE, 443).await;
        let error = world.secured(stream, name, &[]).await.unwrap_err();
        let expected = rustls::AlertDescription::from(alert);
        assert!(
            error.to_string().contains(&format!("{expected:?}")),
            "C1, C3: {error}"
        );
        let records = world.settled(1).await;
        assert_eq!(records[0]["code"], "server_name_mismatch");
        assert_eq!((records.len(), world.dials()), (1, 0));
    }
}

#[tokio::test]
async fn what_is_not_tls_is_closed() {
    for bytes in [
        "SSH-2.0-x\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "EHLO x\r\n",
        "\x05\x01\x00",
    ] {
        for (host, own_port) in [(SECURE, false), (TUNNEL, true)] {
            let world = World::new().await;
            let port = if own_port { world.port } else { 443 };
            let mut stream = world.tunnel(host, port).await;
            stream.write_all(bytes.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            assert!(!answer.starts_with(b"HTTP"), "C9: {bytes:?}");
            let records = world.settled(1).await;
            assert_eq!(records[0]["code"], "tls_expected", "{bytes:?} {host}");
            assert_eq!((records.len(), world.dials()), (1, 0));
        }
    }
}

#[tokio::test]
async fn a_silent_tunnel_ends_at_its_deadline_and_reaches_nobody() {
    let world = World::hasty().await;
    for (host, port) in [(SECURE, 443), (TUNNEL, world.port)] {
        let mut stream = world.tunnel(host, port).await;
        assert_eq!(rest(&mut stream).await, "");
    }
    let records = world.settled(2).await;
    assert!(
        records.iter().all(|it| it["code"] == "client_too_slow"),
        "C10: {records:?}"
    );
    assert_eq!(world.dials(), 0);
}

#[tokio::test]
async fn only_known_protocols_are_chosen() {
    let world = World::new().await;
    let stream = world.tunnel(SECURE, 443).await;
    let error = world
        .secured(stream, SECURE, &["http/1.0"])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("NoApplicationProtocol"),
        "C14: {error}"
    );
    assert_eq!(world.settled(1).await.len(), 1);
}

#[tokio::test]
async fn a_client_that_does_not_trust_us_is_recorded_with_its_alert() {
    let world = World::new().await;
    let stream = world.tunnel(SECURE, 443).await;
    let config = super::world::client_config(rustls::RootCertStore::empty());
    let name = rustls::pki_types::ServerName::try_from(SECURE).unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    assert!(connector.connect(name, stream).await.is_err());
    let records = world.settled(1).await;
    assert_eq!(records[0]["detail"], "client_alert=unknown_ca", "C29");
}

/// A hello as a client sends it, in one record.
fn hello(name: &str) -> Vec<u8> {
    let config = super::world::client_config(rustls::RootCertStore::empty());
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn a_declared_tunnel_is_passed_on_from_its_first_byte() {
    let world = World::new().await;
    let mut stream = world.tunnel(TUNNEL, world.port).await;
    for byte in hello(TUNNEL) {
        stream.write_all(&[byte]).await.unwrap();
    }
    // The origin speaks HTTP, so what it says to a hello is a refusal of its own.
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "C6: {answer:?}");
    drop(stream);
    let lines = loop {
        let lines = world.lines().await;
        if lines.len() == 2 {
            break lines;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(lines[0]["event"], "opened");
    assert_eq!(lines[1]["decision"], "allowed");
    assert_eq!(lines[1]["bytes_in"], hello(TUNNEL).len());
    assert_eq!(lines[1]["bytes_out"], answer.len());
    assert_eq!(world.dials(), 1);
}

#[tokio::test]
async fn a_declared_tunnel_carries_its_own_host_only() {
    for name in ["evil.test", "203.0.114.10"] {
        let world = World::new().await;
        let mut stream = world.tunnel(TUNNEL, world.port).await;
        stream.write_all(&hello(name)).await.unwrap();
        let mut alert = Vec::new();
        stream.read_to_end(&mut alert).await.unwrap();
        assert_eq!(alert[..2], [21, 3], "{name}");
        let records = world.settled(1).await;
        assert_eq!(records[0]["code"], "server_name_mismatch", "{name}");
        assert_eq!(world.dials(), 0);
    }
}

#[tokio::test]
async fn a_hello_in_the_segment_of_its_connect_is_not_lost() {
    let world = World::new().await;
    let mut stream = world.connect().await;
    let both = [
        connect(&format!("{TUNNEL}:{}", world.port)).into_bytes(),
        hello(TUNNEL),
    ]
    .concat();
    stream.write_all(&both).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.contains("HTTP/1.1 400"), "B21: {answer:?}");
}

#[tokio::test]
async fn a_tunnel_that_stands_still_ends() {
    let world = World::hasty().await;
    let mut stream = world.tunnel(TUNNEL, world.port).await;
    stream.write_all(&hello(TUNNEL)).await.unwrap();
    let records = world.settled(1).await;
    assert_eq!(records[0]["end"], "truncated");
    assert_eq!(
        records[0]["upstream_addr"],
        format!("203.0.114.10:{}", world.port)
    );
}

#[tokio::test]
async fn a_tunnel_without_a_request_has_the_record_of_its_connect() {
    let world = World::new().await;
    let stream = world.tunnel(SECURE, 443).await;
    let mut tls = world.secured(stream, SECURE, &[]).await.unwrap();
    tls.shutdown().await.unwrap();
    assert_eq!(rest(&mut tls).await, "");
    let records = world.settled(1).await;
    assert_eq!(records[0]["method"], "CONNECT");
    assert_eq!(records[0]["end"], "failed");
}
