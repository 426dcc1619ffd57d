//! What `check` holds beyond the tables of fields, where a schema can hold it too: patterns of names and of scalars,
//! fields that belong together, lists that must not be empty.

use serde_json::{Value, json};

use crate::name::MAX_LENGTH;

/// Keywords for a section, or for a field of one.
pub(super) struct Rule {
    /// The section, as messages call it.
    pub(super) section: &'static str,
    /// Its field. `None`: the section as a whole.
    pub(super) field: Option<&'static str>,
    /// The keywords. They replace those of the same name that the table gives.
    pub(super) holds: fn() -> Value,
}

/// Every rule. A test holds that what they refuse `check` refuses.
pub(super) const RULES: &[Rule] = &[
    of(
        "a policy",
        "environments",
        || json!({"items": {"allOf": [{"type": "string"}, name(&[])]}, "minItems": 1, "uniqueItems": true}),
    ),
    of(
        "a policy",
        "static_variables",
        || json!({"propertyNames": named("^[A-Za-z_][A-Za-z0-9_]*$", &[])}),
    ),
    of("a policy", "context", || {
        let words = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$";
        json!({"propertyNames": named(words, &[])})
    }),
    whole("the source of a secret", || {
        json!({
            "oneOf": [
                {"required": ["env"]},
                {"required": ["file"]},
                {"required": ["command"]},
                {"required": ["store"]},
            ],
            "dependentRequired": {"ttl": ["command"]},
        })
    }),
    of(
        "the source of a secret",
        "command",
        || json!({"minItems": 1}),
    ),
    of("a `bearer` connector", "token", mapping),
    of("an `api_key` connector", "value", mapping),
    of(
        "an `oauth2_client_credentials` connector",
        "client_secret",
        mapping,
    ),
    whole("an action", || {
        json!({
            "oneOf": [{"required": ["url"]}, {"required": ["connection"]}],
            "not": {"required": ["parameters", "variables"]},
            "dependentRequired": {"path": ["connection"]},
        })
    }),
    of("an action", "parameters", || {
        json!({"properties": {
            "type": {"const": "object"},
            "properties": {"type": "object"},
            "required": {"type": "array", "items": {"type": "string"}},
        }})
    }),
    of("an action", "content_types", not_empty),
    of("an action", "doors", not_empty),
    of(
        "an action",
        "outcomes",
        || json!({"propertyNames": {"pattern": "^([1-5][0-9]{2}|[1-5]xx|others)$"}}),
    ),
    of(
        "an action",
        "outputs",
        || json!({"propertyNames": {"pattern": r"^[a-z0-9_]+(\.[a-z0-9_]+)*$"}}),
    ),
    whole("a success", condition),
    of("a success", "status", not_empty),
    whole("an outcome of a list", condition),
    of("an outcome of a list", "status", not_empty),
    whole("a response", || json!({"minProperties": 1})),
    of("a tunnel", "hosts", not_empty),
    of("a tunnel", "ports", not_empty),
    whole("a test", || one_of(&["request", "call", "steps"])),
    whole("a step", || one_of(&["request", "call"])),
    whole(
        "an expectation",
        || json!({"minProperties": 1, "if": {"required": ["refused"]}, "then": {"maxProperties": 1}}),
    ),
    whole("an expected request", || json!({"minProperties": 1})),
    of("an expected request", "headers", || {
        let text = ["string", "number", "boolean"];
        json!({"additionalProperties": {"anyOf": [
            {"type": text}, {"type": "array", "items": {"type": text}}, {"type": "null"},
        ]}})
    }),
];

const fn whole(section: &'static str, holds: fn() -> Value) -> Rule {
    Rule {
        section,
        field: None,
        holds,
    }
}

const fn of(section: &'static str, field: &'static str, holds: fn() -> Value) -> Rule {
    Rule {
        section,
        field: Some(field),
        holds,
    }
}

/// A name that is declared, and none of these.
pub(super) fn name(but: &[&str]) -> Value {
    named(&format!("^[A-Za-z0-9_-]{{1,{MAX_LENGTH}}}$"), but)
}

/// `none` is reserved in every section.
fn named(pattern: &str, but: &[&str]) -> Value {
    let but: Vec<&str> = but.iter().copied().chain(["none"]).collect();
    json!({"pattern": pattern, "not": {"enum": but}})
}

/// A whole number and its unit. That it is at most a day is for `check`.
pub(super) fn duration() -> Value {
    json!({"type": "string", "pattern": "^0*[1-9][0-9]*(ms|s|m|h)$"})
}

/// A whole number, with or without a unit. That it is at most 1 GiB is for `check`.
pub(super) fn byte_count() -> Value {
    let text = "^0*[1-9][0-9]*(B|[kK]B|MB|GB|KiB|MiB|GiB)?$";
    json!({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": text}]})
}

/// A number of calls and a unit of time. That it is at most a million is for `check`.
pub(super) fn rate() -> Value {
    json!({"type": "string", "pattern": "^[1-9][0-9]*/(second|minute|hour|day)$"})
}

/// Where text would be the credential itself.
fn mapping() -> Value {
    json!({"type": "object"})
}

fn not_empty() -> Value {
    json!({"minItems": 1})
}

/// Exactly one of these fields.
fn one_of(fields: &[&str]) -> Value {
    let one: Vec<Value> = fields.iter().map(|it| json!({"required": [it]})).collect();
    json!({"oneOf": one})
}

/// A place in a reply, and what is asked of it.
fn condition() -> Value {
    json!({
        "dependentRequired": {"equals": ["path"], "exists": ["path"]},
        "if": {"required": ["path"]},
        "then": {"oneOf": [{"required": ["equals"]}, {"required": ["exists"]}]},
    })
}
