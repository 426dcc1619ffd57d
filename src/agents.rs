//! Who is asking: the agent behind a `Proxy-Authorization` header, or behind a bearer token at the tool doors.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest;
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
use crate::secret::{Secret, SecretMark};
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
) -> Result<Identified, Unidentified> {
    let mut room = Zeroizing::default();
    let presented = headers.get(PROXY_AUTHORIZATION);
    let presented = presented.and_then(|it| read_basic(it, &mut room));
    let Some(agents) = policy.agents() else {
        // What else clients call themselves says nothing here.
        let named = presented.and_then(|(name, _)| name.strip_prefix('~'));
        let caller = Caller {
            agent: None,
            environment: environment.clone(),
            session: named.map(session).transpose()?,
        };
        return Ok(Identified {
            caller,
            token: None,
        });
    };
    let Some((login, token)) = presented else {
        return Err(Unidentified::Refused(unknown()));
    };
    // No name of an agent has a `~`.
    let (name, named) = match login.split_once('~') {
        Some((name, id)) => (name, Some(id)),
        None => (login, None),
    };
    let Some((name, agent)) = agents.get_key_value(name) else {
        // As long as for a known agent with a wrong token.
        let _ = Secret::new(b"no agent has this token".to_vec()).map(|it| it.matches(token));
        return Err(Unidentified::Refused(unknown()));
    };
    let environment = agent.environment.as_ref().unwrap_or(environment);
    let expected = token_of(policy, vault, &agent.token, environment).await?;
    if !expected.matches(token) {
        return Err(Unidentified::Refused(unknown()));
    }
    let caller = Caller {
        agent: Some(name.clone()),
        environment: environment.clone(),
        session: named.map(session).transpose()?,
    };
    Ok(Identified {
        caller,
        token: Some(expected),
    })
}

/// Who asks, and by what that is known.
pub struct Identified {
    /// Who it is.
    pub caller: Caller,
    /// None without `agents:`.
    token: Option<Secret>,
}

impl Identified {
    /// Who it is, and what they have shown, for what goes on after this request.
    pub fn into_parts(self) -> (Caller, Shown) {
        let shown = self.token.map(|it| (sha256(it.expose()), it.mark()));
        (self.caller, Shown(shown))
    }
}

/// What opened a tunnel: not the token, but by what it is known again. Its mark will do until it is read anew.
pub struct Shown(Option<(Digest, SecretMark)>);

impl Shown {
    /// Holds what was shown against the token that the agent has now: one that was replaced opens nothing any more.
    ///
    /// Whom the policy does not have has no token either, and may do nothing.
    ///
    /// # Errors
    /// As [`identify`].
    pub async fn is_still_good(
        &self,
        policy: &Policy,
        vault: &dyn Vault,
        caller: &Caller,
    ) -> Result<(), Unidentified> {
        let agent = caller.agent.as_ref();
        let agent = agent.and_then(|name| policy.agents()?.get(name));
        let (Some((digest, mark)), Some(agent)) = (&self.0, agent) else {
            return Ok(());
        };
        let token = token_of(policy, vault, &agent.token, &caller.environment).await?;
        match mark.is_of(&token) || sha256(token.expose()) == *digest {
            true => Ok(()),
            false => Err(Unidentified::Refused(unknown())),
        }
    }
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

/// Whose bearer tokens are whose, so that the owner of one is found without trying all.
///
/// What is kept is a digest of each token. It only says where to look: the token itself is asked of the vault for each
/// request, and compared with what was presented, so one that has changed is no good from then on. A token that nobody
/// is known to have is compared with all.
#[derive(Default)]
pub struct Bearers {
    // Held for a look-up and never across an await.
    known: Mutex<Known>,
}

/// The owners under one policy: as many as it has tokens.
#[derive(Default)]
struct Known {
    policy: Option<Arc<str>>,
    owners: HashMap<Digest, Vec<Owner>>,
}

/// An agent, and whether it is its runtime's token.
type Owner = (AgentName, bool);

/// SHA-256 of a token.
type Digest = [u8; 32];

impl Bearers {
    /// Finds out whose bearer token a request has (RFC 6750 §2.1): an agent's own, or that of its runtime.
    ///
    /// Without `agents:` in the policy it is nobody in particular, who may do everything.
    ///
    /// # Errors
    /// As [`identify`].
    pub async fn identify(
        &self,
        policy: &Policy,
        vault: &dyn Vault,
        headers: &HeaderMap,
        environment: &EnvironmentName,
    ) -> Result<Bearer, Unidentified> {
        if policy.agents().is_none() {
            return Ok(Bearer {
                caller: nobody(environment),
                is_runtime: true,
            });
        }
        let presented = read_bearer(headers).ok_or_else(no_token)?;
        let tokens = Tokens {
            policy,
            vault,
            environment,
        };
        let likely = self.owners(policy, presented);
        let mut found = tokens.held_by(&likely, presented).await;
        if found.is_empty() {
            found = self.learn(&tokens, presented).await?;
        }
        let named = headers.get(AGENT);
        if headers.get_all(AGENT).iter().count() > 1 {
            let message = "there are several Exeat-Agent headers; send one";
            return Err(Unidentified::Refused(Refusal::new(
                Code::RequestMalformed,
                message,
            )));
        }
        found.retain(|(name, _)| named.is_none_or(|it| it.as_bytes() == name.as_str().as_bytes()));
        match found.as_slice() {
            [(name, is_runtime)] => Ok(Bearer {
                caller: Caller {
                    agent: Some(name.clone()),
                    ..nobody(tokens.home(name))
                },
                is_runtime: *is_runtime,
            }),
            [] => Err(no_token()),
            _ => Err(Unidentified::Refused(Refusal::new(
                Code::AgentUnknown,
                "several agents have this token: name one of them in the header Exeat-Agent",
            ))),
        }
    }

    fn owners(&self, policy: &Policy, presented: &[u8]) -> Vec<Owner> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_of_policy = known.policy.as_ref() == Some(policy.hash());
        let owners = known
            .owners
            .get(&sha256(presented))
            .filter(|_| is_of_policy);
        owners.cloned().unwrap_or_default()
    }

    /// Compares with all tokens, however many, so that the time taken does not tell which was near; and remembers
    /// whose they are.
    async fn learn(
        &self,
        tokens: &Tokens<'_>,
        presented: &[u8],
    ) -> Result<Vec<Owner>, Unidentified> {
        let (mut found, mut owners, mut broken) = (Vec::new(), HashMap::new(), None);
        for owner in tokens.owners() {
            match tokens.read(&owner).await {
                Ok(token) => {
                    if token.matches(presented) {
                        found.push(owner.clone());
                    }
                    let same = owners.entry(sha256(token.expose()));
                    same.or_insert_with(Vec::new).push(owner);
                }
                Err(why) => broken = Some(why),
            }
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Known {
            policy: Some(tokens.policy.hash().clone()),
            owners,
        };
        match (found.as_slice(), broken) {
            ([], Some(why)) => Err(why),
            _ => Ok(found),
        }
    }
}

fn sha256(token: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(digest::digest(&digest::SHA256, token).as_ref());
    digest
}

/// Where the tokens of a policy's agents are read.
struct Tokens<'a> {
    policy: &'a Policy,
    vault: &'a dyn Vault,
    /// Of those who have none of their own.
    environment: &'a EnvironmentName,
}

impl<'a> Tokens<'a> {
    /// Everybody who has one.
    fn owners(&self) -> impl Iterator<Item = Owner> + use<'a> {
        self.policy
            .agents()
            .into_iter()
            .flatten()
            .flat_map(|(name, agent)| {
                let runtime = agent.runtime_token.as_ref().map(|_| (name.clone(), true));
                [(name.clone(), false)].into_iter().chain(runtime)
            })
    }

    /// Those of them whose token this is.
    async fn held_by(&self, owners: &[Owner], presented: &[u8]) -> Vec<Owner> {
        let mut found = Vec::new();
        for owner in owners {
            if self.read(owner).await.is_ok_and(|it| it.matches(presented)) {
                found.push(owner.clone());
            }
        }
        found
    }

    async fn read(&self, (name, is_runtime): &Owner) -> Result<Secret, Unidentified> {
        let agent = self.policy.agents().and_then(|it| it.get(name));
        let token = agent.and_then(|it| match is_runtime {
            true => it.runtime_token.as_ref(),
            false => Some(&it.token),
        });
        let token = token.ok_or_else(no_token)?;
        token_of(self.policy, self.vault, token, self.home(name)).await
    }

    fn home(&self, name: &AgentName) -> &'a EnvironmentName {
        let agent = self.policy.agents().and_then(|it| it.get(name));
        agent
            .and_then(|it| it.environment.as_ref())
            .unwrap_or(self.environment)
    }
}

/// Who was found out under one policy, as another one has them: an agent may live in another environment now.
///
/// `given` is the environment that the process was given, if any.
pub fn rehomed(caller: &Caller, policy: &Policy, given: Option<&EnvironmentName>) -> Caller {
    let home = policy.home(caller.agent.as_ref(), given);
    Caller {
        // Whom the policy does not have may do nothing, wherever that is.
        environment: home.unwrap_or(&caller.environment).clone(),
        ..caller.clone()
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

/// User name and password of Basic credentials (RFC 7617 §2), in the room that is given and is zeroed by its owner.
fn read_basic<'a>(
    value: &HeaderValue,
    room: &'a mut Zeroizing<Vec<u8>>,
) -> Option<(&'a str, &'a [u8])> {
    let (scheme, encoded) = value.as_bytes().split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    STANDARD.decode_vec(encoded.trim_ascii(), room).ok()?;
    let colon = memchr::memchr(b':', room)?;
    let name = std::str::from_utf8(&room[..colon]).ok()?;
    Some((name, &room[colon + 1..]))
}

fn no_token() -> Unidentified {
    Unidentified::Refused(Refusal::new(
        Code::AgentUnknown,
        "send the agent's token: Authorization: Bearer TOKEN",
    ))
}

fn unknown() -> Refusal {
    Refusal::new(
        Code::AgentUnknown,
        "put the agent's name and token into the proxy URL: http://NAME:TOKEN@HOST:PORT",
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::policy;
    use crate::policy::SecretSource;
    use crate::vault::Getting;

    const POLICY: &str = "
version: 1
secrets: {a_token: {env: A}, b_token: {env: B}, run_token: {env: R}}
actions: {a: {description: Does something., method: GET, url: \"https://a.test/\"}}
agents:
  a: {token: {secret: a_token}, runtime_token: {secret: run_token}, allow: [a]}
  b: {token: {secret: b_token}, runtime_token: {secret: run_token}, allow: [a]}
";

    /// Secrets by name, and which were asked for.
    #[derive(Default)]
    struct Script {
        secrets: Mutex<HashMap<String, String>>,
        asked: Mutex<Vec<String>>,
    }

    impl Script {
        fn set(&self, name: &str, value: &str) {
            let mut secrets = self.secrets.lock().unwrap();
            secrets.insert(name.into(), value.into());
        }

        fn asked(&self) -> Vec<String> {
            std::mem::take(&mut self.asked.lock().unwrap())
        }
    }

    impl Vault for Script {
        fn get<'a>(&'a self, name: &'a SecretName, _: &'a SecretSource) -> Getting<'a> {
            self.asked.lock().unwrap().push(name.to_string());
            let value = self.secrets.lock().unwrap()[name.as_str()].clone();
            Box::pin(std::future::ready(Ok(Secret::new(value.into()).unwrap())))
        }
    }

    #[tokio::test]
    async fn a_token_that_is_known_is_found_without_trying_all() {
        let loaded = policy::from_texts(&[("p.yaml".into(), POLICY.into())]);
        let (policy, script) = (loaded.policy.unwrap(), Script::default());
        for (name, value) in [("a_token", "one"), ("b_token", "two"), ("run_token", "run")] {
            script.set(name, value);
        }
        let (bearers, environment) = (Bearers::default(), &policy.environments()[0].name);
        let who = async |token: &str, named: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
            headers.extend(named.map(|it| (HeaderName::from_static(AGENT), it.parse().unwrap())));
            let found = bearers.identify(&policy, &script, &headers, environment);
            let found = found.await.ok()?;
            Some((found.caller.agent.unwrap().to_string(), found.is_runtime))
        };
        let all = ["a_token", "run_token", "b_token", "run_token"];
        assert_eq!(who("two", None).await, Some(("b".into(), false)));
        assert_eq!(script.asked(), all);
        assert_eq!(who("two", None).await, Some(("b".into(), false)));
        assert_eq!(script.asked(), ["b_token"]);
        assert_eq!(who("one", Some("b")).await, None);
        assert_eq!(script.asked(), ["a_token"]);
        assert_eq!(who("run", None).await, None);
        assert_eq!(who("run", Some("a")).await, Some(("a".into(), true)));
        assert_eq!(script.asked(), ["run_token"; 4]);
        assert_eq!(who("none", None).await, None);
        assert_eq!(script.asked(), all);
        // What was good is no more, from one request to the next.
        script.set("b_token", "three");
        assert_eq!(who("two", None).await, None);
        assert_eq!(who("three", None).await, Some(("b".into(), false)));
    }

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
            let mut room = Zeroizing::default();
            let read = read_basic(&HeaderValue::from_static(header), &mut room);
            let expected = expected.map(|(name, token): (_, &str)| (name, token.as_bytes()));
            assert_eq!(read, expected, "{header}");
        }
    }
}
