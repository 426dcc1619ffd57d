//! From parameters to a request.

use http::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Map, Value};

use crate::action::{Action, Arguments, ContentRule, Facts, MediaType, WireBody, scalar_text};
use crate::body::Body;
use crate::json;
use crate::json::fold_case;
use crate::refusal::{Code, Refusal};
use crate::request::{encode_into, fits_query_value};
use crate::template::{BodyTemplate, Template};

/// A request made from parameters, whole but for its credentials.
#[derive(Debug)]
pub struct Planned {
    /// The action's method.
    pub method: Method,
    /// The rendered path; it begins with `/`.
    pub path: String,
    /// The rendered query, without `?`; empty for none.
    pub query: String,
    /// Everything but `Host`, framing and credentials.
    pub headers: HeaderMap,
    /// What it carries.
    pub body: Body,
}

/// Makes the request. The parameters have passed the schema, with defaults filled in.
///
/// # Errors
/// [`Code::ParameterMissing`] or [`Code::ParameterInvalid`] where a value cannot stand in its place.
pub fn plan(action: &Action, arguments: Arguments, facts: &Facts) -> Result<Planned, Refusal> {
    let Arguments {
        mut parameters,
        forwarded,
        wire,
    } = arguments;
    let path = render_path(action, &parameters)?;
    let mut query = render_query(action, &parameters, facts)?;
    let mut headers = render_headers(action, &parameters, facts, forwarded)?;
    let body = match &action.content {
        ContentRule::Query => {
            let leftovers = take_leftovers(action, &mut parameters);
            refuse_taken_names(action, &leftovers)?;
            append_leftovers(&leftovers, &mut query)?;
            Body::Empty
        }
        ContentRule::Object(types) => {
            let mut leftovers = take_leftovers(action, &mut parameters);
            refuse_credential_members(action, &leftovers)?;
            action.parameters.order(&mut leftovers);
            let (kind, body) = write_object(types, &leftovers)?;
            headers.insert(CONTENT_TYPE, kind);
            body
        }
        ContentRule::Template(types, template) => {
            headers.insert(CONTENT_TYPE, content_type(types));
            render_body(action, template, parameters, facts)?
        }
        ContentRule::Wire(_) | ContentRule::Unread(_) => pass_on(wire, &mut headers),
    };
    // Replies are read in clear for what they may not hold; RFC 9110 §12.5.3.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Ok(Planned {
        method: action.method.clone(),
        path,
        query,
        headers,
        body,
    })
}

fn render_path(action: &Action, parameters: &Map<String, Value>) -> Result<String, Refusal> {
    let value = |name: &str| parameters.get(name).and_then(scalar_text);
    action.path.render(&value).map_err(|(name, wrong)| {
        let code = match parameters.get(name) {
            None => Code::ParameterMissing,
            Some(_) => Code::ParameterInvalid,
        };
        Refusal::new(code, format!("{name} {wrong}")).at(pointer(name))
    })
}

fn render_query(
    action: &Action,
    parameters: &Map<String, Value>,
    facts: &Facts,
) -> Result<String, Refusal> {
    let mut query = String::new();
    for (name, template) in &action.query {
        if let Some(parameter) = template.only_parameter() {
            match parameters.get(parameter) {
                None => {}
                Some(value) => append_value(name, parameter, value, &mut query)?,
            }
        } else {
            let parameter = template.parameters().next().unwrap_or(name);
            let text = render(template, parameters, facts)?;
            append(name, parameter, &text, &mut query)?;
        }
    }
    Ok(query)
}

fn render_headers(
    action: &Action,
    parameters: &Map<String, Value>,
    facts: &Facts,
    mut headers: HeaderMap,
) -> Result<HeaderMap, Refusal> {
    for (name, template) in &action.headers {
        let absent = template
            .only_parameter()
            .is_some_and(|parameter| !parameters.contains_key(parameter));
        if absent {
            headers.remove(name);
            continue;
        }
        let text = render(template, parameters, facts)?;
        // Spaces at the ends are not part of a value (RFC 9110 §5.5): the upstream would read another one.
        let is_tidy = !text.starts_with(' ') && !text.ends_with(' ');
        let fits = is_tidy && text.bytes().all(|b| matches!(b, b' '..=b'~'));
        let value = HeaderValue::from_str(&text).ok().filter(|_| fits);
        let value = value.ok_or_else(|| unfit_for_header(template, name.as_str()))?;
        headers.insert(name.clone(), value);
    }
    Ok(headers)
}

fn unfit_for_header(template: &Template, header: &str) -> Refusal {
    let parameter = template.parameters().next().unwrap_or(header);
    Refusal::new(
        Code::ParameterInvalid,
        format!(
            "{parameter} must be printable ASCII without spaces at its ends, since it stands in the header {header}"
        ),
    )
    .at(pointer(parameter))
}

fn render(
    template: &Template,
    parameters: &Map<String, Value>,
    facts: &Facts,
) -> Result<String, Refusal> {
    let rendered = facts.with_values(parameters, |values| template.render(values));
    rendered.map_err(Refusal::from)
}

/// What has no place of its own, in the order of the schema and then of the request.
fn take_leftovers(action: &Action, parameters: &mut Map<String, Value>) -> Value {
    let mut leftovers = Map::new();
    for name in action.parameters.properties() {
        if !action.places(name)
            && let Some(value) = parameters.shift_remove(name)
        {
            leftovers.insert(name.to_owned(), value);
        }
    }
    let mut undeclared: Vec<(String, Value)> = std::mem::take(parameters)
        .into_iter()
        .filter(|(name, _)| !action.places(name))
        .collect();
    undeclared.sort_by(|(a, _), (b, _)| a.cmp(b));
    leftovers.extend(undeclared);
    Value::Object(leftovers)
}

/// Only a schema that admits further properties lets such a name through: declared ones are seen at load. A name that
/// differs in case alone is the same to many servers, and would stand beside what the policy has fixed.
fn refuse_taken_names(action: &Action, leftovers: &Value) -> Result<(), Refusal> {
    let places = action.credentials.iter().filter_map(|it| it.place.query());
    let declared = action.query.iter().map(|(name, _)| name.as_str());
    let ours: Vec<String> = declared.chain(places).map(fold_case).collect();
    let taken = |name: &str| name.is_empty() || ours.contains(&fold_case(name));
    let mut names = leftovers.as_object().into_iter().flat_map(Map::keys);
    match names.find(|name| taken(name)) {
        None => Ok(()),
        Some(name) => Err(Refusal::new(
            Code::ParameterUndeclared,
            format!("{name:?} cannot be a parameter here, since the query has something else under this name"),
        )
        .at(pointer(name))),
    }
}

/// As [`refuse_taken_names`], for bodies.
fn refuse_credential_members(action: &Action, leftovers: &Value) -> Result<(), Refusal> {
    let mut places = action.credentials.iter().filter_map(|it| it.place.member());
    let Some(member) = places.next() else {
        return Ok(());
    };
    let member = fold_case(member);
    let mut names = leftovers.as_object().into_iter().flat_map(Map::keys);
    match names.find(|name| fold_case(name) == member) {
        None => Ok(()),
        Some(name) => Err(Refusal::new(
            Code::ParameterUndeclared,
            format!("{name:?} cannot be a parameter here, since a credential has this name"),
        )
        .at(pointer(name))),
    }
}

fn append_leftovers(leftovers: &Value, query: &mut String) -> Result<(), Refusal> {
    for (name, value) in leftovers.as_object().into_iter().flatten() {
        append_value(name, name, value, query)?;
    }
    Ok(())
}

/// A scalar once, an array of scalars as often as it has elements.
fn append_value(
    name: &str,
    parameter: &str,
    value: &Value,
    query: &mut String,
) -> Result<(), Refusal> {
    let elements = match value {
        Value::Array(elements) => elements.as_slice(),
        other => std::slice::from_ref(other),
    };
    for element in elements {
        let text = scalar_text(element).ok_or_else(|| not_scalar(parameter))?;
        append(name, parameter, &text, query)?;
    }
    Ok(())
}

/// What could not be read back is not sent either: every door has the same requests.
fn append(name: &str, parameter: &str, value: &str, query: &mut String) -> Result<(), Refusal> {
    if !fits_query_value(value) || name.contains(char::is_control) {
        return Err(Refusal::new(
            Code::ParameterInvalid,
            format!("{parameter} must not hold control characters other than tabs and line ends"),
        )
        .at(pointer(parameter)));
    }
    if !query.is_empty() {
        query.push('&');
    }
    encode_into(name, query);
    query.push('=');
    encode_into(value, query);
    Ok(())
}

fn write_object(types: &[MediaType], object: &Value) -> Result<(HeaderValue, Body), Refusal> {
    match types.first() {
        Some(MediaType::Form) => {
            let mut form = String::new();
            append_leftovers(object, &mut form)?;
            Ok((MediaType::Form.header(), form.into_bytes().into()))
        }
        _ => {
            let mut bytes = Vec::with_capacity(256);
            json::write(object, &mut bytes);
            Ok((content_type(types), bytes.into()))
        }
    }
}

/// Objects that a template prints whole have their keys in the order of the schema, whoever sent them.
fn render_body(
    action: &Action,
    template: &BodyTemplate,
    parameters: Map<String, Value>,
    facts: &Facts,
) -> Result<Body, Refusal> {
    let mut parameters = Value::Object(parameters);
    action.parameters.order(&mut parameters);
    let Value::Object(parameters) = parameters else {
        return Err(Refusal::new(Code::Internal, "parameters are an object"));
    };
    let rendered = facts.with_values(&parameters, |values| template.render(values));
    Ok(rendered?.into_bytes().into())
}

fn content_type(types: &[MediaType]) -> HeaderValue {
    types.first().unwrap_or(&MediaType::Json).header()
}

fn pass_on(wire: Option<WireBody>, headers: &mut HeaderMap) -> Body {
    headers.remove(CONTENT_TYPE);
    let Some(wire) = wire else {
        return Body::Empty;
    };
    if let Some(kind) = wire.content_type {
        headers.insert(CONTENT_TYPE, kind);
    }
    wire.body
}

fn not_scalar(parameter: &str) -> Refusal {
    Refusal::new(
        Code::ParameterInvalid,
        format!("{parameter} must be a string, a number or a boolean, or a list of them"),
    )
    .at(pointer(parameter))
}

/// RFC 6901 §3.
pub(crate) fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}
