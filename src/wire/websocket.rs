//! The opening handshake of WebSocket (RFC 6455 §4): whether a request asks for it, and whether a reply grants it.
//!
//! Not here: which actions have it, and the frames that follow.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::wire::connection::{nominated, options};

/// What a client sends of its own in a handshake. `Sec-WebSocket-Extensions` is not among it: compressed, frames could
/// not be searched for secrets.
pub const OF_THE_HANDSHAKE: [HeaderName; 3] = [
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    SEC_WEBSOCKET_PROTOCOL,
];

/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What the `Upgrade` of a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Nothing, or HTTP/2 in cleartext (`h2c`), which clients offer without need and servers may ignore.
    Nothing,
    /// WebSocket, and nothing beside it.
    WebSocket,
    /// Anything else, or several things.
    Other,
}

impl Upgrade {
    /// Reads all `Upgrade` lines.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut asked = elements(headers, &UPGRADE);
        match (asked.next(), asked.next()) {
            (None, _) => Self::Nothing,
            (Some(one), None) if one.eq_ignore_ascii_case(b"h2c") => Self::Nothing,
            (Some(one), None) if one.eq_ignore_ascii_case(b"websocket") => Self::WebSocket,
            _ => Self::Other,
        }
    }
}

/// The subprotocols that a client offers.
#[derive(Default)]
pub struct Offered(Vec<HeaderValue>);

impl Offered {
    /// Those of a handshake.
    pub fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
        Self(lines.into_iter().cloned().collect())
    }

    /// Takes off a grant the subprotocol that this client has not offered: another one did, or the policy. The client
    /// would have to fail the connection (RFC 6455 §4.1).
    pub fn limit(&self, granted: &mut HeaderMap) {
        let mut offered = self.0.iter().flat_map(listed);
        let chosen = only(granted, &SEC_WEBSOCKET_PROTOCOL);
        if !offered.any(|it| chosen == Some(it)) {
            granted.remove(SEC_WEBSOCKET_PROTOCOL);
        }
    }
}

/// Whether a request that asks for WebSocket does it as RFC 6455 §4.2.1 wants it.
///
/// # Errors
/// What would be right, in words for the client.
pub fn read_opening(headers: &HeaderMap) -> Result<(), &'static str> {
    if !options(headers).any(|it| it.eq_ignore_ascii_case(b"upgrade")) {
        return Err("a WebSocket handshake has `Connection: Upgrade`");
    }
    if nominated(headers).any(|it| OF_THE_HANDSHAKE.contains(&it)) {
        return Err("`Connection` of a WebSocket handshake names none of its other headers");
    }
    if only(headers, &SEC_WEBSOCKET_VERSION) != Some(b"13") {
        return Err("a WebSocket handshake has `Sec-WebSocket-Version: 13`, and no other");
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY).and_then(|it| STANDARD.decode(it).ok());
    if key.is_none_or(|it| it.len() != 16) {
        return Err("a WebSocket handshake has one `Sec-WebSocket-Key`: 16 bytes in base64");
    }
    let mut seen = Vec::new();
    for protocol in elements(headers, &SEC_WEBSOCKET_PROTOCOL) {
        if !is_token(protocol) || seen.contains(&protocol) {
            return Err("`Sec-WebSocket-Protocol` is a list of names, each once");
        }
        seen.push(protocol);
    }
    Ok(())
}

/// Whether a 101 grants what was asked for with these headers, and no more than that (RFC 6455 §4.1).
///
/// # Errors
/// What is wrong with the reply.
pub fn read_grant(asked: &HeaderMap, granted: &HeaderMap) -> Result<(), &'static str> {
    let says =
        |value: Option<&[u8]>, word: &[u8]| value.is_some_and(|it| it.eq_ignore_ascii_case(word));
    if !says(only(granted, &UPGRADE), b"websocket") {
        return Err("it switches to another protocol than WebSocket");
    }
    if !options(granted).any(|it| it.eq_ignore_ascii_case(b"upgrade")) {
        return Err("it switches protocols without `Connection: Upgrade`");
    }
    let key = only(asked, &SEC_WEBSOCKET_KEY).unwrap_or_default();
    if only(granted, &SEC_WEBSOCKET_ACCEPT) != Some(accept(key).as_bytes()) {
        return Err("its Sec-WebSocket-Accept does not fit the key");
    }
    if granted.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err("it uses an extension of WebSocket, which nobody asked for");
    }
    let has = |name: &HeaderName| granted.contains_key(name);
    if has(&CONTENT_LENGTH) || has(&TRANSFER_ENCODING) {
        return Err("it switches protocols and has a length or a transfer coding");
    }
    if has(&SEC_WEBSOCKET_PROTOCOL) {
        let chosen = only(granted, &SEC_WEBSOCKET_PROTOCOL);
        let mut offered = elements(asked, &SEC_WEBSOCKET_PROTOCOL);
        if !offered.any(|it| chosen == Some(it)) {
            return Err("it chooses a subprotocol that nobody offered");
        }
    }
    Ok(())
}

/// The `Sec-WebSocket-Accept` that belongs to a key.
pub fn accept(key: &[u8]) -> String {
    let both = [key, GUID].concat();
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &both))
}

/// The value of a header that stands once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values
        .next()
        .is_none()
        .then(|| first.as_bytes().trim_ascii())
}

/// The elements of all lines of a header.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).into_iter().flat_map(listed)
}

/// The elements of one line.
fn listed(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let elements = line.as_bytes().split(|byte| *byte == b',');
    elements
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// A method is a token too (RFC 9110 §9.1).
fn is_token(element: &[u8]) -> bool {
    Method::from_bytes(element).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 §1.2.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_upgrade_of_a_request_is_read_as_one_list() {
        for (lines, expected) in [
            (&[][..], Upgrade::Nothing),
            (&["h2c"], Upgrade::Nothing),
            (&["websocket"], Upgrade::WebSocket),
            (&["WebSocket"], Upgrade::WebSocket),
            (&[" , websocket ,"], Upgrade::WebSocket),
            (&["websocket, h2c"], Upgrade::Other),
            (&["h2c", "websocket"], Upgrade::Other),
            (&["websocket", "websocket"], Upgrade::Other),
            (&["websocket/13"], Upgrade::Other),
            (&["foo"], Upgrade::Other),
            (&["TLS/1.0"], Upgrade::Other),
        ] {
            let lines: Vec<_> = lines.iter().map(|it| ("upgrade", *it)).collect();
            assert_eq!(Upgrade::of(&headers(&lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_handshake_is_as_the_standard_says() {
        const C: (&str, &str) = ("connection", "keep-alive, Upgrade");
        const V: (&str, &str) = ("sec-websocket-version", "13");
        const K: (&str, &str) = ("sec-websocket-key", KEY);
        for (lines, good) in [
            (&[C, V, K][..], true),
            (
                &[C, V, K, ("sec-websocket-protocol", "chat, superchat")],
                true,
            ),
            (&[C, V, K, ("sec-websocket-protocol", "chat,, v1.x")], true),
            (
                &[C, V, K, ("sec-websocket-extensions", "permessage-deflate")],
                true,
            ),
            (&[V, K], false),
            (&[("connection", "keep-alive"), V, K], false),
            (&[C, K], false),
            (&[C, V], false),
            (&[C, V, V, K], false),
            (&[C, V, K, K], false),
            (&[C, ("sec-websocket-version", "12"), K], false),
            (&[C, ("sec-websocket-version", "8, 13"), K], false),
            (&[C, V, ("sec-websocket-key", "")], false),
            (&[C, V, ("sec-websocket-key", "AAAA")], false),
            (
                &[C, V, ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ")],
                false,
            ),
            (
                &[C, V, ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZR==")],
                false,
            ),
            (&[C, V, K, ("sec-websocket-protocol", "chat, chat")], false),
            (&[C, V, K, ("sec-websocket-protocol", "a b")], false),
        ] {
            assert_eq!(read_opening(&headers(lines)).is_ok(), good, "{lines:?}");
        }
    }

    #[test]
    fn a_client_hears_of_no_subprotocol_but_one_that_it_has_offered() {
        const P: &str = "sec-websocket-protocol";
        for (offered, granted, expected) in [
            (&[][..], &[][..], None),
            (&[], &[(P, "v1")], None),
            (&[(P, "v1")], &[(P, "v1")], Some("v1")),
            (&[(P, "v0, v1")], &[(P, "v1")], Some("v1")),
            (&[(P, "v0"), (P, "v1")], &[(P, "v1")], Some("v1")),
            (&[(P, "v1")], &[(P, "v2")], None),
            (&[(P, "v1")], &[(P, "V1")], None),
            (&[(P, "v1, v2")], &[(P, "v1"), (P, "v2")], None),
        ] {
            let mut granted = headers(granted);
            Offered::of(&headers(offered)).limit(&mut granted);
            let left = granted.get(P).map(|it| it.to_str().unwrap());
            assert_eq!(left, expected, "{offered:?}");
        }
    }

    #[test]
    fn a_grant_fits_what_was_asked_for() {
        const C: (&str, &str) = ("connection", "Upgrade");
        const U: (&str, &str) = ("upgrade", "websocket");
        const A: (&str, &str) = ("sec-websocket-accept", ACCEPT);
        let asked = headers(&[
            ("sec-websocket-key", KEY),
            ("sec-websocket-protocol", "chat, v2"),
        ]);
        for (lines, good) in [
            (&[C, U, A][..], true),
            (&[C, ("upgrade", "WebSocket"), A], true),
            (&[C, U, A, ("sec-websocket-protocol", "v2")], true),
            (&[C, A], false),
            (&[U, A], false),
            (&[C, U], false),
            (&[C, U, A, A], false),
            (&[C, ("upgrade", "h2c"), A], false),
            (&[C, ("upgrade", "websocket, h2c"), A], false),
            (&[C, U, ("sec-websocket-accept", KEY)], false),
            (&[C, U, A, ("sec-websocket-protocol", "v3")], false),
            (&[C, U, A, ("sec-websocket-protocol", "chat, v2")], false),
            (&[C, U, A, ("sec-websocket-protocol", "")], false),
            (
                &[C, U, A, ("sec-websocket-extensions", "permessage-deflate")],
                false,
            ),
            (&[C, U, A, ("content-length", "0")], false),
            (&[C, U, A, ("transfer-encoding", "chunked")], false),
        ] {
            assert_eq!(
                read_grant(&asked, &headers(lines)).is_ok(),
                good,
                "{lines:?}"
            );
        }
    }
}
