//! What a client sends: one JSON object with known members, which has one meaning.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};

use crate::action::{MediaType, media_type, pointer};
use crate::json;
use crate::refusal::{Code, Refusal};
use crate::request::SessionId;
use crate::sessions::Said;

/// The members of a request's body.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) parameters: Map<String, Value>,
    pub(super) session: Option<SessionId>,
    pub(super) context: Said,
}

impl Asked {
    /// Reads a body in which these members may be.
    ///
    /// # Errors
    /// What is no object, what it may not hold, and what has another type, with its place.
    pub(super) fn read(bytes: &[u8], known: &[&str]) -> Result<Self, Refusal> {
        let Value::Object(members) = json::parse(bytes)? else {
            let message = format!(
                "the body must be a JSON object; it may hold {}",
                known.join(", ")
            );
            return Err(Refusal::new(Code::BodyUnexpected, message));
        };
        let mut asked = Self::default();
        for (name, value) in members {
            match (name.as_str(), value) {
                (name, _) if !known.contains(&name) => return Err(undeclared(name, known)),
                ("parameters", Value::Object(parameters)) => asked.parameters = parameters,
                ("context", Value::Object(context)) => asked.context = context,
                ("session", Value::String(id)) => {
                    let id =
                        SessionId::parse(&id).map_err(|bad| invalid(&name, &bad.to_string()))?;
                    asked.session = Some(id);
                }
                ("session", _) => return Err(invalid(&name, "must be a string")),
                _ => return Err(invalid(&name, "must be an object")),
            }
        }
        Ok(asked)
    }
}

/// The bytes of parameters without what stands round them: what the action's cap is for.
pub(super) fn size(parameters: &Map<String, Value>) -> usize {
    serde_json::to_vec(parameters).map_or(0, |text| text.len())
}

/// One media type, JSON, in clear.
pub(super) fn expect_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (first, second) = (values.next(), values.next());
    let kind = first.filter(|_| second.is_none());
    let kind = kind.and_then(|it: &HeaderValue| media_type(it.to_str().ok()?));
    if kind == Some(MediaType::Json) && !headers.contains_key(CONTENT_ENCODING) {
        return Ok(());
    }
    let json = MediaType::Json.as_str();
    let message = format!("the Content-Type must be {json}, without a Content-Encoding");
    Err(Refusal::new(Code::ContentTypeRefused, message).allowing([json]))
}

fn undeclared(name: &str, known: &[&str]) -> Refusal {
    let message = format!(
        "{name:?} does not belong here; the body may hold {}",
        known.join(", ")
    );
    Refusal::new(Code::ParameterUndeclared, message)
        .at(pointer(name))
        .allowing(known.iter().copied())
}

fn invalid(name: &str, wrong: &str) -> Refusal {
    Refusal::new(Code::ParameterInvalid, format!("{name}: {wrong}")).at(format!("/{name}"))
}
