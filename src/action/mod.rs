//! An action: one request that a security team has declared, in the form in which it is matched and sent.
//!
//! [`plan`] makes the request from parameters, [`recognise`] takes a proxied request apart into the same parameters.
//! Both read the same declaration, so that what was checked is what is sent. Nothing here decides who may use it.

mod given;
mod headers;
mod hints;
mod media_type;
pub mod outcome;
mod path;
mod plan;
mod recognise;
mod refuse;
pub mod requires;
mod sensitive;
mod upgrade;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, Method};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::action::outcome::Reading;
use crate::action::requires::{Attempts, Requirement};
use crate::body::Body;
use crate::credential::Credential;
use crate::name::{ActionName, EnvironmentName};
use crate::rate::Rate;
use crate::refusal::Refusal;
use crate::request::{Door, HostPattern, Scheme, SessionId};
use crate::schema::{Schema, Shape, spelling};
use crate::template::{BodyTemplate, Known, Template, Values};

pub use given::given;
pub use hints::Hints;
pub use media_type::{MediaType, media_type};
pub use path::{BadPath, PathPattern, PathProblem, Segment};
pub(crate) use plan::pointer;
pub use plan::{Planned, plan};
pub use recognise::{Content, Recognised, recognise};
pub use sensitive::Sensitive;

/// A declared action in one environment.
#[derive(Debug)]
pub struct Action {
    /// Its key under `actions:`.
    pub name: ActionName,
    /// Free text for people.
    pub title: Option<String>,
    /// What it does and when to use it; agents read it.
    pub description: String,
    /// `false`: known, but refused.
    pub enabled: bool,
    /// Through which doors it may be used.
    pub doors: Doors,
    /// One of the six.
    pub method: Method,
    /// Cleartext only where the policy says `allow_http`.
    pub scheme: Scheme,
    /// Exact, or one label wide.
    pub host: HostPattern,
    /// 1 to 65535.
    pub port: u16,
    /// Literals and placeholders.
    pub path: PathPattern,
    /// What the parameters must be.
    pub parameters: Arc<Schema>,
    /// Whether a tool's values are converted to the declared types, as the `variables` form promises.
    pub converts: bool,
    /// Declared query entries, in the order in which they are sent.
    pub query: Vec<(String, Template)>,
    /// How lists stand in the query.
    pub query_style: QueryStyle,
    /// Declared headers; a value that the agent sent under such a name is read as its parameter or replaced.
    pub headers: Vec<(HeaderName, Template)>,
    /// What becomes of parameters that stand nowhere else.
    pub content: ContentRule,
    /// What a proxied request carries instead, beside a template that makes the body of tool calls.
    pub proxied: Option<Proxied>,
    /// Headers of the agent that go through; all others are dropped.
    pub accept_headers: Vec<HeaderName>,
    /// Written last, over whatever the agent sent in their places.
    pub credentials: Vec<Credential>,
    /// Deadlines and sizes.
    pub limits: Limits,
    /// How often it may be called, and how often anything of its connection: the narrowest first.
    pub rates: Vec<Arc<Rate>>,
    /// What it does to the world.
    pub hints: Hints,
    /// What no log shows of its parameters, besides what their schema marks.
    pub sensitive: Sensitive,
    /// What replies mean. The same in every environment.
    pub reading: Arc<Reading>,
    /// What must have succeeded before.
    pub requires: Vec<Requirement>,
    /// Its parameters that a session remembers of each call, since others that require this action bind them; `None`
    /// where no other does.
    pub remembered: Option<Vec<String>>,
    /// What it lets through besides a request and its reply.
    pub passes: Passes,
}

/// What goes through beside a request and its reply, where an action says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passes {
    /// It is a handshake, after which both sides speak WebSocket.
    pub websocket: bool,
    /// The trailers of its replies.
    pub trailers: bool,
}

impl Passes {
    /// Whether what began with those may go on with these: the same protocol, and trailers where there may be some.
    pub fn cover(self, then: Self) -> bool {
        self.websocket == then.websocket && self.trailers >= then.trailers
    }
}

/// How a list of scalars stands in the query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryStyle {
    /// `k=a&k=b`.
    #[default]
    Repeat,
    /// `k=a,b`. An item is not empty and holds no comma, encoded or not: servers decode before they split.
    Comma,
    /// `k[]=a&k[]=b`.
    Brackets,
}

impl QueryStyle {
    /// The name under which the list of a query parameter is sent.
    pub fn name_of_list(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::Brackets if !name.ends_with("[]") => Cow::Owned(format!("{name}[]")),
            Self::Repeat | Self::Comma | Self::Brackets => Cow::Borrowed(name),
        }
    }
}

/// What a request of this action carries, and where parameters go that have no place of their own.
#[derive(Debug)]
pub enum ContentRule {
    /// No body; leftover parameters become query parameters (GET, HEAD, DELETE), or there are none.
    Query,
    /// Leftover parameters are the members of a JSON object or the fields of a form. The first media type is the one
    /// that goes upstream.
    Object(Vec<MediaType>),
    /// A JSON body that a template makes. The first media type goes upstream.
    Template(Vec<MediaType>, Box<BodyTemplate>),
    /// A wire body under a schema of its own, JSON only, through the proxy door only. The first media type goes
    /// upstream.
    Wire(Vec<MediaType>, Box<Schema>),
    /// Bytes up to the cap, unread. Empty: any media type; else one of these.
    Unread(Vec<MediaType>),
}

/// How a proxied request is read whose body nobody takes apart, although a template makes that of tool calls.
#[derive(Debug)]
pub struct Proxied {
    /// [`ContentRule::Wire`] or [`ContentRule::Unread`].
    pub content: ContentRule,
    /// What its parameters must be: those that stand in the body alone are not required.
    pub parameters: Arc<Schema>,
    /// Those that stand in the body alone: such a request does not have them, nor their defaults. What is in its body
    /// is something else.
    pub absent: Vec<String>,
}

/// The doors that an action's declaration leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doors {
    /// Raw egress.
    pub proxy: bool,
    /// `POST /v1/actions/NAME`.
    pub http: bool,
    /// MCP.
    pub mcp: bool,
}

impl Doors {
    /// Every door.
    pub const ALL: Self = Self {
        proxy: true,
        http: true,
        mcp: true,
    };

    /// Whether a door is open. The operator's own is not for a policy to close.
    pub fn open(self, door: Door) -> bool {
        match door {
            Door::Proxy => self.proxy,
            Door::Http => self.http,
            Door::Mcp => self.mcp,
            Door::Call => true,
        }
    }
}

/// Deadlines and sizes of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the choice of the action, which its head settles, to the last byte of the reply; lifted for streams once
    /// the reply's head has come.
    pub timeout: Duration,
    /// Name lookup, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Silence in the middle of a reply.
    pub idle_timeout: Duration,
    /// A reply without an expected end, such as an event stream: `timeout` ends with its head.
    pub stream: bool,
    /// Bytes of the request's body.
    pub max_request_bytes: u64,
    /// Bytes of the reply's body.
    pub max_response_bytes: u64,
}

impl Default for Limits {
    /// - `timeout` 30 s: what the slowest APIs that agents wait for take, and less than clients' own 60 s.
    /// - `connect_timeout` 5 s: two lost SYNs and a slow name server; a host that needs longer is down.
    /// - `idle_timeout` 60 s: event streams send a comment every 15 to 30 s.
    /// - 1 MiB out: parameters are small, and this is held in memory for checking.
    /// - 10 MiB back: more than a model can read.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(60),
            stream: false,
            max_request_bytes: 1 << 20,
            max_response_bytes: 10 << 20,
        }
    }
}

impl Action {
    /// Whether a parameter has a place in path, query entries, headers or the template of the body.
    pub fn places(&self, parameter: &str) -> bool {
        let prints = |template: &Template| template.parameters().any(|it| it == parameter);
        self.path.parameters().any(|it| it == parameter)
            || self.query.iter().any(|(_, template)| prints(template))
            || self.headers.iter().any(|(_, template)| prints(template))
            || matches!(&self.content, ContentRule::Template(_, template)
                if template.parameters().any(|it| it == parameter))
    }

    /// Whether parameters alone make a request: tools can choose no host, have no body to pass on, and hold nothing
    /// open.
    pub fn is_made_of_parameters(&self) -> bool {
        let passes_body = matches!(self.content, ContentRule::Wire(..) | ContentRule::Unread(_));
        matches!(self.host, HostPattern::Exact(_)) && !passes_body && !self.passes.websocket
    }

    /// The place of a parameter that is not left over, in words.
    pub fn place_of(&self, parameter: &str) -> Option<String> {
        let printed = |template: &Template| template.parameters().any(|it| it == parameter);
        if self.path.parameters().any(|it| it == parameter) {
            return Some("in the path".into());
        }
        let mut query = self.query.iter();
        if let Some((name, _)) = query.find(|(_, template)| printed(template)) {
            return Some(format!("in the query as {name}"));
        }
        let mut headers = self.headers.iter();
        if let Some((name, _)) = headers.find(|(_, template)| printed(template)) {
            return Some(format!("in the header {name}"));
        }
        let ContentRule::Template(_, template) = &self.content else {
            return None;
        };
        let mut in_body = template.parameters();
        let is_there = in_body.any(|it| it == parameter);
        is_there.then(|| "inside the body".into())
    }

    /// The refusal of a body over the action's cap.
    pub fn too_large(&self) -> Refusal {
        Refusal::too_large(self.limits.max_request_bytes).of_action(&self.name)
    }

    /// What a proxied request carries.
    pub fn proxied_content(&self) -> &ContentRule {
        self.proxied
            .as_ref()
            .map_or(&self.content, |it| &it.content)
    }

    /// What the parameters must be: of a tool call, or of a request whose body is passed on.
    pub fn schema_of(&self, arguments: &Arguments) -> &Arc<Schema> {
        match (&self.proxied, &arguments.wire) {
            (Some(proxied), Some(_)) => &proxied.parameters,
            _ => &self.parameters,
        }
    }

    /// The parameters that a request cannot have, since its body is passed on.
    pub fn absent_from(&self, arguments: &Arguments) -> &[String] {
        match (&self.proxied, &arguments.wire) {
            (Some(proxied), Some(_)) => &proxied.absent,
            _ => &[],
        }
    }

    /// How the value of a parameter stands in the query.
    fn style_of(&self, parameter: &str) -> QueryStyle {
        let is_list = || matches!(self.parameters.shape(parameter), Shape::ArrayOfScalar(_));
        match self.query_style {
            QueryStyle::Comma | QueryStyle::Brackets if is_list() => self.query_style,
            _ => QueryStyle::Repeat,
        }
    }

    /// Whether the whole reply has to be in hand before its first byte goes on: something in it is looked for, or its
    /// end is waited for, without which a call has not succeeded.
    pub fn reads_reply(&self) -> bool {
        self.reading.needs_content() || self.remembered.is_some()
    }

    /// Whether a request may be sent again after it failed half-way (RFC 9110 §9.2.2).
    pub fn idempotent(&self) -> bool {
        self.hints.idempotent
    }
}

/// The values for one request, in the form in which every door gives them.
#[derive(Debug, Default)]
pub struct Arguments {
    /// Parameters by name; the schema decides about them.
    pub parameters: Map<String, Value>,
    /// Headers of the agent that go through.
    pub forwarded: http::HeaderMap,
    /// A body that is not made from parameters.
    pub wire: Option<WireBody>,
}

/// A body that is passed on instead of being made.
#[derive(Debug)]
pub struct WireBody {
    /// Its media type, as it goes upstream.
    pub content_type: Option<http::HeaderValue>,
    /// The content.
    pub body: Body,
}

/// What is known of a request besides its parameters: everything that deciding needs from outside, as values.
#[derive(Clone)]
pub struct Facts {
    /// Fixed once for a request.
    pub now: OffsetDateTime,
    /// The same moment on the clock that never jumps: the age of what a session remembers counts from it.
    pub instant: Instant,
    /// The agent's key, or empty.
    pub agent_id: String,
    /// The agent's title, else its key.
    pub agent_name: String,
    /// Where the request was decided.
    pub environment: EnvironmentName,
    /// The caller's session; `None` where none was named, and where there is no such one of this agent's.
    pub session_id: Option<SessionId>,
    /// The variables of that session: a tree, in which the output `ticket.key` is `key` inside `ticket`.
    pub session: Arc<Map<String, Value>>,
    /// What the runtime has said, by whole name: `contact.first_name`; what it calls the conversation stands under
    /// `conversation_id`. Checked by `policy::ContextVariables`.
    pub context: Arc<Map<String, Value>>,
    /// What preconditions look at: the session's calls to actions that others require.
    pub attempts: Arc<Attempts>,
}

impl Facts {
    /// Of somebody of whom nothing is known, in no session.
    pub fn bare(environment: EnvironmentName, now: OffsetDateTime, instant: Instant) -> Self {
        Self {
            now,
            instant,
            agent_id: String::new(),
            agent_name: String::new(),
            environment,
            session_id: None,
            session: Arc::default(),
            context: Arc::default(),
            attempts: Arc::default(),
        }
    }

    /// The text of a built-in name; `None` where it needs a session and there is none.
    pub fn text(&self, known: Known) -> Option<String> {
        match known {
            Known::CurrentDatetime => Some(timestamp(self.now)),
            Known::AgentId => Some(self.agent_id.clone()),
            Known::AgentName => Some(self.agent_name.clone()),
            Known::Environment => Some(self.environment.as_str().to_owned()),
            Known::SessionId => self.session_id.as_ref().map(SessionId::expose),
            Known::ConversationId => {
                let named = self.context.get(Known::ConversationId.name());
                let named = named.and_then(Value::as_str).map(str::to_owned);
                named.or_else(|| self.text(Known::SessionId))
            }
        }
    }

    /// Gives a template its values.
    fn with_values<T>(
        &self,
        parameters: &Map<String, Value>,
        look: impl FnOnce(&Values<'_>) -> T,
    ) -> T {
        look(&Values {
            parameters,
            session: &self.session,
            context: &self.context,
            known: &|known| self.text(known),
        })
    }
}

/// Variables and context may be sensitive.
impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            now, environment, ..
        } = self;
        write!(f, "Facts({now}, {environment}, {:?})", self.session_id)
    }
}

fn timestamp(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    at.to_offset(time::UtcOffset::UTC)
        .format(&format)
        .unwrap_or_default()
}

/// The text of a scalar in a path, a query, a header or a form; `None` for arrays, objects and null.
pub(crate) fn scalar_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(spelling(number))),
        Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
