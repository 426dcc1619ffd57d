//! From YAML that is shaped like JSON (a JSON Schema, an example) to a JSON value, with a table
//! that finds the place of each part again.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;
use serde_json::Map;
use serde_json::Value as JsonValue;

use crate::problem::Place;
use crate::problem::Problem;
use crate::problem::Problems;
use crate::yaml::Entry;
use crate::yaml::Mapping;
use crate::yaml::Node;
use crate::yaml::Resolved;
use crate::yaml::Scalar;
use crate::yaml::Value;

/// A JSON value that was written as YAML.
#[derive(Clone, Debug)]
pub struct Json {
    /// The value. Keys keep the order of the file.
    pub value: JsonValue,
    /// Where its parts stand.
    pub places: Places,
}

/// From JSON pointers (RFC 6901) to places.
#[derive(Clone, Debug)]
pub struct Places {
    root: Place,
    /// The names of all parts, one behind the other.
    names: Box<str>,
    /// In the order of the file, each before those below it. Every action has such a list: it takes a fifth of the
    /// memory of a map.
    parts: Box<[Part]>,
}

/// A member or an item.
#[derive(Clone, Debug)]
struct Part {
    /// Where its name stands, as a pointer spells it.
    name: Range<u32>,
    /// Where those below it end.
    end: u32,
    key: Option<Place>,
    value: Place,
}

impl Places {
    /// Where the value at a pointer stands; for a pointer that leads nowhere, its nearest parent.
    #[must_use]
    pub fn value(&self, pointer: &str) -> &Place {
        self.nearest(pointer).map_or(&self.root, |part| &part.value)
    }

    /// Where the key at a pointer stands, or the value where there is no key.
    #[must_use]
    pub fn key(&self, pointer: &str) -> &Place {
        self.nearest(pointer)
            .map_or(&self.root, |part| part.key.as_ref().unwrap_or(&part.value))
    }

    fn nearest(&self, pointer: &str) -> Option<&Part> {
        let (mut found, mut below) = (None, 0..self.parts.len());
        for name in pointer.split('/').skip(1) {
            let Some(at) = self.child(below, name) else {
                break;
            };
            found = Some(&self.parts[at]);
            below = at + 1..self.parts[at].end as usize;
        }
        found
    }

    /// The part of this name among the uppermost of some parts.
    fn child(&self, mut among: Range<usize>, name: &str) -> Option<usize> {
        while !among.is_empty() {
            let part = &self.parts[among.start];
            if self.names[part.name.start as usize..part.name.end as usize] == *name {
                return Some(among.start);
            }
            among.start = part.end as usize;
        }
        None
    }
}

/// The JSON value of a node. `None`: parts of it are not JSON, which `problems` says.
pub fn to_json(node: &Node, problems: &mut Problems) -> Option<Json> {
    let mut conversion = Conversion {
        problems,
        names: String::new(),
        parts: Vec::new(),
    };
    let value = conversion.value(node)?;
    Some(Json {
        value,
        places: Places {
            root: node.place.clone(),
            names: conversion.names.into(),
            parts: conversion.parts.into(),
        },
    })
}

/// A name as a step of a JSON Pointer (RFC 6901 §3).
#[must_use]
pub fn as_step(name: &str) -> Cow<'_, str> {
    // Hardly any name has one of them.
    match memchr2(b'~', b'/', name.as_bytes()) {
        Some(_) => name.replace('~', "~0").replace('/', "~1").into(),
        None => name.into(),
    }
}

/// In four bytes, of which a file of a million needs three.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).expect("a file has fewer than four billion bytes")
}

struct Conversion<'p> {
    problems: &'p mut Problems,
    names: String,
    parts: Vec<Part>,
}

impl Conversion<'_> {
    fn value(&mut self, node: &Node) -> Option<JsonValue> {
        match &node.value {
            Value::Null => Some(JsonValue::Null),
            Value::Scalar(scalar) => self.scalar(scalar, &node.place),
            Value::Sequence(items) => self.array(items),
            Value::Mapping(mapping) => self.object(mapping),
            Value::Broken => None,
        }
    }

    fn scalar(&mut self, scalar: &Scalar, place: &Place) -> Option<JsonValue> {
        match scalar.resolve() {
            Resolved::Null => Some(JsonValue::Null),
            Resolved::Boolean(value) => Some(JsonValue::Bool(value)),
            Resolved::Integer(number) | Resolved::Float(number) => Some(JsonValue::Number(number)),
            Resolved::Text => Some(JsonValue::String(scalar.text.clone())),
            Resolved::Unclear(reason) => {
                let problem = Problem::error(place, format!("unclear number: {reason}"));
                self.problems
                    .push(problem.remedy("write it in decimal, or quote it for text"));
                None
            }
        }
    }

    fn array(&mut self, items: &[Node]) -> Option<JsonValue> {
        let mut values = Some(Vec::with_capacity(items.len()));
        for (index, item) in items.iter().enumerate() {
            let value = self.part(&index.to_string(), None, item);
            values = values.zip(value).map(|(mut values, value)| {
                values.push(value);
                values
            });
        }
        values.map(JsonValue::Array)
    }

    fn object(&mut self, mapping: &Mapping) -> Option<JsonValue> {
        let mut object = Some(Map::with_capacity(mapping.len()));
        for entry in mapping.iter() {
            let is_text = self.key_is_text(entry);
            let value = self.part(entry.name(), Some(&entry.key.place), &entry.value);
            object = object
                .zip(value.filter(|_| is_text))
                .map(|(mut object, value)| {
                    object.insert(entry.name().to_owned(), value);
                    object
                });
        }
        object.map(JsonValue::Object)
    }

    fn key_is_text(&mut self, entry: &Entry) -> bool {
        if entry.key.value.resolve() == Resolved::Text {
            return true;
        }
        let problem = Problem::error(&entry.key.place, "keys are text in JSON, and this is not");
        self.problems
            .push(problem.remedy(format!("quote it: \"{}\"", entry.name())));
        false
    }

    fn part(&mut self, name: &str, key: Option<&Place>, node: &Node) -> Option<JsonValue> {
        let start = narrow(self.names.len());
        self.names.push_str(&as_step(name));
        let at = self.parts.len();
        self.parts.push(Part {
            name: start..narrow(self.names.len()),
            end: 0,
            key: key.cloned(),
            value: node.place.clone(),
        });
        let value = self.value(node);
        self.parts[at].end = narrow(self.parts.len());
        value
    }
}
