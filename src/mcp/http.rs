//! MCP over streamable HTTP, behind the tools listener, which has checked `Host`, `Origin` and token by now.
//!
//! Each agent has sessions of its own, in a place where no other agent's request is looked for: an id of somebody else's
//! session is as unknown as one that never was, and gets 404.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use rmcp::transport::streamable_http_server::session::local::{LocalSessionManager, SessionConfig};
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};

use crate::exchange::Gate;
use crate::mcp::calls::{Calls, waiting};
use crate::mcp::face::{Face, Place, Sender, Whose};
use crate::mcp::message::{Message, Unreadable};
use crate::name::AgentName;
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, SessionId};

/// MCP sessions of one agent. Each holds some tens of kilobytes and two tasks, so these hold about 50 MiB.
const SESSIONS: usize = 1024;

/// A session that nobody uses for this long is gone, as exeat's own are.
const IDLE: Duration = Duration::from_secs(60 * 60);

/// What stands round the arguments of a call: method, id, name, and what clients say of themselves in `_meta`.
const ENVELOPE: u64 = 64 << 10;

/// A reply, as an event stream or whole.
pub type Reply = Response<BoxBody<Bytes, Infallible>>;

/// The page `/mcp`.
pub struct Mcp {
    place: Arc<Place>,
    // One for each agent that was ever here: as many as policies have named.
    agents: Mutex<HashMap<Option<AgentName>, Arc<Agent>>>,
}

struct Agent {
    sessions: Arc<LocalSessionManager>,
    protocol: StreamableHttpService<Face, LocalSessionManager>,
}

impl Mcp {
    /// A page whose calls go through this gate.
    pub fn new(gate: Arc<Gate>) -> Self {
        let calls = Calls::new();
        Self {
            place: Arc::new(Place { gate, calls }),
            agents: Mutex::default(),
        }
    }

    /// Answers a request whose `Host`, `Origin` and token are good. The calls in it are the caller's, in the session
    /// that the header `Exeat-Session` names.
    pub async fn answer<B>(&self, request: Request<B>, caller: Caller) -> Reply
    where
        B: Body + Send + 'static,
        B::Error: Display + Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self.serve(request, caller).await {
            Ok(reply) => reply,
            Err(no) => no.reply(),
        }
    }

    async fn serve<B>(&self, request: Request<B>, mut caller: Caller) -> Result<Reply, No>
    where
        B: Body + Send + 'static,
        B::Error: Display + Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut head, body) = request.into_parts();
        caller.session = session(&head.headers)?;
        let agent = self.agent(&caller.agent);
        // Nothing further in needs to know it.
        head.headers.remove(AUTHORIZATION);
        let (here, gone) = waiting();
        head.extensions.insert(Sender {
            caller,
            gone,
            version: head.version,
        });
        let reply = match head.method {
            Method::POST => {
                let message = self.read(body).await?;
                agent.answer(head, &message).await?
            }
            _ => {
                let request = Request::from_parts(head, Empty::<Bytes>::new());
                agent.protocol.handle(request).await
            }
        };
        // Whoever takes the reply to its end has waited for it; who drops it before has gone.
        Ok(reply.map(|body| {
            body.map_frame(move |frame| {
                let _waiting = &here;
                frame
            })
            .boxed()
        }))
    }

    async fn read<B>(&self, body: B) -> Result<Message, No>
    where
        B: Body + Send + 'static,
        B::Error: Display + Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let cap = self.cap();
        let limited = Limited::new(body, usize::try_from(cap).unwrap_or(usize::MAX));
        let whole = limited.collect().await.map_err(|error| match error
            .is::<http_body_util::LengthLimitError>(
        ) {
            true => No::Refused(Refusal::new(
                Code::TooLarge,
                format!("a message must have at most {cap} bytes"),
            )),
            false => No::Refused(Refusal::new(
                Code::ClientGone,
                "the message broke off before its end",
            )),
        })?;
        Message::read(&whole.to_bytes()).map_err(No::Unreadable)
    }

    /// As much as the largest call that the policy allows.
    fn cap(&self) -> u64 {
        let policy = self.place.gate.services.live.snapshot();
        let actions = policy
            .environments()
            .iter()
            .flat_map(|it| it.actions.values());
        let largest = actions.map(|it| it.limits.max_request_bytes).max();
        largest.unwrap_or(0).saturating_add(ENVELOPE)
    }

    fn agent(&self, name: &Option<AgentName>) -> Arc<Agent> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let agent = agents.entry(name.clone());
        agent
            .or_insert_with(|| Arc::new(Agent::new(self.place.clone())))
            .clone()
    }
}

impl Agent {
    fn new(place: Arc<Place>) -> Self {
        let mut kept = SessionConfig::default();
        kept.keep_alive = Some(IDLE);
        // Nothing is kept for clients that come back for a reply, so nothing asks them to.
        kept.sse_retry = None;
        kept.completed_cache_ttl = Duration::ZERO;
        let mut sessions = LocalSessionManager::default();
        sessions.session_config = kept;
        let sessions = Arc::new(sessions);
        let config = StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .with_sse_retry(None)
            .with_json_response(true);
        let face = move || Ok(Face::new(place.clone(), Whose::EachRequests));
        Self {
            protocol: StreamableHttpService::new(face, sessions.clone(), config),
            sessions,
        }
    }

    async fn answer(&self, head: Parts, message: &Message) -> Result<Reply, No> {
        if message.is_initialize() && self.sessions.sessions.read().await.len() >= SESSIONS {
            return Err(No::Refused(Refusal::new(
                Code::Overloaded,
                "this agent has as many MCP sessions as it may have; end some of them",
            )));
        }
        let request = Request::from_parts(head, Full::new(message.to_bytes()));
        let reply = self.protocol.handle(request).await;
        match reply.status() {
            // rmcp's word for JSON that is no message, which the specification answers with 400.
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Err(No::Unreadable(Unreadable::no_message())),
            _ => Ok(reply),
        }
    }
}

/// The exeat session that calls belong to.
fn session(headers: &HeaderMap) -> Result<Option<SessionId>, No> {
    let mut values = headers.get_all("exeat-session").iter();
    let (first, second) = (values.next(), values.next());
    let Some(value) = first else {
        return Ok(None);
    };
    let id = value.to_str().ok().filter(|_| second.is_none());
    match id.map(SessionId::parse) {
        Some(Ok(id)) => Ok(Some(id)),
        _ => Err(No::Refused(Refusal::new(
            Code::RequestMalformed,
            "Exeat-Session must be one id that exeat has issued; leave it out for calls without a session",
        ))),
    }
}

/// Why a request did not get as far as the protocol.
enum No {
    Refused(Refusal),
    Unreadable(Unreadable),
}

impl No {
    fn reply(self) -> Reply {
        let (status, code, body) = match self {
            Self::Refused(refusal) => (
                refusal.code.tool_status(),
                Some(refusal.code),
                refusal.to_json(""),
            ),
            Self::Unreadable(unreadable) => (StatusCode::BAD_REQUEST, None, unreadable.to_json()),
        };
        let mut reply = Response::new(Full::new(Bytes::from(body.to_string())).boxed());
        *reply.status_mut() = status;
        let headers = reply.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            http::HeaderValue::from_static("application/json"),
        );
        if let Some(code) = code {
            headers.insert(
                "exeat-refusal",
                http::HeaderValue::from_static(code.as_str()),
            );
        }
        reply
    }
}
