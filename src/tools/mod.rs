//! The tools listener: an agent's actions as pages, and calls of them by name.
//!
//! [`Tools`] turns requests away that no agent sends, finds out who asks, and hands calls to [`Gate::call`], where they
//! go the way of every request. Every request here has one audit record, a call or not. `route` is the list of pages;
//! whatever else this listener serves, such as another protocol for the same calls, has its place beside them, behind
//! `judge`.

mod ask;
mod pages;
mod reply;
mod route;
mod sessions;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::BodyExt as _;
use http_body_util::combinators::MapErr;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::agents;
use crate::agents::{Bearer, Bearers, Unidentified};
use crate::browser;
use crate::drain::Phase;
use crate::exchange::{Begun, Call, Gate, Stop, unless_panicked};
use crate::fault::{Fault, FaultKind};
use crate::mcp::Mcp;
use crate::name::ActionName;
use crate::patience::Impatient;
use crate::policy;
use crate::policy::Policy;
use crate::refusal::{Code, Refusal};
use crate::request::Door;
use crate::seats::Seat;
use crate::tools::ask::Asked;
use crate::tools::reply::{Page, Reply};
use crate::tools::route::Route;
use crate::trace::Claimed;

/// Between two requests of a connection, and from the first byte of a head to its last: agents pause while their model
/// thinks. A client that drips bytes holds a connection for as long, and is one of a bounded number.
const HEAD_DEADLINE: Duration = Duration::from_secs(60);

/// Bytes of a head. As at the proxy.
const HEAD_BYTES: usize = 64 * 1024;

/// What stands round the parameters of a call: a context, and the id of a session.
const ENVELOPE: u64 = 64 * 1024;

/// How long, and how far, a refused body is read. As at the proxy.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

/// When a stop begins, a first request on a new connection may be on its way. As at the proxy.
const FIRST_WORDS: Duration = Duration::from_secs(1);

/// Where MCP is spoken.
const MCP: &str = "/mcp";

/// The pages of one listener.
pub struct Tools {
    gate: Arc<Gate>,
    listener: SocketAddr,
    stall: Duration,
    bearers: Bearers,
    mcp: Mcp,
}

impl Tools {
    /// Pages whose calls go through this gate. A client that takes nothing of an answer for the time of `stall` loses
    /// its connection.
    pub fn new(gate: Arc<Gate>, listener: SocketAddr, stall: Duration) -> Self {
        Self {
            mcp: Mcp::new(gate.clone()),
            gate,
            listener,
            stall,
            bearers: Bearers::default(),
        }
    }

    /// Serves one connection to its end. A client that goes away takes its calls with it. One that has not asked for
    /// anything yet makes room for others.
    pub async fn serve(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin, seat: Seat) {
        let drain = self.gate.services.drain.clone();
        let has_asked = Arc::new(AtomicBool::new(false));
        let seat = Arc::new(seat);
        let (asked, taken) = (has_asked.clone(), seat.clone());
        let stream = Impatient::new(stream, self.stall);
        let service = service_fn(move |request| {
            asked.store(true, Ordering::Relaxed);
            taken.works();
            let tools = self.clone();
            async move { Ok::<_, std::convert::Infallible>(tools.answer(request).await) }
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let mut serving = pin!(serving);
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = seat.wanted() => match has_asked.load(Ordering::Relaxed) {
                // Told in the moment in which a request came.
                true => serving.await,
                false => Ok(()),
            },
            () = drain.reached(Phase::Draining) => {
                serving.as_mut().graceful_shutdown();
                // hyper waits for a first request for as long as for any.
                match timeout(FIRST_WORDS, serving.as_mut()).await {
                    Ok(ended) => ended,
                    Err(_) if has_asked.load(Ordering::Relaxed) => serving.await,
                    Err(_) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection of the tools listener broke off");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let (head, body) = request.into_parts();
        let mut body = body.map_err(broken_off as fn(_) -> _);
        let mut reply = self.answer_head(&head, &mut body).await;
        if self.gate.services.drain.has_reached(Phase::Draining) {
            // hyper closes, and does not say so.
            let close = HeaderValue::from_static("close");
            reply.headers_mut().insert(CONNECTION, close);
        }
        if !reply.status().is_success() && !head.headers.contains_key(EXPECT) {
            drain(&mut body).await;
        }
        reply
    }

    async fn answer_head(&self, head: &Parts, body: &mut Inbound) -> Reply {
        if head.uri.path() == MCP {
            return self.speak_mcp(head, body).await;
        }
        let mut begun = match self.gate.open(Door::Http, None) {
            Ok(begun) => begun,
            Err(refusal) => return reply::refused(&refusal, ""),
        };
        let claimed = Claimed::of_headers(&head.headers);
        self.gate.services.note_trace(claimed, &mut begun.ticket);
        let id = begun.ticket.request_id();
        let judged = {
            let judging = pin!(self.judge(&mut begun, head));
            unless_panicked(Some(id), judging).await
        };
        match judged {
            Ok((Route::Action(name), bearer)) if head.method == Method::POST => {
                self.call(begun, (head, name, bearer), body).await
            }
            Ok((route, bearer)) => self.show(begun, (head, route, bearer), body).await,
            Err(stop) => reply::denied(&begun.stop(stop)),
        }
    }

    /// Calls write their own records, and messages of MCP that are none have none. Who is turned away has one here.
    async fn speak_mcp(&self, head: &Parts, body: &mut Inbound) -> Reply {
        let heard = unless_panicked(None, Box::pin(self.hear_mcp(head, body))).await;
        let stop = match heard {
            Ok(reply) => return reply,
            Err(stop) => stop,
        };
        match self.gate.open(Door::Mcp, None) {
            Ok(begun) => reply::denied(&begun.stop(stop)),
            Err(refusal) => reply::refused(&refusal, ""),
        }
    }

    async fn hear_mcp(&self, head: &Parts, body: &mut Inbound) -> Result<Reply, Stop> {
        self.refuse_browsers(head)?;
        let policy = self.gate.services.live.snapshot();
        let bearer = self.identify(&policy, &head.headers).await?;
        let bytes = self.take_in(head, body, self.mcp.largest_message()).await?;
        let whose = (bearer.caller, policy);
        Ok(self.mcp.answer(head.clone(), &bytes, whose).await?)
    }

    /// That it is no browser, what it is about, and who asks.
    async fn judge(&self, begun: &mut Begun, head: &Parts) -> Result<(Route, Bearer), Stop> {
        self.refuse_browsers(head)?;
        let route = Route::read(&head.method, &head.uri)?;
        if route == Route::OpenApi {
            // What it says is no secret, and the same for all.
            let environment = self.gate.services.settings.home(&begun.policy);
            return Ok((route, agents::stranger(environment)));
        }
        let bearer = self.identify(&begun.policy, &head.headers).await?;
        begun.ticket.known(&bearer.caller);
        Ok((route, bearer))
    }

    fn refuse_browsers(&self, head: &Parts) -> Result<(), Refusal> {
        browser::refuse(self.listener, &head.headers)
            .map_err(|browser| Refusal::new(Code::BrowserRefused, browser.message()))
    }

    async fn identify(&self, policy: &Policy, headers: &HeaderMap) -> Result<Bearer, Stop> {
        let services = &self.gate.services;
        let (vault, environment) = (services.vault.as_ref(), services.settings.home(policy));
        let found = self.bearers.identify(policy, vault, headers, environment);
        found.await.map_err(|why| match why {
            Unidentified::Refused(refusal) => Stop::Refused(refusal),
            Unidentified::Broke(fault) => Stop::Broke(fault),
        })
    }

    async fn call(
        &self,
        mut begun: Begun,
        asked: (&Parts, String, Bearer),
        body: &mut Inbound,
    ) -> Reply {
        match self.read_call(&mut begun, asked, body).await {
            Ok(call) => match self.gate.call(begun, call).await {
                Ok(done) => reply::done(&done),
                Err(denied) => reply::denied(&denied),
            },
            Err(stop) => reply::denied(&begun.stop(stop)),
        }
    }

    /// The action is chosen before a byte of the body is read: its name is all that a refusal needs, and its cap holds.
    async fn read_call(
        &self,
        begun: &mut Begun,
        (head, name, bearer): (&Parts, String, Bearer),
        body: &mut Inbound,
    ) -> Result<Call, Stop> {
        let Bearer {
            mut caller,
            is_runtime,
        } = bearer;
        let name = ActionName::parse(&name)
            .map_err(|_| Refusal::new(Code::ActionUndeclared, "no action can have this name"))?;
        let selected = policy::choose(&begun.policy, &caller, Door::Http, &name)?;
        begun.ticket.selected(&name);
        let cap = selected.action().limits.max_request_bytes;
        let bytes = self
            .take_in(head, body, cap.saturating_add(ENVELOPE))
            .await?;
        let Asked {
            parameters,
            session,
            context,
        } = Asked::read(&bytes, &["parameters", "session", "context"])?;
        sessions::refuse_context(&context, is_runtime)?;
        caller.session = session.or(caller.session);
        begun.ticket.known(&caller);
        Ok(Call {
            door: Door::Http,
            caller,
            action: name,
            bytes: ask::size(&parameters),
            parameters,
            context,
            version: Some(head.version),
        })
    }

    async fn show(
        &self,
        begun: Begun,
        asked: (&Parts, Route, Bearer),
        body: &mut Inbound,
    ) -> Reply {
        match self.page(&begun, asked, body).await {
            Ok(page) => {
                begun.shown(page.status, page.bytes());
                page.reply()
            }
            Err(stop) => reply::denied(&begun.stop(stop)),
        }
    }

    async fn page(
        &self,
        begun: &Begun,
        (head, route, bearer): (&Parts, Route, Bearer),
        body: &mut Inbound,
    ) -> Result<Page, Stop> {
        let policy = &begun.policy;
        let sessions = self.gate.services.sessions.as_ref();
        Ok(match route {
            Route::OpenApi => Page::good(pages::openapi()),
            Route::Actions => Page::good(pages::actions(policy, &bearer.caller)),
            Route::Tools(format) => Page::good(pages::tools(policy, &bearer.caller, format)),
            Route::Action(name) => Page::good(pages::action(policy, &bearer.caller, &name)?),
            Route::Sessions => {
                let bytes = self.take_in(head, body, ENVELOPE).await?;
                let asked = match bytes.is_empty() {
                    true => Asked::default(),
                    false => Asked::read(&bytes, &["context"])?,
                };
                sessions::open(policy, sessions, &bearer, asked.context).await?
            }
            Route::Session(id) if head.method == Method::DELETE => {
                sessions::close(sessions, bearer.caller, &id).await?
            }
            Route::Session(id) => sessions::look(policy, sessions, bearer.caller, &id).await?,
        })
    }

    async fn take_in(&self, head: &Parts, body: &mut Inbound, cap: u64) -> Result<Bytes, Stop> {
        let bytes = self.gate.take_in(body, cap).await?;
        if !bytes.is_empty() {
            ask::expect_json(&head.headers)?;
        }
        Ok(bytes)
    }
}

/// A request's body.
type Inbound = MapErr<Incoming, fn(hyper::Error) -> Fault>;

fn broken_off(_: hyper::Error) -> Fault {
    Fault::new(FaultKind::ClientGone, "the body broke off before its end")
}

/// Reads on for a while where a body was refused unread: closing with unread bytes makes the kernel reset the
/// connection, and the client loses the answer (RFC 9112 §9.6). Who waits for a `100 Continue` has sent nothing.
async fn drain(body: &mut Inbound) {
    let reading = async {
        let mut read = 0;
        while read < LINGER_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    // Past the time the client has to live with what it gets.
    let _ = timeout(LINGER, reading).await;
}
