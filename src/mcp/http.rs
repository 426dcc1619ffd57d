//! MCP over streamable HTTP: a page of the tools listener, which has checked `Host`, `Origin` and token by then.
//!
//! Each agent has sessions of its own, in a place where no other agent's request is looked for: the id of somebody
//! else's session is as unknown as one that never was, and gets 404.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use rmcp::transport::streamable_http_server::session::local::{LocalSessionManager, SessionConfig};
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};

use crate::exchange::Gate;
use crate::mcp::calls::{Calls, waiting};
use crate::mcp::face::{Face, Place, Sender, Whose};
use crate::mcp::lasting::{Attended, Lasting};
use crate::mcp::message::{Message, Unreadable};
use crate::name::AgentName;
use crate::policy::Policy;
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, SessionId};

/// MCP sessions of one agent. Each holds some tens of kilobytes and two tasks, so these hold about 50 MiB.
const SESSIONS: usize = 1024;

/// A session that nobody uses for this long is gone, as exeat's own are.
const IDLE: Duration = Duration::from_secs(60 * 60);

/// What stands round the arguments of a call: method, id, name, and what clients say of themselves in `_meta`.
const ENVELOPE: u64 = 64 << 10;

/// The session of exeat in which a client's calls are made.
const SESSION: HeaderName = HeaderName::from_static("exeat-session");

/// A reply, whole or as an event stream.
type Reply = Response<BoxBody<Bytes, Infallible>>;

/// The page.
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

    /// Bytes of the largest message: as much as the largest call that the policy allows, and what stands round it.
    pub fn largest_message(&self) -> u64 {
        let policy = self.place.gate.services.live.snapshot();
        policy.largest_request().saturating_add(ENVELOPE)
    }

    /// Answers a request that comes from a program with a good token, its body read. Calls in it are the caller's, in
    /// the session that the header `Exeat-Session` names. They are recorded here, and so is what cannot be read, and
    /// what is no message: a `GET` that listens, a `DELETE` that ends an MCP session. Other messages are not.
    ///
    /// # Errors
    /// Why the request did not get as far as the protocol.
    pub async fn answer(
        &self,
        mut head: Parts,
        body: &[u8],
        (mut caller, policy): (Caller, Arc<Policy>),
    ) -> Result<Reply, Refusal> {
        caller.session = session(&head.headers)?;
        let agent = self.agent(&caller.agent, &policy);
        // Nothing further in needs to know it.
        head.headers.remove(AUTHORIZATION);
        let (here, gone) = waiting();
        head.extensions.insert(Sender {
            caller: caller.clone(),
            gone,
            version: head.version,
            policy: policy.clone(),
        });
        let reply = match head.method {
            Method::POST => match agent.post(head, body).await? {
                Ok(reply) => reply,
                Err((status, unreadable)) => {
                    self.place.turn_away(&caller, unreadable.refusal());
                    return Ok(unread(status, &unreadable));
                }
            },
            _ => {
                let lasting = Lasting::of(&self.place, &policy, caller.clone())?;
                let reply = agent.attend(head).await?;
                self.note(&caller, reply.status());
                if is_in_words_of_its_own(&reply) {
                    let (head, _) = reply.into_parts();
                    let mut told = unread(head.status, &Unreadable::no_request());
                    told.headers_mut().extend(head.headers);
                    return Ok(told);
                }
                reply.map(|body| Attended::of(body, lasting).boxed())
            }
        };
        // Whoever takes the reply to its end has waited for it; who drops it before has gone.
        let kept = move |frame| {
            let _waiting = &here;
            frame
        };
        Ok(reply.map(|body| body.map_frame(kept).boxed()))
    }

    fn note(&self, caller: &Caller, status: StatusCode) {
        if status.is_success() {
            return self.place.note(caller, status);
        }
        let message = format!("MCP has no such request: answered with {}", status.as_u16());
        let refusal = Refusal::new(Code::RequestMalformed, message);
        self.place.turn_away(caller, refusal);
    }

    /// With a new one, those go that the policy does not have any more, and their sessions with them.
    fn agent(&self, name: &Option<AgentName>, policy: &Policy) -> Arc<Agent> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if !agents.contains_key(name) {
            agents.retain(|it, _| policy.home(it.as_ref(), None).is_some());
        }
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
            // A message is read by now, under the caps of actions.
            .with_max_request_body_bytes(usize::MAX)
            .with_sse_retry(None)
            .with_json_response(true);
        let face = move || Ok(Face::new(place.clone(), Whose::EachRequests));
        Self {
            protocol: StreamableHttpService::new(face, sessions.clone(), config),
            sessions,
        }
    }

    async fn post(&self, head: Parts, body: &[u8]) -> Result<Posted, Refusal> {
        let message = match Message::read(body) {
            Ok(message) => message,
            Err(unreadable) => return Ok(Err((StatusCode::BAD_REQUEST, unreadable))),
        };
        if message.is_initialize() && self.sessions.sessions.read().await.len() >= SESSIONS {
            return Err(Refusal::new(
                Code::Overloaded,
                "this agent has as many MCP sessions as it may have; end some of them",
            ));
        }
        let request = Request::from_parts(head, Full::new(message.to_bytes()));
        let reply = self.protocol.handle(request).await;
        Ok(match reply.status() {
            // rmcp's word for JSON that is no message; the media type is known to be good by now.
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Err((StatusCode::BAD_REQUEST, Unreadable::no_message()))
            }
            StatusCode::NOT_FOUND if !is_json(&reply) => return Err(no_session()),
            status if is_in_words_of_its_own(&reply) => Err((status, Unreadable::no_request())),
            _ => Ok(reply),
        })
    }

    /// Answers a request that has no message.
    async fn attend(&self, head: Parts) -> Result<Reply, Refusal> {
        const METHODS: [&str; 3] = ["GET", "POST", "DELETE"];
        if !METHODS.contains(&head.method.as_str()) {
            let message = format!("this page takes {}", METHODS.join(" and "));
            return Err(Refusal::new(Code::MethodRefused, message).allowing(METHODS));
        }
        let request = Request::from_parts(head, Empty::<Bytes>::new());
        let reply = self.protocol.handle(request).await;
        match reply.status() {
            StatusCode::NOT_FOUND => Err(no_session()),
            _ => Ok(reply),
        }
    }
}

/// What came of a message: an answer, or that it is none, under the status that says so.
type Posted = Result<Reply, (StatusCode, Unreadable)>;

/// The exeat session that calls belong to.
fn session(headers: &HeaderMap) -> Result<Option<SessionId>, Refusal> {
    let mut values = headers.get_all(SESSION).iter();
    let (first, second) = (values.next(), values.next());
    let Some(value) = first else {
        return Ok(None);
    };
    let id = value.to_str().ok().filter(|_| second.is_none());
    match id.map(SessionId::parse) {
        Some(Ok(id)) => Ok(Some(id)),
        _ => Err(Refusal::new(
            Code::RequestMalformed,
            "Exeat-Session must be one id that exeat has issued; without it, calls are in no session",
        )),
    }
}

/// An answer in JSON-RPC, and no word of the transport.
fn is_json(reply: &Reply) -> bool {
    let kind = reply.headers().get(CONTENT_TYPE);
    kind.is_some_and(|it| it.as_bytes().starts_with(b"application/json"))
}

/// What rmcp refuses for its headers it tells in plain text, which may quote them.
fn is_in_words_of_its_own(reply: &Reply) -> bool {
    let status = reply.status();
    (status.is_client_error() || status.is_server_error()) && !is_json(reply)
}

/// Whether it has ended, was another agent's or never was, is not told. Clients begin anew then (2025-11-25,
/// basic/transports, session management).
fn no_session() -> Refusal {
    Refusal::new(
        Code::SessionUnknown,
        "there is no such MCP session of this agent; initialize again",
    )
}

fn unread(status: StatusCode, unreadable: &Unreadable) -> Reply {
    let body = Bytes::from(unreadable.to_json().to_string());
    let mut reply = Response::new(Full::new(body).boxed());
    *reply.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(CONTENT_TYPE, json);
    reply
}
