//! A schema for readers who do not know the rule "closed by default": what it closes is closed in so many words.
//!
//! It never refuses what [`super::Schema::check`] accepts. Where several schemas describe one object, JSON Schema has
//! no words for the rule, which asks them together: there the text stays as it was written, and is more open than the
//! check. So it is in definitions, which may be used in many places.

use serde_json::{Map, Value, json};

use super::dialect::{Dialect, children};
use super::format;

/// Keywords whose schemas are asked about the same instance.
const IN_PLACE: [&str; 10] = [
    "$ref",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependencies",
];

/// The parameters of an action: an object, whatever was left out.
pub(super) fn explicit(source: &Value) -> Map<String, Value> {
    let dialect = Dialect::of(source).unwrap_or(Dialect::Draft202012);
    let mut schema = Map::new();
    if dialect != Dialect::Draft202012
        && let Some(named) = source.get("$schema")
    {
        schema.insert("$schema".into(), named.clone());
    }
    schema.insert("type".into(), json!("object"));
    schema.insert("properties".into(), json!({}));
    let keywords = source.as_object().into_iter().flatten();
    let kept =
        keywords.filter(|(name, _)| !matches!(name.as_str(), "$schema" | "$id" | "$comment"));
    schema.extend(kept.map(|(name, value)| (name.clone(), value.clone())));
    spell_out(dialect, &mut schema);
    close(dialect, &mut schema);
    schema
}

/// Formats that only exeat knows, as patterns.
fn spell_out(dialect: Dialect, schema: &mut Map<String, Value>) {
    if schema.get("format").and_then(Value::as_str) == Some(format::PHONE) {
        schema.shift_remove("format");
        let pattern = || Value::from(format::PHONE_PATTERN);
        schema.entry("pattern").or_insert_with(pattern);
    }
    let below = children(dialect, schema, "");
    let pointers: Vec<String> = below.into_iter().map(|it| it.pointer).collect();
    for pointer in pointers {
        if let Some(Value::Object(inner)) = find(schema, &pointer) {
            spell_out(dialect, inner);
        }
    }
}

/// Closes an object, and below it what no other schema describes.
fn close(dialect: Dialect, schema: &mut Map<String, Value>) {
    let is_alone = !IN_PLACE.iter().any(|it| schema.contains_key(*it));
    let mut elsewhere = Some(Vec::new());
    if !is_alone {
        names_in_place(&Value::Object(schema.clone()), &mut elsewhere);
    }
    let chooses = |it: &str| schema.contains_key(it);
    if may_be_object(schema)
        && !chooses("additionalProperties")
        && !chooses("unevaluatedProperties")
    {
        let own = schema.get("properties");
        let is_own = |name: &String| own.is_some_and(|it| it.get(name).is_some());
        let has_all = elsewhere.as_ref().is_some_and(|it| it.iter().all(is_own));
        match (has_all, dialect) {
            (true, _) => drop(schema.insert("additionalProperties".into(), json!(false))),
            (false, Dialect::Draft7) => {}
            (false, _) => drop(schema.insert("unevaluatedProperties".into(), json!(false))),
        }
    }
    let Some(elsewhere) = elsewhere.filter(|_| !schema.contains_key("patternProperties")) else {
        return;
    };
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        let alone = properties
            .iter_mut()
            .filter(|(name, _)| !elsewhere.contains(name));
        alone.for_each(|(_, value)| close_value(dialect, value));
    }
    if is_alone && !schema.contains_key("contains") {
        for keyword in ["additionalProperties", "items", "prefixItems"] {
            match schema.get_mut(keyword) {
                Some(Value::Array(items)) => {
                    items.iter_mut().for_each(|it| close_value(dialect, it))
                }
                Some(value) => close_value(dialect, value),
                None => {}
            }
        }
    }
}

fn close_value(dialect: Dialect, schema: &mut Value) {
    if let Value::Object(schema) = schema {
        close(dialect, schema);
    }
}

fn may_be_object(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::String(only)) => only == "object",
        Some(Value::Array(types)) => types.iter().any(|it| it == "object"),
        _ => schema.contains_key("properties"),
    }
}

/// The names of properties that are described in another place than `properties`. `None`: nobody can say, for a
/// reference leads elsewhere or a pattern matches.
fn names_in_place(schema: &Value, found: &mut Option<Vec<String>>) {
    let Value::Object(keywords) = schema else {
        return;
    };
    let leads_away = [
        "$ref",
        "patternProperties",
        "additionalProperties",
        "unevaluatedProperties",
    ];
    for keyword in IN_PLACE {
        let inner: Vec<&Value> = match keywords.get(keyword) {
            None => continue,
            Some(Value::Array(list)) => list.iter().collect(),
            Some(Value::Object(named)) if keyword.starts_with("depend") => named.values().collect(),
            Some(one) => vec![one],
        };
        for inner in inner {
            if keyword == "$ref"
                || leads_away
                    .iter()
                    .any(|it| inner.get(it).is_some_and(|it| *it != false))
            {
                *found = None;
                return;
            }
            let properties = inner.get("properties").and_then(Value::as_object);
            let names = properties.into_iter().flat_map(Map::keys).cloned();
            if let Some(found) = found {
                found.extend(names);
            }
            names_in_place(inner, found);
        }
    }
}

fn find<'s>(schema: &'s mut Map<String, Value>, pointer: &str) -> Option<&'s mut Value> {
    let rest = pointer.strip_prefix('/')?;
    let (keyword, below) = match rest.find('/') {
        Some(at) => (&rest[..at], &rest[at..]),
        None => (rest, ""),
    };
    let keyword = keyword.replace("~1", "/").replace("~0", "~");
    schema.get_mut(&keyword)?.pointer_mut(below)
}
