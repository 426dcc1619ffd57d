//! An origin on loopback: speaks TLS with HTTP/1.1 and HTTP/2, remembers what it was asked, answers as its test says.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType};
use rcgen::{IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// What the origin was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    /// Path and query, as they came.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Asked {
    /// The values of a header.
    pub(super) fn header(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }
}

/// What it answers.
pub(super) type Reply = Response<Full<Bytes>>;

/// As it leaves: each event of a stream in a frame of its own.
type Leaving = Response<BoxBody<Bytes, Infallible>>;

/// A reply that is a stream of server-sent events.
pub(super) fn events(text: String) -> Reply {
    Response::builder()
        .header("content-type", EVENTS)
        .body(Full::from(text))
        .unwrap()
}

/// A reply with JSON.
pub(super) fn json(status: u16, value: &serde_json::Value) -> Reply {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::from(value.to_string()))
        .unwrap()
}

/// An origin that runs until it is dropped.
pub(super) struct Origin {
    host: String,
    address: SocketAddr,
    ca_pem: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _runtime: Runtime,
}

impl Origin {
    /// Starts an origin with a certificate for `host` by a CA of its own.
    pub(super) fn start(
        host: &str,
        answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let (tls, ca_pem) = certified(host);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::default());
        let service = Arc::new(Service {
            answer: Box::new(answer),
            asked: Arc::clone(&asked),
        });
        runtime.spawn(accept(listener, TlsAcceptor::from(Arc::new(tls)), service));
        Self {
            host: host.to_owned(),
            address,
            ca_pem,
            asked,
            _runtime: runtime,
        }
    }

    /// Its public name.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of its CA.
    pub(super) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Everything that it was asked so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

struct Service {
    answer: Box<dyn Fn(&Asked) -> Reply + Send + Sync>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Service {
    async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Result<Leaving, Infallible> {
        let (head, body) = request.into_parts();
        let asked = Asked {
            method: head.method,
            target: head.uri.path_and_query().unwrap().to_string(),
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        };
        self.asked.lock().unwrap().push(asked.clone());
        // An answer may wait for a program.
        let reply = tokio::task::spawn_blocking(move || (self.answer)(&asked));
        Ok(leaving(reply.await.unwrap()).await)
    }
}

async fn leaving(reply: Reply) -> Leaving {
    let is_stream = reply.headers().get("content-type") == Some(&EVENTS);
    if !is_stream {
        return reply.map(BodyExt::boxed);
    }
    let (head, body) = reply.into_parts();
    let whole = body.collect().await.unwrap().to_bytes();
    let events = std::str::from_utf8(&whole).unwrap().split_inclusive("\n\n");
    let events = events.map(|event| Bytes::copy_from_slice(event.as_bytes()));
    Response::from_parts(head, Events(events.collect()).boxed())
}

const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// A body whose length nobody knows before its end.
struct Events(VecDeque<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|event| Ok(Frame::data(event))))
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, service: Arc<Service>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(serve(stream, tls.clone(), Arc::clone(&service)));
    }
}

/// A connection that breaks is its client's matter: the test sees it there.
async fn serve(stream: TcpStream, tls: TlsAcceptor, service: Arc<Service>) {
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request| Arc::clone(&service).serve(request));
    let stream = TokioIo::new(stream);
    if is_http2 {
        let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = http2.serve_connection(stream, service).await;
    } else {
        let http1 = hyper::server::conn::http1::Builder::new();
        let _ = http1.serve_connection(stream, service).await;
    }
}

fn certified(host: &str) -> (ServerConfig, String) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    ca.distinguished_name = named("CA of an origin");
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new([host.to_owned()]).unwrap();
    leaf.distinguished_name = named(host);
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let mut tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key.into())
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (tls, ca_pem)
}

/// With one name for both, OpenSSL takes the leaf for its own issuer.
fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
