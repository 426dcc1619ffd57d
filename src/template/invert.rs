//! From a JSON body back to the parameters that render it: one walk along the pattern of a template.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::schema::coerce;
use crate::template::pattern::{Member, Pattern, Piece, Shape};
use crate::template::render::{Values, value, write};
use crate::template::scope::Kind;
use crate::template::tree::Place;
use crate::template::value::{Found, order_numbers};

/// Why a body is no rendering of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// JSON Pointer (RFC 6901) into the body.
    pub pointer: String,
    /// What is wrong there.
    pub kind: MismatchKind,
    /// What the policy wants there, to be read after "must be"; never a value of the session or the context.
    pub expected: String,
    /// The parameter whose text it is that `expected` spells.
    pub spells: Option<Vec<String>>,
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MismatchKind {
    /// A member that the template does not write.
    Undeclared,
    /// A value that it would write otherwise.
    Different,
}

impl Mismatch {
    pub(super) fn closed() -> Self {
        different("", "made by a tool call: this body cannot be taken apart")
    }
}

impl Pattern {
    pub(super) fn invert(
        &self,
        body: &Value,
        values: &Values<'_>,
    ) -> Result<Map<String, Value>, Mismatch> {
        let mut reading = Reading {
            values,
            pointer: String::new(),
            parameters: Map::new(),
            seen: vec![None; self.groups.len()],
        };
        reading.shape(&self.root, body)?;
        for (names, seen) in self.groups.iter().zip(&reading.seen) {
            if let Some(pointer) = seen
                && get(&reading.parameters, names).is_none()
            {
                return Err(Mismatch {
                    pointer: pointer.clone(),
                    kind: MismatchKind::Different,
                    expected: format!("absent, since it goes with {}", names.join(".")),
                    spells: None,
                });
            }
        }
        Ok(reading.parameters)
    }
}

/// A body while it is taken apart.
struct Reading<'v> {
    values: &'v Values<'v>,
    pointer: String,
    parameters: Map<String, Value>,
    /// Where a member of each block was found.
    seen: Vec<Option<String>>,
}

impl Reading<'_> {
    fn shape(&mut self, shape: &Shape, body: &Value) -> Result<(), Mismatch> {
        match shape {
            Shape::Literal(literal) if same(literal, body) => Ok(()),
            Shape::Literal(literal) => Err(self.different(&literal.to_string())),
            Shape::Object(members) => self.object(members, body),
            Shape::Array(items) => self.array(items, body),
            Shape::Whole(piece) => self.whole(piece, body),
            Shape::Text(pieces) => match body {
                _ if pieces.iter().any(|it| matches!(it, Piece::Moment)) => Ok(()),
                Value::String(text) => self.text(pieces, text),
                _ => Err(self.different("a string")),
            },
        }
    }

    fn object(&mut self, members: &[Member], body: &Value) -> Result<(), Mismatch> {
        let Value::Object(body) = body else {
            return Err(self.different("an object"));
        };
        // Most bodies are whole and in the template's order: then no name has to be looked for.
        let is_in_order =
            body.len() == members.len() && body.keys().zip(members).all(|(key, it)| *key == it.key);
        if !is_in_order {
            self.refuse_extra(members, body)?;
        }
        let mut in_order = body.values();
        for member in members {
            let value = match is_in_order {
                true => in_order.next(),
                false => body.get(&member.key),
            };
            let Some(value) = value else { continue };
            self.below(&escaped(&member.key), |it| {
                if let Some(group) = member.group {
                    it.seen[group].get_or_insert_with(|| it.pointer.clone());
                }
                it.shape(&member.shape, value)
            })?;
        }
        Ok(())
    }

    fn refuse_extra(&self, members: &[Member], body: &Map<String, Value>) -> Result<(), Mismatch> {
        let declares = |key: &str| members.iter().any(|member| member.key == key);
        let Some(extra) = body.keys().find(|key| !declares(key)) else {
            return Ok(());
        };
        let names: Vec<&str> = members.iter().map(|it| it.key.as_str()).collect();
        Err(Mismatch {
            pointer: format!("{}/{}", self.pointer, escaped(extra)),
            kind: MismatchKind::Undeclared,
            expected: format!("one of {}", names.join(", ")),
            spells: None,
        })
    }

    fn array(&mut self, items: &[Shape], body: &Value) -> Result<(), Mismatch> {
        match body {
            Value::Array(body) if body.len() == items.len() => {
                for (index, (item, value)) in items.iter().zip(body).enumerate() {
                    self.below(&index.to_string(), |it| it.shape(item, value))?;
                }
                Ok(())
            }
            _ => Err(self.different(&format!("a list of {}", items.len()))),
        }
    }

    fn below(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Self) -> Result<(), Mismatch>,
    ) -> Result<(), Mismatch> {
        let length = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(key);
        let read = read(self);
        self.pointer.truncate(length);
        read
    }

    fn whole(&mut self, piece: &Piece, body: &Value) -> Result<(), Mismatch> {
        match piece {
            Piece::Parameter { names, .. } => self.set(names, body.clone()),
            Piece::Fixed(expression) => match value(expression, self.values) {
                Ok(Found::Value(fixed)) if !same(&fixed, body) => Err(self.different(FILLED_IN)),
                // What cannot be rendered is refused by rendering.
                _ => Ok(()),
            },
            Piece::Moment | Piece::Literal(_) => Ok(()),
        }
    }

    fn text(&mut self, pieces: &[Piece], text: &str) -> Result<(), Mismatch> {
        let (mut before, mut after, mut parameter) = (String::new(), String::new(), None);
        for piece in pieces {
            let fixed = if parameter.is_none() {
                &mut before
            } else {
                &mut after
            };
            match piece {
                Piece::Literal(literal) => fixed.push_str(literal),
                Piece::Parameter { names, kind } => parameter = Some((names, *kind)),
                Piece::Fixed(expression) => match value(expression, self.values) {
                    Ok(Found::Value(value)) if write(&value, Place::Plain, fixed).is_ok() => {}
                    _ => return Ok(()),
                },
                Piece::Moment => return Ok(()),
            }
        }
        let Some((names, kind)) = parameter else {
            let is_literal = pieces.iter().all(|it| matches!(it, Piece::Literal(_)));
            return match text == before {
                true => Ok(()),
                false if is_literal => Err(self.different(&Value::from(before).to_string())),
                false => Err(self.different(FILLED_IN)),
            };
        };
        let inner = text
            .strip_prefix(before.as_str())
            .and_then(|it| it.strip_suffix(after.as_str()));
        let Some(inner) = inner else {
            let expected = format!(
                "{} with the text that the policy puts round it",
                names.join(".")
            );
            return Err(self.different(&expected));
        };
        let read = match kind {
            Kind::Scalar(kind) => coerce(inner, kind).map_err(|expected| Mismatch {
                spells: Some(names.clone()),
                ..self.different(&expected)
            })?,
            Kind::Untyped | Kind::Structured | Kind::Assumed => Value::from(inner),
        };
        self.set(names, read)
    }

    fn set(&mut self, names: &[String], value: Value) -> Result<(), Mismatch> {
        if let Some(other) = get(&self.parameters, names) {
            return match same(other, &value) {
                true => Ok(()),
                false => {
                    Err(self
                        .different(&format!("equal to the other places of {}", names.join("."))))
                }
            };
        }
        put(&mut self.parameters, names, value);
        Ok(())
    }

    fn different(&self, expected: &str) -> Mismatch {
        different(&self.pointer, expected)
    }
}

/// Values of the session and the context are not told to agents.
const FILLED_IN: &str = "left out, or what exeat fills in";

fn different(pointer: &str, expected: &str) -> Mismatch {
    Mismatch {
        pointer: pointer.to_owned(),
        kind: MismatchKind::Different,
        expected: expected.to_owned(),
        spells: None,
    }
}

fn get<'m>(parameters: &'m Map<String, Value>, names: &[String]) -> Option<&'m Value> {
    let (first, rest) = names.split_first()?;
    rest.iter()
        .try_fold(parameters.get(first)?, |value, name| value.get(name))
}

fn put(parameters: &mut Map<String, Value>, names: &[String], value: Value) {
    match names {
        [] => {}
        [name] => {
            parameters.insert(name.clone(), value);
        }
        [name, rest @ ..] => {
            let inner = parameters
                .entry(name.clone())
                .or_insert_with(|| Map::new().into());
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// Equality by value: `1` is `1.0`, and the order of members means nothing.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => order_numbers(one, other).is_eq(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let found =
                |(key, value): (&String, &Value)| other.get(key).is_some_and(|it| same(value, it));
            one.len() == other.len() && one.iter().all(found)
        }
        (one, other) => one == other,
    }
}

/// RFC 6901 section 3.
fn escaped(key: &str) -> Cow<'_, str> {
    match key.contains(['~', '/']) {
        true => key.replace('~', "~0").replace('/', "~1").into(),
        false => key.into(),
    }
}
