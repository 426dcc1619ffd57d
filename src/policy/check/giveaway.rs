//! Paths whose replies are known to give a credential away: those that repeat a request, and those that make a new one.
//!
//! Warnings: a path is a hint, and only its author knows what stands behind it.

use http::Method;

use crate::action::{Action, Segment};
use crate::policy::check::told::Told;
use crate::problem::{Place, Problem};

/// Ends of paths behind which a server shows the request that it got, without separators.
const REPEATING: [&str; 6] = [
    "anything",
    "echo",
    "headers",
    "reflect",
    "requestheaders",
    "trace",
];

/// Ends of paths to which a POST or PUT makes a credential that outlives the call.
const MAKING: [&str; 16] = [
    "accesskey",
    "accesskeys",
    "accesstoken",
    "accesstokens",
    "apikey",
    "apikeys",
    "apitoken",
    "apitokens",
    "clientsecret",
    "clientsecrets",
    "credentials",
    "personalaccesstokens",
    "secret",
    "secrets",
    "token",
    "tokens",
];

/// Tells what the path of an action gives reason to look at.
pub(super) fn tell(action: &Action, path: &Place, told: &mut Told<'_>) {
    let Some(end) = end(action.path.segments()) else {
        return;
    };
    if !action.credentials.is_empty() && REPEATING.contains(&&*end) {
        let message = "a server may repeat the request here, with the credential in it";
        let remedy =
            "exeat masks its secrets in replies; still, leave it out, or write `auth: none`";
        told.tell(Problem::warning(path, message).remedy(remedy));
    }
    let may_make = matches!(action.method, Method::POST | Method::PUT) && !action.hints.read_only;
    if may_make && action.reading.response.is_none() && MAKING.contains(&&*end) {
        let message = "this action may return a new credential, which the agent would keep";
        let remedy = "say in `response.fields` what of the reply the agent may see";
        told.tell(Problem::warning(path, message).remedy(remedy));
    }
}

/// The last literal segment, unless a placeholder for one segment follows it.
fn end(segments: &[Segment]) -> Option<String> {
    let literal = match segments {
        [.., Segment::Literal { decoded, .. }, Segment::Rest { .. }]
        | [.., Segment::Literal { decoded, .. }] => decoded,
        _ => return None,
    };
    let letters = literal.chars().filter(|it| !matches!(it, '-' | '_' | '.'));
    Some(letters.flat_map(char::to_lowercase).collect())
}
