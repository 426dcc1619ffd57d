//! From a proxied request back to parameters: path, query and headers here, the body in [`content`].

mod content;

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use serde_json::map::Entry;
use serde_json::{Map, Value};

use crate::action::headers::sift_headers;
use crate::action::plan::{pointer, unseparable};
use crate::action::upgrade;
use crate::action::{Action, Arguments, ContentRule, Facts, QueryStyle};
use crate::body::Body;
use crate::credential::Place;
use crate::json::{are_alike, fold_case};
use crate::refusal::{Code, Refusal};
use crate::request::{Intent, Pair};
use crate::schema::{ScalarType, Shape, coerce};
use crate::template::{Inverted, Template};

/// The content of a proxied request, under the action's cap.
#[derive(Debug)]
pub enum Content {
    /// Read to its end; empty for none.
    Read(Bytes),
    /// Passed on unread.
    Unread(Body),
}

/// A request taken apart.
#[derive(Debug)]
pub struct Recognised {
    /// What planning needs.
    pub arguments: Arguments,
    /// Places of credentials in which the agent had sent something of its own.
    pub replaced: Vec<String>,
    /// Names of headers that were not let through.
    pub dropped: Vec<HeaderName>,
}

/// Takes a request apart into the parameters of the action that its head was matched to.
///
/// # Errors
/// A refusal that names the parameter, for what is undeclared, sent twice or not in its canonical spelling.
pub fn recognise(
    action: &Action,
    intent: &Intent,
    content: Content,
    facts: &Facts,
) -> Result<Recognised, Refusal> {
    upgrade::judge(action, &intent.headers)?;
    let expected = intent.path.len() + intent.query.pairs().len();
    let mut found = Found::new((action, facts), expected);
    found.read_path(intent)?;
    found.read_query(intent.query.pairs())?;
    found.read_headers(&intent.headers)?;
    let wire = found.read_content(&intent.headers, content)?;
    let (forwarded, dropped) = sift_headers(action, &intent.headers);
    found.note_replaced_headers(&intent.headers);
    Ok(Recognised {
        arguments: Arguments {
            parameters: found.parameters,
            forwarded,
            wire,
        },
        replaced: found.replaced,
        dropped,
    })
}

/// The parameters as they are found, place by place.
struct Found<'a> {
    action: &'a Action,
    facts: &'a Facts,
    parameters: Map<String, Value>,
    replaced: Vec<String>,
}

impl<'a> Found<'a> {
    /// Room for so many parameters is made at once: few requests have more outside their bodies, and who sends many
    /// segments or pairs does not get room for each before it is looked at.
    const EXPECTED: usize = 7;

    fn new((action, facts): (&'a Action, &'a Facts), expected: usize) -> Self {
        Self {
            action,
            facts,
            parameters: Map::with_capacity(expected.min(Self::EXPECTED)),
            replaced: Vec::new(),
        }
    }

    fn read_path(&mut self, intent: &Intent) -> Result<(), Refusal> {
        let captures = self.action.path.captures(&intent.path);
        for (name, text) in captures.into_iter().flatten() {
            self.set(name, &text)?;
        }
        Ok(())
    }

    fn read_query(&mut self, pairs: &[Pair]) -> Result<(), Refusal> {
        let mut seen = Seen::default();
        seen.few.reserve(pairs.len().min(Seen::FEW));
        for pair in pairs {
            let again = seen.again(&pair.name)?;
            self.read_pair(pair, again)?;
        }
        Ok(())
    }

    fn read_pair(&mut self, pair: &Pair, again: bool) -> Result<(), Refusal> {
        if self.is_credential(&pair.name, Place::query)? {
            self.note_replaced(format!("query {}", pair.name));
            return Ok(());
        }
        let name = self.without_brackets(&pair.name)?;
        if let Some((_, template)) = self.action.query.iter().find(|(it, _)| it == name) {
            return self.read_declared(name, template, &pair.value, again);
        }
        if !matches!(self.action.content, ContentRule::Query) || self.action.places(name) {
            return Err(self.undeclared(name));
        }
        self.read_field((name, &pair.value), again, self.action.query_style)
    }

    /// The entry or parameter that is sent under a name of the query. Where lists have brackets, one without them is
    /// not another spelling of it.
    fn without_brackets<'n>(&self, sent: &'n str) -> Result<&'n str, Refusal> {
        if self.action.query_style != QueryStyle::Brackets {
            return Ok(sent);
        }
        match sent.strip_suffix("[]") {
            Some(name) if self.is_list(name) => Ok(name),
            None if self.is_list(sent) => Err(Refusal::new(
                Code::ParameterUndeclared,
                format!("{sent} is a list, which is sent as {sent}[]"),
            )
            .at(pointer(sent))
            .allowing([format!("{sent}[]")])),
            _ => Ok(sent),
        }
    }

    /// Whether a list is sent under this name of the query.
    fn is_list(&self, name: &str) -> bool {
        let declared = self.action.query.iter().find(|(it, _)| it == name);
        let parameter = match declared {
            Some((_, template)) => template.only_parameter(),
            None => Some(name).filter(|_| matches!(self.action.content, ContentRule::Query)),
        };
        let shape = parameter.map(|it| self.action.parameters.shape(it));
        matches!(shape, Some(Shape::ArrayOfScalar(_)))
    }

    /// A leftover in a query, or a field of a form.
    fn read_field(
        &mut self,
        (name, text): (&str, &str),
        again: bool,
        style: QueryStyle,
    ) -> Result<(), Refusal> {
        match self.action.parameters.shape(name) {
            Shape::ArrayOfScalar(item) if style == QueryStyle::Comma => match again {
                true => Err(duplicate(name)),
                false => self.split(name, text, item),
            },
            Shape::ArrayOfScalar(item) => self.push(name, text, item),
            _ if again => Err(duplicate(name)),
            shape => self.set_as(shape, name, text),
        }
    }

    /// A comma separates items however it was encoded: it would upstream.
    fn split(&mut self, name: &str, text: &str, item: ScalarType) -> Result<(), Refusal> {
        for part in text.split(',') {
            if part.is_empty() {
                return Err(unseparable(name));
            }
            self.push(name, part, item)?;
        }
        Ok(())
    }

    /// Whether a name is that of a credential in this part of the request. One that differs only in case is refused:
    /// some servers would read it as ours.
    fn is_credential(&self, name: &str, part: fn(&Place) -> Option<&str>) -> Result<bool, Refusal> {
        let credentials = self.action.credentials.iter();
        for place in credentials.filter_map(|it| part(&it.place)) {
            if place == name {
                return Ok(true);
            }
            if are_alike(place, name) {
                return Err(self.undeclared(name));
            }
        }
        Ok(false)
    }

    /// Whether a member or field of the body is a credential, which is noted.
    fn is_replaced(&mut self, name: &str) -> Result<bool, Refusal> {
        let is_credential = self.is_credential(name, Place::member)?;
        if is_credential {
            self.note_replaced(format!("body {name}"));
        }
        Ok(is_credential)
    }

    /// What was sent twice is noted once.
    fn note_replaced(&mut self, place: String) {
        if !self.replaced.contains(&place) {
            self.replaced.push(place);
        }
    }

    fn read_declared(
        &mut self,
        name: &str,
        template: &Template,
        text: &str,
        again: bool,
    ) -> Result<(), Refusal> {
        if let Some(parameter) = template.only_parameter()
            && let Shape::ArrayOfScalar(_) = self.action.parameters.shape(parameter)
        {
            return self.read_field((parameter, text), again, self.action.query_style);
        }
        if again {
            return Err(duplicate(name));
        }
        if template.parameters().next().is_none() && template.is_of_the_moment() {
            return Ok(());
        }
        let inverted = self
            .facts
            .with_values(&Map::new(), |values| template.invert(text, values));
        match inverted {
            Inverted::Parameter(parameter, value) => self.set(parameter, value),
            Inverted::Property(names, value) => self.set_property(names, value),
            Inverted::Equal => Ok(()),
            Inverted::Different => Err(different(name, template)),
        }
    }

    fn read_headers(&mut self, headers: &HeaderMap) -> Result<(), Refusal> {
        for (name, template) in &self.action.headers {
            if template.parameters().next().is_none() {
                continue;
            }
            let mut values = headers.get_all(name).iter();
            let Some(value) = values.next() else { continue };
            if values.next().is_some() {
                return Err(duplicate(name.as_str()));
            }
            let text = value.to_str().map_err(|_| {
                Refusal::new(
                    Code::ParameterInvalid,
                    format!("the header {name} must be printable ASCII"),
                )
            })?;
            self.read_declared(name.as_str(), template, text, false)?;
        }
        Ok(())
    }

    fn note_replaced_headers(&mut self, headers: &HeaderMap) {
        let places = self.action.credentials.iter().map(|it| &it.place);
        for header in places.filter_map(|place| place.header()) {
            if headers.contains_key(header) {
                self.replaced.push(format!("header {header}"));
            }
        }
    }

    fn set(&mut self, name: &str, text: &str) -> Result<(), Refusal> {
        self.set_as(self.action.parameters.shape(name), name, text)
    }

    fn set_as(&mut self, shape: Shape, name: &str, text: &str) -> Result<(), Refusal> {
        let kind = match shape {
            Shape::Scalar(kind) => kind,
            _ => ScalarType::String,
        };
        let value = self.coerced(&[name], text, kind)?;
        self.insert(name.to_owned(), value)
    }

    fn set_property(&mut self, names: &[String], text: &str) -> Result<(), Refusal> {
        let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
        let kind = match self
            .action
            .parameters
            .property(&borrowed)
            .map(|it| it.shape)
        {
            Some(Shape::Scalar(kind)) => kind,
            _ => ScalarType::String,
        };
        let value = self.coerced(&borrowed, text, kind)?;
        self.insert_at(names, value)
    }

    /// Puts a value into the place that these names lead to, from the root.
    fn insert_at(&mut self, names: &[String], value: Value) -> Result<(), Refusal> {
        let Some((first, below)) = names.split_first() else {
            return Ok(());
        };
        let nested = below.iter().rev().fold(value, |inner, name| {
            let mut object = Map::new();
            object.insert(name.clone(), inner);
            Value::Object(object)
        });
        self.insert(first.clone(), nested)
    }

    /// What stands in two places is the same in both; of an object, each may have its part.
    fn insert(&mut self, name: String, value: Value) -> Result<(), Refusal> {
        let mut other = match self.parameters.entry(name) {
            Entry::Vacant(place) => {
                place.insert(value);
                return Ok(());
            }
            Entry::Occupied(other) => other,
        };
        if merge(other.get_mut(), value) {
            return Ok(());
        }
        let name = other.key();
        let message = format!("{name} stands in two places of the request, which must agree");
        Err(Refusal::new(Code::ParameterInvalid, message).at(pointer(name)))
    }

    fn push(&mut self, name: &str, text: &str, element: ScalarType) -> Result<(), Refusal> {
        let value = self.coerced(&[name], text, element)?;
        let entry = self.parameters.entry(name.to_owned());
        if let Value::Array(elements) = entry.or_insert_with(|| Value::Array(Vec::new())) {
            elements.push(value);
        }
        Ok(())
    }

    fn coerced(&self, names: &[&str], text: &str, kind: ScalarType) -> Result<Value, Refusal> {
        coerce(text, kind).map_err(|expected| {
            let at: String = names.iter().map(|it| pointer(it)).collect();
            let expected = self.action.wording(&at, &expected);
            let message = format!("{} must be {expected}", names.join("."));
            Refusal::new(Code::ParameterInvalid, message).at(at)
        })
    }

    fn undeclared(&self, name: &str) -> Refusal {
        let declared: Vec<&str> = self.action.parameters.properties().collect();
        let message = match (declared.as_slice(), self.action.place_of(name)) {
            (_, Some(place)) => format!("{name} does not belong here: it is sent {place}"),
            ([], _) => format!("{name} is not declared; this action takes no parameters here"),
            (names, _) => format!("{name} is not declared; declared are {}", names.join(", ")),
        };
        Refusal::new(Code::ParameterUndeclared, message)
            .at(pointer(name))
            .allowing(declared)
    }
}

/// Puts a value to another one of the same name; whether they agree.
fn merge(one: &mut Value, other: Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => other.into_iter().all(|(name, value)| {
            if let Some(known) = one.get_mut(&name) {
                return merge(known, value);
            }
            one.insert(name, value);
            true
        }),
        (one, other) => *one == other,
    }
}

/// The names of a query or a form so far.
#[derive(Default)]
struct Seen<'a> {
    few: Vec<&'a str>,
    /// By their folded spelling, what does not fit into `few`.
    many: HashMap<String, &'a str>,
}

impl<'a> Seen<'a> {
    /// Up to this many names are compared one by one, which is faster than a map.
    const FEW: usize = 8;

    /// Whether a name was there before. In another case it is refused, as in JSON: many servers take both for one.
    fn again(&mut self, name: &'a str) -> Result<bool, Refusal> {
        let before = match self.few.iter().find(|it| are_alike(it, name)) {
            Some(before) => Some(*before),
            None if self.few.len() < Self::FEW => {
                self.few.push(name);
                None
            }
            None => self.many.insert(fold_case(name), name),
        };
        match before {
            None => Ok(false),
            Some(before) if before == name => Ok(true),
            Some(_) => Err(duplicate(name)),
        }
    }
}

fn duplicate(name: &str) -> Refusal {
    Refusal::new(Code::ParameterDuplicate, format!("{name} is sent twice")).at(pointer(name))
}

fn different(name: &str, template: &Template) -> Refusal {
    let refusal = match template.literal() {
        Some(literal) => Refusal::new(
            Code::ParameterInvalid,
            format!("{name} must be {literal:?}, or be left out"),
        )
        .allowing([literal]),
        None => Refusal::new(
            Code::ParameterInvalid,
            format!("{name} does not have the declared form"),
        ),
    };
    refusal.at(pointer(name))
}
