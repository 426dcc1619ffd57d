//! From the head of a request as it was sent to what is meant, in canonical form.

use http::HeaderMap;

use crate::policy::Policy;
use crate::refusal::{Code, Refusal};
use crate::request;
use crate::request::{Caller, Destination, Door, Intent, Path, Query, Scheme};

/// What becomes of a cleartext request to a host that is declared with `https://`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainHttp {
    /// It goes upstream over TLS with every check; port 80 becomes 443, any other stays.
    #[default]
    Upgrade,
    /// [`Code::HttpsRequired`].
    Refuse,
}

/// The head of a request, of which only the destination has been read.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// The way it came in.
    pub door: Door,
    /// Who asks.
    pub caller: Caller,
    /// Any token.
    pub method: &'a str,
    /// From the CONNECT or the absolute-form target.
    pub destination: Destination,
    /// From the first `/` or `?`, as it was sent.
    pub path_and_query: &'a str,
    /// As they were sent.
    pub headers: HeaderMap,
}

/// Reads method, path and query, and settles where a cleartext request goes.
///
/// # Errors
/// [`Code::MethodRefused`], [`Code::PathNotCanonical`] or [`Code::HttpsRequired`].
pub fn understand(
    policy: &Policy,
    head: Head<'_>,
    plain_http: PlainHttp,
) -> Result<Intent, Refusal> {
    let method = request::method(head.method)?;
    let (path, query) = match head.path_and_query.split_once('?') {
        Some((path, query)) => (path, query),
        None => (head.path_and_query, ""),
    };
    // An absolute-form target may go straight from host to query; its path is then `/` (RFC 9110 §4.2.3).
    let path = Path::parse(if path.is_empty() { "/" } else { path })?;
    let query = Query::parse(query)?;
    let destination = settle(policy, &head.caller, head.destination, plain_http)?;
    Ok(Intent {
        door: head.door,
        caller: head.caller,
        method,
        destination,
        path,
        query,
        headers: head.headers,
    })
}

/// What a cleartext destination means: TLS, unless its host is declared with `http://`.
fn settle(
    policy: &Policy,
    caller: &Caller,
    asked: Destination,
    plain_http: PlainHttp,
) -> Result<Destination, Refusal> {
    let environment = policy.environment(&caller.environment);
    let declared = environment.and_then(|it| it.index.scheme(&asked.host));
    match (asked.scheme, declared, plain_http) {
        (Scheme::Http, Some(Scheme::Https), PlainHttp::Refuse) => Err(Refusal::new(
            Code::HttpsRequired,
            format!("use https:// for {}", asked.host),
        )),
        (Scheme::Http, Some(Scheme::Https), PlainHttp::Upgrade) => Ok(Destination {
            scheme: Scheme::Https,
            port: if asked.port == 80 { 443 } else { asked.port },
            host: asked.host,
        }),
        _ => Ok(asked),
    }
}
