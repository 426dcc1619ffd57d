//! One client connection: absolute-form requests are carried, a CONNECT is intercepted.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Context;
use anyhow::bail;
use anyhow::ensure;
use http::HeaderMap;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Uri;
use http::header;
use http::header::HeaderName;
use http::header::HeaderValue;
use http::uri::PathAndQuery;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::bare::Args;
use crate::bare::Body;
use crate::bare::Heads;
use crate::bare::reply::Reply;
use crate::bare::strict;
use crate::bare::upstream::Asked;
use crate::bare::upstream::Origin;
use crate::certs;

/// What the connections of one runtime share.
pub(crate) struct Gate {
    origins: Vec<Arc<Origin>>,
    pub(super) acceptor: TlsAcceptor,
    pub(super) body: Body,
    heads: Heads,
}

impl Gate {
    /// A gate to the hosts that `args` names.
    pub(crate) fn open(args: &Args) -> anyhow::Result<Self> {
        let mut tls = certs::server(&args.ca, [args.plain.host.clone(), args.tls.host.clone()])?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let upstream = certs::client(&certs::ca_file(&args.ca))?;
        Ok(Self {
            origins: vec![
                Arc::new(Origin::plain(&args.plain)),
                Arc::new(Origin::over_tls(&args.tls, Arc::new(upstream))?),
            ],
            acceptor: TlsAcceptor::from(Arc::new(tls)),
            body: args.setup.body,
            heads: args.setup.heads,
        })
    }

    /// The origin of a host.
    pub(super) fn origin(&self, host: &str) -> anyhow::Result<&Arc<Origin>> {
        self.origins
            .iter()
            .find(|origin| origin.host() == host)
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
    let origin = gate.origin(host)?;
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

/// Opens the TLS inside of a CONNECT, and carries what is asked there.
async fn intercept(
    gate: &Gate,
    origin: &Arc<Origin>,
    request: Request<Incoming>,
) -> anyhow::Result<()> {
    let upgraded = hyper::upgrade::on(request).await?;
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        bail!("not the socket that was served")
    };
    // Without the box round an upgraded connection, reads and writes are no virtual calls.
    ensure!(parts.read_buf.is_empty(), "the client spoke before the 200");
    let stream = gate.acceptor.accept(parts.io.into_inner()).await?;
    serve_inner(stream, origin, gate.body).await;
    Ok(())
}

async fn serve_inner(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    origin: &Arc<Origin>,
    body: Body,
) {
    let service = service_fn(|request| async move {
        Ok::<_, Infallible>(
            carry(origin, request.map(Either::Left), body)
                .await
                .unwrap_or_else(bad_gateway),
        )
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Sends a request to its origin.
pub(super) async fn carry(
    origin: &Arc<Origin>,
    mut request: Request<Asked>,
    body: Body,
) -> anyhow::Result<Response<Reply>> {
    to_origin_form(&mut request)?;
    strip_hop_by_hop(request.headers_mut());
    let mut response = origin.send(request, body).await?;
    strip_hop_by_hop(response.headers_mut());
    Ok(response)
}

/// RFC 9112 section 3.2.2: the Host field is made anew from an absolute-form target.
fn to_origin_form(request: &mut Request<Asked>) -> anyhow::Result<()> {
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str())?;
        request.headers_mut().insert(header::HOST, host);
    }
    let target = request
        .uri()
        .path_and_query()
        .cloned()
        .unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(target);
    Ok(())
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
