//! Every reason to say no: its code, its status, and the words for the agent.
//!
//! A [`Refusal`] is read by a language model, so its message says what was wrong and what would be right. What broke
//! on our side or upstream is a `fault::Fault`; it reaches the agent as a refusal too, without its detail.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::name::ActionName;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $text:literal $status:literal $retryable:literal $meaning:literal;)*) => {
        /// The stable code of a refusal. Each has one meaning, and one status at the doors that speak HTTP.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it is written in JSON, in the `Exeat-Refusal` header and in the audit record.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The HTTP status that carries it.
            pub fn status(self) -> StatusCode {
                let status = match self { $(Self::$variant => $status,)* };
                StatusCode::from_u16(status).expect("the table holds statuses from 400 to 504")
            }

            /// The HTTP status that carries it at the tool doors, whose callers are no clients of a proxy, and where an
            /// action is a page with a name.
            pub fn tool_status(self) -> StatusCode {
                match self {
                    Self::AgentUnknown => StatusCode::UNAUTHORIZED,
                    Self::ActionUndeclared => StatusCode::NOT_FOUND,
                    other => other.status(),
                }
            }

            /// Whether the same request may succeed later without anybody changing anything.
            pub fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)* }
            }

            /// What it means, in one sentence, for the documentation.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

codes! {
    RequestMalformed "request_malformed" 400 false "The bytes are not a request that can be read in only one way.";
    MethodRefused "method_refused" 405 false "The method is none of GET, HEAD, POST, PUT, PATCH and DELETE.";
    ExpectationFailed "expectation_failed" 417 false "An `Expect` header asks for something other than `100-continue`.";
    NotAProxyRequest "not_a_proxy_request" 400 false "The target is a path: the client talks to exeat as if it were the server.";
    PathNotCanonical "path_not_canonical" 400 false "The path or query can be read in more than one way.";
    HostMismatch "host_mismatch" 421 false "Two places of the request name different servers.";
    HttpsRequired "https_required" 403 false "The request asks for cleartext where the policy asks for TLS.";
    BrowserRefused "browser_refused" 403 false "The request comes from a page of a browser, or could.";
    AgentUnknown "agent_unknown" 407 false "The agent did not say who it is, or its token is wrong.";
    HostUndeclared "host_undeclared" 403 false "No declared action or tunnel has this host.";
    PortUndeclared "port_undeclared" 403 false "The host is declared, but not on this port.";
    AddressRefused "address_refused" 403 false "The address is not on the public internet, or is one of exeat's own.";
    ActionUndeclared "action_undeclared" 403 false "The host is declared, but no action fits this method and path; or no action has this name.";
    ActionDisabled "action_disabled" 403 false "The action is switched off in the policy.";
    ActionNotAllowed "action_not_allowed" 403 false "The action is not among those this agent may use.";
    UpgradeRefused "upgrade_refused" 403 false "The request asks for another protocol than the one its action speaks.";
    DoorClosed "door_closed" 403 false "The action cannot be used through this door.";
    ParameterMissing "parameter_missing" 400 false "A required parameter is not there.";
    ParameterUndeclared "parameter_undeclared" 403 false "A parameter is sent that the action does not declare.";
    ParameterDuplicate "parameter_duplicate" 400 false "A parameter or a JSON key is sent twice.";
    ParameterInvalid "parameter_invalid" 403 false "A parameter has a value that the action does not accept.";
    BodyUnexpected "body_unexpected" 400 false "The request has a body where none belongs, or none where one belongs, or one that cannot be read.";
    ContentTypeRefused "content_type_refused" 415 false "The body has a type or an encoding that the action does not take.";
    PlaceholderMisplaced "placeholder_misplaced" 403 false "A credential's placeholder stands where the credential does not belong.";
    PreconditionUnmet "precondition_unmet" 403 false "Another action has to succeed first in this session.";
    RuntimeRequired "runtime_required" 403 false "Only who presents the agent's `runtime_token` may set a context.";
    SessionUnknown "session_unknown" 404 false "The agent has no such session.";
    PageUnknown "page_unknown" 404 false "The tools listener has no such page.";
    VariableMissing "variable_missing" 403 false "A variable that the request needs is not set in this session.";
    RateLimited "rate_limited" 429 true "The rate limit of the action, the connection or the agent is used up.";
    TooLarge "too_large" 413 false "The body is larger than the limit.";
    HeadTooLarge "head_too_large" 431 false "The header section has more bytes or more fields than the limit.";
    TargetTooLong "target_too_long" 414 false "The request target is longer than the limit.";
    Overloaded "overloaded" 503 true "exeat has as much in hand as it may.";
    SecretUnavailable "secret_unavailable" 503 true "The credential that belongs to the request could not be read.";
    TokenUnavailable "token_unavailable" 503 true "The token endpoint gave no token.";
    UpstreamUnreachable "upstream_unreachable" 502 true "The server could not be reached.";
    UpstreamTimeout "upstream_timeout" 504 true "The server did not answer in time.";
    UpstreamTls "upstream_tls" 502 false "The server's certificate or TLS handshake was not good.";
    UpstreamMalformed "upstream_malformed" 502 false "The server's answer is not one that can be read in only one way.";
    UpstreamTooLarge "upstream_too_large" 502 false "The server's answer is larger than the limit of the action.";
    SecretEchoed "secret_echoed" 502 false "The server's answer holds a credential.";
    SecretOutgoing "secret_outgoing" 403 false "A parameter holds a known secret.";
    TlsExpected "tls_expected" 400 false "The bytes in the tunnel are not TLS.";
    ServerNameMismatch "server_name_mismatch" 421 false "The TLS server name is not the host of the CONNECT.";
    ClientGone "client_gone" 400 false "The client left before its request was whole, or did not trust the tunnel it asked for.";
    ClientTooSlow "client_too_slow" 408 true "The request did not arrive in time.";
    Internal "internal" 500 false "exeat failed; the operator's log has the request_id.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A decision not to let a request through, with what the agent needs to do better.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// For the agent: what is wrong and what would be right. It never quotes a secret.
    pub message: String,
    /// Everything else the agent may use; empty for most codes.
    pub hints: Box<Hints>,
}

/// The optional parts of a refusal.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// The action that the request was matched to.
    pub action: Option<ActionName>,
    /// JSON pointer to the parameter that is at fault.
    pub pointer: Option<String>,
    /// What would have been accepted in that place.
    pub allowed: Vec<String>,
    /// The action that has to succeed first.
    pub call_first: Option<ActionName>,
    /// The closest actions this agent may use, when none matched.
    pub nearest: Vec<ActionName>,
    /// How long to wait, where waiting helps. Whole seconds reach the wire, rounded up.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal with a message and no hints.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hints: Box::default(),
        }
    }

    /// Of a body with more bytes than may be.
    pub fn too_large(cap: u64) -> Self {
        let message = format!("the body must have at most {cap} bytes");
        Self::new(Code::TooLarge, message)
    }

    /// Names the action that the request was matched to.
    #[must_use]
    pub fn of_action(mut self, action: &ActionName) -> Self {
        self.hints.action = Some(action.clone());
        self
    }

    /// Points at the parameter that is at fault.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.hints.pointer = Some(pointer.into());
        self
    }

    /// Lists what would have been accepted.
    #[must_use]
    pub fn allowing(mut self, allowed: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.hints.allowed = allowed.into_iter().map(Into::into).collect();
        self
    }

    /// Names the action that has to succeed first.
    #[must_use]
    pub fn after(mut self, action: &ActionName) -> Self {
        self.hints.call_first = Some(action.clone());
        self
    }

    /// Says how long to wait.
    #[must_use]
    pub fn after_waiting(mut self, wait: Duration) -> Self {
        self.hints.retry_after = Some(wait);
        self
    }

    /// Names the closest declared actions.
    #[must_use]
    pub fn near(mut self, nearest: Vec<ActionName>) -> Self {
        self.hints.nearest = nearest;
        self
    }

    /// The one error shape of every door.
    pub fn to_json(&self, request_id: &str) -> Value {
        let mut error = Map::new();
        error.insert("code".into(), json!(self.code.as_str()));
        error.insert("message".into(), json!(self.message));
        self.hints.write(&mut error);
        error.insert("retryable".into(), json!(self.code.retryable()));
        error.insert("request_id".into(), json!(request_id));
        json!({ "error": error })
    }
}

impl Hints {
    fn write(&self, error: &mut Map<String, Value>) {
        if let Some(action) = &self.action {
            error.insert("action".into(), json!(action.as_str()));
        }
        if let Some(pointer) = &self.pointer {
            error.insert("pointer".into(), json!(pointer));
        }
        if !self.allowed.is_empty() {
            error.insert("allowed".into(), json!(self.allowed));
        }
        if let Some(action) = &self.call_first {
            error.insert("call_first".into(), json!(action.as_str()));
        }
        if !self.nearest.is_empty() {
            let nearest: Vec<&str> = self.nearest.iter().map(ActionName::as_str).collect();
            error.insert("nearest".into(), json!(nearest));
        }
        if let Some(seconds) = self.retry_after_seconds() {
            error.insert("retry_after".into(), json!(seconds));
        }
    }

    /// The value of `Retry-After` (RFC 9110 §10.2.3): whole seconds, never too short.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after
            .map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_is_written_once_and_has_an_error_status() {
        let texts: HashSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.status().as_u16() >= 400, "{code}");
            assert!(code.meaning().ends_with('.'), "{code}");
        }
    }

    #[test]
    fn a_refusal_tells_what_would_be_right() {
        let refusal = Refusal::new(Code::ParameterInvalid, "priority must be one of low, high")
            .of_action(&ActionName::parse("create_ticket").unwrap())
            .at("/priority")
            .allowing(["low", "high"]);
        assert_eq!(
            refusal.to_json("01JD"),
            json!({"error": {
                "code": "parameter_invalid", "message": "priority must be one of low, high",
                "action": "create_ticket", "pointer": "/priority", "allowed": ["low", "high"],
                "retryable": false, "request_id": "01JD"}})
        );
    }

    #[test]
    fn waiting_is_rounded_up() {
        let hints = Hints {
            retry_after: Some(Duration::from_millis(1200)),
            ..Hints::default()
        };
        assert_eq!(hints.retry_after_seconds(), Some(2));
    }
}
