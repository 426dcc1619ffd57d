//! Conditions on a reply: its status, and what stands at a place of its JSON.

use std::fmt;

use http::StatusCode;
use serde_json::Value;

use crate::action::outcome::{Content, Replied};
use crate::json::are_equal;
use crate::jsonpath::SingularPath;

/// `success`: when a call has succeeded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Success {
    /// One of these statuses; any 2xx if there is none.
    pub statuses: Vec<StatusPattern>,
    /// And this.
    pub condition: Option<Condition>,
}

impl Success {
    /// Whether a reply is a success. One that was broken off is not.
    pub fn is_met(&self, replied: &Replied) -> bool {
        let condition = self.condition.as_ref();
        replied.complete
            && self.admits(replied.status)
            && condition.is_none_or(|it| it.holds(&replied.content))
    }

    /// Whether a reply of this status can be a success.
    pub fn admits(&self, status: StatusCode) -> bool {
        match self.statuses.as_slice() {
            [] => status.is_success(),
            statuses => statuses.iter().any(|it| it.fits(status)),
        }
    }

    pub(super) fn reads_content(&self) -> bool {
        self.condition.is_some()
    }
}

/// A status, or a class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusPattern {
    /// `201`.
    Exact(StatusCode),
    /// `2xx`, by its first digit.
    Class(u16),
}

/// A text that is not a status: what [`StatusPattern::parse`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadStatus;

impl fmt::Display for BadStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is not a status; write one from `100` to `599`, or a class such as `2xx`")
    }
}

impl std::error::Error for BadStatus {}

impl StatusPattern {
    /// Reads `201` or `2xx`.
    ///
    /// # Errors
    /// Everything else; RFC 9110 §15 ends at 599.
    pub fn parse(text: &str) -> Result<Self, BadStatus> {
        let [first @ b'1'..=b'5', rest @ ..] = text.as_bytes() else {
            return Err(BadStatus);
        };
        match rest {
            b"xx" => Ok(Self::Class(u16::from(first - b'0'))),
            [b'0'..=b'9', b'0'..=b'9'] => text.parse().map(Self::Exact).map_err(|_| BadStatus),
            _ => Err(BadStatus),
        }
    }

    /// Whether a status is it, or in it.
    pub fn fits(self, status: StatusCode) -> bool {
        match self {
            Self::Exact(exact) => exact == status,
            Self::Class(class) => class == status.as_u16() / 100,
        }
    }
}

/// What must stand at a place of the reply's JSON. It never holds for content that is not JSON, whatever it asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The place.
    pub path: SingularPath,
    /// What must be there.
    pub test: Test,
}

/// What must be at a place.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// This value; numbers are compared by value, so `1` is `1.0`.
    Equals(Value),
    /// Anything (`null` too), or nothing at all.
    Exists(bool),
}

impl Condition {
    /// Whether it holds.
    pub fn holds(&self, content: &Content) -> bool {
        let Content::Json(value) = content else {
            return false;
        };
        let found = self.path.select(value);
        match &self.test {
            Test::Equals(wanted) => found.is_some_and(|found| are_equal(found, wanted)),
            Test::Exists(wanted) => found.is_some() == *wanted,
        }
    }
}
