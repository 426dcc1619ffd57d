//! Who is asking: the agent behind a `Proxy-Authorization` header, or behind a bearer token at the tool doors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use crate::fault::Fault;
use crate::name::{AgentName, EnvironmentName, SecretName};
use crate::policy::Policy;
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
    let expected = token_of(policy, vault, &agent.token, environment).await?;
    if !expected.matches(&token) {
        return Err(Unidentified::Refused(unknown()));
    }
    Ok(Caller {
        agent: Some(name.clone()),
        environment: environment.clone(),
        session: named.map(session).transpose()?,
    })
}

/// Says which agent is meant, where one token is that of several: a runtime's.
pub const AGENT: &str = "exeat-agent";

/// Who asks at a tool door.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// In no session yet.
    pub caller: Caller,
    /// Whether it is the runtime that speaks, and not the agent: it may set the context.
    pub is_runtime: bool,
}

/// Finds out whose bearer token a request has (RFC 6750 §2.1): an agent's own, or that of its runtime.
///
/// Without `agents:` in the policy it is nobody in particular, who may do everything.
///
/// # Errors
/// As [`identify`].
pub async fn identify_bearer(
    policy: &Policy,
    vault: &dyn Vault,
    headers: &HeaderMap,
    environment: &EnvironmentName,
) -> Result<Bearer, Unidentified> {
    let Some(agents) = policy.agents() else {
        let caller = nobody(environment);
        return Ok(Bearer {
            caller,
            is_runtime: true,
        });
    };
    let no_token = || Unidentified::Refused(no_bearer());
    let presented = read_bearer(headers).ok_or_else(no_token)?;
    let (mut found, mut broken) = (Vec::new(), None);
    // All of them, however many, so that the time taken does not tell which was near.
    for (name, agent) in agents {
        let environment = agent.environment.as_ref().unwrap_or(environment);
        let tokens = [
            (Some(&agent.token), false),
            (agent.runtime_token.as_ref(), true),
        ];
        for (token, is_runtime) in tokens {
            let Some(token) = token else { continue };
            match token_of(policy, vault, token, environment).await {
                Ok(expected) if expected.matches(presented) => {
                    found.push((name, environment, is_runtime));
                }
                Ok(_) => {}
                Err(why) => broken = Some(why),
            }
        }
    }
    let named = headers.get(AGENT);
    found.retain(|(name, ..)| named.is_none_or(|it| it.as_bytes() == name.as_str().as_bytes()));
    match found.as_slice() {
        [(name, environment, is_runtime)] => Ok(Bearer {
            caller: Caller {
                agent: Some(AgentName::clone(name)),
                ..nobody(environment)
            },
            is_runtime: *is_runtime,
        }),
        [] => Err(broken.unwrap_or_else(no_token)),
        _ => Err(Unidentified::Refused(Refusal::new(
            Code::AgentUnknown,
            "several agents have this token: name one of them in the header Exeat-Agent",
        ))),
    }
}

/// Somebody who asks for what all may see.
pub fn stranger(environment: &EnvironmentName) -> Bearer {
    Bearer {
        caller: nobody(environment),
        is_runtime: false,
    }
}

fn nobody(environment: &EnvironmentName) -> Caller {
    Caller {
        agent: None,
        environment: environment.clone(),
        session: None,
    }
}

/// The token of the one `Authorization` header.
fn read_bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
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
    token: &SecretName,
    environment: &EnvironmentName,
) -> Result<Secret, Unidentified> {
    let source = policy.secret_source(token, environment);
    let source = source.ok_or_else(|| Unidentified::Refused(unknown()))?;
    vault.get(token, source).await.map_err(Unidentified::Broke)
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

fn no_bearer() -> Refusal {
    Refusal::new(
        Code::AgentUnknown,
        "send the agent's token: Authorization: Bearer TOKEN",
    )
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
    fn bearer_credentials_are_read_strictly() {
        for (values, expected) in [
            (&["Bearer t"][..], Some("t")),
            (&["bearer t u"], Some("t u")),
            (&["Bearer "], Some("")),
            (&["Bearer"], None),
            (&["Basic dDp0"], None),
            (&["Bearer t", "Bearer t"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            let expected = expected.map(str::as_bytes);
            assert_eq!(read_bearer(&headers), expected, "{values:?}");
        }
    }

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
