//! What one connection leaves for another: never who somebody is, never a request before the handshake, never a second
//! handshake.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, HandshakeKind, ServerConnection,
    StreamOwned, SupportedProtocolVersion, version,
};
use rustls_pki_types::ServerName;

use super::hello::{Hello, vector};
use super::origins::{named, showing};
use super::{Heard, OPENED, hear, stage};
use crate::attacks::stage::POLICY;
use crate::world::{Client, Plan, World, json_reply, read_answer, read_until};

const AGENTS: &str = r#"
agents:
  reader: {token: {secret: reader_token}, allow: [get_item]}
  other: {token: {secret: other_token}, allow: [two]}
"#;

fn with_agents() -> World {
    let secrets = "secrets:\n  reader_token: {env: READER}\n  other_token: {env: OTHER}\n";
    let policy = POLICY.replace("secrets:\n", secrets);
    Plan::of(&format!("{policy}{AGENTS}"))
        .secret("reader_token", "reader-secret")
        .secret("other_token", "other-secret")
        .start()
}

fn login(name: &str) -> String {
    let pair = STANDARD.encode(format!("{name}:{name}-secret"));
    format!("Proxy-Authorization: Basic {pair}")
}

fn config(client: &Client, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut config = client.tls();
    if versions != rustls::ALL_VERSIONS {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        config = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(client.roots().clone())
            .with_no_client_auth();
    }
    config.enable_early_data = true;
    config.enable_secret_extraction = true;
    config
}

fn session(config: &Arc<ClientConfig>) -> ClientConnection {
    let name = ServerName::try_from(OPENED).unwrap();
    ClientConnection::new(config.clone(), name).unwrap()
}

const GET: &str = "GET /v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n";

#[test]
fn c18_a_ticket_says_nothing_about_who_comes_with_it() {
    for versions in [&[&version::TLS13][..], &[&version::TLS12]] {
        let world = with_agents();
        world.origin(OPENED, |_| json_reply("{}"));
        let client = world.client();
        let config = Arc::new(config(&client, versions));
        let ask = |agent: &str, kind: HandshakeKind| {
            let (answer, stream) = client.open("api.good.test:443", &[&login(agent)]);
            assert_eq!(answer.status, 200, "{answer:?}");
            let mut tunnel = StreamOwned::new(session(&config), stream);
            tunnel.write_all(GET.as_bytes()).unwrap();
            let answer = read_answer(&mut tunnel, "GET").unwrap();
            assert_eq!(tunnel.conn.handshake_kind(), Some(kind), "{agent}");
            (answer.status, answer.refusal().to_owned())
        };
        let served = (200, "none".to_owned());
        let refused = (403, "action_not_allowed".to_owned());
        assert_eq!(ask("reader", HandshakeKind::Full), served);
        assert_eq!(ask("reader", HandshakeKind::Resumed), served);
        assert_eq!(ask("other", HandshakeKind::Resumed), refused);
        assert_eq!(ask("reader", HandshakeKind::Resumed), served);
        let (nobody, _) = client.open("api.good.test:443", &[]);
        assert_eq!((nobody.status, nobody.refusal()), (407, "agent_unknown"));
        let agents = world.records(5).into_iter().map(|it| it["agent"].clone());
        let agents: Vec<_> = agents.collect();
        let who = ["reader", "reader", "other", "reader"];
        assert_eq!(agents[..4], who, "{agents:?}");
        assert_eq!(agents[4], serde_json::Value::Null);
    }
}

#[test]
fn c19_early_data_of_clients_is_not_accepted() {
    let world = World::usual();
    let origin = world.origin(OPENED, |_| json_reply("{}"));
    let client = world.client();
    let config = Arc::new(config(&client, rustls::ALL_VERSIONS));
    for resumed in [false, true] {
        let (_, stream) = client.open("api.good.test:443", &[]);
        let mut session = session(&config);
        // A client sends what a ticket allows; ours allow nothing.
        assert!(session.early_data().is_none(), "{resumed}");
        let mut tunnel = StreamOwned::new(session, stream);
        tunnel.write_all(GET.as_bytes()).unwrap();
        assert_eq!(read_answer(&mut tunnel, "GET").unwrap().status, 200);
        let kind = tunnel.conn.handshake_kind() == Some(HandshakeKind::Resumed);
        assert_eq!(kind, resumed);
    }
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn c19_early_data_that_nothing_allows_is_no_request() {
    let stage = stage(Plan::of(POLICY));
    let ticket = [vector(2, &[7; 200]), vec![0; 4]].concat();
    let keys = [vector(2, &ticket), vector(2, &vector(1, &[9; 32]))].concat();
    let asking = |keys: Option<Vec<u8>>| {
        let mut hello = Hello::to(OPENED).with(45, vector(1, &[1])).with(42, vec![]);
        hello.extensions.extend(keys.map(|it| (41, it)));
        hello
    };
    for hello in [
        asking(None),
        asking(Some(keys.clone())),
        asking(Some(vec![])),
    ] {
        for early in [GET.as_bytes(), &[0x5a; 400]] {
            let bytes = [hello.bytes(), hello.record(23, early)].concat();
            let (heard, record) = hear(&stage, OPENED, &bytes);
            let is_request = matches!(&heard, Heard::Other(it) if it.starts_with(b"HTTP"));
            assert!(!is_request, "{heard:?}");
            assert_eq!(record["method"], "CONNECT", "{record}");
            assert_ne!(record["decision"], "allowed", "{record}");
        }
    }
    stage.world.assert_nothing_left();
}

#[test]
fn c19_a_server_that_takes_early_data_gets_none() {
    let world = World::usual();
    let ca = world.origin_ca();
    let key = KeyPair::generate().unwrap();
    let leaf = named(OPENED).signed_by(&key, ca).unwrap();
    let mut config = (*showing(vec![leaf.into()], &key)).clone();
    config.max_early_data_size = 16 * 1024;
    config.send_half_rtt_data = true;
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    world.lead(OPENED, 443, listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = ServerConnection::new(config.clone()).unwrap();
            let mut stream = StreamOwned::new(session, stream);
            let head = read_until(&mut stream, b"\r\n\r\n").unwrap();
            let early = stream.conn.early_data().is_some();
            let kind = stream.conn.handshake_kind().unwrap();
            let reply = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
            stream.write_all(reply.as_bytes()).unwrap();
            stream.conn.send_close_notify();
            let _ = stream.flush();
            tell.send((head.starts_with("GET "), early, kind)).unwrap();
            let _ = stream.sock.read(&mut [0]);
        }
    });
    // Sessions are kept by each worker, and what is on one connection stays with one of them.
    let mut client = world.client().connect();
    for kind in [
        HandshakeKind::Full,
        HandshakeKind::Resumed,
        HandshakeKind::Resumed,
    ] {
        let get = ("GET", "http://api.good.test/v1/items/1", &[][..], "");
        assert_eq!(world.client().send_on(&mut client, get).status, 200);
        assert_eq!(told.recv().unwrap(), (true, false, kind));
    }
}

/// A record as the client of a finished handshake would send it, of this kind.
fn sealed(session: ClientConnection, kind: u8, content: &[u8]) -> Vec<u8> {
    let is_old = session.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_2);
    let (number, secrets) = session.dangerous_extract_secrets().unwrap().tx;
    let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else {
        panic!("another suite");
    };
    let key = UnboundKey::new(&AES_128_GCM, key.as_ref()).unwrap();
    let key = LessSafeKey::new(key);
    let mut content = content.to_vec();
    if is_old {
        let explicit = [0x42; 8];
        let nonce = [&iv.as_ref()[..4], &explicit].concat();
        let length = vector(2, &content);
        let about = [&number.to_be_bytes()[..], &[kind, 3, 3], &length[..2]].concat();
        let nonce = Nonce::try_assume_unique_for_key(&nonce).unwrap();
        key.seal_in_place_append_tag(nonce, Aad::from(about), &mut content)
            .unwrap();
        let content = [&explicit[..], &content].concat();
        return [vec![kind, 3, 3], vector(2, &content)].concat();
    }
    content.push(kind);
    let mut nonce = iv.as_ref().to_vec();
    for (byte, number) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
        *byte ^= number;
    }
    let length = (content.len() + 16) as u16;
    let about = [&[23, 3, 3][..], &length.to_be_bytes()].concat();
    let nonce = Nonce::try_assume_unique_for_key(&nonce).unwrap();
    key.seal_in_place_append_tag(nonce, Aad::from(about), &mut content)
        .unwrap();
    [vec![23, 3, 3], vector(2, &content)].concat()
}

#[test]
fn c19_there_is_one_handshake_and_no_second() {
    let stage = stage(Plan::of(POLICY));
    let client = stage.world.client();
    let requests = [
        Hello::to(OPENED).message(),
        Hello::to("evil.test").message(),
        vec![0, 0, 0, 0],
        vec![14, 0, 0, 0],
    ];
    let all = [&[&version::TLS13][..], &[&version::TLS12]];
    let mut count = 0;
    for (versions, content) in all
        .iter()
        .flat_map(|it| requests.iter().map(move |of| (it, of)))
    {
        let config = Arc::new(config(&client, versions));
        let (_, mut stream) = client.open("api.good.test:443", &[]);
        let mut session = session(&config);
        while session.is_handshaking() || session.wants_write() {
            session.complete_io(&mut stream).unwrap();
        }
        // Tickets are taken, so that nothing is left unread.
        stream.write_all(&sealed(session, 22, content)).unwrap();
        let mut back = Vec::new();
        let _ = stream.read_to_end(&mut back);
        count += 1;
        let record = &stage.world.records(count)[count - 1];
        let shown = format!("{:?} {:x?}: {record}", versions[0].version, &content[..4]);
        assert_eq!(record["method"], "CONNECT", "{shown}");
        assert_ne!(record["decision"], "allowed", "{shown}");
    }
    stage.world.assert_nothing_left();
}
