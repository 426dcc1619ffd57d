//! The way to one origin: a pool of keep-alive connections, plain or TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use http::Request;
use http::Response;
use http_body_util::BodyExt;
use http_body_util::Either;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
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
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// The last one in is the first one out: it is the least likely to be stale.
    idle: Mutex<Vec<SendRequest<Asked>>>,
}

impl Origin {
    /// An origin that speaks plain HTTP.
    pub(crate) fn plain(route: &Route) -> Self {
        Self {
            host: route.host.clone(),
            address: route.address,
            tls: None,
            idle: Mutex::default(),
        }
    }

    /// An origin that speaks TLS, in its host's name.
    pub(crate) fn over_tls(route: &Route, config: Arc<ClientConfig>) -> anyhow::Result<Self> {
        let name = ServerName::try_from(route.host.clone())?;
        Ok(Self {
            tls: Some((TlsConnector::from(config), name)),
            ..Self::plain(route)
        })
    }

    /// The name by which clients ask for it.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Sends a request in origin-form. One that a stale connection gives back unsent goes once more, over a fresh one.
    pub(crate) async fn send(
        self: &Arc<Self>,
        request: Request<Asked>,
        body: Body,
    ) -> anyhow::Result<Response<Reply>> {
        let mut unsent = request;
        if let Some(mut sender) = self.pooled().await {
            match sender.try_send_request(unsent).await {
                Ok(response) => return self.receive(response, sender, body).await,
                Err(mut error) => match error.take_message() {
                    Some(request) => unsent = request,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let mut sender = self.dial().await?;
        let response = sender.send_request(unsent).await?;
        self.receive(response, sender, body).await
    }

    async fn receive(
        self: &Arc<Self>,
        response: Response<Incoming>,
        sender: SendRequest<Asked>,
        body: Body,
    ) -> anyhow::Result<Response<Reply>> {
        let lease = Lease {
            sender,
            origin: self.clone(),
        };
        let (head, incoming) = response.into_parts();
        let reply = match body {
            Body::Stream => Reply::stream(incoming, lease),
            Body::Collect => {
                let bytes = incoming.collect().await?.to_bytes();
                lease.give_back();
                Reply::whole(bytes)
            }
        };
        Ok(Response::from_parts(head, reply))
    }

    /// An idle connection that is open as far as one can know.
    async fn pooled(&self) -> Option<SendRequest<Asked>> {
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

    #[expect(
        clippy::disallowed_methods,
        reason = "the bare stack has no `dial`: vetting is part of what it does without"
    )]
    async fn dial(&self) -> anyhow::Result<SendRequest<Asked>> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        match &self.tls {
            None => handshake(socket).await,
            Some((connector, name)) => {
                handshake(connector.connect(name.clone(), socket).await?).await
            }
        }
    }
}

async fn handshake(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> anyhow::Result<SendRequest<Asked>> {
    let (sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    // Its error reaches the request that waits for it; without one it is an idle connection that closed.
    // Polled in the client's task instead, it costs 4 to 7 % more CPU at 1 KB: hyper gives replies over by channels
    // even within one task, which then wakes itself.
    tokio::spawn(connection);
    Ok(sender)
}

/// A connection while a reply comes over it.
pub(crate) struct Lease {
    sender: SendRequest<Asked>,
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
