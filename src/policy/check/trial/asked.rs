//! What a test asks, and what the server is said to answer.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};

use crate::json;
use crate::name::ActionName;
use crate::policy::check::trial::{Part, Reader};
use crate::policy::raw::decode::Text;
use crate::policy::raw::names::Entries;
use crate::policy::raw::outcome::Constant;
use crate::policy::raw::trial::{AskedCall, AskedRequest, HeaderValues, Reply};
use crate::policy::trial;
use crate::policy::trial::Asked;

impl Reader<'_> {
    pub(super) fn asked(&mut self, part: &Part<'_>) -> Option<Asked> {
        match (part.request, part.call) {
            (Some(request), None) => self.request(request).map(Asked::Request),
            (None, Some(call)) => self.call(call),
            (Some(_), Some(call)) => {
                let message = "`request` and `call` stand beside each other";
                let remedy = "keep one; two that follow each other are `steps`";
                self.told.error(&call.place, message, remedy);
                None
            }
            (None, None) => {
                let message = "nothing is asked here";
                let remedy = "write `request: {method: …, url: …}` or `call: {action: …}`";
                self.told.error(part.place, message, remedy);
                None
            }
        }
    }

    fn request(&mut self, request: &AskedRequest) -> Option<trial::AskedRequest> {
        let headers = self.message_headers(request.headers.as_ref());
        let (headers, body) = content(headers, request.body.as_ref());
        Some(trial::AskedRequest {
            method: request.method.as_ref()?.value.clone(),
            url: request.url.as_ref()?.value.clone(),
            headers,
            body,
        })
    }

    fn call(&mut self, call: &AskedCall) -> Option<Asked> {
        let action = self.action(call.action.as_ref()?)?;
        let parameters = match call.parameters.as_ref().map(|it| &it.json.value) {
            Some(Value::Object(parameters)) => parameters.clone(),
            _ => Map::new(),
        };
        Some(Asked::Call { action, parameters })
    }

    /// A declared action.
    pub(super) fn action(&mut self, text: &Text) -> Option<ActionName> {
        let environments = self.policy.environments();
        let found = environments
            .iter()
            .find_map(|it| it.actions.get_key_value(text.value.as_str()));
        if found.is_none() {
            let names = environments.iter().flat_map(|it| it.actions.keys());
            self.told
                .unknown("action", text, names.map(ActionName::as_str));
        }
        found.map(|(name, _)| name.clone())
    }

    pub(super) fn reply(&mut self, reply: &Reply) -> Option<trial::Reply> {
        let status = match &reply.status {
            None => StatusCode::OK,
            Some(text) => self.status(text)?,
        };
        let headers = self.message_headers(reply.headers.as_ref());
        let (headers, body) = content(headers, reply.body.as_ref());
        Some(trial::Reply {
            status,
            headers,
            body,
        })
    }

    /// A final status (RFC 9110 §15).
    fn status(&mut self, text: &Text) -> Option<StatusCode> {
        let read = text.value.parse().ok();
        let status = read.filter(|it: &StatusCode| (200..=599).contains(&it.as_u16()));
        if status.is_none() {
            let message = format!("`{}` is not the status of a reply", text.value);
            let remedy = "write one from `200` to `599`";
            self.told.error(&text.place, message, remedy);
        }
        status
    }

    fn message_headers(&mut self, written: Option<&Entries<HeaderValues>>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, values) in written.into_iter().flat_map(|it| &it.items) {
            if values.items.is_empty() {
                let message = "a header that is sent has a value";
                self.told
                    .error(&values.place, message, "give it one, or remove the line");
            }
            let Some(name) = self.header_name(name) else {
                continue;
            };
            for text in &values.items {
                match HeaderValue::from_str(&text.value) {
                    Ok(value) => {
                        headers.append(name.clone(), value);
                    }
                    Err(_) => self.told.error(
                        &text.place,
                        "a header's value is printable ASCII",
                        "write it without line ends and other characters",
                    ),
                }
            }
        }
        headers
    }

    pub(super) fn header_name(&mut self, text: &Text) -> Option<HeaderName> {
        let name = HeaderName::try_from(text.value.as_str());
        if name.is_err() {
            let message = format!("`{}` is not the name of a header", text.value);
            let remedy = "write letters, digits and `-`";
            self.told.error(&text.place, message, remedy);
        }
        name.ok()
    }
}

/// Text as it is. Anything else is JSON, and said to be, unless the headers say something else.
fn content(mut headers: HeaderMap, body: Option<&Constant>) -> (HeaderMap, Bytes) {
    let bytes = match body.map(|it| &it.value) {
        None => Vec::new(),
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(value) => {
            let is_json = HeaderValue::from_static("application/json");
            headers.entry(CONTENT_TYPE).or_insert(is_json);
            let mut bytes = Vec::new();
            json::write(value, &mut bytes);
            bytes
        }
    };
    (headers, bytes.into())
}
