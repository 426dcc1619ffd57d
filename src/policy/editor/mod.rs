//! The language as a JSON Schema (2020-12), for editors: they complete, explain and check a policy while it is written.
//!
//! It is made from the tables behind the files (`raw`), and says what one file can be by itself. What needs more than
//! that, such as names that must be declared, templates, and actions that overlap, is for `check`: a file that fits the
//! schema may still be refused. What does not fit is refused by `check` as well.

mod rules;

use serde_json::{Map, Value, json};

use crate::policy::editor::rules::RULES;
use crate::policy::raw::trial::TrialFile;
use crate::policy::raw::{Field, File, Keys, Need, Section, Shape};

/// The schema of a policy file. Its title, and those of its `$defs`, are what messages call a section: `an action`.
pub fn json_schema() -> Value {
    of_file(&File::SECTION)
}

/// The schema of a file of tests.
pub fn json_schema_of_tests() -> Value {
    of_file(&TrialFile::SECTION)
}

/// The schema of files that have the fields of this section.
fn of_file(section: &Section) -> Value {
    let mut definitions = Definitions::default();
    let mut schema = Map::new();
    schema.insert(
        "$schema".into(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    schema.append(&mut definitions.section(section));
    schema.insert("$defs".into(), Value::Object(definitions.0));
    Value::Object(schema)
}

/// The sections that were met so far, by name. No section leads back to itself.
#[derive(Default)]
struct Definitions(Map<String, Value>);

impl Definitions {
    fn section(&mut self, section: &Section) -> Map<String, Value> {
        let required = section.fields.iter().filter(|it| it.need == Need::Required);
        let required: Vec<&str> = required.map(|it| it.name).collect();
        let properties = section.fields.iter().map(|field| {
            let value = self.field(section, field);
            (field.name.to_owned(), Value::Object(value))
        });
        let properties: Map<String, Value> = properties.collect();
        let mut schema = object(json!({
            "title": section.what,
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        }));
        refine(&mut schema, section, None);
        schema
    }

    fn field(&mut self, section: &Section, field: &Field) -> Map<String, Value> {
        let mut schema = object(json!({"description": field.about}));
        schema.append(&mut object(self.shape(&field.shape)));
        refine(&mut schema, section, Some(field.name));
        schema
    }

    fn shape(&mut self, shape: &Shape) -> Value {
        match shape {
            // Any scalar is taken as it is written, whatever type an editor sees in it.
            Shape::Text => json!({"type": ["string", "number", "boolean"]}),
            Shape::Boolean => json!({"type": "boolean"}),
            Shape::Integer(least, most) if least == most => json!({"const": least}),
            Shape::Integer(least, most) => {
                json!({"type": "integer", "minimum": least, "maximum": most})
            }
            Shape::Duration => titled(rules::duration(), shape),
            Shape::ByteCount => titled(rules::byte_count(), shape),
            Shape::Rate => titled(rules::rate(), shape),
            Shape::OneOf([word]) => json!({"const": word}),
            Shape::OneOf(words) => json!({"enum": words}),
            Shape::List(item) => json!({"type": "array", "items": self.shape(item)}),
            Shape::Map(keys, value) => self.map(*keys, value),
            Shape::Section(section) => self.reference(section),
            Shape::Either(shapes) => self.either(shapes),
            Shape::JsonSchema | Shape::AnyMap => json!({"type": "object"}),
            Shape::Any => json!({}),
        }
    }

    fn map(&mut self, keys: Keys, value: &Shape) -> Value {
        let value_schema = self.shape(value);
        let mut schema = json!({"type": "object", "additionalProperties": value_schema});
        match keys {
            Keys::Free => {}
            Keys::Declared => schema["propertyNames"] = rules::name(&[]),
            Keys::Environments => {
                // A mapping with a field of the value's own section is such a value, not a map of environments.
                schema["propertyNames"] = rules::name(&fields_of(value));
                schema["minProperties"] = json!(1);
            }
        }
        schema
    }

    fn either(&mut self, shapes: &[Shape]) -> Value {
        let mut any = Vec::with_capacity(shapes.len());
        for shape in shapes {
            match self.shape(shape) {
                Value::Object(mut inner) if inner.contains_key("anyOf") => {
                    any.extend(inner.remove("anyOf").into_iter().flat_map(items));
                }
                other => any.push(other),
            }
        }
        let mut schema = json!({"anyOf": any});
        if let Some((tag, words)) = tag_of(shapes) {
            // Editors that look for the branch that fits best would offer the words of one branch only.
            schema["properties"] = json!({tag: {"enum": words}});
        }
        schema
    }

    fn reference(&mut self, section: &Section) -> Value {
        let name = definition(section.what);
        if !self.0.contains_key(&name) {
            // Its place is taken before the sections in it, so that they follow it.
            self.0.insert(name.clone(), Value::Null);
            let schema = self.section(section);
            self.0.insert(name.clone(), Value::Object(schema));
        }
        json!({"$ref": format!("#/$defs/{name}")})
    }
}

/// Adds what `check` holds beyond the table.
fn refine(schema: &mut Map<String, Value>, section: &Section, field: Option<&str>) {
    let fits = RULES
        .iter()
        .filter(|it| it.section == section.what && it.field == field);
    for rule in fits {
        schema.append(&mut object((rule.holds)()));
    }
}

/// `an oauth2_client_credentials connector` is `oauth2_client_credentials_connector`.
fn definition(what: &str) -> String {
    let words = what
        .split(' ')
        .filter(|it| !matches!(*it, "a" | "an" | "the"));
    let words: Vec<String> = words.map(|it| it.replace(['`', '\''], "")).collect();
    words.join("_")
}

/// The fields of the sections that a value can be.
fn fields_of(shape: &Shape) -> Vec<&'static str> {
    match shape {
        Shape::Section(section) => section.fields.iter().map(|it| it.name).collect(),
        Shape::Either(shapes) => shapes.iter().flat_map(fields_of).collect(),
        _ => Vec::new(),
    }
}

/// The field by which sections are told apart, and its word in each.
fn tag_of(shapes: &[Shape]) -> Option<(&'static str, Vec<&'static str>)> {
    let mut tag = None;
    let words = shapes.iter().map(|shape| {
        let Shape::Section(section) = shape else {
            return None;
        };
        let first = section.fields.first()?;
        let Shape::OneOf([word]) = first.shape else {
            return None;
        };
        (*tag.get_or_insert(first.name) == first.name).then_some(*word)
    });
    let words = words.collect::<Option<Vec<_>>>()?;
    Some((tag?, words))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// With what messages call it.
fn titled(mut schema: Value, shape: &Shape) -> Value {
    schema["title"] = shape.in_words().into();
    schema
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        other => vec![other],
    }
}

#[cfg(test)]
mod tests;
