//! The answer to a request, before a door writes it.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, PROXY_AUTHENTICATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::body::Body;
use crate::exchange::Socket;
use crate::refusal::{Code, Refusal};

/// The code of a refusal; never set by an upstream.
pub(super) const EXEAT_REFUSAL: HeaderName = HeaderName::from_static("exeat-refusal");
/// What the reply is called; never set by an upstream.
pub(super) const EXEAT_OUTCOME: HeaderName = HeaderName::from_static("exeat-outcome");
/// The record of the exchange, for people who compare what the agent saw with the audit log.
pub(super) const EXEAT_REQUEST_ID: HeaderName = HeaderName::from_static("exeat-request-id");

/// Status, headers and content; framing is the door's.
#[derive(Debug)]
pub struct Answer {
    /// 200 to 599; 101 where there is a socket.
    pub status: StatusCode,
    /// Without hop-by-hop headers and framing.
    pub headers: HeaderMap,
    /// May be a stream that carries the audit ticket to its end.
    pub body: Body,
    /// What the connection becomes, where the status is 101.
    pub socket: Option<Box<Socket>>,
}

impl Answer {
    /// A refusal in the one error shape.
    pub fn refused(refusal: &Refusal, request_id: &str) -> Self {
        let mut headers = HeaderMap::new();
        let code = HeaderValue::from_static(refusal.code.as_str());
        headers.insert(EXEAT_REFUSAL, code);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(EXEAT_REQUEST_ID, id);
        }
        if let Some(seconds) = refusal.hints.retry_after_seconds() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        match refusal.code {
            // RFC 9110 §15.5.8 and §15.5.6 require them.
            Code::AgentUnknown => {
                let challenge = HeaderValue::from_static("Basic realm=\"exeat\"");
                headers.insert(PROXY_AUTHENTICATE, challenge);
            }
            Code::MethodRefused => {
                let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
                headers.insert(ALLOW, methods);
            }
            _ => {}
        }
        let text = refusal.to_json(request_id).to_string();
        Self {
            status: refusal.code.status(),
            headers,
            body: Body::Bytes(Bytes::from(text + "\n")),
            socket: None,
        }
    }
}
