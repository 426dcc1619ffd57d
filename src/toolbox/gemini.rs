//! Parameters in the schema language of Gemini: a part of OpenAPI 3.0's, without references, closed objects and
//! conditions, whose enumerations are of strings.
//!
//! What it cannot say is said in the description where a few words do, and else left out. Properties that stand only in
//! some branch are listed as optional ones, so that the model knows of them.

use serde_json::{Map, Number, Value, json};

/// Keywords that mean the same there.
const SAME: [&str; 11] = [
    "title",
    "default",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
];

/// A keyword of our own, on the way: the values that a property has in some cases.
const DEPENDING: &str = "\0depending";

/// Another one: the property is declared in some cases only.
const BRANCH_ONLY: &str = "\0branch_only";

/// `parameters` of a function declaration; `None` where there are none, which is said by leaving it out.
pub(super) fn parameters(schema: &Map<String, Value>) -> Option<Value> {
    let inlined = inline(&Value::Object(schema.clone()), schema, &mut Vec::new());
    let written = object(&whole(inlined.as_object()?));
    let has_some = written.contains_key("properties");
    has_some.then_some(Value::Object(written))
}

/// The schema with what its references lead to. One that leads back into itself is an object of which no more is said.
fn inline<'s>(value: &'s Value, root: &'s Map<String, Value>, within: &mut Vec<&'s str>) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|it| inline(it, root, within)).collect(),
        Value::Object(keywords) => {
            let reference = keywords.get("$ref").and_then(Value::as_str);
            let is_left = |keyword: &str| matches!(keyword, "$ref" | "$defs" | "definitions");
            let mut inlined = Map::new();
            for (keyword, held) in keywords
                .iter()
                .filter(|(it, held)| !is_left(it) || (*it == "$ref" && !held.is_string()))
            {
                let is_value =
                    matches!(keyword.as_str(), "enum" | "const" | "default" | "examples");
                let held = if is_value {
                    held.clone()
                } else {
                    inline(held, root, within)
                };
                inlined.insert(keyword.clone(), held);
            }
            let Some(reference) = reference else {
                return Value::Object(inlined);
            };
            if within.contains(&reference) {
                inlined.entry("type").or_insert_with(|| json!("object"));
                return Value::Object(inlined);
            }
            within.push(reference);
            if let Some(Value::Object(target)) =
                target(root, reference).map(|it| inline(it, root, within))
            {
                merge(&mut inlined, &target, true);
            }
            within.pop();
            Value::Object(inlined)
        }
        other => other.clone(),
    }
}

fn target<'s>(root: &'s Map<String, Value>, reference: &str) -> Option<&'s Value> {
    let mut steps = reference.strip_prefix("#/")?.split('/');
    let step = |it: &str| it.replace("~1", "/").replace("~0", "~");
    let first = root.get(&step(steps.next()?))?;
    steps.try_fold(first, |at, it| at.get(step(it)))
}

fn value(schema: &Value) -> Value {
    let Value::Object(schema) = schema else {
        return json!({"type": "string"});
    };
    let schema = whole(schema);
    let branches = ["anyOf", "oneOf"]
        .iter()
        .find_map(|it| schema.get(*it)?.as_array());
    if let Some(branches) = branches.filter(|_| !schema.contains_key("properties")) {
        return any_of(&schema, branches);
    }
    let (types, nullable) = types(&schema);
    let one = |kind: &str| {
        let mut written = typed(kind, &schema);
        if nullable {
            written.insert("nullable".into(), json!(true));
        }
        Value::Object(written)
    };
    match types.as_slice() {
        [] => one("string"),
        [only] => one(only),
        several => json!({"anyOf": several.iter().map(|it| one(it)).collect::<Vec<_>>()}),
    }
}

/// Beside `anyOf` nothing else may stand: what is said of all branches is said of each.
fn any_of(schema: &Map<String, Value>, branches: &[Value]) -> Value {
    let mut shared = schema.clone();
    shared.retain(|keyword, _| !matches!(keyword.as_str(), "anyOf" | "oneOf"));
    let each = branches.iter().map(|branch| {
        let mut one = branch.as_object().cloned().unwrap_or_default();
        merge(&mut one, &shared, true);
        value(&Value::Object(one))
    });
    json!({"anyOf": each.collect::<Vec<_>>()})
}

fn typed(kind: &str, schema: &Map<String, Value>) -> Map<String, Value> {
    match kind {
        "object" => object(schema),
        "array" => array(schema),
        _ => scalar(kind, schema),
    }
}

fn object(schema: &Map<String, Value>) -> Map<String, Value> {
    let mut written = same("object", schema);
    let properties = schema.get("properties").and_then(Value::as_object);
    let properties = properties.into_iter().flatten();
    let properties: Map<String, Value> = properties
        .map(|(name, it)| (name.clone(), value(it)))
        .collect();
    let required = schema.get("required").and_then(Value::as_array);
    let required = required.into_iter().flatten().filter_map(Value::as_str);
    let required: Vec<&str> = required.filter(|it| properties.contains_key(*it)).collect();
    if !required.is_empty() {
        written.insert("required".into(), json!(required));
    }
    if !properties.is_empty() {
        written.insert("properties".into(), Value::Object(properties));
    }
    written
}

fn array(schema: &Map<String, Value>) -> Map<String, Value> {
    let mut written = same("array", schema);
    let items = match (schema.get("items"), schema.get("prefixItems")) {
        (Some(Value::Array(first)), _) | (None, Some(Value::Array(first))) => first.first(),
        (items, _) => items,
    };
    written.insert("items".into(), value(items.unwrap_or(&Value::Null)));
    if schema.get("uniqueItems") == Some(&json!(true)) {
        add(&mut written, "No item stands twice.");
    }
    written
}

/// The schema with what its combinations add to it.
fn whole(schema: &Map<String, Value>) -> Map<String, Value> {
    let mut found = Map::new();
    gather(&mut found, schema, true);
    found
}

/// Adds what a schema and its combinations say of one value, for certain or in some cases only.
fn gather(found: &mut Map<String, Value>, schema: &Map<String, Value>, is_certain: bool) {
    const COMBINATIONS: [(&str, bool); 6] = [
        ("allOf", true),
        ("anyOf", false),
        ("oneOf", false),
        ("then", false),
        ("else", false),
        ("dependentSchemas", false),
    ];
    let is_choice = |keyword: &str| matches!(keyword, "anyOf" | "oneOf");
    let mut own = schema.clone();
    own.retain(|keyword, _| {
        is_choice(keyword) || !COMBINATIONS.iter().any(|(it, _)| it == keyword)
    });
    merge(found, &own, is_certain);
    for (keyword, applies) in COMBINATIONS {
        if is_choice(keyword) && !found.contains_key("properties") {
            continue;
        }
        for part in parts(keyword, schema.get(keyword)) {
            gather(found, part, is_certain && applies);
        }
    }
}

/// The schemas under a keyword.
fn parts<'v>(keyword: &str, held: Option<&'v Value>) -> Vec<&'v Map<String, Value>> {
    let all: Vec<&Value> = match held {
        None => Vec::new(),
        Some(Value::Array(list)) => list.iter().collect(),
        Some(Value::Object(named)) if keyword == "dependentSchemas" => named.values().collect(),
        Some(one) => vec![one],
    };
    all.into_iter().filter_map(Value::as_object).collect()
}

/// Adds what another schema says of the same value. What applies to some values only adds names.
fn merge(whole: &mut Map<String, Value>, part: &Map<String, Value>, is_certain: bool) {
    for (keyword, value) in part {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(more)) => {
                let known = whole.entry("properties").or_insert_with(|| json!({}));
                for (name, value) in more {
                    add_property(known, name, value, is_certain);
                }
            }
            ("required", Value::Array(more)) if is_certain => {
                let known = whole.entry("required").or_insert_with(|| json!([]));
                if let Some(known) = known.as_array_mut() {
                    let new: Vec<Value> = more
                        .iter()
                        .filter(|it| !known.contains(it))
                        .cloned()
                        .collect();
                    known.extend(new);
                }
            }
            _ if is_certain => drop(whole.entry(keyword).or_insert_with(|| value.clone())),
            _ => {}
        }
    }
}

/// What is said of a property in some cases only limits it in no other; but the model should know the values.
fn add_property(known: &mut Value, name: &str, more: &Value, is_certain: bool) {
    let more = match more {
        Value::Object(more) => more,
        Value::Bool(true) => &Map::new(),
        _ => return,
    };
    let Some(Value::Object(property)) = known.get_mut(name) else {
        let mut property = more.clone();
        if !is_certain {
            property.insert(BRANCH_ONLY.into(), json!(true));
        }
        known[name] = Value::Object(property);
        return;
    };
    let new: Vec<Value> = values(more).into_iter().cloned().collect();
    let old: Vec<Value> = values(property).into_iter().cloned().collect();
    if is_certain {
        property.shift_remove(BRANCH_ONLY);
        merge(property, more, true);
    } else if property.contains_key(BRANCH_ONLY) {
        property.retain(|keyword, held| keyword == BRANCH_ONLY || more.get(keyword) == Some(held));
        if !old.is_empty() && !new.is_empty() {
            property.shift_remove("const");
            property.insert("enum".into(), union(old, new));
        }
    } else if old.is_empty() && !new.is_empty() {
        let listed = property.get(DEPENDING).and_then(Value::as_array).cloned();
        property.insert(DEPENDING.into(), union(listed.unwrap_or_default(), new));
    }
}

fn union(mut one: Vec<Value>, other: Vec<Value>) -> Value {
    for value in other {
        if !one.contains(&value) {
            one.push(value);
        }
    }
    Value::Array(one)
}

/// The types that a value may have, but null, and whether it may be null.
fn types(schema: &Map<String, Value>) -> (Vec<&str>, bool) {
    let declared: Vec<&str> = match schema.get("type") {
        Some(Value::String(only)) => vec![only],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => inferred(schema).into_iter().collect(),
    };
    let nullable = declared.contains(&"null");
    (
        declared.into_iter().filter(|it| *it != "null").collect(),
        nullable,
    )
}

fn inferred(schema: &Map<String, Value>) -> Option<&'static str> {
    let has = |keyword: &str| schema.contains_key(keyword);
    if has("properties") || has("required") {
        return Some("object");
    }
    if has("items") || has("prefixItems") {
        return Some("array");
    }
    if has("minimum") || has("maximum") || has("multipleOf") {
        return Some("number");
    }
    match values(schema).first() {
        Some(Value::Bool(_)) => Some("boolean"),
        Some(Value::Number(number)) if number.is_f64() => Some("number"),
        Some(Value::Number(_)) => Some("integer"),
        _ => None,
    }
}

/// The values of `enum`, or the one of `const`.
fn values(schema: &Map<String, Value>) -> Vec<&Value> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(one), _) => vec![one],
        (None, Some(Value::Array(list))) => list.iter().collect(),
        _ => Vec::new(),
    }
}

fn scalar(kind: &str, schema: &Map<String, Value>) -> Map<String, Value> {
    let mut written = same(kind, schema);
    let values = values(schema);
    if kind == "string" && !values.is_empty() && values.iter().all(|it| it.is_string()) {
        written.insert("enum".into(), json!(values));
    } else if !values.is_empty() {
        let values: Vec<String> = values.into_iter().map(in_words).collect();
        add(&mut written, &format!("One of: {}.", values.join(", ")));
    }
    let depending = schema.get(DEPENDING).and_then(Value::as_array);
    if let Some(values) = depending.filter(|it| !it.is_empty()) {
        let values: Vec<String> = values.iter().map(in_words).collect();
        add(
            &mut written,
            &format!(
                "Depending on other parameters, one of: {}.",
                values.join(", ")
            ),
        );
    }
    match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => drop(written.insert("format".into(), json!("date-time"))),
        Some(format) => add(&mut written, &format!("Format: {format}.")),
        None => {}
    }
    for (keyword, bound, step) in [
        ("exclusiveMinimum", "minimum", 1),
        ("exclusiveMaximum", "maximum", -1),
    ] {
        let Some(limit) = schema.get(keyword) else {
            continue;
        };
        match limit.as_i64().filter(|_| kind == "integer") {
            Some(limit) => drop(written.insert(
                bound.into(),
                json!(Number::from(limit.saturating_add(step))),
            )),
            None if step > 0 => add(&mut written, &format!("More than {limit}.")),
            None => add(&mut written, &format!("Less than {limit}.")),
        }
    }
    if let Some(step) = schema.get("multipleOf") {
        add(&mut written, &format!("A multiple of {step}."));
    }
    written
}

fn in_words(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn same(kind: &str, schema: &Map<String, Value>) -> Map<String, Value> {
    let mut written = Map::from_iter([("type".to_owned(), json!(kind))]);
    if let Some(description) = schema.get("description") {
        written.insert("description".into(), description.clone());
    }
    let kept = SAME.iter().filter(|keyword| fits(keyword, kind));
    let kept =
        kept.filter_map(|keyword| Some(((*keyword).to_owned(), schema.get(*keyword)?.clone())));
    written.extend(kept);
    if let Some(example) = schema.get("examples").and_then(|it| it.get(0)) {
        written.insert("example".into(), example.clone());
    }
    written
}

fn fits(keyword: &str, kind: &str) -> bool {
    match keyword {
        "minItems" | "maxItems" => kind == "array",
        "minProperties" | "maxProperties" => kind == "object",
        "minLength" | "maxLength" | "pattern" => kind == "string",
        "minimum" | "maximum" => matches!(kind, "integer" | "number"),
        _ => true,
    }
}

/// Adds a sentence to the description.
fn add(written: &mut Map<String, Value>, sentence: &str) {
    let said = written
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let said = said.trim_end();
    let gap = match said.chars().last() {
        None => "",
        Some('.' | '!' | '?' | ':') => " ",
        Some(_) => ". ",
    };
    let whole = format!("{said}{gap}{sentence}");
    written.insert("description".into(), json!(whole));
}
