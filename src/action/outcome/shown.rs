//! `response`: what of a successful JSON reply reaches the agent. Everything that it does not name stays here.

use std::fmt;

use serde_json::{Map, Value};

use crate::action::outcome::{Content, Left, Shown};
use crate::jsonpath::{SingularPath, Step};
use crate::request::Door;

/// The declared part of a reply, and the form in which tools return it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    fields: Option<Vec<SingularPath>>,
    shape: Option<Vec<(String, SingularPath)>>,
}

/// A member of `shape` that reads what no one of `fields` lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// Its index.
    pub member: usize,
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`fields` does not let this through; add it there, or remove it here")
    }
}

impl std::error::Error for Hidden {}

impl Response {
    /// Takes the places that reach the agent at every door, and the members of the object that tools return.
    ///
    /// # Errors
    /// A member of `shape` that reads what `fields` hides.
    pub fn new(
        fields: Option<Vec<SingularPath>>,
        shape: Option<Vec<(String, SingularPath)>>,
    ) -> Result<Self, Hidden> {
        if let (Some(fields), Some(shape)) = (&fields, &shape) {
            let is_hidden = |path: &SingularPath| !fields.iter().any(|field| field.covers(path));
            if let Some(member) = shape.iter().position(|(_, path)| is_hidden(path)) {
                return Err(Hidden { member });
            }
        }
        Ok(Self { fields, shape })
    }

    /// What a successful reply shows at a door.
    pub(super) fn show(&self, left: Left, door: Door) -> Shown {
        // The operator is to see what there is to declare.
        if door == Door::Call {
            return left.into_shown();
        }
        let shape = self.shape.as_ref().filter(|_| door != Door::Proxy);
        if shape.is_none() && self.fields.is_none() {
            return left.into_shown();
        }
        let value = match left {
            Left::Redacted(value) | Left::Untouched(Content::Json(value)) => value,
            Left::Untouched(Content::Empty) => return Shown::AsCame,
            Left::Untouched(Content::Other) | Left::Withheld => return Shown::Withheld,
        };
        Shown::Json(match (shape, &self.fields) {
            (Some(shape), _) => shaped(shape, &value),
            (None, Some(fields)) => kept(fields, value),
            (None, None) => value,
        })
    }
}

/// Members whose place is not in the reply are left out, as outputs are.
fn shaped(shape: &[(String, SingularPath)], value: &Value) -> Value {
    let member = |(name, path): &(String, SingularPath)| {
        let value = path.select(value)?;
        Some((name.clone(), value.clone()))
    };
    Value::Object(shape.iter().filter_map(member).collect::<Map<_, _>>())
}

/// The fields in their places.
fn kept(fields: &[SingularPath], value: Value) -> Value {
    let locations: Vec<_> = fields.iter().filter_map(|it| it.location(&value)).collect();
    let rests: Vec<&[Step]> = locations.iter().map(Vec::as_slice).collect();
    cut(value, &rests)
}

/// Leaves of a value what the rests of locations lead to. Recursion ends with them: a query has at most 64 steps.
fn cut(value: Value, rests: &[&[Step]]) -> Value {
    if rests.iter().any(|rest| rest.is_empty()) {
        return value;
    }
    match value {
        Value::Object(members) => Value::Object(cut_object(members, rests)),
        Value::Array(elements) => Value::Array(cut_array(elements, rests)),
        _ => Value::Null,
    }
}

fn cut_object(members: Map<String, Value>, rests: &[&[Step]]) -> Map<String, Value> {
    let keep = |(name, value): (String, Value)| {
        let below = below(rests, |step| matches!(step, Step::Name(it) if *it == name));
        (!below.is_empty()).then(|| (name, cut(value, &below)))
    };
    members.into_iter().filter_map(keep).collect()
}

/// An element keeps its index: what stood before it and is not shown becomes `null`, what stood behind goes.
fn cut_array(elements: Vec<Value>, rests: &[&[Step]]) -> Vec<Value> {
    let index = |rest: &&[Step]| match rest.first() {
        Some(Step::Index(index)) => usize::try_from(*index).ok(),
        _ => None,
    };
    let length = rests.iter().filter_map(index).max().map_or(0, |it| it + 1);
    let keep = |(at, value)| {
        let below = below(
            rests,
            |step| matches!(step, Step::Index(it) if *it == at as i64),
        );
        match below.is_empty() {
            true => Value::Null,
            false => cut(value, &below),
        }
    };
    let elements = elements.into_iter().take(length);
    elements.enumerate().map(keep).collect()
}

fn below<'a>(rests: &[&'a [Step]], is_next: impl Fn(&Step) -> bool) -> Vec<&'a [Step]> {
    let next = |rest: &&'a [Step]| {
        let (first, rest) = rest.split_first()?;
        is_next(first).then_some(rest)
    };
    rests.iter().filter_map(next).collect()
}
