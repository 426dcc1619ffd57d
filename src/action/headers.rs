//! What is read of a proxied request's headers besides parameters: which of them go on, and what the body is.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, COOKIE};
use http::{HeaderMap, HeaderName};

use crate::action::{Action, ContentRule, MediaType, media_type};
use crate::refusal::{Code, Refusal};
use crate::trace;
use crate::trace::{Claimed, TRACEPARENT, TRACESTATE};
use crate::wire;

/// Splits the agent's headers into those that go through and the names of those that don't.
pub(super) fn sift_headers(action: &Action, headers: &HeaderMap) -> (HeaderMap, Vec<HeaderName>) {
    let ours = |name: &HeaderName| {
        let mut taken = action.credentials.iter().filter_map(|it| it.place.header());
        taken.any(|it| it == name) || action.headers.iter().any(|(declared, _)| declared == name)
    };
    // Without its coding, a body that goes through as it is would be another one (git compresses what it asks for).
    let passes_body = matches!(action.proxied_content(), ContentRule::Unread(_));
    let accepts = |name: &HeaderName| {
        (action.accept_headers.contains(name) && *name != COOKIE)
            && (*name != TRACESTATE || trace::has_good_state(headers))
            || (passes_body && *name == CONTENT_ENCODING)
            || (action.passes.websocket && wire::OF_THE_HANDSHAKE.contains(name))
    };
    let nominated: Vec<HeaderName> = wire::nominated(headers).collect();
    let (mut forwarded, mut dropped) = (HeaderMap::new(), Vec::new());
    for name in headers.keys() {
        if ours(name) || is_of_the_connection(name) || nominated.contains(name) {
            continue;
        }
        // The exchange tells the trace on in its own words; only what can't be read is told to be gone.
        if *name == TRACEPARENT && matches!(Claimed::of_headers(headers), Claimed::Parent(_)) {
            continue;
        }
        if accepts(name) && *name != TRACEPARENT {
            for value in headers.get_all(name) {
                forwarded.append(name.clone(), value.clone());
            }
        } else {
            dropped.push(name.clone());
        }
    }
    (forwarded, dropped)
}

/// Headers that speak of this connection or this message's framing, whose loss nobody has to be told of.
fn is_of_the_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "host"
            | "connection"
            | "proxy-connection"
            | "keep-alive"
            | "content-length"
            | "transfer-encoding"
            | "proxy-authorization"
            | "accept-encoding"
            | "te"
            | "expect"
    )
}

/// The media type of the request's body, which must be one of these and in clear UTF-8.
pub(super) fn expect_type(types: &[MediaType], headers: &HeaderMap) -> Result<MediaType, Refusal> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Refusal::new(
            Code::ContentTypeRefused,
            "send the body without Content-Encoding",
        ));
    }
    let kind = read_type(headers).map_err(|_| type_refused(types))?;
    if types.contains(&kind) {
        Ok(kind)
    } else {
        Err(type_refused(types))
    }
}

/// The one media type that is named.
pub(super) fn read_type(headers: &HeaderMap) -> Result<MediaType, Refusal> {
    let refused = || {
        Refusal::new(
            Code::ContentTypeRefused,
            "send one well-formed Content-Type",
        )
    };
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused());
    };
    media_type(value.to_str().map_err(|_| refused())?).ok_or_else(refused)
}

/// A body of another type than these.
pub(super) fn type_refused(types: &[MediaType]) -> Refusal {
    let names: Vec<&str> = types.iter().map(MediaType::as_str).collect();
    Refusal::new(
        Code::ContentTypeRefused,
        format!("the Content-Type must be {}", names.join(" or ")),
    )
    .allowing(names)
}
