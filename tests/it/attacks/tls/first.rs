//! What the first bytes in a tunnel may be: one ClientHello of today's TLS, for the host of the CONNECT.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use exeat::proxy::ClientLimits;
use rustls::client::{EchGreaseConfig, EchMode};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use super::hello::{Hello, SERVER_NAME, SUPPORTED_VERSIONS, hiding, names, vector};
use super::{Heard, OPENED, PASSED, hear, plan, refuses, stage};
use crate::attacks::stage::Stage;
use crate::world::{json_reply, read_answer, read_head, rest};

const MISMATCH: &str = "server_name_mismatch";
const NOT_TLS: &str = "tls_expected";
const CONNECT: &str = "CONNECT api.good.test:443 HTTP/1.1\r\nHost: api.good.test:443\r\n\r\n";

/// A hello that both kinds of tunnels take: the other tests are about what they changed.
fn accepts(stage: &Stage, bytes: &[u8]) {
    let (heard, record) = hear(stage, OPENED, bytes);
    assert_eq!(heard, Heard::ServerHello, "{record}");
    stage.world.assert_nothing_left();
}

#[test]
fn c1_a_server_name_is_the_host_of_the_connect() {
    let stage = stage(plan());
    let cases = [
        (OPENED, "evil.test"),
        (OPENED, "api.two.test"),
        (OPENED, "x.api.good.test"),
        (OPENED, "good.test"),
        (OPENED, "test"),
        (OPENED, "api.good.test.evil.test"),
        (OPENED, "api-good.test"),
        (OPENED, "apl.good.test"),
        (OPENED, "xn--pi-6kc.good.test"),
        (OPENED, PASSED),
        (PASSED, OPENED),
        (PASSED, "evil.test"),
        (PASSED, "x.pkg.good.test"),
        // One name of a `*.` host is not another.
        ("a.wild.test", "b.wild.test"),
        ("a.wild.test", "wild.test"),
        // What is refused inside is refused under its own name alone.
        ("evil.test", OPENED),
        ("evil.test", "x.evil.test"),
    ];
    for (host, name) in cases {
        refuses(&stage, host, &Hello::to(name).bytes(), (&[112], MISMATCH));
    }
    accepts(&stage, &Hello::to(OPENED).bytes());
}

#[test]
fn c2_a_hello_without_a_server_name_is_refused() {
    let stage = stage(plan());
    let protocols = vector(2, &vector(1, b"http/1.1"));
    for host in [OPENED, PASSED, "a.wild.test", "evil.test"] {
        for hello in [
            Hello::nameless(),
            Hello::nameless().with(16, protocols.clone()),
            Hello::nameless().changing(SUPPORTED_VERSIONS, None),
        ] {
            refuses(&stage, host, &hello.bytes(), (&[109], MISMATCH));
        }
    }
}

#[test]
fn c3_what_is_no_name_of_a_host_is_no_server_name() {
    let stage = stage(plan());
    let long = format!("{}.test", "a".repeat(250));
    let label = format!("{}.good.test", "a".repeat(64));
    let odd: [&[u8]; 29] = [
        b"203.0.114.10",
        b"203.0.114.010",
        b"127.1",
        b"0x7f000001",
        b"2130706433",
        b"::1",
        b"[::1]",
        b"::ffff:127.0.0.1",
        b"api.good.test\0",
        b"api.good.test\0.evil.test",
        b"evil.test\0.api.good.test",
        b"\0api.good.test",
        b"api\0good.test",
        b".api.good.test",
        b"api..good.test",
        b"api.good.test..",
        b"*.good.test",
        b"api.good.test:443",
        b"user@api.good.test",
        b"https://api.good.test",
        b" api.good.test",
        b"api.good.test ",
        b"api.good.test\r\n",
        b"api,good.test",
        b"ap\xc4\xb1.good.test",
        b"\xff\xfe",
        b"",
        long.as_bytes(),
        label.as_bytes(),
    ];
    for name in odd {
        for host in [OPENED, PASSED] {
            let bytes = Hello::to(name).bytes();
            let (heard, record) = hear(&stage, host, &bytes);
            let shown = format!("{host} {:?}: {record}", String::from_utf8_lossy(name));
            assert!(matches!(heard, Heard::Alert(_)), "{shown}: {heard:?}");
            let code = record["code"].as_str().unwrap();
            assert!([MISMATCH, NOT_TLS].contains(&code), "{shown}");
        }
    }
    stage.world.assert_nothing_left();
    for same in [
        "api.good.test",
        "API.GOOD.TEST",
        "Api.gooD.tesT",
        "api.good.test.",
    ] {
        accepts(&stage, &Hello::to(same).bytes());
    }
    stage.world.origin(PASSED, |_| json_reply("{}"));
    // With the root's dot it is not passed on, since servers differ on what it names (RFC 6066 §3).
    let (heard, record) = hear(&stage, PASSED, &Hello::to("pkg.good.test.").bytes());
    assert_eq!(heard, Heard::Alert(112), "{record}");
    assert_eq!(record["code"], MISMATCH, "{record}");
    stage.world.assert_nothing_left();
    for same in ["pkg.good.test", "PKG.Good.TEST"] {
        let (heard, record) = hear(&stage, PASSED, &Hello::to(same).bytes());
        assert_ne!(heard, Heard::Nothing, "{same}: {record}");
        assert_eq!(record["decision"], "allowed", "{same}: {record}");
    }
    assert_eq!(stage.world.dials().len(), 2);
}

#[test]
fn c4_one_list_of_server_names_holds_one_name() {
    let stage = stage(plan());
    for host in [OPENED, PASSED] {
        let name = host.as_bytes();
        let doubled = names(&[(0, name)]);
        let lists = [
            names(&[(0, name), (0, b"evil.test")]),
            names(&[(0, b"evil.test"), (0, name)]),
            names(&[(0, name), (0, name)]),
            names(&[]),
            names(&[(1, name)]),
            names(&[(1, b"x"), (0, name)]),
            Vec::new(),
            [names(&[(0, name)]), vec![0]].concat(),
            names(&[(0, name)])[..8].to_vec(),
            vector(2, &[0, 0xff, 0xff]),
        ];
        for list in lists {
            let hello = Hello::nameless().with(SERVER_NAME, list);
            refuses_the_list(&stage, host, &hello.bytes());
        }
        // What follows a name of another kind can't be read, and where TLS ends at exeat nobody else reads it.
        let other = names(&[(0, name), (1, b"x")]);
        let hello = Hello::nameless().with(SERVER_NAME, other);
        match host {
            PASSED => refuses(&stage, host, &hello.bytes(), (&[50], NOT_TLS)),
            _ => accepts(&stage, &hello.bytes()),
        }
        for hello in [
            Hello::to("evil.test").with(SERVER_NAME, doubled.clone()),
            Hello::to(host).with(SERVER_NAME, names(&[(0, b"evil.test")])),
            Hello::to(host).with(SERVER_NAME, doubled),
        ] {
            refuses_the_list(&stage, host, &hello.bytes());
        }
    }
}

fn refuses_the_list(stage: &Stage, host: &str, bytes: &[u8]) {
    let (heard, record) = hear(stage, host, bytes);
    assert!(
        matches!(heard, Heard::Alert(47 | 50)),
        "{host}: {heard:?} {record}"
    );
    assert_eq!(record["decision"], "refused", "{host}: {record}");
    let code = record["code"].as_str().unwrap();
    assert!([MISMATCH, NOT_TLS].contains(&code), "{host}: {record}");
    stage.world.assert_nothing_left();
}

#[test]
fn c5_a_name_that_may_be_hidden_is_not_passed_on() {
    let stage = stage(plan());
    for kind in hiding() {
        for content in [vec![], vec![0; 40], vec![1; 300]] {
            let hello = Hello::to(PASSED).with(kind, content);
            refuses(&stage, PASSED, &hello.bytes(), (&[112], MISMATCH));
        }
    }
}

#[test]
fn c5_grease_changes_nothing_where_tls_ends_at_exeat() {
    let stage = stage(plan());
    let suite = aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_128;
    let (key, _) = rustls::crypto::hpke::Hpke::generate_key_pair(suite).unwrap();
    let provider = aws_lc_rs::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_ech(EchMode::Grease(EchGreaseConfig::new(suite, key)))
        .unwrap()
        .with_root_certificates(stage.world.roots())
        .with_no_client_auth();
    let name = ServerName::try_from(OPENED).unwrap();
    let session = ClientConnection::new(config.into(), name).unwrap();
    let (_, stream) = stage.world.client().open("api.good.test:443", &[]);
    let mut tunnel = StreamOwned::new(session, stream);
    let get = "GET /v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
    tunnel.write_all(get.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut tunnel, "GET").unwrap().status, 200);
    assert_eq!(stage.world.record()["host"], OPENED);
}

#[test]
fn c6_a_hello_is_understood_however_it_is_cut() {
    let stage = stage(plan());
    for (segment, at_once) in [
        (1, false),
        (7, false),
        (100_000, false),
        (100_000, true),
        (1, true),
    ] {
        let client = stage.world.client();
        let mut session = client.session(OPENED, &["http/1.1"]);
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
        let get = "GET /v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
        tunnel.write_all(get.as_bytes()).unwrap();
        let answer = read_answer(&mut tunnel, "GET").unwrap();
        assert_eq!(answer.status, 200, "{segment} {at_once}");
    }
    assert_eq!(stage.good.seen().len(), 5);
}

#[test]
fn c6_a_hello_in_many_records_is_judged_as_a_whole() {
    let stage = stage(plan());
    for size in [1, 2, 5, 10, 64, 300] {
        accepts(&stage, &Hello::to(OPENED).records(size));
        for host in [OPENED, PASSED] {
            let evil = Hello::to("evil.test").records(size);
            refuses(&stage, host, &evil, (&[112], MISMATCH));
            let nameless = Hello::nameless().records(size);
            refuses(&stage, host, &nameless, (&[109], MISMATCH));
        }
    }
}

#[test]
fn c6_nothing_stands_between_the_records_of_a_hello() {
    let stage = stage(plan());
    for host in [OPENED, PASSED] {
        let hello = Hello::to(host);
        let message = hello.message();
        let (start, end) = message.split_at(60);
        for between in [
            hello.record(22, b""),
            hello.record(20, &[1]),
            hello.record(21, &[1, 0]),
            hello.record(23, b"x"),
            hello.record(24, b"x"),
            b"GET / HTTP/1.1\r\n".to_vec(),
        ] {
            let bytes = [hello.record(22, start), between, hello.record(22, end)].concat();
            refuses_silently(&stage, host, &bytes);
        }
        // An empty record before it is as bad as one in it (RFC 8446 §5.1).
        let bytes = [hello.record(22, b""), hello.bytes()].concat();
        refuses_silently(&stage, host, &bytes);
    }
}

#[test]
fn c6_a_hello_may_be_large_and_not_endless() {
    let stage = stage(plan());
    accepts(&stage, &Hello::to(OPENED).padded(15_000).bytes());
    accepts(&stage, &Hello::to(OPENED).padded(40_000).bytes());
    for (host, size) in [(PASSED, 17_000), (PASSED, 60_000)] {
        let bytes = Hello::to(host).padded(size).bytes();
        refuses(&stage, host, &bytes, (&[50], NOT_TLS));
    }
    // One that only says that it is large is not waited for.
    for host in [OPENED, PASSED] {
        let claims = [1, 0xff, 0xff, 0xff];
        let hello = Hello::to(host);
        let flood = hello.record(22, &[&claims[..], &[0; 16_000]].concat());
        let (heard, record) = hear(&stage, host, &flood.repeat(20));
        assert!(
            matches!(heard, Heard::Alert(_) | Heard::Nothing),
            "{heard:?}"
        );
        assert_eq!(record["code"], NOT_TLS, "{record}");
    }
    stage.world.assert_nothing_left();
}

#[test]
fn c6_a_hello_that_drips_has_a_deadline() {
    let limits = ClientLimits {
        handshake: Duration::from_millis(150),
        ..ClientLimits::default()
    };
    let stage = stage(plan().clients(limits));
    for (number, host) in [OPENED, PASSED].into_iter().enumerate() {
        let bytes = Hello::to(host).bytes();
        for sent in [1, 5, 100, bytes.len() - 1] {
            let (_, mut stream) = stage.world.client().open(&format!("{host}:443"), &[]);
            stream.write_all(&bytes[..sent]).unwrap();
            let mut back = Vec::new();
            let _ = stream.read_to_end(&mut back);
            assert_eq!(back, b"", "{host} {sent}");
        }
        let records = stage.world.records(4 * (number + 1));
        assert!(records.iter().all(|it| it["code"] == "client_too_slow"));
    }
    stage.world.assert_nothing_left();
}

#[test]
fn c8_old_versions_of_tls_are_refused() {
    let stage = stage(plan());
    let versions = |list: &[u8]| Some(vector(1, list));
    for host in [OPENED, PASSED] {
        for version in [[3, 0], [3, 1], [3, 2]] {
            let mut hello = Hello::to(host).changing(SUPPORTED_VERSIONS, None);
            hello.version = version;
            let (heard, record) = hear(&stage, host, &hello.bytes());
            assert_eq!(heard, Heard::Alert(70), "{host} {version:?}: {record}");
        }
        // SSL 2, and records of SSL 3.
        refuses_silently(&stage, host, b"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10");
        refuses_silently(&stage, host, b"\x80\x2e\x01\0\x02");
        let mut records = Hello::to(host);
        records.record_version = [2, 0];
        let (heard, record) = hear(&stage, host, &records.bytes());
        assert!(matches!(heard, Heard::Alert(_)), "{record}: {heard:?}");
        records.record_version = [3, 0];
        let (heard, record) = hear(&stage, host, &records.bytes());
        // A server ignores the version of a record (RFC 8446 §5.1); for another server nobody can say.
        let expected = match host {
            PASSED => Heard::Alert(50),
            _ => Heard::ServerHello,
        };
        assert_eq!(heard, expected, "{record}");
    }
    // What a hello offers beside its version counts where TLS ends here.
    for (list, heard) in [
        (&[3, 2, 3, 1][..], Heard::Alert(70)),
        (&[3, 0], Heard::Alert(70)),
        (&[3, 5], Heard::Alert(70)),
        (&[0x7f, 28], Heard::Alert(70)),
        (&[0x0a, 0x0a, 3, 4], Heard::ServerHello),
        (&[3, 3], Heard::ServerHello),
    ] {
        let hello = Hello::to(OPENED).changing(SUPPORTED_VERSIONS, versions(list));
        let (got, record) = hear(&stage, OPENED, &hello.bytes());
        assert_eq!(got, heard, "{list:x?}: {record}");
    }
    stage.world.assert_nothing_left();
}

fn refuses_silently(stage: &Stage, host: &str, bytes: &[u8]) {
    let (heard, record) = hear(stage, host, bytes);
    assert!(
        matches!(heard, Heard::Nothing | Heard::Alert(_)),
        "{bytes:x?}: {heard:?}"
    );
    assert_eq!(record["code"], NOT_TLS, "{bytes:x?}: {record}");
    stage.world.assert_nothing_left();
}

#[test]
fn c9_what_is_not_tls_reaches_nobody() {
    let stage = stage(plan());
    for bytes in [
        &b"SSH-2.0-x\r\n"[..],
        b"GET /v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        b"GET http://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        b"CONNECT api.good.test:443 HTTP/1.1\r\nHost: api.good.test:443\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"EHLO x\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"\0\0\0\x4e\0\x03\0\0user\0x\0",
        b"\x05\x01\0",
        b"\x04\x01\x01\xbb\x7f\0\0\x01\0",
        b"*1\r\n$4\r\nPING\r\n",
        b"\x10\x0c\0\x04MQTT\x04\x02",
        b"\x13BitTorrent protocol",
        b"\x80\x2e\x01\x03\x01",
        b"\x16\x03\x01\0\x05hello",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x03\0\x04\x02\0\0\0",
        b"\x16\x03\x03\0\x04\0\0\0\0",
        b"\x15\x03\x01\0\x02\x02\x28",
        b"\x14\x03\x03\0\x01\x01",
        b"\x17\x03\x03\0\x01x",
        b"\x17\x03\x01",
        b"\0",
        b"\r\n",
        b"\xff",
    ] {
        for host in [OPENED, PASSED, "evil.test"] {
            refuses_silently(&stage, host, bytes);
        }
    }
}

#[test]
fn c9_cleartext_in_the_segment_of_its_connect_is_no_request() {
    let stage = stage(plan());
    let behind = "GET http://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
    let mut stream = stage.world.client().connect();
    let both = format!("{CONNECT}{behind}");
    stream.write_all(both.as_bytes()).unwrap();
    assert_eq!(read_head(&mut stream).unwrap().status, 200);
    assert_eq!(rest(&mut stream), "");
    stage.world.assert_nothing_left();
    assert_eq!(stage.world.record()["code"], NOT_TLS);
}

#[test]
fn c10_a_client_that_waits_to_be_spoken_to_reaches_nobody() {
    let limits = ClientLimits {
        handshake: Duration::from_millis(100),
        ..ClientLimits::default()
    };
    let stage = stage(plan().clients(limits));
    let hosts = [OPENED, PASSED, "a.wild.test", "evil.test"];
    for (number, host) in hosts.into_iter().enumerate() {
        let (_, mut stream) = stage.world.client().open(&format!("{host}:443"), &[]);
        assert_eq!(rest(&mut stream), "", "{host}");
        let records = stage.world.records(number + 1);
        assert_eq!(records[number]["code"], "client_too_slow", "{host}");
    }
    stage.world.assert_nothing_left();
}
