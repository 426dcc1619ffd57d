//! The head of an HTTP/2 request, as strict as that of an HTTP/1 one: what has two readings is refused, since a server
//! may hear it in HTTP/1.

use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, PROXY_AUTHORIZATION,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use crate::audit::Asked;
use crate::body::Body;
use crate::exchange::{Arrival, Begun, Gate, Stop};
use crate::proxy::arrival::two_servers;
use crate::proxy::tunnel::Tunnel;
use crate::refusal::{Code, Refusal};
use crate::request::{Destination, Door};
use crate::wire::HeadLimits;

/// Headers of which a second one is a second request to somebody.
const SINGLE: [HeaderName; 6] = [
    HOST,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
];

/// Reads a request on a stream of a tunnel, whose server and caller were settled by the CONNECT.
///
/// # Errors
/// [`Code::HostMismatch`] where `:authority` or `host` name another server, [`Code::MethodRefused`] for a CONNECT,
/// [`Code::RequestMalformed`] and its kin for what HTTP/1 could not say or would say in two ways.
pub(super) fn arrival(
    gate: &Gate,
    (tunnel, begun): (&Tunnel, &mut Begun),
    parts: Parts,
    body: Body,
) -> Result<Arrival, Stop> {
    let asked = Asked {
        method: parts.method.clone(),
        destination: tunnel.destination.clone(),
        version: Some(Version::HTTP_2),
    };
    gate.services.note_asked(asked, &mut begun.ticket);
    if parts.method == Method::CONNECT {
        let message = "a tunnel has no tunnels inside; send the request itself";
        return Err(Refusal::new(Code::MethodRefused, message).into());
    }
    check_headers(&parts.headers)?;
    check_authority(&parts.uri, &parts.headers, &tunnel.destination)?;
    let path_and_query = path_and_query(&parts.uri)?;
    let mut headers = parts.headers;
    // It changes nothing inside a tunnel, and nobody behind us is to know it.
    headers.remove(PROXY_AUTHORIZATION);
    join_cookies(&mut headers)?;
    hide(&mut headers);
    Ok(Arrival {
        door: Door::Proxy,
        caller: tunnel.caller_under(&begun.policy),
        destination: tunnel.destination.clone(),
        method: parts.method,
        path_and_query,
        headers,
        version: Version::HTTP_2,
        body,
    })
}

fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.len() > HeadLimits::default().headers {
        let message = "there are too many headers; send fewer";
        return Err(Refusal::new(Code::HeadTooLarge, message));
    }
    for name in SINGLE {
        if headers.get_all(&name).iter().count() > 1 {
            return Err(malformed(format!(
                "there are several {name} headers; send one"
            )));
        }
    }
    for (name, value) in headers {
        if name.as_str().contains('_') {
            return Err(malformed(
                "a header name holds an underscore, which some servers read as a hyphen; use hyphens",
            ));
        }
        if !is_plain(value.as_bytes()) {
            return Err(malformed(
                "a header value holds a control character, a byte outside ASCII, or a blank at an end; encode it",
            ));
        }
    }
    let length = headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
    if length.is_some_and(|it| it.len() > 1 && it.starts_with(b"0")) {
        let message = "the content-length begins with a zero; write it in the shortest way";
        return Err(malformed(message));
    }
    match headers.get(EXPECT) {
        Some(value) if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            let message = "the only expectation that can be met is 100-continue";
            Err(Refusal::new(Code::ExpectationFailed, message))
        }
        _ => Ok(()),
    }
}

/// Printable ASCII; blanks not at the ends, where RFC 9113 §8.2.1 forbids them and HTTP/1 drops them.
fn is_plain(value: &[u8]) -> bool {
    let printable = value.iter().all(|byte| matches!(byte, 0x20..=0x7e));
    printable && value.first() != Some(&b' ') && value.last() != Some(&b' ')
}

/// The stream's own scheme and authority, and a `host` beside it, must name the tunnel's server (RFC 9113 §8.3.1).
fn check_authority(
    uri: &Uri,
    headers: &HeaderMap,
    destination: &Destination,
) -> Result<(), Refusal> {
    // Clients of HTTP/2 have to send it; a Host in its place is for those who translate HTTP/1.
    let Some(authority) = uri.authority() else {
        return Err(malformed("the request names no server; send :authority"));
    };
    if uri.scheme_str() != Some("https") {
        return Err(malformed("the :scheme inside this tunnel is https"));
    }
    let host = headers.get(HOST).map(|it| it.to_str().unwrap_or_default());
    let mut names = [Some(authority.as_str()), host].into_iter().flatten();
    if names.all(|name| destination.is_named_by(name)) {
        Ok(())
    } else {
        Err(two_servers(Code::HostMismatch, destination))
    }
}

fn path_and_query(uri: &Uri) -> Result<String, Refusal> {
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    if path.len() > HeadLimits::default().target_bytes {
        let message = "the target is too long; send long values in a body";
        return Err(Refusal::new(Code::TargetTooLong, message));
    }
    // `//host/…` is a path here and the name of a server to many who read it.
    let good = path.starts_with('/') && !path.starts_with("//");
    if good
        && path
            .bytes()
            .all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'#')
    {
        return Ok(path.to_owned());
    }
    Err(malformed(
        "the :path must begin with one slash and hold printable ASCII only; percent-encode the rest",
    ))
}

/// HTTP/2 splits cookies to compress them; others know one line of them only (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) -> Result<(), Refusal> {
    let crumbs: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() < 2 {
        return Ok(());
    }
    let whole = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]));
    let whole = whole.map_err(|_| malformed("the cookies can't be put into one line"))?;
    headers.insert(COOKIE, whole);
    Ok(())
}

/// `Debug` of a header map hides what is marked so.
fn hide(headers: &mut HeaderMap) {
    for name in [AUTHORIZATION, COOKIE] {
        if let Some(value) = headers.get_mut(name) {
            value.set_sensitive(true);
        }
    }
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::RequestMalformed, message)
}
