//! Behaviours of the CA: what its files are like, what its leaves are good for, and how TLS goes with them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CertificateError, ClientConfig, Error, HandshakeKind, ProtocolVersion, RootCertStore,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tempfile::TempDir;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector};

use super::*;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn folder() -> TempDir {
    TempDir::new().unwrap()
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn roots(authority: &Authority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(authority.ca_pem().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    Arc::new(roots)
}

fn from_now(seconds: i64) -> UnixTime {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let then = i64::try_from(now.unwrap().as_secs()).unwrap() + seconds;
    UnixTime::since_unix_epoch(Duration::from_secs(then.try_into().unwrap()))
}

/// What a client says of a leaf.
fn verify(
    authority: &Authority,
    leaf: &CertifiedKey,
    name: &str,
    at: UnixTime,
) -> Result<(), Error> {
    let provider = Arc::new(default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(authority), provider);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let verifier = verifier.build().unwrap();
    let verified = verifier.verify_server_cert(&leaf.cert[0], &leaf.cert[1..], &name, &[], at);
    verified.map(drop)
}

fn minted(metrics: &Metrics) -> String {
    let text = metrics.render(&[]);
    let line = text
        .lines()
        .find(|it| it.starts_with("exeat_leaf_certificates_minted_total"));
    line.unwrap().rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn the_ca_is_made_once_and_the_key_is_for_its_owner() {
    let parent = folder();
    let folder = parent.path().join("made/ca");
    let first = Authority::open_or_create(&folder).unwrap();
    for (path, mode) in [(folder.clone(), 0o700), (folder.join("ca.key"), 0o600)] {
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path:?}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "no drafts stay");
    let again = Authority::open_or_create(&folder).unwrap();
    assert_eq!(first.ca_pem(), again.ca_pem());
    assert_eq!(
        first.ca_pem(),
        fs::read_to_string(folder.join("ca.pem")).unwrap()
    );
    let refused = Authority::create(&folder, &Constraints::default());
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("is there already")
    );
}

#[test]
fn many_who_start_at_once_have_one_ca() {
    let folder = folder();
    let path = folder.path().join("ca");
    let pems = std::thread::scope(|scope| {
        let starting = || {
            Authority::open_or_create(&path)
                .unwrap()
                .ca_pem()
                .to_owned()
        };
        let starts: Vec<_> = (0..8).map(|_| scope.spawn(starting)).collect();
        let pems = starts.into_iter().map(|start| start.join().unwrap());
        pems.collect::<Vec<_>>()
    });
    assert!(pems.iter().all(|pem| *pem == pems[0]));
}

#[test]
fn two_cas_have_two_names() {
    let (one, two) = (folder(), folder());
    let names = [&one, &two].map(|folder| {
        let authority = Authority::open_or_create(folder.path()).unwrap();
        roots(&authority).roots[0].subject.to_vec()
    });
    assert_ne!(names[0], names[1]);
    let prefix = b"exeat CA ";
    assert!(names[0].windows(prefix.len()).any(|it| it == prefix));
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Puts another CA in the folder, or what only looks like one.
fn replace(folder: &Path, days: i64, is_ca: IsCa) {
    let key = KeyPair::generate().unwrap();
    let mut certificate = CertificateParams::default();
    certificate.is_ca = is_ca;
    certificate.not_after = time::OffsetDateTime::now_utc() + time::Duration::days(days);
    let certificate = certificate.self_signed(&key).unwrap();
    fs::write(folder.join("ca.key"), key.serialize_pem()).unwrap();
    fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
}

#[test]
fn a_ca_that_is_not_safe_or_not_whole_is_refused_with_the_remedy() {
    const CA: IsCa = IsCa::Ca(BasicConstraints::Unconstrained);
    type Damage = fn(&Path);
    let cases: [(Damage, Option<&str>); 11] = [
        (
            |it| set_mode(&it.join("ca.key"), 0o644),
            Some("chmod 0600 "),
        ),
        (
            |it| set_mode(&it.join("ca.key"), 0o640),
            Some("(mode 0640)"),
        ),
        (|it| set_mode(it, 0o777), Some("chmod 0700 ")),
        (
            |it| fs::remove_file(it.join("ca.pem")).unwrap(),
            Some("cannot read "),
        ),
        (
            |it| fs::write(it.join("ca.pem"), "").unwrap(),
            Some("holds no certificate in PEM"),
        ),
        (
            |it| fs::write(it.join("ca.key"), "").unwrap(),
            Some("holds no private key"),
        ),
        (
            |it| {
                let pem = fs::read(it.join("ca.pem")).unwrap();
                replace(it, 1, CA);
                fs::write(it.join("ca.pem"), pem).unwrap();
            },
            Some("do not belong together"),
        ),
        (|it| replace(it, 1, CA), None),
        (|it| replace(it, -1, CA), Some("has expired")),
        (
            |it| replace(it, 1, IsCa::NoCa),
            Some("holds no certificate of a CA"),
        ),
        (
            |it| replace(it, 1, IsCa::ExplicitNoCa),
            Some("holds no certificate of a CA"),
        ),
    ];
    for (damage, words) in cases {
        let folder = folder();
        Authority::open_or_create(folder.path()).unwrap();
        damage(folder.path());
        let opened = Authority::open_or_create(folder.path());
        match (opened, words) {
            (Err(error), Some(words)) => {
                assert!(error.to_string().contains(words), "{words}: {error}");
            }
            (opened, words) => assert_eq!(opened.is_ok(), words.is_none(), "{words:?} {opened:?}"),
        }
    }
}

#[test]
fn making_a_ca_that_was_cut_short_begins_again() {
    let folder = folder();
    Authority::open_or_create(folder.path()).unwrap();
    fs::remove_file(folder.path().join("ca.key")).unwrap();
    assert!(Authority::open_or_create(folder.path()).is_ok());
}

#[tokio::test]
async fn a_leaf_is_good_for_one_name_for_a_week_and_for_servers_only() {
    let folder = folder();
    let authority = Authority::open_or_create(folder.path()).unwrap();
    let leaf = authority.leaf(&host("api.good.test")).await.unwrap();
    for (seconds, fine) in [
        (0, true),
        (-HOUR + 60, true),
        (-HOUR - 60, false),
        (7 * DAY - 60, true),
        (7 * DAY + 60, false),
    ] {
        let verified = verify(&authority, &leaf, "api.good.test", from_now(seconds));
        assert_eq!(verified.is_ok(), fine, "{seconds} {verified:?}");
    }
    for other in ["good.test", "a.api.good.test", "api.two.test", "exeat"] {
        let Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented,
            ..
        })) = verify(&authority, &leaf, other, from_now(0))
        else {
            panic!("{other} is another name");
        };
        assert_eq!(presented, ["DnsName(\"api.good.test\")"]);
    }
    let clients = WebPkiClientVerifier::builder_with_provider(
        roots(&authority),
        Arc::new(default_provider()),
    );
    let as_client = clients
        .build()
        .unwrap()
        .verify_client_cert(&leaf.cert[0], &[], from_now(0));
    assert!(as_client.is_err());
}

#[tokio::test]
async fn a_constrained_ca_is_not_believed_beyond_its_names() {
    let folder = folder();
    let constraints = Constraints {
        permitted: vec![host("good.test"), host("api.two.test")],
    };
    let authority = Authority::create(folder.path(), &constraints).unwrap();
    for (name, fine) in [
        ("good.test", true),
        ("api.good.test", true),
        ("api.two.test", true),
        ("two.test", false),
        ("evil.test", false),
        ("notgood.test", false),
    ] {
        let leaf = authority.leaf(&host(name)).await.unwrap();
        let verified = verify(&authority, &leaf, name, from_now(0));
        assert_eq!(verified.is_ok(), fine, "{name} {verified:?}");
    }
}

#[test]
fn a_constrained_ca_is_not_believed_for_addresses_even_if_its_key_is_stolen() {
    for (permitted, fine) in [(vec![], true), (vec![host("good.test")], false)] {
        let folder = folder();
        let authority = Authority::create(folder.path(), &Constraints { permitted }).unwrap();
        let stolen = fs::read_to_string(folder.path().join("ca.key")).unwrap();
        let stolen = KeyPair::from_pem(&stolen).unwrap();
        let issuer = Issuer::from_ca_cert_pem(authority.ca_pem(), stolen).unwrap();
        let key = KeyPair::generate().unwrap();
        let forged = CertificateParams::new(["192.0.2.1".to_owned()]).unwrap();
        let forged = forged.signed_by(&key, &issuer).unwrap();
        let signer = default_provider()
            .key_provider
            .load_private_key(key.into())
            .unwrap();
        let forged = CertifiedKey::new(vec![forged.into()], signer);
        let verified = verify(&authority, &forged, "192.0.2.1", from_now(0));
        assert_eq!(verified.is_ok(), fine, "{verified:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_first_asks_for_a_host_share_one_signature() {
    let folder = folder();
    let metrics = Metrics::new();
    let authority = Authority::open_or_create(folder.path()).unwrap();
    let authority = Arc::new(authority.counting(&metrics));
    let asks = (0..50).map(|_| {
        let authority = Arc::clone(&authority);
        tokio::spawn(async move { authority.leaf(&host("api.good.test")).await.unwrap() })
    });
    let mut leaves = Vec::new();
    for ask in asks.collect::<Vec<_>>() {
        leaves.push(ask.await.unwrap());
    }
    assert!(leaves.iter().all(|leaf| Arc::ptr_eq(leaf, &leaves[0])));
    assert_eq!(minted(&metrics), "1");
    authority.leaf(&host("api.two.test")).await.unwrap();
    assert_eq!(minted(&metrics), "2");
}

#[tokio::test]
async fn refusing_many_hosts_does_not_cost_many_signatures() {
    let folder = folder();
    let metrics = Metrics::new();
    let authority = Authority::open_or_create(folder.path()).unwrap();
    let authority = authority.counting(&metrics);
    let now = Instant::now();
    let mut given = 0;
    for number in 0..200 {
        let name = host(&format!("h{number}.evil.test"));
        let leaf = authority.leaf_for_refusal_at(&name, now).await;
        given += usize::from(leaf.is_some());
    }
    assert_eq!(given, 50);
    assert_eq!(minted(&metrics), "50");
    let known = host("h0.evil.test");
    assert!(
        authority.leaf_for_refusal_at(&known, now).await.is_some(),
        "kept"
    );
    let unknown = host("h199.evil.test");
    assert!(authority.leaf_for_refusal_at(&unknown, now).await.is_none());
    let later = now + Duration::from_millis(30);
    assert!(
        authority
            .leaf_for_refusal_at(&unknown, later)
            .await
            .is_some()
    );
    assert!(
        authority.leaf(&host("api.good.test")).await.is_ok(),
        "others are not held up"
    );
}

#[tokio::test]
async fn leaves_are_kept_to_a_bound_whatever_is_asked_for() {
    let folder = folder();
    let authority = Authority::open_or_create(folder.path()).unwrap();
    let favourite = host("api.good.test");
    let first = authority.leaf(&favourite).await.unwrap();
    for number in 0..KEPT + 1_000 {
        authority
            .leaf(&host(&format!("r{number}.wild.test")))
            .await
            .unwrap();
        authority.leaf(&favourite).await.unwrap();
    }
    authority.leaves.run_pending_tasks().await;
    assert!(authority.leaves.entry_count() <= KEPT);
    // What is asked for again and again is not pushed out by what is asked for once.
    let again = authority.leaf(&favourite).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
}

/// One handshake over memory; what the client and the server then know of it.
async fn handshake(authority: &Authority, client: &Arc<ClientConfig>, name: &str) -> Shaken {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let server = async {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), far)
            .await
            .unwrap();
        let name = start
            .client_hello()
            .server_name()
            .map(str::to_owned)
            .unwrap();
        let leaf = authority.leaf(&host(&name)).await.unwrap();
        let mut stream = start.into_stream(authority.config_for(leaf)).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"!")
            .await
            .unwrap();
        stream
    };
    let server_name = ServerName::try_from(name.to_owned()).unwrap();
    let client = async {
        let mut stream = TlsConnector::from(Arc::clone(client))
            .connect(server_name, near)
            .await
            .unwrap();
        // Tickets come with the first data.
        tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap();
        stream
    };
    let (_server, client) = tokio::join!(server, client);
    let connection = client.get_ref().1;
    Shaken {
        kind: connection.handshake_kind().unwrap(),
        protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
        version: connection.protocol_version().unwrap(),
        suite: format!(
            "{:?}",
            connection.negotiated_cipher_suite().unwrap().suite()
        ),
    }
}

struct Shaken {
    kind: HandshakeKind,
    protocol: Option<Vec<u8>>,
    version: ProtocolVersion,
    suite: String,
}

fn client(authority: &Authority, protocols: &[&str]) -> Arc<ClientConfig> {
    let client = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let client = client.with_safe_default_protocol_versions().unwrap();
    let mut client = client
        .with_root_certificates(roots(authority))
        .with_no_client_auth();
    client.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    Arc::new(client)
}

#[tokio::test]
async fn a_client_that_trusts_the_ca_speaks_the_protocol_it_wants() {
    let folder = folder();
    let authority = Authority::open_or_create(folder.path()).unwrap();
    for (offered, expected) in [
        (&["http/1.1", "h2"][..], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let shaken = handshake(&authority, &client(&authority, offered), "api.good.test").await;
        assert_eq!(shaken.protocol.as_deref(), expected.map(str::as_bytes));
        assert_eq!(shaken.version, ProtocolVersion::TLSv1_3);
        assert_eq!(
            shaken.suite, "TLS13_AES_128_GCM_SHA256",
            "whatever the client puts first"
        );
    }
}

#[tokio::test]
async fn a_returning_client_resumes_with_the_same_host_only() {
    let folder = folder();
    let authority = Authority::open_or_create(folder.path()).unwrap();
    let client = client(&authority, &["h2"]);
    for (name, full) in [
        ("api.good.test", true),
        ("api.good.test", false),
        ("api.two.test", true),
    ] {
        let shaken = handshake(&authority, &client, name).await;
        assert_eq!(
            shaken.kind != HandshakeKind::Resumed,
            full,
            "{name} {:?}",
            shaken.kind
        );
    }
}
