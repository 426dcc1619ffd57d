//! What goes back: a page, what came of a call, or a refusal in the one error shape.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};

use crate::body::Body;
use crate::exchange::{Denied, Done};
use crate::refusal::{Code, Refusal};

/// Any body, so that a page may be a stream.
pub(super) type Reply = Response<BoxBody<Bytes, Infallible>>;

/// The code of a refusal, as at the proxy.
const EXEAT_REFUSAL: HeaderName = HeaderName::from_static("exeat-refusal");

/// A page of JSON.
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

impl Page {
    pub(super) fn good(text: String) -> Self {
        Self {
            status: StatusCode::OK,
            text,
        }
    }

    pub(super) fn nothing() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            text: String::new(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.text.len() as u64
    }

    pub(super) fn reply(self) -> Reply {
        let is_empty = self.text.is_empty();
        let mut reply = Response::new(Full::new(Bytes::from(self.text)).boxed());
        *reply.status_mut() = self.status;
        let headers = reply.headers_mut();
        if !is_empty {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        reply
    }
}

/// What came of a call; the status is ours, the server's stands in the content.
pub(super) fn done(done: &Done) -> Reply {
    Page::good(done.to_json().to_string()).reply()
}

/// A call or a page that there is not.
pub(super) fn denied(denied: &Denied) -> Reply {
    refused(&denied.refusal, denied.request_id.as_str())
}

/// As the connection carries it.
pub(super) fn carried(reply: Reply) -> Response<Body> {
    reply.map(|body| Body::stream(body.map_err(|never| match never {})))
}

/// A refusal with the headers that belong to it.
pub(super) fn refused(refusal: &Refusal, request_id: &str) -> Reply {
    let page = Page {
        status: refusal.code.tool_status(),
        text: refusal.to_json(request_id).to_string(),
    };
    let mut reply = page.reply();
    let headers = reply.headers_mut();
    let code = HeaderValue::from_static(refusal.code.as_str());
    headers.insert(EXEAT_REFUSAL, code);
    if let Some(seconds) = refusal.hints.retry_after_seconds() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    // RFC 9110 §15.5.2 and §15.5.6 require them.
    match refusal.code {
        Code::AgentUnknown => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Code::MethodRefused => {
            let methods = HeaderValue::try_from(refusal.hints.allowed.join(", "));
            headers.extend(methods.ok().map(|methods| (ALLOW, methods)));
        }
        _ => {}
    }
    reply
}
