//! The way out: the only part of the program that opens connections to servers.
//!
//! A request names a host; `resolve` looks it up once, `vet` judges every answer, `connect` opens a stream to a vetted
//! address, `tls` makes the server prove its name, `connection` speaks HTTP, and `pool` keeps the connection for the
//! next request. Whether a request may be sent at all was decided before; redirects are never followed; no variable of
//! our own environment (`HTTP_PROXY` and its like) is read.

mod connect;
mod connection;
mod http1;
mod message;
mod pool;
mod reply;
mod resolve;
#[cfg(test)]
mod tests;
mod tls;
mod vet;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Request, StatusCode};
use tokio::net::TcpStream;

use crate::action::Passes;
use crate::body::Body;
use crate::dial::connection::Connection;
use crate::dial::connection::Content;
use crate::dial::connection::Facts;
use crate::dial::connection::Unanswered;
use crate::dial::message::{Broken, Message};
use crate::dial::pool::Key;
use crate::dial::pool::Pool;
use crate::dial::reply::Kept;
use crate::dial::reply::Lease;
use crate::dial::vet::Target;
use crate::fault::{Fault, FaultKind};
use crate::metrics::Upstreams;
use crate::name::AgentName;
use crate::policy::{Declared, Network, Outgoing, Passage, Policy};
use crate::request::Destination;
use crate::request::Scheme;
use crate::wire::AnswerHead;

pub use connect::{Connect, Connecting, Tcp};
pub use pool::{Identity, Limits};
pub use reply::{Reply, Switched, Upstream};
pub use resolve::{Answer, Lookup, Resolve, Static, System};
pub use tls::{BadCa, Offer, Tls};
pub use vet::{Own, Vetted};

/// For lookup, TCP and TLS of a call of our own: the default of actions, for the same reasons.
const CALL_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends requests from one runtime, and keeps the connections that it opened there. Clones share them.
#[derive(Clone)]
pub struct Dialer {
    setup: Setup,
    /// The same trust, for connections that are to speak another protocol.
    http1_only: Tls,
    pool: Pool,
}

/// What a dialer works with.
#[derive(Clone)]
pub struct Setup {
    /// Looks names up.
    pub resolver: Arc<dyn Resolve>,
    /// Opens TCP streams.
    pub connector: Arc<dyn Connect>,
    /// Whom to trust.
    pub tls: Tls,
    /// Our own listeners, which are never a destination.
    pub own: Own,
    /// What the pool keeps.
    pub limits: Limits,
    /// Counts its connections.
    pub counted: Upstreams,
}

/// An [`Outgoing`] taken apart.
struct Dispatch {
    /// Where to. The only source of `Host` and `:authority`.
    destination: Destination,
    /// Whose it is; none for calls of our own.
    agent: Option<AgentName>,
    /// Which addresses are open.
    network: Arc<Network>,
    /// For lookup, TCP and TLS together.
    connect_timeout: Duration,
    /// Whether it may be sent again when a pooled connection turns out to be closed.
    idempotent: bool,
    /// What it asks for beside a reply.
    passes: Passes,
    /// Method, path and query, end-to-end headers, body. Framing fields and `Host` in it are replaced.
    request: Request<Body>,
}

/// Where a request goes and what must hold on the way.
struct Route {
    destination: Destination,
    network: Arc<Network>,
    connect_timeout: Duration,
    key: Key,
    passes: Passes,
}

/// A response, and how it was come by.
struct Answered {
    response: (AnswerHead, Content),
    connection: Connection,
    reused: bool,
    retries: u32,
}

impl Dialer {
    /// A dialer for the current runtime.
    pub fn new(setup: Setup) -> Self {
        let pool = Pool::new(setup.limits, setup.counted.clone());
        let http1_only = setup.tls.offering(Offer::Http1);
        Self {
            setup,
            http1_only,
            pool,
        }
    }

    /// Sends a request and waits for the head of its response. The total timeout is the caller's; dropping the future
    /// gives the request up.
    ///
    /// It is sent a second time, on a new connection, if nothing of it was written; or if it is idempotent, its body
    /// is still in hand, and the pooled connection was dead (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
    ///
    /// # Errors
    /// [`FaultKind::Address`] before anything was dialled, [`FaultKind::Unreachable`], [`FaultKind::Timeout`] and
    /// [`FaultKind::Tls`] before anything was sent, [`FaultKind::Malformed`] for an answer that can't be believed, and
    /// whatever broke the request's own body.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Box<Reply>, Fault> {
        self.dispatch(Dispatch {
            destination: outgoing.destination().clone(),
            agent: outgoing.agent().cloned(),
            network: outgoing.network().clone(),
            connect_timeout: outgoing.action().limits.connect_timeout,
            idempotent: outgoing.action().idempotent(),
            passes: outgoing.action().passes,
            request: outgoing.into_request()?,
        })
        .await
    }

    /// Posts to a URL that the policy declares for exeat itself, and waits for the head of the response. Lookup,
    /// address and certificate are judged as for any request; redirects are not followed. A call may be sent twice, as
    /// with [`Dialer::send`]: a token more does no harm.
    ///
    /// # Errors
    /// As [`Dialer::send`].
    pub async fn call(
        &self,
        declared: &Declared,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Box<Reply>, Fault> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = declared.target();
        *request.headers_mut() = headers;
        self.dispatch(Dispatch {
            destination: declared.destination().clone(),
            agent: None,
            network: declared.network().clone(),
            connect_timeout: CALL_CONNECT_TIMEOUT,
            idempotent: true,
            passes: Passes::default(),
            request,
        })
        .await
    }

    /// Opens a stream for a declared tunnel: looked up, judged and connected as for a request, with nothing sent on it.
    ///
    /// # Errors
    /// [`FaultKind::Address`], [`FaultKind::Unreachable`] or [`FaultKind::Timeout`].
    pub async fn tunnel(
        &self,
        passage: &Passage,
        connect_timeout: Duration,
    ) -> Result<(TcpStream, SocketAddr), Fault> {
        let destination = Destination {
            scheme: Scheme::Https,
            host: passage.host().clone(),
            port: passage.port(),
        };
        self.stream(&destination, passage.network(), connect_timeout)
            .await
    }

    /// Closes what is kept for later requests and may not be used under this policy: connections to addresses that it
    /// does not open, and to hosts where nobody has any business now. What is in use ends with its use.
    pub fn revet(&self, policy: &Policy) {
        self.pool.retain(|key, address| {
            let target = Target {
                host: key.host(),
                port: key.port(),
                network: policy.network(),
                own: &self.setup.own,
            };
            policy.has_business_at(key.host(), key.port()) && target.judge(address).is_ok()
        });
    }

    async fn stream(
        &self,
        to: &Destination,
        network: &Network,
        connect_timeout: Duration,
    ) -> Result<(TcpStream, SocketAddr), Fault> {
        within(connect_timeout, to, self.reach(to, network)).await
    }

    async fn dispatch(&self, dispatch: Dispatch) -> Result<Box<Reply>, Fault> {
        let Dispatch {
            destination,
            agent,
            network,
            connect_timeout,
            idempotent,
            passes,
            request,
        } = dispatch;
        let route = Route {
            key: Key::new(&destination, Identity::Anonymous, agent),
            destination,
            network,
            connect_timeout,
            passes,
        };
        let mut message = Message::new(request, route.destination.clone(), passes);
        let broken = message.broken();
        match self.carry(&route, &mut message, idempotent).await {
            Ok(answered) => {
                let asked = passes.websocket.then_some(&message.headers);
                receive(answered, self.keep(route, broken), asked)
            }
            Err(fault) => Err(broken.fault().unwrap_or(fault)),
        }
    }

    async fn carry(
        &self,
        route: &Route,
        message: &mut Message,
        idempotent: bool,
    ) -> Result<Answered, Fault> {
        let pooled = self.pooled(route);
        let reused = pooled.is_some();
        let connection = match pooled {
            Some(connection) => {
                self.setup.counted.reused();
                connection
            }
            None => self.open(route).await?,
        };
        let is_repeatable = reused && idempotent && message.is_in_hand();
        let failed = match converse(connection, message).await {
            Ok((response, connection)) => {
                return Ok(Answered {
                    response,
                    connection,
                    reused,
                    retries: 0,
                });
            }
            Err(failed) => failed,
        };
        let may_go_again = failed.unsent || (is_repeatable && failed.dead);
        if !may_go_again {
            return Err(failed.fault);
        }
        let again = converse(self.open(route).await?, message).await;
        let (response, connection) = again.map_err(|failed| failed.fault)?;
        Ok(Answered {
            response,
            connection,
            reused: false,
            retries: 1,
        })
    }

    /// Where a connection goes when its response is over. One that was asked to speak another protocol is not used
    /// again, whatever it answered.
    fn keep(&self, route: Route, broken: Broken) -> Kept {
        let pool = (!route.passes.websocket).then(|| self.pool.clone());
        Kept {
            place: pool.map(|pool| (route.key, pool)),
            broken,
        }
    }

    fn pooled(&self, route: &Route) -> Option<Connection> {
        if route.passes.websocket {
            return None;
        }
        let target = self.target(&route.destination, &route.network);
        let open = |address| {
            let judged = target.judge(address);
            if let Err(fault) = &judged {
                tracing::debug!(%fault, "a kept connection is dropped");
            }
            judged.is_ok()
        };
        self.pool.take(&route.key, open, Instant::now())
    }

    async fn open(&self, route: &Route) -> Result<Connection, Fault> {
        // On the heap: a handshake's future has tens of kilobytes, which every request would otherwise have room for.
        let connecting = Box::pin(self.establish(route));
        let connection = within(route.connect_timeout, &route.destination, connecting).await?;
        if let Connection::Http2(connection) = &connection {
            self.pool.keep(&route.key, connection, Instant::now());
        }
        Ok(connection)
    }

    async fn establish(&self, route: &Route) -> Result<Connection, Fault> {
        let (to, switches) = (&route.destination, route.passes.websocket);
        let (stream, address) = self.reach(to, &route.network).await?;
        if to.scheme == Scheme::Http {
            let facts = Facts { address, tls: None };
            return Ok(Connection::http1(stream, facts, &self.setup.counted));
        }
        let handshake = match switches {
            // HTTP/2 has no `Upgrade` (RFC 9113 §8.6).
            true => self.http1_only.handshake(&to.host, stream).await,
            false => self.setup.tls.handshake(&to.host, stream).await,
        };
        let stream = handshake.map_err(|fault| fault.at(address))?;
        let session = stream.get_ref().1;
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let facts = Facts {
            address,
            tls: session.protocol_version().map(tls::version),
        };
        if is_http2 {
            Connection::http2(stream, facts, &self.setup.counted).await
        } else {
            Ok(Connection::http1(stream, facts, &self.setup.counted))
        }
    }

    /// One lookup, all answers judged, one stream.
    async fn reach(
        &self,
        to: &Destination,
        network: &Network,
    ) -> Result<(TcpStream, SocketAddr), Fault> {
        let answers = self.setup.resolver.lookup(&to.host).await?;
        let vetted = self.target(to, network).vet(&answers)?;
        let first = vetted.first().map(|it| it.address());
        let reached = connect::race(&self.setup.connector, vetted).await;
        reached.map_err(|error| {
            let detail = format!("no address of {} takes connections: {error}", to.host);
            Fault {
                address: first,
                ..Fault::new(FaultKind::Unreachable, detail)
            }
        })
    }

    fn target<'a>(&'a self, to: &'a Destination, network: &'a Network) -> Target<'a> {
        Target {
            host: &to.host,
            port: to.port,
            network,
            own: &self.setup.own,
        }
    }
}

/// One request on one connection, which comes back with the response.
async fn converse(
    mut connection: Connection,
    message: &mut Message,
) -> Result<((AnswerHead, Content), Connection), Box<Unanswered>> {
    let response = connection.send(message).await?;
    Ok((response, connection))
}

/// Reads the head of a response, and takes over the connection where it grants another protocol.
fn receive(answered: Answered, kept: Kept, asked: Option<&HeaderMap>) -> Result<Box<Reply>, Fault> {
    let Answered {
        response,
        connection,
        reused,
        retries,
    } = answered;
    let Facts { address, tls } = connection.facts();
    let upstream = Upstream {
        address,
        tls,
        http_version: response.0.version,
        reused,
        retries,
    };
    let lease = Lease { connection, kept };
    let (status, headers, body, switched) = match asked {
        Some(asked) if response.0.status == StatusCode::SWITCHING_PROTOCOLS => {
            let (headers, switched) = lease.switch(asked, response.0)?;
            (
                StatusCode::SWITCHING_PROTOCOLS,
                headers,
                Body::Empty,
                Some(switched),
            )
        }
        _ => {
            let (status, headers, body) = lease.receive(response)?;
            (status, headers, body, None)
        }
    };
    Ok(Box::new(Reply {
        status,
        headers,
        body,
        upstream,
        switched,
    }))
}

async fn within<T>(
    limit: Duration,
    to: &Destination,
    connecting: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let connected = tokio::time::timeout(limit, connecting).await;
    connected.unwrap_or_else(|_| {
        let detail = format!("lookup, TCP and TLS with {to} took longer than {limit:?}");
        Err(Fault::new(FaultKind::Timeout, detail))
    })
}
