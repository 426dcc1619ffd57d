//! From YAML that is shaped like JSON (a JSON Schema, an example) to a JSON value, with a table
//! that finds the place of each part again.

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
    /// Sorted by pointer: this takes a third of the memory of a map, and every action has one.
    parts: Box<[(Box<str>, Part)]>,
}

#[derive(Clone, Debug)]
struct Part {
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
        let mut pointer = pointer;
        loop {
            let found = self.parts.binary_search_by(|(it, _)| (**it).cmp(pointer));
            if let Ok(at) = found {
                return Some(&self.parts[at].1);
            }
            pointer = &pointer[..pointer.rfind('/')?];
        }
    }
}

/// The JSON value of a node. `None`: parts of it are not JSON, which `problems` says.
pub fn to_json(node: &Node, problems: &mut Problems) -> Option<Json> {
    let mut conversion = Conversion {
        problems,
        parts: Vec::new(),
        pointer: String::new(),
    };
    let value = conversion.value(node)?;
    let (root, mut parts) = (node.place.clone(), conversion.parts);
    parts.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Some(Json {
        value,
        places: Places {
            root,
            parts: parts.into(),
        },
    })
}

struct Conversion<'p> {
    problems: &'p mut Problems,
    parts: Vec<(Box<str>, Part)>,
    pointer: String,
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
        let length = self.pointer.len();
        self.pointer.push('/');
        self.pointer
            .push_str(&name.replace('~', "~0").replace('/', "~1"));
        let part = Part {
            key: key.cloned(),
            value: node.place.clone(),
        };
        self.parts.push((self.pointer.as_str().into(), part));
        let value = self.value(node);
        self.pointer.truncate(length);
        value
    }
}
