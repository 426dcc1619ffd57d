//! Policy tests, read and checked against the policy that they are about. Trying them is `rehearsal`'s.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::action::outcome::OutputName;
use crate::name::{ActionName, AgentName, EnvironmentName, OutcomeName};
use crate::problem::{Located, Place, Problems, Sources};
use crate::refusal::Code;

/// What came of reading files of tests.
#[derive(Debug)]
pub struct Trials {
    /// The tests in the order of the files; none where one of the problems is an error.
    pub trials: Vec<Trial>,
    /// Everything that is wrong in them.
    pub problems: Problems,
    /// The texts of the files, for drawing the problems.
    pub sources: Sources,
}

/// One test: a session, and what is asked in it.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What it shows.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// At least one.
    pub steps: Vec<Step>,
    /// Whether it was written as `steps`, so that a failure has to say in which.
    pub has_steps: bool,
}

/// One request or call, and what must come of it.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it does.
    pub name: Option<String>,
    /// Where it stands.
    pub place: Place,
    /// What is asked.
    pub asked: Asked,
    /// Who asks.
    pub agent: Option<AgentName>,
    /// Where it is decided.
    pub environment: EnvironmentName,
    /// What the runtime sets before it.
    pub context: Map<String, Value>,
    /// The time; that of the step before where there is none.
    pub now: Option<OffsetDateTime>,
    /// What the server answers.
    pub reply: Option<Reply>,
    /// What must come of it.
    pub expected: Expected,
}

/// What somebody wants: the same for a test and for an explanation.
#[derive(Clone, Debug)]
pub enum Asked {
    /// A request at the proxy door.
    Request(AskedRequest),
    /// A call at a tool door.
    Call {
        /// The action.
        action: ActionName,
        /// Its parameters, as the agent gives them.
        parameters: Map<String, Value>,
    },
}

/// A request as a client has it, still unread.
#[derive(Clone, Debug)]
pub struct AskedRequest {
    /// Any text.
    pub method: String,
    /// Any text.
    pub url: String,
    /// As they are sent.
    pub headers: HeaderMap,
    /// Empty for none.
    pub body: Bytes,
}

/// What a server answers.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its content.
    pub body: Bytes,
}

/// What must come of a request or call.
#[derive(Clone, Debug)]
pub enum Expected {
    /// It is refused with this code.
    Refused(Located<Code>),
    /// It is allowed, and everything that is named is so.
    Allowed(Box<Wanted>),
}

/// What must be true of something that is allowed. What is `None` may be anything.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The action.
    pub action: Option<Located<ActionName>>,
    /// The request's method.
    pub method: Option<Located<String>>,
    /// The request's whole URL, with secrets as marks.
    pub url: Option<Located<String>>,
    /// Headers and all of their values; none for a header that is not there.
    pub headers: Vec<(Located<HeaderName>, Vec<String>)>,
    /// The request's body: text, JSON, or `null` for none.
    pub body: Option<Located<Value>>,
    /// What the reply is called.
    pub outcome: Option<Located<OutcomeName>>,
    /// What the agent is told beside it.
    pub say: Option<Located<String>>,
    /// What of its body reaches the agent: text, JSON, or `null` for nothing.
    pub returned: Option<Located<Value>>,
    /// What the session learns; `null` for what is not set.
    pub outputs: Vec<(Located<OutputName>, Value)>,
}
