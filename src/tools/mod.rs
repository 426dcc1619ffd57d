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
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};

use crate::agents;
use crate::agents::{Bearer, Bearers, Unidentified};
use crate::body::Body;
use crate::browser;
use crate::exchange::{Begun, Call, Gate, Stop, unless_panicked};
use crate::mcp::Mcp;
use crate::name::ActionName;
use crate::policy;
use crate::policy::Policy;
use crate::proxy;
use crate::proxy::{ClientLimits, ClientStream, Pages};
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, Door};
use crate::seats::Seat;
use crate::tools::ask::Asked;
use crate::tools::reply::{Page, Reply};
use crate::tools::route::Route;
use crate::trace::Claimed;

/// Between two requests of a connection, and from the first byte of a head to its last: agents pause while their model
/// thinks. A client that drips bytes holds a connection for as long, and is one of a bounded number.
const HEAD_DEADLINE: Duration = Duration::from_secs(60);

/// What stands round the parameters of a call: a context, and the id of a session.
const ENVELOPE: u64 = 64 * 1024;

/// Where MCP is spoken.
const MCP: &str = "/mcp";

/// The pages of one listener.
pub struct Tools {
    gate: Arc<Gate>,
    listener: SocketAddr,
    limits: ClientLimits,
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
            limits: ClientLimits {
                head: HEAD_DEADLINE,
                keep_alive: HEAD_DEADLINE,
                write_stall: stall,
                ..ClientLimits::default()
            },
            bearers: Bearers::default(),
        }
    }

    /// Serves one connection to its end. A client that goes away takes its calls with it. One that waits makes room for
    /// others.
    pub async fn serve(self: Arc<Self>, stream: impl ClientStream, seat: Seat) {
        let drain = &self.gate.services.drain;
        proxy::serve_pages(&*self, stream, &self.limits, (Some(drain), &seat)).await;
    }

    async fn answer_head(&self, head: &Parts, body: &mut Body) -> Reply {
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
    async fn speak_mcp(&self, head: &Parts, body: &mut Body) -> Reply {
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

    async fn hear_mcp(&self, head: &Parts, body: &mut Body) -> Result<Reply, Stop> {
        self.refuse_browsers(head)?;
        let policy = self.gate.services.live.snapshot();
        let bearer = self.identify(&policy, &head.headers).await?;
        if head.method != Method::POST {
            refuse_body(body)?;
        }
        let most = (&bearer.caller, self.mcp.largest_message());
        let bytes = self.take_in(head, body, most).await?;
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
        body: &mut Body,
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
        body: &mut Body,
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
        let most = (&caller, cap.saturating_add(ENVELOPE));
        let bytes = self.take_in(head, body, most).await?;
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

    async fn show(&self, begun: Begun, asked: (&Parts, Route, Bearer), body: &mut Body) -> Reply {
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
        body: &mut Body,
    ) -> Result<Page, Stop> {
        let policy = &begun.policy;
        let sessions = self.gate.services.sessions.as_ref();
        if route != Route::Sessions {
            refuse_body(body)?;
        }
        Ok(match route {
            Route::OpenApi => Page::good(pages::openapi()),
            Route::Actions => Page::good(pages::actions(policy, &bearer.caller)),
            Route::Tools(format) => Page::good(pages::tools(policy, &bearer.caller, format)),
            Route::Action(name) => Page::good(pages::action(policy, &bearer.caller, &name)?),
            Route::Sessions => {
                let bytes = self.take_in(head, body, (&bearer.caller, ENVELOPE)).await?;
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

    /// While a body comes it is a request under way; a call takes a share of its own.
    async fn take_in(
        &self,
        head: &Parts,
        body: &mut Body,
        (caller, cap): (&Caller, u64),
    ) -> Result<Bytes, Stop> {
        let _share = self.gate.services.shares.take(caller.agent.as_ref())?;
        let bytes = self.gate.take_in(body, cap).await?;
        if !bytes.is_empty() {
            ask::expect_json(&head.headers)?;
        }
        Ok(bytes)
    }
}

/// A page that is looked at has no body to be asked for with, and nobody reads one.
fn refuse_body(body: &Body) -> Result<(), Refusal> {
    if body.is_empty() {
        return Ok(());
    }
    let message = "this page takes no body";
    Err(Refusal::new(Code::BodyUnexpected, message))
}

impl Pages for Tools {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        reply::carried(self.answer_head(&head, &mut body).await)
    }

    fn turn_away(&self, stop: Stop) -> Response<Body> {
        reply::carried(match self.gate.open(Door::Http, None) {
            Ok(begun) => reply::denied(&begun.stop(stop)),
            Err(refusal) => reply::refused(&refusal, ""),
        })
    }
}
