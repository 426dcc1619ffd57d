//! What a reply means: whether the call has succeeded, the outcome's name and words, the values that a session keeps,
//! and what of the reply reaches the agent.
//!
//! Pure. Reading the reply's bytes and writing the session are the exchange's matter. What is sensitive is taken out
//! of the reply first, and everything else is read from what is left, so no other declaration can show it.

mod condition;
mod named;
mod output;
mod shown;

use std::fmt;

use http::header::{CONTENT_ENCODING, CONTENT_RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use crate::json;
use crate::name::OutcomeName;
use crate::request::Door;

pub use condition::{BadStatus, Condition, StatusPattern, Success, Test};
pub use named::{BadSay, Case, MAX_SAY, Named, Outcomes, Say, TwoCases};
pub use output::{
    BadOutput, BadOutputName, Clash, Kind, MAX_NAME, NameTree, Output, OutputName, Outputs, Overlap,
};
pub use shown::{Hidden, Response};

/// How an action's replies are read: `success`, `outcomes`, `outputs` and `response` of its declaration.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// When a call has succeeded.
    pub success: Success,
    /// Names for replies.
    pub outcomes: Outcomes,
    /// Values that a session keeps.
    pub outputs: Outputs,
    /// What of a successful reply reaches the agent; everything unless declared.
    pub response: Option<Response>,
}

/// A reply as it came.
#[derive(Clone, Debug)]
pub struct Replied {
    /// The upstream's.
    pub status: StatusCode,
    /// What it carried.
    pub content: Content,
    /// `false`: broken off before its end, which is never a success.
    pub complete: bool,
}

/// The content of a reply as far as meaning can be found in it.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// No content.
    Empty,
    /// What `json::parse` reads: JSON that every reader understands alike.
    Json(Value),
    /// Anything else, and what was not read.
    Other,
}

impl Content {
    /// JSON, whatever the reply calls it. A part of a text may be JSON where the whole says something else (RFC 9110
    /// §14.4), and what is encoded is not what its reader will see.
    pub fn of(status: StatusCode, headers: &HeaderMap, whole: &[u8]) -> Self {
        let is_plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
        let is_encoded = !headers.get_all(CONTENT_ENCODING).iter().all(is_plain);
        let is_part = status == StatusCode::PARTIAL_CONTENT || headers.contains_key(CONTENT_RANGE);
        match whole {
            [] => Self::Empty,
            _ if is_encoded || is_part => Self::Other,
            whole => json::parse(whole).map_or(Self::Other, Self::Json),
        }
    }
}

/// What a reply meant.
#[derive(Clone, PartialEq)]
pub struct Concluded {
    /// Whether the call has succeeded.
    pub success: bool,
    /// The outcome's name: a declared one, `succeeded` or `failed`.
    pub outcome: OutcomeName,
    /// What to tell the agent beside the reply.
    pub say: Option<String>,
    /// The variables that the session now has (`Some`) or has no longer (`None`). Empty unless the call succeeded.
    pub outputs: Vec<(OutputName, Option<Value>)>,
    /// What reaches the agent.
    pub shown: Shown,
}

/// What of a reply's content reaches the agent.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// The content, byte for byte.
    AsCame,
    /// This instead. Lengths, digests and entity tags of the reply's head do not fit it.
    Json(Value),
    /// Nothing: the policy takes something out, and the content is not JSON in which that has one place.
    Withheld,
}

impl Reading {
    /// Whether the whole reply has to be in hand before its first byte goes on. Such an action cannot stream.
    pub fn needs_content(&self) -> bool {
        self.success.reads_content()
            || self.outcomes.read_content()
            || !self.outputs.is_empty()
            || self.response.is_some()
    }

    /// Reads a reply for the door through which it goes back.
    pub fn conclude(&self, replied: Replied, door: Door) -> Concluded {
        let success = self.success.is_met(&replied);
        let named = self.outcomes.find(&replied, success);
        let status = replied.status;
        let (outputs, left) = self.outputs.take(replied.content);
        Concluded {
            success,
            outcome: named.name.clone(),
            say: named.say.as_ref().map(|say| say.words(status)),
            outputs: if success { outputs } else { Vec::new() },
            shown: match &self.response {
                Some(response) if success => response.show(left, door),
                _ => left.into_shown(),
            },
        }
    }
}

/// Outputs may be sensitive, and the reply is nobody's but the agent's.
impl fmt::Debug for Concluded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Concluded({}, success: {})", self.outcome, self.success)
    }
}

/// A reply's content without what is sensitive in it.
enum Left {
    /// There was nothing to take out.
    Untouched(Content),
    /// Something has been replaced in it.
    Redacted(Value),
    /// It may hold something sensitive at a place that cannot be found.
    Withheld,
}

impl Left {
    fn into_shown(self) -> Shown {
        match self {
            Self::Untouched(_) => Shown::AsCame,
            Self::Redacted(value) => Shown::Json(value),
            Self::Withheld => Shown::Withheld,
        }
    }
}

#[cfg(test)]
mod tests;
