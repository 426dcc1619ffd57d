//! From parameters to a request.

use std::borrow::Cow;

use http::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Map, Value};

use crate::action::{
    Action, Arguments, ContentRule, Facts, MediaType, QueryStyle, WireBody, scalar_text,
};
use crate::body::Body;
use crate::json;
use crate::json::{are_alike, member};
use crate::refusal::{Code, Refusal};
use crate::request::{encode_into, fits_query_value};
use crate::template::{BodyTemplate, Template};
use crate::yaml::as_step;

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
        parameters,
        mut forwarded,
        wire,
    } = arguments;
    if matches!(
        action.content,
        ContentRule::Object(_) | ContentRule::Template(..)
    ) {
        // Ours says what is written, and stands in one place whether or not a client has sent its own.
        forwarded.remove(CONTENT_TYPE);
    }
    let path = render_path(action, &parameters)?;
    let mut query = render_query(action, &parameters, facts)?;
    let mut headers = render_headers(action, &parameters, facts, forwarded)?;
    let body = match &action.content {
        _ if wire.is_some() => pass_on(wire, &mut headers),
        ContentRule::Query => {
            let leftovers = leftovers(action, &parameters);
            refuse_taken_names(action, &leftovers)?;
            append_leftovers(action, &leftovers, &mut query)?;
            Body::Empty
        }
        ContentRule::Object(types) => {
            let leftovers = take_leftovers(action, parameters);
            refuse_credential_members(action, &leftovers)?;
            let (kind, body) = write_object(action, types, leftovers)?;
            headers.insert(CONTENT_TYPE, kind);
            body
        }
        ContentRule::Template(types, template) => {
            headers.insert(CONTENT_TYPE, content_type(types));
            render_body(action, template, parameters, facts)?
        }
        ContentRule::Wire(..) | ContentRule::Unread(_) => pass_on(wire, &mut headers),
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
    let value = |name: &str| member(parameters, name).and_then(scalar_text);
    action.path.render(value).map_err(|(name, wrong)| {
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
    let mut query = String::with_capacity(64);
    for (name, template) in &action.query {
        if let Some((parameter, value)) = only_value(template, parameters) {
            if let Some(value) = value {
                refuse_traceless(action, parameter, value)?;
                let style = action.style_of(parameter);
                append_value(style, (name, parameter), value, &mut query)?;
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
        if let Some((_, None)) = only_value(template, parameters) {
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

/// The name and the value, where a template is nothing but one parameter, or one property of a parameter. What is not
/// there is left out together with its entry.
fn only_value<'a>(
    template: &'a Template,
    parameters: &'a Map<String, Value>,
) -> Option<(&'a str, Option<&'a Value>)> {
    if let Some(name) = template.only_parameter() {
        return Some((name, member(parameters, name)));
    }
    let (name, below) = template.only_property()?.split_first()?;
    let inside = |value: &'a Value, name: &String| value.get(name);
    let root = member(parameters, name);
    Some((
        name,
        root.and_then(|root| below.iter().try_fold(root, inside)),
    ))
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

/// A parameter that has no place of its own.
type Leftover<'a> = (&'a str, &'a Value);

/// What has no place of its own, in the order of the schema and then of the request.
fn leftovers<'a>(action: &'a Action, parameters: &'a Map<String, Value>) -> Vec<Leftover<'a>> {
    let mut leftovers = Vec::with_capacity(parameters.len());
    let mut declared = 0;
    for name in action.parameters.properties() {
        if let Some(value) = member(parameters, name) {
            declared += 1;
            if !action.places(name) {
                leftovers.push((name, value));
            }
        }
    }
    if declared == parameters.len() {
        return leftovers;
    }
    let is_undeclared = |name: &str| !action.parameters.declares(name) && !action.places(name);
    let undeclared = parameters.iter().filter(|(name, _)| is_undeclared(name));
    let mut undeclared: Vec<Leftover<'a>> = undeclared.map(|(name, it)| (&**name, it)).collect();
    undeclared.sort_by_key(|(name, _)| *name);
    leftovers.extend(undeclared);
    leftovers
}

/// The same as an object of their own.
fn take_leftovers(action: &Action, mut parameters: Map<String, Value>) -> Map<String, Value> {
    parameters.retain(|name, _| !action.places(name));
    let mut leftovers = Value::Object(parameters);
    action.parameters.order(&mut leftovers);
    match leftovers {
        Value::Object(leftovers) => leftovers,
        _ => Map::new(),
    }
}

/// Only a schema that admits further properties lets such a name through: declared ones are seen at load. A name that
/// differs in case alone is the same to many servers, and would stand beside what the policy has fixed.
fn refuse_taken_names(action: &Action, leftovers: &[Leftover<'_>]) -> Result<(), Refusal> {
    let bracketed = bracketed(action);
    let taken = |name: &str| {
        let places = action.credentials.iter().filter_map(|it| it.place.query());
        let declared = action.query.iter().map(|(name, _)| name.as_str());
        let bracketed = bracketed.iter().map(String::as_str);
        let mut ours = declared.chain(places).chain(bracketed);
        name.is_empty() || ours.any(|it| are_alike(it, name))
    };
    match leftovers.iter().find(|(name, _)| taken(name)) {
        None => Ok(()),
        Some((name, _)) => Err(Refusal::new(
            Code::ParameterUndeclared,
            format!("{name:?} cannot be a parameter here, since the query has something else under this name"),
        )
        .at(pointer(name))),
    }
}

/// The names under which lists are sent in brackets.
fn bracketed(action: &Action) -> Vec<String> {
    if action.query_style != QueryStyle::Brackets {
        return Vec::new();
    }
    let is_list = |name: &&str| action.style_of(name) == QueryStyle::Brackets;
    let entries = action.query.iter().filter_map(|(name, template)| {
        let parameter = template.only_parameter()?;
        is_list(&parameter).then_some(name.as_str())
    });
    let leftovers = action.parameters.properties().filter(is_list);
    let names = entries.chain(leftovers).filter(|it| !it.ends_with("[]"));
    names.map(|it| format!("{it}[]")).collect()
}

/// As [`refuse_taken_names`], for bodies.
fn refuse_credential_members(
    action: &Action,
    leftovers: &Map<String, Value>,
) -> Result<(), Refusal> {
    let mut places = action.credentials.iter().filter_map(|it| it.place.member());
    let Some(member) = places.next() else {
        return Ok(());
    };
    match leftovers.keys().find(|name| are_alike(name, member)) {
        None => Ok(()),
        Some(name) => Err(Refusal::new(
            Code::ParameterUndeclared,
            format!("{name:?} cannot be a parameter here, since a credential has this name"),
        )
        .at(pointer(name))),
    }
}

/// In a query or a form.
fn append_leftovers(
    action: &Action,
    leftovers: &[Leftover<'_>],
    pairs: &mut String,
) -> Result<(), Refusal> {
    for (name, value) in leftovers {
        refuse_traceless(action, name, value)?;
        let style = match action.content {
            ContentRule::Query => action.style_of(name),
            _ => QueryStyle::Repeat,
        };
        append_value(style, (name, name), value, pairs)?;
    }
    Ok(())
}

/// Nothing is sent for an empty list. Where that would be read as something else, as the default or as a parameter that
/// is missing, no door sends it.
fn refuse_traceless(action: &Action, name: &str, value: &Value) -> Result<(), Refusal> {
    if !value.as_array().is_some_and(Vec::is_empty) {
        return Ok(());
    }
    let is_lost = match action.parameters.default_of(name) {
        Some(default) => default != value,
        None => action.parameters.required(name),
    };
    if !is_lost {
        return Ok(());
    }
    Err(Refusal::new(
        Code::ParameterInvalid,
        format!("{name} must not be an empty list, since nothing is sent for one where it stands"),
    )
    .at(pointer(name)))
}

/// A scalar once, an array of scalars in its style; an empty one is nothing.
fn append_value(
    style: QueryStyle,
    (name, parameter): (&str, &str),
    value: &Value,
    query: &mut String,
) -> Result<(), Refusal> {
    let text = |it| scalar_text(it).ok_or_else(|| not_scalar(parameter));
    let Value::Array(items) = value else {
        return append(name, parameter, &text(value)?, query);
    };
    if style == QueryStyle::Comma {
        let texts: Vec<Cow<'_, str>> = items.iter().map(text).collect::<Result<_, _>>()?;
        return append_joined((name, parameter), &texts, query);
    }
    let name = style.name_of_list(name);
    for item in items {
        append(&name, parameter, &text(item)?, query)?;
    }
    Ok(())
}

fn append_joined(
    (name, parameter): (&str, &str),
    items: &[Cow<'_, str>],
    query: &mut String,
) -> Result<(), Refusal> {
    let Some((first, others)) = items.split_first() else {
        return Ok(());
    };
    if items.iter().any(|it| it.is_empty() || it.contains(',')) {
        return Err(unseparable(parameter));
    }
    append(name, parameter, first, query)?;
    for item in others {
        refuse_control(parameter, item)?;
        query.push(',');
        encode_into(item, query);
    }
    Ok(())
}

/// An item that a server which splits at commas would not read as one.
pub(super) fn unseparable(parameter: &str) -> Refusal {
    Refusal::new(
        Code::ParameterInvalid,
        format!(
            "an item of {parameter} must not be empty or hold a comma, since commas separate them; an empty list is left out"
        ),
    )
    .at(pointer(parameter))
}

/// What could not be read back is not sent either: every door has the same requests.
fn append(name: &str, parameter: &str, value: &str, query: &mut String) -> Result<(), Refusal> {
    refuse_control(parameter, value)?;
    if !name.bytes().all(|it| matches!(it, b' '..=b'~')) && name.contains(char::is_control) {
        return Err(control(parameter));
    }
    if !query.is_empty() {
        query.push('&');
    }
    encode_into(name, query);
    query.push('=');
    encode_into(value, query);
    Ok(())
}

fn refuse_control(parameter: &str, value: &str) -> Result<(), Refusal> {
    match fits_query_value(value) {
        true => Ok(()),
        false => Err(control(parameter)),
    }
}

fn control(parameter: &str) -> Refusal {
    Refusal::new(
        Code::ParameterInvalid,
        format!("{parameter} must not hold control characters other than tabs and line ends"),
    )
    .at(pointer(parameter))
}

fn write_object(
    action: &Action,
    types: &[MediaType],
    object: Map<String, Value>,
) -> Result<(HeaderValue, Body), Refusal> {
    match types.first() {
        Some(MediaType::Form) => {
            let mut form = String::new();
            let fields: Vec<Leftover<'_>> = object.iter().map(|(name, it)| (&**name, it)).collect();
            append_leftovers(action, &fields, &mut form)?;
            Ok((MediaType::Form.header(), form.into_bytes().into()))
        }
        _ => {
            let mut bytes = Vec::with_capacity(256);
            json::write(&Value::Object(object), &mut bytes);
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
    format!("/{}", as_step(name))
}
