//! The way to one origin: a pool of keep-alive connections, plain or TLS, or one of HTTP/2 that all requests share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use http::Request;
use http::Response;
use http::Uri;
use http::header::HOST;
use http::header::HeaderValue;
use http::uri::Authority;
use http::uri::PathAndQuery;
use http::uri::Scheme;
use http_body_util::BodyExt;
use http_body_util::Either;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::bare::Body;
use crate::bare::Route;
use crate::bare::reply::Reply;

/// Idle connections kept for one origin.
const MAX_IDLE: usize = 1024;

/// The body of a request: what hyper's server reads, or none.
pub(crate) type Asked = Either<Incoming, Empty<Bytes>>;

/// An origin and its pool.
pub(crate) struct Origin {
    host: String,
    address: SocketAddr,
    authority: Authority,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// The last one in is the first one out: it is the least likely to be stale.
    idle: Mutex<Vec<http1::SendRequest<Asked>>>,
    /// Of an origin that has chosen HTTP/2.
    shared: Mutex<Option<http2::SendRequest<Asked>>>,
}

/// A fresh connection.
enum Dialed {
    Exclusive(http1::SendRequest<Asked>),
    Shared(http2::SendRequest<Asked>),
}

impl Origin {
    /// An origin that speaks plain HTTP.
    pub(crate) fn plain(route: &Route) -> anyhow::Result<Self> {
        Ok(Self {
            host: route.host.clone(),
            address: route.address,
            authority: format!("{}:{}", route.host, route.address.port()).parse()?,
            tls: None,
            idle: Mutex::default(),
            shared: Mutex::default(),
        })
    }

    /// An origin that speaks TLS, in its host's name.
    pub(crate) fn over_tls(route: &Route, config: Arc<ClientConfig>) -> anyhow::Result<Self> {
        let name = ServerName::try_from(route.host.clone())?;
        Ok(Self {
            tls: Some((TlsConnector::from(config), name)),
            ..Self::plain(route)?
        })
    }

    /// Whether clients mean it by this name and port.
    pub(crate) fn is_at(&self, host: &str, port: u16) -> bool {
        self.address.port() == port && self.host == host
    }

    /// Sends a request. One that a stale connection gives back unsent goes once more, over a fresh one.
    pub(crate) async fn send(
        self: &Arc<Self>,
        mut request: Request<Asked>,
        body: Body,
    ) -> anyhow::Result<Response<Reply>> {
        if let Some(sender) = self.shared() {
            return self.send_shared(sender, request, body).await;
        }
        to_origin_form(&mut request)?;
        if let Some(mut sender) = self.pooled().await {
            match sender.try_send_request(request).await {
                Ok(response) => return self.receive(response, Some(sender), body).await,
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        match self.dial().await? {
            Dialed::Shared(sender) => self.send_shared(sender, request, body).await,
            Dialed::Exclusive(mut sender) => {
                let response = sender.send_request(request).await?;
                self.receive(response, Some(sender), body).await
            }
        }
    }

    async fn send_shared(
        self: &Arc<Self>,
        mut sender: http2::SendRequest<Asked>,
        mut request: Request<Asked>,
        body: Body,
    ) -> anyhow::Result<Response<Reply>> {
        sender.ready().await?;
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(self.authority.clone());
        *request.uri_mut() = Uri::from_parts(parts)?;
        request.headers_mut().remove(HOST);
        let response = sender.send_request(request).await?;
        self.receive(response, None, body).await
    }

    async fn receive(
        self: &Arc<Self>,
        response: Response<Incoming>,
        sender: Option<http1::SendRequest<Asked>>,
        body: Body,
    ) -> anyhow::Result<Response<Reply>> {
        let lease = sender.map(|sender| Lease {
            sender,
            origin: self.clone(),
        });
        let (head, incoming) = response.into_parts();
        let reply = match body {
            Body::Stream => Reply::stream(incoming, lease),
            Body::Collect => {
                let bytes = incoming.collect().await?.to_bytes();
                lease.into_iter().for_each(Lease::give_back);
                Reply::whole(bytes)
            }
        };
        Ok(Response::from_parts(head, reply))
    }

    /// The connection that all share, if it is open as far as one can know.
    fn shared(&self) -> Option<http2::SendRequest<Asked>> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.as_ref().filter(|it| !it.is_closed()).cloned()
    }

    /// An idle connection that is open as far as one can know.
    async fn pooled(&self) -> Option<http1::SendRequest<Asked>> {
        loop {
            let mut sender = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop()?;
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    async fn dial(&self) -> anyhow::Result<Dialed> {
        let socket = connect(self.address).await?;
        let Some((connector, name)) = &self.tls else {
            return Ok(Dialed::Exclusive(exclusive(socket).await?));
        };
        let stream = connector.connect(name.clone(), socket).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Ok(Dialed::Exclusive(exclusive(stream).await?));
        }
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        *shared = Some(sender.clone());
        Ok(Dialed::Shared(sender))
    }
}

/// A socket to an origin.
#[expect(
    clippy::disallowed_methods,
    reason = "the bare stack has no `dial`: vetting is part of what it does without"
)]
pub(super) async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// RFC 9112 section 3.2.2: the Host field is made anew from an absolute-form target; HTTP/2's targets are all absolute.
fn to_origin_form(request: &mut Request<Asked>) -> anyhow::Result<()> {
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str())?;
        request.headers_mut().insert(HOST, host);
    }
    let target = request
        .uri()
        .path_and_query()
        .cloned()
        .unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(target);
    Ok(())
}

async fn exclusive(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> anyhow::Result<http1::SendRequest<Asked>> {
    let (sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    // Its error reaches the request that waits for it; without one it is an idle connection that closed.
    // Polled in the client's task instead, it costs 4 to 7 % more CPU at 1 KB: hyper gives replies over by channels
    // even within one task, which then wakes itself.
    tokio::spawn(connection);
    Ok(sender)
}

/// A connection while a reply comes over it.
pub(crate) struct Lease {
    sender: http1::SendRequest<Asked>,
    origin: Arc<Origin>,
}

impl Lease {
    /// Returns the connection to the pool, to be called once its reply has been read to the end.
    pub(crate) fn give_back(self) {
        let mut idle = self
            .origin
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(self.sender);
        }
    }
}
