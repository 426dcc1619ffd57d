//! Origins that are not who they should be, or shake hands as nobody should: they get no request, and no secret.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, NameConstraints, SanType,
    date_time_ymd,
};
use rustls::crypto::aws_lc_rs::{default_provider, sign};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;

use super::hello::vector;
use super::{OPENED, stage};
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::{Plan, Reply, Then, rest};

/// A chain that a server shows, whether or not the key is the leaf's.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// How a server speaks TLS that shows this chain.
pub(super) fn showing(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = sign::any_supported_type(&key).unwrap();
    let config = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shown(CertifiedKey::new(chain, key).into())));
    Arc::new(config)
}

/// Of an origin that shows this: refused at every door with `upstream_tls`, and nothing of a request arrives.
pub(super) fn gets_no_request(stage: &Stage, what: &str, config: Arc<ServerConfig>) {
    let origin = stage.world.origin_with(OPENED, config);
    let before = stage.world.records(0).len();
    for door in Door::ALL {
        let mut stream = stage.open(door);
        stream.write_all(&door.get("/v1/items/1")).unwrap();
        let answer = stage.answer(&mut stream, "GET").unwrap();
        let got = (answer.status, answer.refusal());
        assert_eq!(got, (502, "upstream_tls"), "{what} {door:?}: {answer:?}");
    }
    let called = stage
        .world
        .call("get_item", "", &json!({"parameters": {"id": "1"}}));
    let got = (called.status, called.refusal());
    assert_eq!(got, (502, "upstream_tls"), "{what}: {called:?}");
    assert_eq!((origin.connections(), origin.seen()), (3, vec![]), "{what}");
    for record in &stage.world.records(before + 3)[before..] {
        let detail = record["detail"].as_str().unwrap();
        assert!(detail.starts_with("TLS with api.good.test failed: "));
        assert_eq!(record["decision"], "failed", "{what}: {record}");
        assert_eq!(record["upstream_addr"], "203.0.114.10:443", "{what}");
    }
}

pub(super) fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

/// An authority of this name below the origins' own.
pub(super) fn intermediate(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

#[test]
fn c11_a_certificate_that_is_not_the_servers_own_gets_no_request() {
    let stage = stage(Plan::of(POLICY));
    let ca = stage.world.origin_ca();
    let good = || named(OPENED);
    let mut expired = good();
    (expired.not_before, expired.not_after) =
        (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let mut early = good();
    (early.not_before, early.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
    let mut backwards = good();
    (backwards.not_before, backwards.not_after) = (early.not_before, expired.not_after);
    let used = |usages: &[ExtendedKeyUsagePurpose]| {
        let mut params = good();
        params.extended_key_usages = usages.to_vec();
        params
    };
    let mut common_name = CertificateParams::default();
    let subject = &mut common_name.distinguished_name;
    subject.push(DnType::CommonName, OPENED);
    let alternative = |name: SanType| {
        let mut params = common_name.clone();
        params.subject_alt_names = vec![name];
        params
    };
    let text = |it: &str| Ia5String::try_from(it).unwrap();
    let mut authority = good();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut critical = good();
    let mut unknown = CustomExtension::from_oid_content(&[1, 3, 9999, 1], vec![5, 0]);
    unknown.set_criticality(true);
    critical.custom_extensions = vec![unknown];
    for (what, params) in [
        ("expired", expired),
        ("not valid yet", early),
        ("never valid", backwards),
        ("for clients", used(&[ExtendedKeyUsagePurpose::ClientAuth])),
        ("for code", used(&[ExtendedKeyUsagePurpose::CodeSigning])),
        (
            "for mail",
            used(&[ExtendedKeyUsagePurpose::EmailProtection]),
        ),
        ("a common name only", common_name.clone()),
        ("no name at all", CertificateParams::default()),
        ("another name", named("evil.test")),
        ("another name of the policy", named("api.two.test")),
        ("a name below", named("x.api.good.test")),
        ("the name above", named("good.test")),
        ("a wildcard above", named("*.test")),
        ("a wildcard below", named("*.api.good.test")),
        ("a wildcard of two levels", named("*.*.test")),
        ("a wildcard in part", named("a*.good.test")),
        ("a wildcard inside", named("api.*.test")),
        ("a bare wildcard", named("*")),
        ("an address", named("203.0.114.10")),
        (
            "the name as another kind",
            alternative(SanType::URI(text("https://api.good.test"))),
        ),
        (
            "the name as mail",
            alternative(SanType::Rfc822Name(text("x@api.good.test"))),
        ),
        (
            "a zero",
            alternative(SanType::DnsName(text("api.good.test\0.evil.test"))),
        ),
        ("an authority", authority),
        ("a critical extension that nobody knows", critical),
    ] {
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, ca).unwrap();
        gets_no_request(&stage, what, showing(vec![leaf.into()], &key));
    }
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let own = good().self_signed(&key).unwrap();
    gets_no_request(&stage, "self-signed", showing(vec![own.into()], &key));
    let stolen = good().signed_by(&key, ca).unwrap();
    gets_no_request(&stage, "another's", showing(vec![stolen.into()], &other));
    gets_no_request(&stage, "no certificate", showing(vec![], &key));
    let junk = CertificateDer::from(b"\x30\x03\x02\x01\x01".to_vec());
    gets_no_request(&stage, "junk", showing(vec![junk], &key));
    for name in [OPENED, "*.good.test"] {
        let leaf = named(name).signed_by(&key, ca).unwrap();
        let config = showing(vec![leaf.into()], &key);
        let origin = stage.world.origin_with(OPENED, config);
        assert_eq!(
            stage
                .world
                .client()
                .get("http://api.good.test/v1/items/1")
                .status,
            200
        );
        assert_eq!(origin.seen().len(), 1, "{name}");
    }
}

#[test]
fn c11_a_chain_is_as_good_as_each_of_its_links() {
    let stage = stage(Plan::of(POLICY));
    let ca = stage.world.origin_ca();
    let (key, leaf_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut no_authority = intermediate("none");
    no_authority.is_ca = IsCa::ExplicitNoCa;
    let mut unsaid = intermediate("unsaid");
    unsaid.is_ca = IsCa::NoCa;
    let mut expired = intermediate("expired");
    (expired.not_before, expired.not_after) =
        (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let mut elsewhere = intermediate("elsewhere");
    let subtree = |it: &str| GeneralSubtree::DnsName(it.to_owned());
    elsewhere.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![subtree("evil.test")],
        excluded_subtrees: vec![],
    });
    let mut not_here = intermediate("not here");
    not_here.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![],
        excluded_subtrees: vec![subtree("good.test")],
    });
    let mut for_clients = intermediate("for clients");
    for_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let chain = |link: CertificateParams| {
        let signed = link.signed_by(&key, ca).unwrap();
        let issuer = Issuer::from_params(&link, &key);
        let leaf = named(OPENED).signed_by(&leaf_key, &issuer).unwrap();
        vec![leaf.into(), signed.into()]
    };
    for (what, link) in [
        ("no authority", no_authority),
        ("not said to be one", unsaid),
        ("expired", expired),
        ("for other names", elsewhere),
        ("not for this name", not_here),
        ("for clients", for_clients),
    ] {
        gets_no_request(&stage, what, showing(chain(link), &leaf_key));
    }
    // Another's root, shown with the chain, is no root; an authority that is not shown is not looked for.
    let root = intermediate("another root").self_signed(&key).unwrap();
    let root_params = intermediate("another root");
    let issuer = Issuer::from_params(&root_params, &key);
    let leaf = named(OPENED).signed_by(&leaf_key, &issuer).unwrap();
    let brought = vec![leaf.into(), root.into()];
    gets_no_request(&stage, "a root of its own", showing(brought, &leaf_key));
    let mut short = chain(intermediate("good"));
    short.truncate(1);
    gets_no_request(&stage, "a link is missing", showing(short, &leaf_key));
    let good = showing(chain(intermediate("good")), &leaf_key);
    stage.world.origin_with(OPENED, good);
    let answer = stage.world.client().get("http://api.good.test/v1/items/1");
    assert_eq!(answer.status, 200);
}

/// A server of TLS 1.2 that answers a hello with this choice, and tells what came back.
fn choosing(stage: &Stage, hello: Vec<u8>) -> mpsc::Receiver<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    stage
        .world
        .lead(OPENED, 443, listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        let mut asked = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        stream.read_exact(&mut asked).unwrap();
        let _ = stream.write_all(&hello);
        let mut back = Vec::new();
        let _ = stream.read_to_end(&mut back);
        let _ = tell.send(back);
    });
    told
}

/// A ServerHello of this version, suite and compression, with these extensions.
fn server_hello(version: [u8; 2], suite: [u8; 2], compression: u8, extensions: &[u8]) -> Vec<u8> {
    let start = [&version[..], &[7; 32], &vector(1, &[])].concat();
    let rest = [&suite[..], &[compression], &vector(2, extensions)].concat();
    let message = [vec![2], vector(3, &[start, rest].concat())].concat();
    [vec![22, 3, 3], vector(2, &message)].concat()
}

/// The choice of a protocol.
fn protocol(name: &[u8]) -> Vec<u8> {
    [vec![0, 16], vector(2, &vector(2, &vector(1, name)))].concat()
}

const SUITE: [u8; 2] = [0xc0, 0x2b];
const OLDER_KEYS: [u8; 2] = [0, 0x2f];

#[test]
fn c13_a_server_that_chooses_what_was_not_offered_gets_no_request() {
    let two = [protocol(b"http/1.1"), protocol(b"h2")].concat();
    let many = [vec![0, 16], vector(2, &vector(2, b"\x02h2\x08http/1.1"))].concat();
    for (what, hello) in [
        ("foo", server_hello([3, 3], SUITE, 0, &protocol(b"foo"))),
        (
            "http/1.0",
            server_hello([3, 3], SUITE, 0, &protocol(b"http/1.0")),
        ),
        ("h3", server_hello([3, 3], SUITE, 0, &protocol(b"h3"))),
        ("nothing", server_hello([3, 3], SUITE, 0, &protocol(b""))),
        ("two", server_hello([3, 3], SUITE, 0, &many)),
        ("it twice", server_hello([3, 3], SUITE, 0, &two)),
        ("TLS 1.1", server_hello([3, 2], SUITE, 0, &[])),
        ("SSL 3", server_hello([3, 0], SUITE, 0, &[])),
        (
            "no forward secrecy",
            server_hello([3, 3], OLDER_KEYS, 0, &[]),
        ),
        ("no cipher", server_hello([3, 3], [0, 0], 0, &[])),
        ("compression", server_hello([3, 3], SUITE, 1, &[])),
        ("early data", server_hello([3, 3], SUITE, 0, &[0, 42, 0, 0])),
    ] {
        let stage = stage(Plan::of(POLICY));
        let told = choosing(&stage, hello);
        let answer = stage.world.client().get("http://api.good.test/v1/items/1");
        let got = (answer.status, answer.refusal());
        assert_eq!(got, (502, "upstream_tls"), "{what}: {answer:?}");
        let back = told.recv().unwrap();
        assert_eq!(back[..2], [21, 3], "{what}: an alert: {back:x?}");
        assert_eq!(back.len(), 7, "{what}: and no more: {back:x?}");
    }
    // HTTP/2 has no upgrade, so a WebSocket offers HTTP/1.1 alone.
    let stage = stage(Plan::of(POLICY));
    let told = choosing(&stage, server_hello([3, 3], SUITE, 0, &protocol(b"h2")));
    let lines = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ];
    let url = "http://api.good.test/v1/ws";
    let answer = stage.world.client().send("GET", url, &lines, "");
    assert_eq!((answer.status, answer.refusal()), (502, "upstream_tls"));
    assert_eq!(told.recv().unwrap()[..2], [21, 3]);
}

#[test]
fn c21_no_certificate_of_our_own_is_shown_to_anybody() {
    let stage = stage(Plan::of(POLICY));
    let ca = stage.world.origin_ca();
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let asking =
        WebPkiClientVerifier::builder_with_provider(roots.into(), default_provider().into());
    let asking = asking.allow_unauthenticated().build().unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = named(OPENED).signed_by(&key, ca).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(asking)
        .with_single_cert(vec![leaf.into()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    stage
        .world
        .lead(OPENED, 443, listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let session = rustls::ServerConnection::new(config.into()).unwrap();
        let mut stream = rustls::StreamOwned::new(session, stream);
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        stream.conn.peer_certificates().map(<[_]>::len)
    });
    let answer = stage.world.client().get("http://api.good.test/v1/items/1");
    assert_eq!(answer.status, 502, "it answers nothing");
    assert_eq!(server.join().unwrap(), None);
}

/// The value of an Authority Information Access extension that names this place for OCSP and for the issuer.
fn access(url: &str) -> Vec<u8> {
    let oid = |last: u8| vec![6, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, last];
    let place = [vec![0x86], vector(1, url.as_bytes())].concat();
    let entry = |last| sequence(&[oid(last), place.clone()].concat());
    sequence(&[entry(1), entry(2)].concat())
}

fn sequence(content: &[u8]) -> Vec<u8> {
    [vec![0x30, 0x82], vector(2, content)].concat()
}

#[test]
fn c27_nothing_that_a_certificate_names_is_fetched() {
    let stage = stage(Plan::of(POLICY));
    let ca = stage.world.origin_ca();
    let named_by_it = TcpListener::bind("127.0.0.1:0").unwrap();
    named_by_it.set_nonblocking(true).unwrap();
    let here = format!("http://{}/x", named_by_it.local_addr().unwrap());
    for url in [
        &here,
        "http://169.254.169.254/latest",
        "http://evil.test/",
        "ldap://evil.test/",
    ] {
        for stapled in [false, true] {
            let mut params = named(OPENED);
            params.crl_distribution_points = vec![CrlDistributionPoint {
                uris: vec![url.to_owned()],
            }];
            let oid = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
            params.custom_extensions = vec![CustomExtension::from_oid_content(oid, access(url))];
            if stapled {
                // "Must staple" (RFC 7633), which this server does not.
                let oid = &[1, 3, 6, 1, 5, 5, 7, 1, 24];
                let extension = CustomExtension::from_oid_content(oid, vec![0x30, 3, 2, 1, 5]);
                params.custom_extensions.push(extension);
            }
            let key = KeyPair::generate().unwrap();
            let leaf = params.signed_by(&key, ca).unwrap();
            // Good, from a stranger, and without the link that it names a place for.
            let stranger = params.self_signed(&key).unwrap();
            let link = Issuer::new(intermediate("absent"), KeyPair::generate().unwrap());
            let orphan = params.signed_by(&key, &link).unwrap();
            for (certificate, status) in [(leaf, 200), (stranger, 502), (orphan, 502)] {
                let config = showing(vec![certificate.into()], &key);
                stage.world.origin_with(OPENED, config);
                let answer = stage.world.client().get("http://api.good.test/v1/items/1");
                assert_eq!(answer.status, status, "{url}: {answer:?}");
            }
        }
    }
    assert!(named_by_it.accept().is_err(), "nobody came");
    let own = |it: &String| it == OPENED;
    assert!(stage.world.lookups().iter().all(own));
    let origin = "203.0.114.10:443".parse().unwrap();
    assert!(stage.world.dials().iter().all(|it| *it == origin));
}

#[test]
fn c28_an_end_that_anybody_could_make_is_no_end_of_a_body() {
    for (then, is_whole) in [(Then::Cut, false), (Then::Close, true)] {
        for body in ["abc", "", "{\"a\": 1}"] {
            for door in Door::ALL {
                let stage = stage(Plan::of(POLICY));
                let bytes = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
                stage
                    .world
                    .origin(OPENED, move |_| Reply::and(&bytes, then));
                let mut stream = stage.open(door);
                let get = door.request("GET", OPENED, "/v1/items/1", "Connection: close\r\n", "");
                stream.write_all(&get).unwrap();
                let text = rest(&mut stream);
                let shown = format!("{then:?} {door:?}: {text:?}");
                assert!(text.starts_with("HTTP/1.1 200"), "{shown}");
                assert!(text.contains("transfer-encoding: chunked"), "{shown}");
                assert_eq!(text.ends_with("0\r\n\r\n"), is_whole, "{shown}");
                let end = if is_whole { "complete" } else { "truncated" };
                assert_eq!(stage.world.record()["end"], end, "{shown}");
            }
            let stage = stage(Plan::of(POLICY));
            let bytes = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
            stage
                .world
                .origin(OPENED, move |_| Reply::and(&bytes, then));
            let called = stage
                .world
                .call("get_item", "", &json!({"parameters": {"id": "1"}}));
            let expected = if is_whole { 200 } else { 502 };
            assert_eq!(called.status, expected, "{then:?}: {called:?}");
        }
    }
    // Without a length an old client has the connection's end alone, so it sees that of TLS missing too.
    let stage = stage(Plan::of(POLICY));
    stage.world.origin(OPENED, |_| {
        Reply::and("HTTP/1.1 200 OK\r\n\r\nabc", Then::Cut)
    });
    let mut tunnel = stage.world.client().tunnel(OPENED);
    tunnel
        .write_all(b"GET /v1/items/1 HTTP/1.0\r\nHost: api.good.test\r\n\r\n")
        .unwrap();
    let mut back = Vec::new();
    assert!(tunnel.read_to_end(&mut back).is_err(), "{back:?}");
}
