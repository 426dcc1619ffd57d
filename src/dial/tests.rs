//! The way out against real sockets: scripted DNS, and a connector that leads 203.0.114.0/24 to loopback after the
//! addresses were judged.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::metrics::Upstreams;
use crate::policy::Exemption;
use crate::request::Host;

const HOST: &str = "api.good.test";
const PUBLIC: &str = "203.0.114.10";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

// -- the world --

/// Scripted DNS that counts its lookups.
#[derive(Default)]
struct Names {
    answers: HashMap<Host, Vec<IpAddr>>,
    lookups: AtomicUsize,
}

impl Resolve for Names {
    fn lookup<'a>(&'a self, host: &'a Host) -> Lookup<'a> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let answers = self.answers.get(host).cloned().unwrap_or_default();
        let answers = answers.into_iter().map(Answer::from).collect();
        Box::pin(std::future::ready(Ok(answers)))
    }
}

/// Leads every vetted address to the same port of loopback, except for those that refuse connections.
#[derive(Default)]
struct ToLoopback {
    dials: Mutex<Vec<SocketAddr>>,
    refusing: Vec<IpAddr>,
}

impl Connect for ToLoopback {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests' way out goes to loopback only"
    )]
    fn connect(&self, address: Vetted) -> Connecting {
        let address = address.address();
        self.dials.lock().unwrap().push(address);
        if self.refusing.contains(&address.ip()) {
            return Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) });
        }
        Box::pin(TcpStream::connect(("127.0.0.1", address.port())))
    }
}

struct World {
    names: Arc<Names>,
    connector: Arc<ToLoopback>,
    dialer: Dialer,
    network: Network,
}

impl World {
    fn new(answers: &[&str]) -> Self {
        Self::with(answers, RootCertStore::empty(), Own::default(), &[])
    }

    fn trusting(roots: RootCertStore) -> Self {
        Self::with(&[PUBLIC], roots, Own::default(), &[])
    }

    fn with(answers: &[&str], roots: RootCertStore, own: Own, refusing: &[&str]) -> Self {
        let addresses = |texts: &[&str]| texts.iter().map(|it| it.parse().unwrap()).collect();
        let names = Arc::new(Names {
            answers: HashMap::from([(Host::parse(HOST).unwrap(), addresses(answers))]),
            lookups: AtomicUsize::new(0),
        });
        let connector = Arc::new(ToLoopback {
            refusing: addresses(refusing),
            ..ToLoopback::default()
        });
        let dialer = Dialer::new(Setup {
            resolver: names.clone(),
            connector: connector.clone(),
            tls: Tls::trusting(roots, Offer::Both),
            own,
            limits: Limits::default(),
            counted: Upstreams::default(),
        });
        Self {
            names,
            connector,
            dialer,
            network: Network::default(),
        }
    }

    fn exempting(mut self, host: &str, addresses: &str, port: u16) -> Self {
        self.network.exemptions.push(Exemption {
            host: Host::parse(host).unwrap(),
            addresses: vec![addresses.parse().unwrap()],
            port,
        });
        self
    }

    async fn send(&self, method: Method, url: &str, body: Body) -> Result<Reply, Fault> {
        let target = Destination::of_absolute(url).unwrap();
        let request = Request::builder()
            .method(&method)
            .uri(target.path_and_query)
            .body(body)
            .unwrap();
        let dispatch = Dispatch {
            agent: None,
            passes: Passes::default(),
            destination: target.destination,
            network: Arc::new(self.network.clone()),
            connect_timeout: Duration::from_secs(5),
            idempotent: method != Method::POST,
            request,
        };
        self.dialer.dispatch(dispatch).await.map(|it| *it)
    }

    async fn get(&self, url: &str) -> Result<Reply, Fault> {
        self.send(Method::GET, url, Body::Empty).await
    }

    fn lookups(&self) -> usize {
        self.names.lookups.load(Ordering::SeqCst)
    }

    fn dials(&self) -> Vec<SocketAddr> {
        self.connector.dials.lock().unwrap().clone()
    }
}

async fn text(reply: Reply) -> Result<String, Fault> {
    let bytes = reply.body.collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// A server on loopback that knows what was asked on each of its connections.
struct Origin {
    port: u16,
    seen: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Origin {
    /// Answers each connection with its script, one entry per request; `""` closes without an answer.
    async fn scripted(scripts: &[&[&'static str]]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self {
            port: listener.local_addr().unwrap().port(),
            seen: Arc::default(),
        };
        let seen = origin.seen.clone();
        let scripts: Vec<Vec<&str>> = scripts.iter().map(|it| it.to_vec()).collect();
        tokio::spawn(async move {
            for (connection, script) in scripts.into_iter().enumerate() {
                let (stream, _) = listener.accept().await.unwrap();
                seen.lock().unwrap().push(Vec::new());
                let seen = seen.clone();
                let log = move |request| seen.lock().unwrap()[connection].push(request);
                tokio::spawn(play(stream, script, log));
            }
        });
        origin
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{HOST}:{}/v1?x=y", self.port)
    }

    fn requests(&self) -> Vec<usize> {
        self.seen.lock().unwrap().iter().map(Vec::len).collect()
    }
}

async fn play(mut stream: TcpStream, script: Vec<&str>, log: impl Fn(String)) {
    for answer in script {
        let Some(request) = read_request(&mut stream).await else {
            return;
        };
        log(request);
        if answer.is_empty() {
            return;
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
    // Open until the client leaves.
    while matches!(stream.read(&mut [0; 64]).await, Ok(1..)) {}
}

/// Head, and as much body as its `Content-Length` says.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|it| it.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |it| it.parse().unwrap()) {
                return Some(text);
            }
        }
        match stream.read_buf(&mut bytes).await {
            Ok(1..) => {}
            _ => return None,
        }
    }
}

// -- addresses --

#[tokio::test]
async fn a_dial_is_one_lookup_and_goes_to_the_judged_address() {
    let origin = Origin::scripted(&[&[OK]]).await;
    let world = World::new(&[PUBLIC]);
    let reply = world.get(&origin.url("http")).await.unwrap();
    let expected = SocketAddr::new(PUBLIC.parse().unwrap(), origin.port);
    assert_eq!(reply.upstream.address, expected);
    assert_eq!(text(reply).await.unwrap(), "ok");
    assert_eq!((world.lookups(), world.dials()), (1, vec![expected]));
    let request = origin.seen.lock().unwrap()[0][0].clone();
    let host = format!("host: {HOST}:{}\r\n", origin.port);
    assert!(request.starts_with("GET /v1?x=y HTTP/1.1\r\n"), "{request}");
    assert_eq!(request.matches("host:").count(), 1);
    assert!(request.contains(&host), "{request}");
    assert!(!request.contains("content-length"), "{request}");
}

#[tokio::test]
async fn a_closed_address_costs_one_lookup_and_no_dial() {
    let everything = "0.0.0.0/0";
    for (answers, exempted) in [
        (&["10.0.0.5"][..], None),
        (&["127.0.0.1"], None),
        (&["64:ff9b::a00:5"], None),
        (&[PUBLIC, "10.0.0.5"], None),
        (&["10.0.0.5", PUBLIC], None),
        (&["169.254.169.254"], Some((HOST, everything, 8443))),
        (&["168.63.129.16"], Some((HOST, everything, 8443))),
        (&["fd00:ec2::254"], Some((HOST, "::/0", 8443))),
        (&["10.0.5.7"], Some((HOST, "10.0.6.0/24", 8443))),
        (&["10.0.5.7"], Some((HOST, "10.0.5.0/24", 22))),
        (&["10.0.5.7"], Some(("crm.internal", "10.0.5.0/24", 8443))),
    ] {
        let mut world = World::new(answers);
        if let Some((host, addresses, port)) = exempted {
            world = world.exempting(host, addresses, port);
        }
        let fault = world.get("https://api.good.test:8443/").await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Address, "{answers:?}");
        assert_eq!(
            (world.lookups(), world.dials().len()),
            (1, 0),
            "{answers:?}"
        );
    }
}

#[tokio::test]
async fn an_exemption_opens_a_private_address() {
    let origin = Origin::scripted(&[&[OK]]).await;
    let world = World::new(&["10.0.5.7"]).exempting(HOST, "10.0.5.0/24", origin.port);
    let reply = world.get(&origin.url("http")).await.unwrap();
    assert_eq!(text(reply).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_static_host_on_loopback_is_reached_by_the_real_way_out() {
    let origin = Origin::scripted(&[&[OK]]).await;
    let mut world = World::new(&[]).exempting(HOST, "127.0.0.1/32", origin.port);
    let loopback = vec!["127.0.0.1".parse().unwrap()];
    let table = HashMap::from([(Host::parse(HOST).unwrap(), loopback)]);
    world.dialer.setup.resolver = Arc::new(Static::new(table, world.names.clone()));
    world.dialer.setup.connector = Arc::new(Tcp);
    let reply = world.get(&origin.url("http")).await.unwrap();
    assert_eq!(reply.upstream.address.port(), origin.port);
    assert_eq!(text(reply).await.unwrap(), "ok");
    assert_eq!(world.lookups(), 0);
}

#[tokio::test]
async fn a_static_host_may_lead_to_another_port_which_the_exemption_has_to_name() {
    let origin = Origin::scripted(&[&[OK]]).await;
    for (port, expected) in [(origin.port, None), (80, Some(FaultKind::Address))] {
        let mut world = World::new(&[]).exempting(HOST, "127.0.0.1/32", port);
        let elsewhere = Answer::from(SocketAddr::from(([127, 0, 0, 1], origin.port)));
        let table = HashMap::from([(Host::parse(HOST).unwrap(), vec![elsewhere])]);
        world.dialer.setup.resolver = Arc::new(Static::new(table, world.names.clone()));
        world.dialer.setup.connector = Arc::new(Tcp);
        let sent = world.get(&format!("http://{HOST}/")).await;
        assert_eq!(sent.err().map(|fault| fault.kind), expected);
    }
}

#[tokio::test]
async fn our_own_listeners_are_no_destination() {
    let own = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let listeners = Own::new(vec![own]);
    let world = World::with(&["127.0.0.1"], RootCertStore::empty(), listeners, &[]).exempting(
        HOST,
        "127.0.0.0/8",
        own.port(),
    );
    let url = format!("http://{HOST}:{}/metrics", own.port());
    let fault = world.get(&url).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Address);
    assert!(fault.detail.contains("own listeners"), "{fault}");
    assert!(world.dials().is_empty());
}

#[tokio::test]
async fn a_connection_is_not_reused_once_its_address_is_closed() {
    let origin = Origin::scripted(&[&[OK, OK]]).await;
    let mut world = World::new(&["10.0.5.7"]).exempting(HOST, "10.0.5.0/24", origin.port);
    text(world.get(&origin.url("http")).await.unwrap())
        .await
        .unwrap();
    world.network = Network::default();
    let fault = world.get(&origin.url("http")).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Address);
    assert_eq!(origin.requests(), [1]);
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let origin = Origin::scripted(&[&[OK]]).await;
    let refusing = &["2606:4700::1"];
    let answers = &[PUBLIC, "2606:4700::1"];
    let world = World::with(answers, RootCertStore::empty(), Own::default(), refusing);
    let reply = world.get(&origin.url("http")).await.unwrap();
    assert_eq!(reply.upstream.address.ip().to_string(), PUBLIC);
    let dialled: Vec<String> = world.dials().iter().map(|it| it.ip().to_string()).collect();
    assert_eq!(dialled, ["2606:4700::1", PUBLIC]);
    assert_eq!(world.lookups(), 1);
}

#[tokio::test]
async fn nothing_at_any_address_is_unreachable() {
    for refusing in [&[PUBLIC][..], &[PUBLIC, "203.0.114.11"]] {
        let world = World::with(refusing, RootCertStore::empty(), Own::default(), refusing);
        let fault = world.get("http://api.good.test/").await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unreachable);
        assert_eq!(world.dials().len(), refusing.len());
    }
}

#[tokio::test]
async fn a_lookup_without_end_is_a_timeout() {
    struct Silent;
    impl Resolve for Silent {
        fn lookup<'a>(&'a self, _: &'a Host) -> Lookup<'a> {
            Box::pin(std::future::pending())
        }
    }
    let mut world = World::new(&[]);
    world.dialer.setup.resolver = Arc::new(Silent);
    let to = Destination::of_connect("api.good.test:443").unwrap();
    let tunnel = world
        .dialer
        .stream(&to, &world.network, Duration::from_millis(1));
    assert_eq!(tunnel.await.unwrap_err().kind, FaultKind::Timeout);
}

// -- the pool --

#[tokio::test]
async fn a_connection_carries_one_request_after_another() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    let origin = Origin::scripted(&[&[OK, chunked, empty, OK]]).await;
    let world = World::new(&[PUBLIC]);
    for (reused, expected) in [(false, "ok"), (true, "ok"), (true, ""), (true, "ok")] {
        let reply = world.get(&origin.url("http")).await.unwrap();
        assert_eq!(reply.upstream.reused, reused);
        assert_eq!(text(reply).await.unwrap(), expected);
    }
    assert_eq!((world.lookups(), world.dials().len()), (1, 1));
    assert_eq!(origin.requests(), [4]);
}

#[tokio::test]
async fn the_answer_to_head_has_no_body_and_frees_the_connection() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n";
    let origin = Origin::scripted(&[&[head, OK]]).await;
    let world = World::new(&[PUBLIC]);
    let url = origin.url("http");
    let reply = world.send(Method::HEAD, &url, Body::Empty).await.unwrap();
    assert!(reply.body.is_empty());
    assert!(
        world
            .get(&origin.url("http"))
            .await
            .unwrap()
            .upstream
            .reused
    );
}

#[tokio::test]
async fn the_last_byte_of_a_known_length_frees_the_connection() {
    let origin = Origin::scripted(&[&[OK, OK]]).await;
    let world = World::new(&[PUBLIC]);
    let mut reply = world.get(&origin.url("http")).await.unwrap();
    let frame = reply.body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "ok");
    drop(reply);
    assert!(
        world
            .get(&origin.url("http"))
            .await
            .unwrap()
            .upstream
            .reused
    );
}

#[tokio::test]
async fn nobody_goes_on_sending_to_a_server_that_has_answered_in_full() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(OK.as_bytes()).await.unwrap();
        while matches!(stream.read(&mut [0; 64]).await, Ok(1..)) {}
    });
    let world = World::new(&[PUBLIC]);
    let upload = Body::stream(Never { first: true });
    let url = format!("http://{HOST}:{port}/");
    let reply = world.send(Method::POST, &url, upload).await.unwrap();
    assert_eq!(text(reply).await.unwrap(), "ok");
    let closed = tokio::time::timeout(Duration::from_secs(10), server).await;
    closed.expect("the connection is closed").unwrap();
}

#[tokio::test]
async fn an_answer_that_is_not_believed_takes_its_connection_with_it() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 002\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
        "SSH-2.0-OpenSSH\r\n\r\n",
    ] {
        let origin = Origin::scripted(&[&[answer, OK], &[OK]]).await;
        let world = World::new(&[PUBLIC]);
        let fault = world.get(&origin.url("http")).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Malformed, "{answer}");
        assert_eq!(fault.address.unwrap().ip().to_string(), PUBLIC);
        let reply = world.get(&origin.url("http")).await.unwrap();
        assert!(!reply.upstream.reused, "{answer}");
        assert_eq!(origin.requests(), [1, 1], "{answer}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(200_000));
    let origin = Origin::scripted(&[&[endless.leak()]]).await;
    let world = World::new(&[PUBLIC]);
    let fault = world.get(&origin.url("http")).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Malformed);
}

#[tokio::test]
async fn bytes_after_an_answer_are_not_the_next_answer() {
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n";
    let origin = Origin::scripted(&[&[smuggled, OK], &[OK]]).await;
    let world = World::new(&[PUBLIC]);
    text(world.get(&origin.url("http")).await.unwrap())
        .await
        .unwrap();
    let reply = world.get(&origin.url("http")).await.unwrap();
    assert!(!reply.upstream.reused);
    assert_eq!(text(reply).await.unwrap(), "ok");
}

#[tokio::test]
async fn an_unfinished_body_closes_its_connection() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok";
    let origin = Origin::scripted(&[&[half, OK], &[OK]]).await;
    let world = World::new(&[PUBLIC]);
    drop(world.get(&origin.url("http")).await.unwrap());
    let reply = world.get(&origin.url("http")).await.unwrap();
    assert!(!reply.upstream.reused);
    assert_eq!(origin.requests(), [1, 1]);
}

#[tokio::test]
async fn a_body_that_ends_before_its_end_is_a_fault() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokX",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let world = World::new(&[PUBLIC]);
        let reply = world.get(&format!("http://{HOST}:{port}/")).await.unwrap();
        let fault = text(reply).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Malformed, "{answer}");
        assert_eq!(fault.address.unwrap().port(), port);
    }
}

#[tokio::test]
async fn a_connection_is_not_reused_before_the_request_was_written() {
    let origin = Origin::scripted(&[&[OK, OK], &[OK]]).await;
    let world = World::new(&[PUBLIC]);
    let upload = Body::stream(Never { first: true });
    let sent = world.send(Method::POST, &origin.url("http"), upload).await;
    assert_eq!(text(sent.unwrap()).await.unwrap(), "ok");
    let reply = world.get(&origin.url("http")).await.unwrap();
    assert!(!reply.upstream.reused);
    assert_eq!(origin.requests(), [1, 1]);
}

/// A body of one byte that never ends.
struct Never {
    first: bool,
}

impl HttpBody for Never {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match std::mem::take(&mut self.first) {
            true => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x"))))),
            false => Poll::Pending,
        }
    }
}

#[tokio::test]
async fn a_stale_connection_is_tried_anew_for_get_but_not_for_post() {
    for (method, body, retried) in [
        (Method::GET, Body::Empty, true),
        (Method::PUT, Body::Bytes("x".into()), true),
        (
            Method::PUT,
            Body::stream(http_body_util::Full::new("x".into()).map_err(never)),
            false,
        ),
        (Method::POST, Body::Empty, false),
        (Method::POST, Body::Bytes("x".into()), false),
    ] {
        // The second request is read, and the connection closed instead of an answer.
        let origin = Origin::scripted(&[&[OK, ""], &[OK]]).await;
        let world = World::new(&[PUBLIC]);
        text(world.get(&origin.url("http")).await.unwrap())
            .await
            .unwrap();
        let shape = format!("{method} {body:?}");
        let sent = world.send(method, &origin.url("http"), body).await;
        if retried {
            let upstream = sent.unwrap().upstream;
            assert_eq!((upstream.reused, upstream.retries), (false, 1), "{shape}");
            assert_eq!(origin.requests(), [2, 1], "{shape}");
        } else {
            assert_eq!(sent.unwrap_err().kind, FaultKind::Malformed, "{shape}");
            assert_eq!(origin.requests(), [2], "{shape}");
        }
    }
}

fn never(error: Infallible) -> Fault {
    match error {}
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_not_asked_for_again() {
    let origin = Origin::scripted(&[&[OK, "SSH-2.0-OpenSSH\r\n\r\n"], &[OK]]).await;
    let world = World::new(&[PUBLIC]);
    text(world.get(&origin.url("http")).await.unwrap())
        .await
        .unwrap();
    let fault = world.get(&origin.url("http")).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Malformed);
    assert_eq!(origin.requests(), [2]);
}

#[tokio::test]
async fn a_request_is_sent_again_only_once() {
    let origin = Origin::scripted(&[&[OK, ""], &[""], &[OK]]).await;
    let world = World::new(&[PUBLIC]);
    text(world.get(&origin.url("http")).await.unwrap())
        .await
        .unwrap();
    let fault = world.get(&origin.url("http")).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Malformed);
    assert_eq!(origin.requests(), [2, 1]);
}

#[tokio::test]
async fn a_body_that_the_client_broke_off_is_the_clients_fault() {
    struct Broken;
    impl HttpBody for Broken {
        type Data = Bytes;
        type Error = Fault;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
            Poll::Ready(Some(Err(Fault::new(FaultKind::ClientGone, "left"))))
        }
    }
    let origin = Origin::scripted(&[&[OK]]).await;
    let world = World::new(&[PUBLIC]);
    let (url, body) = (origin.url("http"), Body::stream(Broken));
    let fault = world.send(Method::POST, &url, body).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::ClientGone);
}

// -- TLS --

/// A CA of the tests' own.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    roots: RootCertStore,
    pem: String,
}

impl Ca {
    fn new() -> Self {
        Self::named("test CA")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            roots,
            pem: certificate.pem(),
        }
    }

    fn server(&self, name: &str, years: (i32, i32), alpn: &[&str]) -> TlsAcceptor {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A TLS origin that answers each request with its authority, and counts connections and requests.
#[derive(Clone, Default)]
struct Echo {
    handshakes: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    /// The request, counted from 1, at which the connection is cut instead.
    cut_at: Option<usize>,
}

impl Echo {
    async fn start(self, acceptor: TlsAcceptor) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(stream) = acceptor.accept(stream).await else {
                    continue;
                };
                self.handshakes.fetch_add(1, Ordering::SeqCst);
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                tokio::spawn(self.clone().serve(stream, is_http2));
            }
        });
        port
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send, is_http2: bool) {
        let cut = Arc::new(Notify::new());
        let service = service_fn(|request| self.clone().answer(request, cut.clone()));
        let io = TokioIo::new(stream);
        if is_http2 {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::select! {
                _ = builder.serve_connection(io, service) => {}
                () = cut.notified() => {}
            }
        } else {
            let builder = hyper::server::conn::http1::Builder::new();
            let _ = builder.serve_connection(io, service).await;
        }
    }

    async fn answer(
        self,
        request: Request<Incoming>,
        cut: Arc<Notify>,
    ) -> Result<Response<String>, Infallible> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        if self.cut_at == Some(number) {
            cut.notify_one();
            std::future::pending::<()>().await;
        }
        let host = request.headers().get("host").map(|it| it.to_str().unwrap());
        let authority = request.uri().authority().map(|it| it.as_str());
        Ok(Response::new(format!(
            "authority {authority:?} host {host:?}"
        )))
    }

    fn counts(&self) -> (usize, usize) {
        let count = |it: &AtomicUsize| it.load(Ordering::SeqCst);
        (count(&self.handshakes), count(&self.requests))
    }
}

const VALID: (i32, i32) = (2000, 4000);

#[tokio::test]
async fn the_server_chooses_the_version_of_http() {
    for (alpn, version) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let (ca, echo) = (Ca::new(), Echo::default());
        let port = echo.clone().start(ca.server(HOST, VALID, alpn)).await;
        let world = World::trusting(ca.roots.clone());
        let named = format!("Some(\"{HOST}:{port}\")");
        for reused in [false, true] {
            let reply = world.get(&format!("https://{HOST}:{port}/")).await.unwrap();
            assert_eq!(reply.upstream.http_version, version);
            assert_eq!(reply.upstream.tls, Some("TLSv1.3"));
            assert_eq!(reply.upstream.reused, reused);
            let expected = match version {
                Version::HTTP_2 => format!("authority {named} host None"),
                _ => format!("authority None host {named}"),
            };
            assert_eq!(text(reply).await.unwrap(), expected);
        }
        assert_eq!(echo.counts(), (1, 2), "{alpn:?}");
    }
}

#[tokio::test]
async fn an_extra_ca_file_is_trusted() {
    let (ca, echo) = (Ca::new(), Echo::default());
    let port = echo.clone().start(ca.server(HOST, VALID, &["h2"])).await;
    let file = format!("exeat-extra-ca-{}.pem", std::process::id());
    let file = std::env::temp_dir().join(file);
    std::fs::write(&file, &ca.pem).unwrap();
    let mut world = World::new(&[PUBLIC]);
    world.dialer.setup.tls = Tls::load(std::slice::from_ref(&file)).unwrap();
    std::fs::remove_file(&file).unwrap();
    let reply = world.get(&format!("https://{HOST}:{port}/")).await.unwrap();
    assert_eq!(reply.upstream.http_version, Version::HTTP_2);
}

#[tokio::test]
async fn an_http2_connection_is_shared_while_it_is_in_use() {
    let (ca, echo) = (Ca::new(), Echo::default());
    let port = echo.clone().start(ca.server(HOST, VALID, &["h2"])).await;
    let world = World::trusting(ca.roots.clone());
    let url = format!("https://{HOST}:{port}/");
    let first = world.get(&url).await.unwrap();
    let second = world.get(&url).await.unwrap();
    assert!(second.upstream.reused);
    assert_eq!(text(first).await.unwrap(), text(second).await.unwrap());
    assert_eq!(echo.counts(), (1, 2));
}

#[tokio::test]
async fn a_cut_http2_connection_is_replaced_for_get_but_not_for_post() {
    for (method, requests) in [(Method::GET, 3), (Method::POST, 2)] {
        let ca = Ca::new();
        let echo = Echo {
            cut_at: Some(2),
            ..Echo::default()
        };
        let port = echo.clone().start(ca.server(HOST, VALID, &["h2"])).await;
        let world = World::trusting(ca.roots.clone());
        let url = format!("https://{HOST}:{port}/");
        text(world.get(&url).await.unwrap()).await.unwrap();
        let sent = world.send(method.clone(), &url, Body::Empty).await;
        match method {
            Method::GET => assert_eq!(sent.unwrap().upstream.retries, 1),
            _ => assert_eq!(sent.unwrap_err().kind, FaultKind::Malformed),
        }
        assert_eq!(echo.counts().1, requests, "{method}");
        assert!(!world.get(&url).await.unwrap().upstream.reused || method == Method::GET);
    }
}

#[tokio::test]
async fn a_bad_certificate_is_told_apart_and_nothing_is_sent() {
    let stranger = Ca::named("another CA");
    for (name, years, trusted, reason) in [
        (HOST, (2000, 2001), true, "has expired"),
        (HOST, (3999, 4000), true, "not valid yet"),
        ("other.good.test", VALID, true, "another name"),
        ("*.test", VALID, true, "another name"),
        (HOST, VALID, false, "unknown issuer"),
    ] {
        let (ca, echo) = (Ca::new(), Echo::default());
        let server = ca.server(name, years, &["h2", "http/1.1"]);
        let port = echo.clone().start(server).await;
        let roots = if trusted { &ca.roots } else { &stranger.roots };
        let world = World::trusting(roots.clone());
        let fault = world
            .get(&format!("https://{HOST}:{port}/"))
            .await
            .unwrap_err();
        assert_eq!(fault.kind, FaultKind::Tls, "{name} {years:?}");
        assert!(fault.detail.contains(reason), "{fault}");
        assert_eq!(fault.address.unwrap().port(), port);
        assert_eq!(echo.counts().1, 0, "{name} {years:?}");
    }
}

#[tokio::test]
async fn what_is_not_tls_is_a_tls_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        while matches!(stream.read(&mut [0; 64]).await, Ok(1..)) {}
    });
    let world = World::new(&[PUBLIC]);
    let fault = world
        .get(&format!("https://{HOST}:{port}/"))
        .await
        .unwrap_err();
    assert_eq!(fault.kind, FaultKind::Tls);
}

#[tokio::test]
async fn a_tls_stream_cut_without_farewell_is_no_clean_end() {
    let ca = Ca::new();
    let acceptor = ca.server(HOST, VALID, &["http/1.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf")
            .await
            .unwrap();
        stream.flush().await.unwrap();
        // Dropped without `shutdown`, so no close_notify is sent.
    });
    let world = World::trusting(ca.roots.clone());
    let reply = world.get(&format!("https://{HOST}:{port}/")).await.unwrap();
    assert_eq!(text(reply).await.unwrap_err().kind, FaultKind::Malformed);
}
