//! What broke, and on which side: for operators.
//!
//! A fault is not a decision. The agent hears of it in the shape of a refusal, with the code and nothing of the detail.

use std::fmt;
use std::net::SocketAddr;

use crate::refusal::{Code, Refusal};

/// Something that failed while a permitted request was carried out.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What failed.
    pub kind: FaultKind,
    /// For the operator's log and the audit record. It never holds a secret.
    pub detail: String,
    /// The address that was dialled, if it came so far.
    pub address: Option<SocketAddr>,
}

/// Each way to fail, with the side on which it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Exeat could not read the credential.
    Secret,
    /// The token endpoint gave no token.
    Token,
    /// The host's name did not resolve, or nothing listens at its addresses.
    Unreachable,
    /// The host's name resolves to an address that no request may go to.
    Address,
    /// A deadline passed before the upstream was done.
    Timeout,
    /// The upstream's certificate or handshake.
    Tls,
    /// The upstream's answer can be read in more than one way, or ended before its end.
    Malformed,
    /// The upstream's answer is larger than the action allows.
    ReplyTooLarge,
    /// The upstream's answer holds a credential, which is not to be passed on masked.
    Echo,
    /// The client's body broke off while it was being passed on.
    ClientGone,
    /// The client's body can be read in more than one way.
    ClientMalformed,
    /// The client's body did not arrive in time.
    ClientSlow,
    /// The client's body passed the limit of the action.
    ClientTooLarge,
    /// The client's body holds a known secret.
    ClientSecret,
    /// What was permitted lasted longer than its permission, or than exeat.
    Withdrawn,
    /// A bug: a task panicked or a promise inside exeat was not kept.
    Internal,
}

/// Who has to look at a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The agent's own connection.
    Client,
    /// This process or its configuration.
    Exeat,
    /// The server behind the action.
    Upstream,
}

impl FaultKind {
    /// The code under which the agent and the audit record know it.
    pub fn code(self) -> Code {
        match self {
            Self::Secret => Code::SecretUnavailable,
            Self::Token => Code::TokenUnavailable,
            Self::Unreachable => Code::UpstreamUnreachable,
            Self::Address => Code::AddressRefused,
            Self::Timeout => Code::UpstreamTimeout,
            Self::Tls => Code::UpstreamTls,
            Self::Malformed => Code::UpstreamMalformed,
            Self::ReplyTooLarge => Code::UpstreamTooLarge,
            Self::Echo => Code::SecretEchoed,
            Self::ClientGone => Code::ClientGone,
            Self::ClientMalformed => Code::RequestMalformed,
            Self::ClientSlow => Code::ClientTooSlow,
            Self::ClientTooLarge => Code::TooLarge,
            Self::ClientSecret => Code::SecretOutgoing,
            Self::Withdrawn => Code::ActionNotAllowed,
            Self::Internal => Code::Internal,
        }
    }

    /// On which side it happened.
    pub fn side(self) -> Side {
        match self {
            Self::Secret | Self::Withdrawn | Self::Internal => Side::Exeat,
            Self::ClientGone
            | Self::ClientMalformed
            | Self::ClientSlow
            | Self::ClientTooLarge
            | Self::ClientSecret => Side::Client,
            Self::Token
            | Self::Unreachable
            | Self::Address
            | Self::Timeout
            | Self::Tls
            | Self::Malformed
            | Self::ReplyTooLarge
            | Self::Echo => Side::Upstream,
        }
    }
}

impl Fault {
    /// A fault with what the operator has to know.
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            address: None,
        }
    }

    /// Adds the address that was dialled.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// What the agent hears: the code's meaning, not the detail.
    pub fn to_refusal(&self) -> Refusal {
        Refusal::new(self.kind.code(), self.kind.code().meaning())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.detail)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_does_not_hear_the_detail() {
        let fault = Fault::new(FaultKind::Secret, "no variable OPENWEATHER_API_KEY");
        let refusal = fault.to_refusal();
        assert_eq!(refusal.code, Code::SecretUnavailable);
        assert!(!refusal.message.contains("OPENWEATHER"));
    }
}
