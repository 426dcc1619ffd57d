//! From a JSON body back to the parameters that render it: one walk along the pattern of a template.

use serde_json::Value;

use crate::json;
use crate::json::Tree;
use crate::schema::coerce;
use crate::template::pattern::{Member, Pattern, Piece, Shape};
use crate::template::render::{Values, value, write};
use crate::template::scope::Kind;
use crate::template::tree::Place;
use crate::template::value::Found;
use crate::yaml::as_step;

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

/// Parameters that were found: properties by their names from the root, with their values.
pub type Inversion<'p> = Vec<(&'p [String], Value)>;

impl Pattern {
    pub(super) fn invert(
        &self,
        body: &Tree<'_>,
        values: &Values<'_>,
    ) -> Result<Inversion<'_>, Mismatch> {
        let mut reading = Reading {
            pattern: self,
            values,
            path: Vec::new(),
            found: vec![None; self.parameters.len()],
            seen: vec![None; self.groups.len()],
        };
        reading.shape(&self.root, body)?;
        reading.refuse_incomplete()?;
        let found = self.parameters.iter().zip(reading.found);
        let found = found.filter_map(|(names, value)| Some((names.as_slice(), value?)));
        Ok(found.collect())
    }
}

/// A body while it is taken apart.
struct Reading<'p> {
    pattern: &'p Pattern,
    values: &'p Values<'p>,
    /// The way to the place that is looked at: only a mismatch asks for its pointer.
    path: Vec<Step<'p>>,
    /// The value of each parameter.
    found: Vec<Option<Value>>,
    /// Where a member of each block was found.
    seen: Vec<Option<String>>,
}

/// One step of the way into a body.
enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

impl<'p> Reading<'p> {
    fn shape(&mut self, shape: &'p Shape, body: &Tree<'_>) -> Result<(), Mismatch> {
        match shape {
            Shape::Literal(literal) if body.is_equal(literal) => Ok(()),
            Shape::Literal(literal) => Err(self.different(&literal.to_string())),
            Shape::Object(members) => self.object(members, body),
            Shape::Array(items) => self.array(items, body),
            Shape::Whole(piece) => self.whole(piece, body),
            Shape::Text(pieces) => match body {
                _ if pieces.iter().any(|it| matches!(it, Piece::Moment)) => Ok(()),
                Tree::String(text) => self.text(pieces, text),
                _ => Err(self.different("a string")),
            },
        }
    }

    fn object(&mut self, members: &'p [Member], body: &Tree<'_>) -> Result<(), Mismatch> {
        let Tree::Object(body) = body else {
            return Err(self.different("an object"));
        };
        // Most bodies are whole and in the template's order: then no name has to be looked for.
        let mut pairs = body.iter().zip(members);
        let is_in_order =
            body.len() == members.len() && pairs.all(|(held, it)| held.name == it.key);
        if !is_in_order {
            self.refuse_extra(members, body)?;
        }
        for (index, member) in members.iter().enumerate() {
            let held = match is_in_order {
                true => body.get(index),
                false => body.iter().find(|held| held.name == member.key),
            };
            let Some(held) = held else { continue };
            self.path.push(Step::Key(&member.key));
            if let Some(group) = member.group
                && self.seen[group].is_none()
            {
                self.seen[group] = Some(self.pointer());
            }
            self.shape(&member.shape, &held.value)?;
            self.path.pop();
        }
        Ok(())
    }

    fn refuse_extra(&self, members: &[Member], body: &[json::Member<'_>]) -> Result<(), Mismatch> {
        let is_declared = |name: &str| members.iter().any(|member| member.key == name);
        let Some(extra) = body.iter().find(|held| !is_declared(&held.name)) else {
            return Ok(());
        };
        let names: Vec<&str> = members.iter().map(|it| it.key.as_str()).collect();
        Err(Mismatch {
            pointer: format!("{}/{}", self.pointer(), as_step(&extra.name)),
            kind: MismatchKind::Undeclared,
            expected: format!("one of {}", names.join(", ")),
            spells: None,
        })
    }

    fn array(&mut self, items: &'p [Shape], body: &Tree<'_>) -> Result<(), Mismatch> {
        match body {
            Tree::Array(body) if body.len() == items.len() => {
                for (index, (item, held)) in items.iter().zip(body).enumerate() {
                    self.path.push(Step::Index(index));
                    self.shape(item, held)?;
                    self.path.pop();
                }
                Ok(())
            }
            _ => Err(self.different(&format!("a list of {}", items.len()))),
        }
    }

    fn whole(&mut self, piece: &'p Piece, body: &Tree<'_>) -> Result<(), Mismatch> {
        match piece {
            Piece::Parameter { index, .. } => self.set(*index, body.to_value()),
            Piece::Fixed(expression) => match value(expression, self.values) {
                Ok(Found::Value(fixed)) if !body.is_equal(&fixed) => Err(self.different(FILLED_IN)),
                // What cannot be rendered is refused by rendering.
                _ => Ok(()),
            },
            Piece::Moment | Piece::Literal(_) => Ok(()),
        }
    }

    fn text(&mut self, pieces: &'p [Piece], text: &str) -> Result<(), Mismatch> {
        let (mut before, mut after, mut parameter) = (String::new(), String::new(), None);
        for piece in pieces {
            let fixed = if parameter.is_none() {
                &mut before
            } else {
                &mut after
            };
            match piece {
                Piece::Literal(literal) => fixed.push_str(literal),
                Piece::Parameter { index, kind } => parameter = Some((*index, *kind)),
                Piece::Fixed(expression) => match value(expression, self.values) {
                    Ok(Found::Value(value)) if write(&value, Place::Plain, fixed).is_ok() => {}
                    _ => return Ok(()),
                },
                Piece::Moment => return Ok(()),
            }
        }
        let Some((index, kind)) = parameter else {
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
                self.names(index).join(".")
            );
            return Err(self.different(&expected));
        };
        let read = match kind {
            Kind::Scalar(kind) => coerce(inner, kind).map_err(|expected| Mismatch {
                spells: Some(self.names(index).to_vec()),
                ..self.different(&expected)
            })?,
            Kind::Untyped | Kind::Structured | Kind::Assumed => Value::from(inner),
        };
        self.set(index, read)
    }

    fn set(&mut self, index: usize, value: Value) -> Result<(), Mismatch> {
        match &self.found[index] {
            None => {
                self.found[index] = Some(value);
                Ok(())
            }
            Some(other) if json::are_equal(other, &value) => Ok(()),
            Some(_) => {
                let name = self.names(index).join(".");
                Err(self.different(&format!("equal to the other places of {name}")))
            }
        }
    }

    /// The members of a block go with its parameter.
    fn refuse_incomplete(&self) -> Result<(), Mismatch> {
        for (index, seen) in self.pattern.groups.iter().zip(&self.seen) {
            if let Some(pointer) = seen
                && self.found[*index].is_none()
            {
                let name = self.names(*index).join(".");
                let expected = format!("absent, since it goes with {name}");
                return Err(different(pointer, &expected));
            }
        }
        Ok(())
    }

    fn names(&self, index: usize) -> &'p [String] {
        &self.pattern.parameters[index]
    }

    fn different(&self, expected: &str) -> Mismatch {
        different(&self.pointer(), expected)
    }

    /// JSON Pointer (RFC 6901) to the place that is looked at.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.path {
            pointer.push('/');
            match step {
                Step::Key(key) => pointer.push_str(&as_step(key)),
                Step::Index(index) => pointer.push_str(&index.to_string()),
            }
        }
        pointer
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
