//! Why an exchange ended before its reply: a decision, or something that broke.

use crate::audit::End;
use crate::fault::Fault;
use crate::name::ActionName;
use crate::refusal::{Code, Refusal};

/// The error of every step of an exchange.
#[derive(Debug)]
pub enum Stop {
    /// Decided against.
    Refused(Refusal),
    /// Permitted or undecided, and then something failed.
    Broke(Fault),
}

impl Stop {
    /// The code under which it is answered and recorded.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Broke(fault) => fault.kind.code(),
        }
    }

    /// What the agent hears.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal.clone(),
            Self::Broke(fault) => fault.to_refusal(),
        }
    }

    /// Names the action that was refused.
    pub(super) fn of_action(self, action: &ActionName) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(refusal.of_action(action)),
            broke @ Self::Broke(_) => broke,
        }
    }

    /// How the record says it.
    pub(super) fn into_end(self) -> End {
        match self {
            Self::Refused(refusal) => End::Refused(refusal.code),
            Self::Broke(fault) => End::Failed(fault),
        }
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Broke(fault)
    }
}
