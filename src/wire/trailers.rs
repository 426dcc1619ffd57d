//! Trailers of replies: who takes them, and which may not pass (RFC 9110 §6.5).
//!
//! Not here: which actions let them through, and those of requests, which never pass.

use http::header::{
    ACCEPT_RANGES, AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, COOKIE, DATE, ETAG, EXPECT, EXPIRES, HOST,
    LAST_MODIFIED, LOCATION, MAX_FORWARDS, PRAGMA, RANGE, REFRESH, RETRY_AFTER, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, TE, VARY, VIA, WARNING, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName};

use crate::wire::strip_hop_by_hop;

/// What a recipient would act upon had it stood in the head: how the message is framed and read,
/// where it goes, who may do what, what a cache keeps (RFC 9110 §6.5.1).
const OF_THE_HEAD: [HeaderName; 28] = [
    ACCEPT_RANGES,
    AGE,
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_LOCATION,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    DATE,
    ETAG,
    EXPECT,
    EXPIRES,
    HOST,
    LAST_MODIFIED,
    LOCATION,
    MAX_FORWARDS,
    PRAGMA,
    RANGE,
    REFRESH,
    RETRY_AFTER,
    SET_COOKIE,
    STRICT_TRANSPORT_SECURITY,
    VARY,
    VIA,
    WARNING,
    WWW_AUTHENTICATE,
];

/// Whether the client of a request takes trailers in the chunks of its reply (RFC 9110 §10.1.4).
pub fn takes_trailers(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(TE).into_iter();
    let mut codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    codings.any(|it| it.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Takes off what may not stand among trailers, and what only exeat may say.
pub fn clean_trailers(trailers: &mut HeaderMap) {
    strip_hop_by_hop(trailers);
    let is_doomed =
        |name: &&HeaderName| OF_THE_HEAD.contains(name) || name.as_str().starts_with("exeat-");
    let doomed: Vec<HeaderName> = trailers.keys().filter(is_doomed).cloned().collect();
    for name in doomed {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_belongs_into_a_head_goes_and_the_rest_stays() {
        let mut trailers = HeaderMap::new();
        let doomed = [
            "connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "alt-svc",
        ];
        let ours = ["proxy-authenticate", "exeat-refusal"].map(HeaderName::from_static);
        let doomed = doomed.map(HeaderName::from_static);
        for name in doomed.into_iter().chain(ours).chain(OF_THE_HEAD) {
            trailers.append(name, HeaderValue::from_static("1"));
        }
        for kept in ["grpc-status", "server-timing", "x-checksum"] {
            trailers.append(kept, HeaderValue::from_static("1"));
        }
        clean_trailers(&mut trailers);
        let mut left: Vec<&str> = trailers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["grpc-status", "server-timing", "x-checksum"]);
    }

    #[test]
    fn a_client_says_that_it_takes_trailers() {
        for (line, takes) in [
            ("trailers", true),
            ("gzip, Trailers", true),
            ("gzip;q=0.5", false),
            ("trailers;q=1", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(TE, HeaderValue::from_static(line));
            assert_eq!(takes_trailers(&headers), takes, "{line}");
        }
        assert!(!takes_trailers(&HeaderMap::new()));
    }
}
