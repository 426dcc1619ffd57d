//! Names of headers and media types: which may stand in a policy, and which would let somebody past it.

use http::HeaderName;

use crate::credential;
use crate::policy::check::told::Told;
use crate::policy::raw::decode::Text;

/// What an agent may send through without further words: what clients send anyway, and conditions on the state of a
/// resource (RFC 9110 §13.1), which change nothing about what is asked for.
pub(super) const ACCEPTED: [&str; 8] = [
    "accept",
    "accept-language",
    "content-type",
    "user-agent",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
];

/// Headers of one connection, of a message's framing (RFC 9110 §7.6.1, RFC 9112 §6) or of a handshake (RFC 6455 §4),
/// which exeat writes itself.
const OF_THE_MESSAGE: [&str; 19] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "http2-settings",
    "accept-encoding",
    "content-encoding",
    "max-forwards",
    "via",
    "alt-used",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "sec-websocket-accept",
];

/// Headers with which a client tells some servers or proxies that the request is another one, comes from somebody
/// else, or goes another way.
const OF_ANOTHER_REQUEST: [&str; 26] = [
    "forwarded",
    "client-ip",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-originating-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "remote-user",
    "x-client-cert",
    "x-override-url",
    "x-script-name",
    "x-sendfile",
    "x-host",
    "x-host-override",
    "x-backend-host",
    "x-unix-socket",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "cookie2",
    "range",
    "if-range",
    "x-middleware-subrequest",
    "proxy",
];

/// The beginnings of more of them.
const KIN: [&str; 10] = [
    "x-forwarded",
    "x-original-",
    "x-rewrite-",
    "x-remote-",
    "x-accel-",
    "x-envoy-",
    "x-ssl-",
    "ssl-client-",
    "x-proxy",
    "x-upstream-",
];

/// Reads the name of a header that exeat is to set.
pub(super) fn declared(text: &Text, told: &mut Told<'_>) -> Option<HeaderName> {
    let name = parse(text, told)?;
    if is_of_the_message(name.as_str()) {
        let message = format!("the header `{name}` cannot be declared");
        told.error(
            &text.place,
            message,
            "remove it: exeat writes the headers of host, connection and framing itself",
        );
        return None;
    }
    Some(name)
}

/// Reads the name of a header that an agent may send through.
pub(super) fn accepted(text: &Text, told: &mut Told<'_>) -> Option<HeaderName> {
    let name = parse(text, told)?;
    let remedy = if credential::is_credential_header(name.as_str()) {
        "remove it: credentials are added by exeat, and an agent holds none"
    } else if matches!(name.as_str(), "range" | "if-range") {
        "remove it: a secret that comes back in pieces could not be taken out of the reply"
    } else if is_of_the_message(name.as_str()) {
        "remove it: exeat writes the headers of host, connection and framing itself"
    } else if is_of_another_request(name.as_str()) {
        "remove it: with it, some servers take the request for another one than was checked"
    } else if name.as_str().contains('_') {
        // RFC 3875 §4.1.18: both `-` and `_` become `_` in CGI's variables.
        "remove it: many servers take `_` and `-` for the same, so it could stand for another header"
    } else {
        return Some(name);
    };
    let message = format!("the header `{name}` cannot be let through");
    told.error(&text.place, message, remedy);
    None
}

fn parse(text: &Text, told: &mut Told<'_>) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text.value.as_bytes());
    let name = name.ok().filter(|name| !name.as_str().contains('*'));
    if name.is_none() {
        let message = format!("`{}` is not the name of a header", text.value);
        told.error(
            &text.place,
            message,
            "write letters, digits and `-`; patterns are not supported",
        );
    }
    name
}

fn is_of_the_message(name: &str) -> bool {
    OF_THE_MESSAGE.contains(&name) || name.starts_with("proxy-") || name.starts_with("exeat-")
}

fn is_of_another_request(name: &str) -> bool {
    OF_ANOTHER_REQUEST.contains(&name) || KIN.iter().any(|it| name.starts_with(it))
}
