//! Who is asking: the agent behind a `Proxy-Authorization` header.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use crate::fault::Fault;
use crate::name::EnvironmentName;
use crate::policy::{Agent, Policy};
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, SessionId};
use crate::secret::Secret;
use crate::vault::Vault;

/// Why nobody was identified.
#[derive(Debug)]
pub enum Unidentified {
    /// No agent, an unknown one, or a wrong token: the answer is the same for all.
    Refused(Refusal),
    /// The agent's own token could not be read, so nobody can prove to be it.
    Broke(Fault),
}

/// Finds out who sent a request.
///
/// Without `agents:` in the policy it is nobody in particular, in the environment that the process was given.
///
/// # Errors
/// [`Code::AgentUnknown`], or the fault that kept the token from being read.
pub async fn identify(
    policy: &Policy,
    vault: &dyn Vault,
    headers: &HeaderMap,
    environment: &EnvironmentName,
) -> Result<Caller, Unidentified> {
    let presented = headers.get(PROXY_AUTHORIZATION).and_then(read_basic);
    let Some(agents) = policy.agents() else {
        // What else clients call themselves says nothing here.
        let named = presented
            .as_ref()
            .and_then(|(name, _)| name.strip_prefix('~'));
        return Ok(Caller {
            agent: None,
            environment: environment.clone(),
            session: named.map(session).transpose()?,
        });
    };
    let Some((login, token)) = presented else {
        return Err(Unidentified::Refused(unknown()));
    };
    // No name of an agent has a `~`.
    let (name, named) = match login.split_once('~') {
        Some((name, id)) => (name, Some(id)),
        None => (login.as_str(), None),
    };
    let Some((name, agent)) = agents.get_key_value(name) else {
        // As long as for a known agent with a wrong token.
        let _ = Secret::new(b"no agent has this token".to_vec()).map(|it| it.matches(&token));
        return Err(Unidentified::Refused(unknown()));
    };
    let environment = agent.environment.as_ref().unwrap_or(environment);
    let expected = token_of(policy, vault, agent, environment).await?;
    if !expected.matches(&token) {
        return Err(Unidentified::Refused(unknown()));
    }
    Ok(Caller {
        agent: Some(name.clone()),
        environment: environment.clone(),
        session: named.map(session).transpose()?,
    })
}

/// An id that was never issued is refused; whether there is still such a session is not told here.
fn session(id: &str) -> Result<SessionId, Unidentified> {
    SessionId::parse(id).map_err(|bad| {
        let message = format!("{bad}, or leave out `~` and what follows in the proxy user name");
        Unidentified::Refused(Refusal::new(Code::AgentUnknown, message))
    })
}

async fn token_of(
    policy: &Policy,
    vault: &dyn Vault,
    agent: &Agent,
    environment: &EnvironmentName,
) -> Result<Secret, Unidentified> {
    let source = policy.secret_source(&agent.token, environment);
    let source = source.ok_or_else(|| Unidentified::Refused(unknown()))?;
    vault
        .get(&agent.token, source)
        .await
        .map_err(Unidentified::Broke)
}

/// User name and password of Basic credentials (RFC 7617 §2).
fn read_basic(value: &HeaderValue) -> Option<(String, Zeroizing<Vec<u8>>)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let colon = memchr::memchr(b':', &decoded)?;
    let name = std::str::from_utf8(&decoded[..colon]).ok()?.to_owned();
    Some((name, Zeroizing::new(decoded[colon + 1..].to_vec())))
}

fn unknown() -> Refusal {
    Refusal::new(
        Code::AgentUnknown,
        "put the agent's name and token into the proxy URL: http://NAME:TOKEN@HOST:PORT",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_read_strictly() {
        for (header, expected) in [
            ("Basic Ym90OnQ=", Some(("bot", "t"))),
            ("basic Ym90OnQ=", Some(("bot", "t"))),
            ("Basic Ym90OnQ6dQ==", Some(("bot", "t:u"))),
            ("Basic Ym90", None),
            ("Basic Ym90OnQ", None),
            ("Basic !!!", None),
            ("Bearer Ym90OnQ=", None),
            ("Basic", None),
        ] {
            let read = read_basic(&HeaderValue::from_static(header));
            let read = read.map(|(name, token)| (name, String::from_utf8(token.to_vec()).unwrap()));
            let expected = expected.map(|(name, token)| (name.to_owned(), token.to_owned()));
            assert_eq!(read, expected, "{header}");
        }
    }
}
