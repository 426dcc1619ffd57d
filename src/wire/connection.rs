//! What belongs to one connection and must not pass through it (RFC 9110 §7.6.1).
//!
//! Not here: keeping or closing connections.

use http::{
    HeaderMap, HeaderName,
    header::{
        CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
        HOST,
    },
};

use crate::wire::Malformed;
use crate::wire::line;

/// The options of all `Connection` lines, without empty list elements, which RFC 9110 §5.6.1 has
/// every recipient skip.
pub(super) fn options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(CONNECTION)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|option| !option.is_empty())
}

/// Whether a request's `Connection` asks to close.
pub(super) fn asks_to_close(headers: &HeaderMap) -> Result<bool, Malformed> {
    let mut close = false;
    for option in options(headers) {
        if option.eq_ignore_ascii_case(b"close") {
            close = true;
        } else if !option.eq_ignore_ascii_case(b"keep-alive") {
            line::name(option).map_err(|_| Malformed::Connection)?;
        }
    }
    Ok(close)
}

/// The headers that `Connection` nominates: fields of this connection alone, as the sender says.
pub fn nominated(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    options(headers)
        .filter(|option| !option.eq_ignore_ascii_case(b"close"))
        .filter_map(|option| HeaderName::from_bytes(option).ok())
}

/// Takes off what may not travel on: `Connection` and what it nominates, `Keep-Alive`, `TE`,
/// `Trailer`, `Transfer-Encoding`, `Upgrade`, `HTTP2-Settings`, every `Proxy-*`; and `Alt-Svc`,
/// which would steer an agent round the gate.
///
/// Call it before credentials are added: a sender may nominate `Authorization`, and that takes the
/// sender's own away, never ours. Fields that say how the message is to be read stay, whoever
/// nominates them: without its `Content-Encoding` a compressed reply would pass unscrubbed.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // `Connection`, which nominates the others, is one of them.
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    let mut doomed: Vec<HeaderName> = nominated(headers).filter(|it| !is_end_to_end(it)).collect();
    doomed.extend(headers.keys().filter(|it| is_hop_by_hop(it)).cloned());
    for name in doomed {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("proxy-")
        || matches!(
            name,
            "connection"
                | "keep-alive"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
                | "http2-settings"
                | "alt-svc"
        )
}

fn is_end_to_end(name: &HeaderName) -> bool {
    [
        CACHE_CONTROL,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        HOST,
    ]
    .contains(name)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = lines.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn hop_by_hop_fields_and_nominated_ones_go_and_the_rest_stays() {
        let mut all = headers(&[
            ("connection", "Upgrade, HTTP2-Settings"),
            (
                "connection",
                " , X-Secret,authorization, host, content-encoding, close",
            ),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("alt-svc", "h3=\":443\""),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic eDp5"),
            ("proxy-authenticate", "Basic"),
            ("proxy-anything", "1"),
            ("x-secret", "1"),
            ("x-secret", "2"),
            ("authorization", "Bearer theirs"),
            ("host", "api.good.test"),
            ("content-encoding", "gzip"),
            ("content-type", "text/plain"),
            ("x-kept", "1"),
        ]);
        strip_hop_by_hop(&mut all);
        let kept = headers(&[
            ("host", "api.good.test"),
            ("content-encoding", "gzip"),
            ("content-type", "text/plain"),
            ("x-kept", "1"),
        ]);
        assert_eq!(all, kept);
    }

    #[test]
    fn a_nominated_name_takes_nothing_that_is_added_later() {
        let mut all = headers(&[("connection", "authorization"), ("authorization", "theirs")]);
        strip_hop_by_hop(&mut all);
        all.insert("authorization", HeaderValue::from_static("ours"));
        strip_hop_by_hop(&mut all);
        assert_eq!(all, headers(&[("authorization", "ours")]));
    }

    #[test]
    fn nominated_names_are_reported_without_close() {
        let all = headers(&[("connection", "Close, x-a"), ("connection", ",,HOST ,")]);
        let names: Vec<_> = nominated(&all).collect();
        assert_eq!(names, ["x-a", "host"]);
        assert_eq!(asks_to_close(&all), Ok(true));
    }

    #[test]
    fn an_option_that_is_no_name_is_refused() {
        for value in ["x y", "\"close\"", "close;q=1", "a=b", "x_y"] {
            let all = headers(&[("connection", value)]);
            assert_eq!(asks_to_close(&all), Err(Malformed::Connection), "{value:?}");
        }
    }
}
