//! What is asked, in canonical form: where to, which path, which query, by whom and through which door.
//!
//! Everything here is made by parsing. What can be read in two ways is refused, so what is matched against the policy
//! is what is sent. This is the only parser of authorities, paths and queries in the project.

mod destination;
mod host;
mod path;
mod percent;
mod query;
mod session;

use http::{HeaderMap, Method};

use crate::name::{AgentName, EnvironmentName};
use crate::refusal::{Code, Refusal};

pub use destination::{AbsoluteTarget, Destination, Scheme, port};
pub use host::{BadHost, Host, HostPattern};
pub use path::{Path, read_segment, wrong_with_segment};
pub use percent::{BadEncoding, encode, encode_into, fits_query_value};
pub use query::{Pair, Query};
pub use session::{BadSessionId, SessionId};

/// The way a request came in. The decision is the same at every door; the shape of the answer is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// Absolute-form, or inside an intercepted CONNECT.
    Proxy,
    /// `POST /v1/actions/NAME`.
    Http,
    /// An MCP tool call.
    Mcp,
    /// `exeat call`: the operator's own hand, to which neither `enabled` nor `doors` applies.
    Call,
}

impl Door {
    /// The door as it stands in policies, audit records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Http => "http",
            Self::Mcp => "mcp",
            Self::Call => "call",
        }
    }
}

/// Who asks, and in which environment the policy is read for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The agent, or nobody in particular where the policy has no `agents:`.
    pub agent: Option<AgentName>,
    /// The environment whose hosts, values and secrets apply.
    pub environment: EnvironmentName,
    /// The session that was named, whether or not there is such a one.
    pub session: Option<SessionId>,
}

/// The head of a request as far as deciding needs it.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The way it came in.
    pub door: Door,
    /// Who asks.
    pub caller: Caller,
    /// One of the six methods that an action may have.
    pub method: Method,
    /// Where to: from the CONNECT or the absolute-form target, never from a header.
    pub destination: Destination,
    /// The path, decoded once.
    pub path: Path,
    /// The query, decoded once.
    pub query: Query,
    /// The headers as the client sent them.
    pub headers: HeaderMap,
}

/// Reads the method: the six that an action may have.
///
/// # Errors
/// [`Code::MethodRefused`] for any other, `get` and `TRACE` among them. Methods are case-sensitive (RFC 9110 §9.1).
pub fn method(text: &str) -> Result<Method, Refusal> {
    match text {
        "GET" => Ok(Method::GET),
        "HEAD" => Ok(Method::HEAD),
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "DELETE" => Ok(Method::DELETE),
        _ => Err(Refusal::new(
            Code::MethodRefused,
            "the method must be GET, HEAD, POST, PUT, PATCH or DELETE, in capital letters",
        )),
    }
}
