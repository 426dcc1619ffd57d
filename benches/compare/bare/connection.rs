//! One client connection: absolute-form requests are carried, a CONNECT is intercepted or copied.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context;
use anyhow::bail;
use anyhow::ensure;
use http::HeaderMap;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http::header::HeaderName;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::bare::Args;
use crate::bare::Body;
use crate::bare::Heads;
use crate::bare::reply::Reply;
use crate::bare::strict;
use crate::bare::upstream;
use crate::bare::upstream::Asked;
use crate::bare::upstream::Origin;
use crate::certs;

/// What all connections share: the keys, the leaves, the sessions to come back to.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    upstream: Arc<ClientConfig>,
}

impl Tls {
    /// Both sides, for the hosts that `args` names.
    pub(crate) fn open(args: &Args) -> anyhow::Result<Self> {
        let mut server = certs::server(&args.ca, args.tls.iter().map(|it| it.host.clone()))?;
        server.alpn_protocols = match args.setup.heads {
            Heads::Lenient => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Heads::Strict => vec![b"http/1.1".to_vec()],
        };
        let mut upstream = certs::client(&certs::ca_file(&args.ca))?;
        upstream.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            upstream: Arc::new(upstream),
        })
    }
}

/// What the connections of one runtime share.
pub(crate) struct Gate {
    origins: Vec<Arc<Origin>>,
    tunnel: String,
    pub(super) acceptor: TlsAcceptor,
    pub(super) body: Body,
    heads: Heads,
}

impl Gate {
    /// A gate to the hosts that `args` names.
    pub(crate) fn open(args: &Args, tls: &Tls) -> anyhow::Result<Self> {
        let mut origins = vec![Arc::new(Origin::plain(&args.plain)?)];
        for route in &args.tls {
            origins.push(Arc::new(Origin::over_tls(route, tls.upstream.clone())?));
        }
        Ok(Self {
            origins,
            tunnel: args.tunnel.clone(),
            acceptor: tls.acceptor.clone(),
            body: args.setup.body,
            heads: args.setup.heads,
        })
    }

    /// The origin at a host and port.
    pub(super) fn origin(&self, host: &str, port: u16) -> anyhow::Result<&Arc<Origin>> {
        self.origins
            .iter()
            .find(|origin| origin.is_at(host, port))
            .context("the host is not in the table")
    }
}

/// Serves one client until it leaves.
pub(crate) async fn serve(socket: TcpStream, gate: Arc<Gate>) {
    if socket.set_nodelay(true).is_err() {
        return;
    }
    if gate.heads == Heads::Strict {
        return strict::serve(socket, &gate).await;
    }
    let service = service_fn(|request| {
        let gate = gate.clone();
        async move { Ok::<_, Infallible>(answer(&gate, request).await.unwrap_or_else(bad_gateway)) }
    });
    // The error of a client that went away is nobody's news.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades()
        .await;
}

async fn answer(gate: &Arc<Gate>, request: Request<Incoming>) -> anyhow::Result<Response<Reply>> {
    let host = request.uri().host().context("the request names no host")?;
    let port = request.uri().port_u16().unwrap_or(80);
    if request.method() == Method::CONNECT && host == gate.tunnel {
        let origin = upstream::connect((Ipv4Addr::LOCALHOST, port).into()).await?;
        // The error of a client that went away is nobody's news.
        tokio::spawn(copy(request, origin));
        return Ok(Response::new(Reply::Empty));
    }
    let origin = gate.origin(host, port)?;
    if request.method() != Method::CONNECT {
        return carry(origin, request.map(Either::Left), gate.body).await;
    }
    let (gate, origin) = (gate.clone(), origin.clone());
    tokio::spawn(async move {
        if let Err(error) = intercept(&gate, &origin, request).await {
            eprintln!("bare: {error:#}");
        }
    });
    Ok(Response::new(Reply::Empty))
}

/// With tokio's 8 KiB the tunnel takes 2.5 times the CPU time at replies of 64 KiB.
const PIECE: usize = 64 * 1024;

/// Copies what comes in a CONNECT, both ways and unread.
async fn copy(request: Request<Incoming>, mut origin: TcpStream) -> anyhow::Result<()> {
    let mut client = socket_of(request).await?;
    tokio::io::copy_bidirectional_with_sizes(&mut client, &mut origin, PIECE, PIECE).await?;
    Ok(())
}

/// Opens the TLS inside of a CONNECT, and carries what is asked there.
async fn intercept(
    gate: &Gate,
    origin: &Arc<Origin>,
    request: Request<Incoming>,
) -> anyhow::Result<()> {
    let stream = gate.acceptor.accept(socket_of(request).await?).await?;
    serve_inner(stream, origin.clone(), gate.body).await;
    Ok(())
}

/// The socket of a CONNECT that was answered.
async fn socket_of(request: Request<Incoming>) -> anyhow::Result<TcpStream> {
    let upgraded = hyper::upgrade::on(request).await?;
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        bail!("not the socket that was served")
    };
    // Without the box round an upgraded connection, reads and writes are no virtual calls.
    ensure!(parts.read_buf.is_empty(), "the client spoke before the 200");
    Ok(parts.io.into_inner())
}

async fn serve_inner(stream: TlsStream<TcpStream>, origin: Arc<Origin>, body: Body) {
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request: Request<Incoming>| {
        let origin = origin.clone();
        async move {
            let answer = carry(&origin, request.map(Either::Left), body).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(bad_gateway))
        }
    });
    let stream = TokioIo::new(stream);
    if is_http2 {
        let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service);
        let _ = serving.await;
    } else {
        let _ = http1::Builder::new()
            .serve_connection(stream, service)
            .await;
    }
}

/// Sends a request to its origin.
pub(super) async fn carry(
    origin: &Arc<Origin>,
    mut request: Request<Asked>,
    body: Body,
) -> anyhow::Result<Response<Reply>> {
    strip_hop_by_hop(request.headers_mut());
    let mut response = origin.send(request, body).await?;
    strip_hop_by_hop(response.headers_mut());
    Ok(response)
}

/// RFC 9110 section 7.6.1.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        for name in named_by_connection(headers) {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

static HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
}

/// What is answered where nothing else can be.
pub(super) fn bad_gateway(error: anyhow::Error) -> Response<Reply> {
    let mut response = Response::new(Reply::whole(format!("{error:#}\n").into()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
