//! Our own certificates: for one name each, made once, not without number; and clients that refuse them.

use std::collections::HashSet;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Request;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::ParsedCertificate;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, StreamOwned,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{OPENED, stage};
use crate::attacks::stage::{POLICY, Stage};
use crate::interception;
use crate::world::{Plan, World, json_reply, read_answer, rest};

const GET: &str = "GET /v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n";

#[test]
fn c14_a_protocol_is_chosen_that_both_speak_or_none() {
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&["h2"], Some("h2")),
        (&["foo", "http/1.1"], Some("http/1.1")),
        (&["h3", "spdy/3", "h2"], Some("h2")),
        (&[], None),
    ] {
        let world = World::usual();
        let (_, mut stream) = world.client().open("api.good.test:443", &[]);
        let mut session = world.client().session(OPENED, offered);
        session.complete_io(&mut stream).unwrap();
        let expected = chosen.map(str::as_bytes);
        assert_eq!(session.alpn_protocol(), expected, "{offered:?}");
    }
    for offered in [
        "http/1.0",
        "foo",
        "h2c",
        "http/2",
        "h3",
        "H2",
        "HTTP/1.1",
        "http/1.1 ",
        "h2\0",
        "ftp",
    ] {
        let mut world = World::usual();
        let (_, mut stream) = world.client().open("api.good.test:443", &[]);
        let mut session = world.client().session(OPENED, &[offered]);
        let failed = session.complete_io(&mut stream).unwrap_err().to_string();
        assert!(
            failed.contains("NoApplicationProtocol"),
            "{offered}: {failed}"
        );
        world.assert_nothing_left();
        let records = world.last_records();
        assert_eq!(records.len(), 1, "{offered}");
        assert_eq!(records[0]["decision"], "failed", "{offered}");
    }
}

#[test]
fn c14_frames_are_not_read_as_http_1_and_the_other_way_round() {
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let frames = format!("{preface}\0\0\0\u{4}\0\0\0\0\0");
    for (protocol, bytes, decision) in [
        (Some("http/1.1"), frames.as_str(), "refused"),
        (None, &frames, "refused"),
        (Some("http/1.1"), preface, "refused"),
        (Some("h2"), GET, "failed"),
        (Some("h2"), "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "failed"),
        (Some("h2"), "PRI * HTTP/1.1\r\n\r\n", "failed"),
    ] {
        let mut world = World::usual();
        let (_, stream) = world.client().open("api.good.test:443", &[]);
        let protocols: Vec<&str> = protocol.into_iter().collect();
        let session = world.client().session(OPENED, &protocols);
        let mut tunnel = StreamOwned::new(session, stream);
        tunnel.write_all(bytes.as_bytes()).unwrap();
        let back = rest(&mut tunnel);
        assert!(!back.contains("HTTP/1.1 200"), "{back:?}");
        world.assert_nothing_left();
        let records = world.last_records();
        assert_eq!(records.len(), 1, "{protocol:?}: {records:#?}");
        assert_eq!(records[0]["decision"], decision, "{protocol:?} {bytes:?}");
    }
}

#[tokio::test]
async fn c15_a_connection_is_for_the_host_of_its_certificate_alone() {
    let world = World::usual();
    let origin = world.origin(OPENED, |_| json_reply("{}"));
    world.origin("api.two.test", |_| json_reply("{}"));
    let mut client = interception::http2(&world, OPENED).await;
    let own = || Request::get("https://api.good.test/v1/items/1");
    let (status, _, _) = interception::stream(&mut client, own(), "").await;
    assert_eq!(status, 200);
    for url in [
        "https://api.two.test/me",
        "https://evil.test/v1/items/1",
        "https://good.test/v1/items/1",
        "https://x.api.good.test/v1/items/1",
        "https://api.good.test:444/v1/items/1",
        "https://203.0.114.10/v1/items/1",
        "https://127.1/v1/items/1",
        "https://0x7f000001/v1/items/1",
        "https://[::1]/v1/items/1",
    ] {
        let asked = Request::get(url);
        let (status, code, _) = interception::stream(&mut client, asked, "").await;
        assert_eq!((status, code.as_str()), (421, "host_mismatch"), "{url}");
        // The stream is refused, and the connection goes on for its own host.
        let (status, _, _) = interception::stream(&mut client, own(), "").await;
        assert_eq!(status, 200, "{url}");
    }
    assert_eq!((origin.seen().len(), world.dials().len()), (10, 1));
    assert_eq!(world.fetched().iter().collect::<HashSet<_>>().len(), 1);
}

#[test]
fn c15_a_leaf_has_one_name_and_is_for_servers_alone() {
    let world = World::usual();
    let hosts = [OPENED, "api.two.test", "evil.test", "x.evil.test"];
    for host in hosts {
        let mut tunnel = world.client().tunnel(host);
        tunnel.conn.complete_io(&mut tunnel.sock).unwrap();
        let chain = tunnel.conn.peer_certificates().unwrap();
        assert_eq!(chain.len(), 1, "the CA is in the clients' stores");
        let leaf = ParsedCertificate::try_from(&chain[0]).unwrap();
        for other in hosts.into_iter().chain(["good.test", "y.evil.test"]) {
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

/// How many leaves were signed so far.
fn minted(world: &World) -> u64 {
    let written = world.everything_written();
    let mut lines = written.lines();
    let minted = lines.find(|it| it.starts_with("exeat_leaf_certificates_minted_total "));
    minted.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn c16_names_that_an_agent_makes_up_cost_a_bounded_number_of_leaves() {
    let stage = Stage::of(Plan::of(POLICY).naming(40));
    let world = &stage.world;
    let statuses: Vec<u16> = (0..3_000)
        .map(|it| {
            world
                .client()
                .open(&format!("r{it:04}.wild.test:443"), &[])
                .0
                .status
        })
        .collect();
    assert_eq!(statuses.iter().filter(|it| **it == 200).count(), 40);
    assert!(statuses[40..].iter().all(|it| *it == 429));
    assert_eq!(minted(world), 40);
    world.assert_nothing_left();
    // Those that it began with are there as before, and so are hosts that the policy spells out.
    let again = world.client().open("r0007.wild.test:443", &[]).0;
    assert_eq!((again.status, minted(world)), (200, 40));
    let answer = world
        .client()
        .send_inside("GET", "https://api.good.test/v1/items/1", &[], "");
    assert_eq!((answer.status, minted(world)), (200, 41));
}

#[test]
fn c16_undeclared_names_cost_a_bounded_number_of_leaves() {
    let world = World::usual();
    let mut answers = (0..3_000).map(|number| {
        let host = format!("r{number:04}.evil.test:443");
        world.client().open(&host, &[]).0
    });
    // Sooner or later there are more than so many in a second, and the refusal comes without TLS.
    let refused = answers.find(|it| it.status != 200).unwrap();
    let got = (refused.status, refused.refusal());
    assert_eq!(got, (403, "host_undeclared"));
    // A declared host is not hurt by it.
    assert_eq!(world.client().open("api.good.test:443", &[]).0.status, 200);
    world.assert_nothing_left();
}

#[test]
fn c17_many_first_connects_at_once_share_one_leaf() {
    let world = Arc::new(World::usual());
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let world = world.clone();
            std::thread::spawn(move || {
                let mut tunnel = world.client().tunnel(OPENED);
                tunnel.conn.complete_io(&mut tunnel.sock).unwrap();
                tunnel.conn.peer_certificates().unwrap()[0].to_vec()
            })
        })
        .collect();
    let leaves: HashSet<Vec<u8>> = clients.into_iter().map(|it| it.join().unwrap()).collect();
    assert_eq!((leaves.len(), minted(&world)), (1, 1));
}

/// A clock that is off by so many seconds.
#[derive(Debug)]
struct Off(i64);

impl TimeProvider for Off {
    fn current_time(&self) -> Option<UnixTime> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()?;
        let then = now.as_secs().checked_add_signed(self.0)?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(then)))
    }
}

#[test]
fn c26_clients_whose_clocks_are_off_trust_us() {
    const DAY: i64 = 24 * 60 * 60;
    let world = World::usual();
    for (seconds, trusts) in [
        (0, true),
        (-300, true),
        (300, true),
        (-3_500, true),
        (6 * DAY, true),
        (-DAY, false),
        (8 * DAY, false),
    ] {
        let provider = default_provider();
        let config = ClientConfig::builder_with_details(provider.into(), Arc::new(Off(seconds)))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(world.roots())
            .with_no_client_auth();
        let name = ServerName::try_from(OPENED).unwrap();
        let mut session = ClientConnection::new(config.into(), name).unwrap();
        let (_, mut stream) = world.client().open("api.good.test:443", &[]);
        let shaken = session.complete_io(&mut stream);
        assert_eq!(shaken.is_ok(), trusts, "{seconds}: {shaken:?}");
    }
}

/// A client that expects another certificate than any that it is shown.
#[derive(Debug)]
struct Pinned(CertificateError);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Err(self.0.clone().into())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(self.0.clone().into())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(self.0.clone().into())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = default_provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[test]
fn c29_a_client_that_does_not_trust_us_says_so_in_the_record_and_is_counted() {
    let stage = stage(Plan::of(POLICY));
    let refusals = [
        (CertificateError::UnknownIssuer, "unknown_ca"),
        (CertificateError::BadSignature, "decrypt_error"),
        (CertificateError::BadEncoding, "bad_certificate"),
        (CertificateError::Revoked, "certificate_revoked"),
        (CertificateError::Expired, "certificate_expired"),
        (CertificateError::NotValidForName, "bad_certificate"),
        (CertificateError::InvalidPurpose, "unsupported_certificate"),
        (
            CertificateError::ApplicationVerificationFailure,
            "access_denied",
        ),
    ];
    let count = refusals.len();
    for (number, (error, alert)) in refusals.into_iter().enumerate() {
        let mut config = stage.world.client().tls();
        let pinned = Arc::new(Pinned(error));
        config.dangerous().set_certificate_verifier(pinned);
        refused_by_client(&stage, OPENED, config);
        let record = &stage.world.records(number + 1)[number];
        assert_eq!(
            record["detail"],
            format!("client_alert={alert}"),
            "{record}"
        );
        assert_eq!(record["code"], "client_gone", "{record}");
        assert_eq!(record["host"], OPENED);
    }
    for host in ["a.wild.test", "b.wild.test", "evil.test"] {
        let bundled = stage.world.client().trusting(&RootCertStore::empty());
        refused_by_client(&stage, host, bundled.tls());
    }
    let records = stage.world.records(count + 3);
    assert!(
        records[count..]
            .iter()
            .all(|it| it["detail"] == "client_alert=unknown_ca")
    );
    stage.world.assert_nothing_left();
    let written = stage.world.everything_written();
    for (host, expected) in [(OPENED, count - 1), ("*.wild.test", 2), ("none", 1)] {
        let line = format!("exeat_tunnels_distrusted_total{{host=\"{host}\"}} {expected}\n");
        assert!(written.contains(&line), "{line} in {written}");
    }
    // Who trusts us is not counted.
    let mut tunnel = stage.world.client().tunnel(OPENED);
    tunnel.write_all(GET.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut tunnel, "GET").unwrap().status, 200);
    let line = format!(
        "exeat_tunnels_distrusted_total{{host=\"{OPENED}\"}} {}\n",
        count - 1
    );
    assert!(stage.world.everything_written().contains(&line));
}

fn refused_by_client(stage: &Stage, host: &str, config: ClientConfig) {
    let (_, mut stream) = stage.world.client().open(&format!("{host}:443"), &[]);
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut session = ClientConnection::new(config.into(), name).unwrap();
    assert!(session.complete_io(&mut stream).is_err(), "{host}");
}
