//! The check of the simplest schemas: an object of scalars with limits that a comparison tells.
//!
//! Most schemas of parameters are such, and the general validator looks each property up by its hash. Here is only the
//! yes: an instance that passes is valid and has nothing undeclared. Whatever is not seen to pass, for whatever reason,
//! is for the general validator to judge, so a rule that is too narrow costs time and nothing else.

use serde_json::Map;
use serde_json::Value;

use super::node::Node;
use super::node::Nodes;
use super::types::Types;

/// Up to this many properties are compared one by one.
const MOST: usize = 16;

/// Keywords that say nothing about whether an instance is valid.
const ANNOTATIONS: [&str; 8] = [
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$comment",
];

/// What the properties of a root must be, in their declared order.
pub(super) struct Plain {
    rules: Box<[Rule]>,
    /// How many of them are required.
    required: usize,
}

/// What one property must be.
struct Rule {
    kind: Kind,
    is_required: bool,
}

enum Kind {
    /// Characters at least and at most.
    Text {
        least: u64,
        most: u64,
    },
    /// One of the values that its node lists.
    Listed,
    Integer {
        least: i64,
        most: i64,
    },
    Number,
    Boolean,
}

impl Plain {
    /// The rules of a schema, as the general validator gets it; `None` where any keyword says more than they can.
    pub(super) fn of(schema: &Value, nodes: &Nodes) -> Option<Self> {
        let root = schema.as_object()?;
        let is_known = |(keyword, held): (&String, &Value)| match keyword.as_str() {
            "type" => held == "object",
            "additionalProperties" => *held == Value::Bool(false),
            "properties" | "required" => true,
            other => ANNOTATIONS.contains(&other),
        };
        if !root.iter().all(is_known) {
            return None;
        }
        let properties = root.get("properties")?.as_object()?;
        let required = match root.get("required") {
            Some(held) => held.as_array()?.as_slice(),
            None => &[],
        };
        let is_declared =
            |name: &Value| name.as_str().is_some_and(|it| properties.contains_key(it));
        if properties.len() > MOST || !required.iter().all(is_declared) {
            return None;
        }
        let rules = nodes.get(Nodes::ROOT).names().map(|name| {
            let is_required = required.iter().any(|it| it == name);
            let kind = Kind::of(properties.get(name)?)?;
            Some(Rule { kind, is_required })
        });
        let rules: Box<[Rule]> = rules.collect::<Option<_>>()?;
        let required = rules.iter().filter(|it| it.is_required).count();
        Some(Self { rules, required })
    }

    /// Whether an instance is seen to pass, given the nodes of the same schema.
    pub(super) fn passes(&self, nodes: &Nodes, instance: &Map<String, Value>) -> bool {
        let rules = nodes.get(Nodes::ROOT).named().zip(&self.rules);
        let mut required = 0;
        for (name, value) in instance {
            let Some(((_, id), rule)) = rules.clone().find(|((it, _), _)| it == name) else {
                return false;
            };
            if !rule.kind.admits(nodes.get(*id), value) {
                return false;
            }
            required += usize::from(rule.is_required);
        }
        required == self.required
    }
}

impl Kind {
    fn of(schema: &Value) -> Option<Self> {
        let keywords = schema.as_object()?;
        let limit = |keyword: &str, otherwise| match keywords.get(keyword) {
            None => Some(otherwise),
            Some(held) => held.as_u64(),
        };
        let bound = |keyword: &str, otherwise| match keywords.get(keyword) {
            None => Some(otherwise),
            Some(held) => held.as_i64(),
        };
        let kind = keywords.get("type")?.as_str()?;
        let (kind, own): (_, &[&str]) = match Types::named(kind) {
            Types::STRING if keywords.contains_key("enum") => (Self::Listed, &["enum"]),
            Types::STRING => {
                let (least, most) = (limit("minLength", 0)?, limit("maxLength", u64::MAX)?);
                (Self::Text { least, most }, &["minLength", "maxLength"])
            }
            Types::INTEGER => {
                let (least, most) = (bound("minimum", i64::MIN)?, bound("maximum", i64::MAX)?);
                (Self::Integer { least, most }, &["minimum", "maximum"])
            }
            Types::NUMBER => (Self::Number, &[]),
            Types::BOOLEAN => (Self::Boolean, &[]),
            _ => return None,
        };
        let is_known = |keyword: &String| {
            let keyword = keyword.as_str();
            keyword == "type" || own.contains(&keyword) || ANNOTATIONS.contains(&keyword)
        };
        keywords.keys().all(is_known).then_some(kind)
    }

    fn admits(&self, node: &Node, value: &Value) -> bool {
        match (self, value) {
            (Self::Text { least, most }, Value::String(text)) => {
                // No text has more characters than bytes, nor less than a quarter of them.
                let bytes = text.len() as u64;
                (*least <= bytes / 4 && bytes <= *most) || {
                    let characters = text.chars().count() as u64;
                    (*least..=*most).contains(&characters)
                }
            }
            (Self::Listed, Value::String(text)) => {
                let listed = node.values.as_deref().unwrap_or_default();
                listed.iter().any(|it| it.as_str() == Some(text))
            }
            (Self::Integer { least, most }, Value::Number(number)) => number
                .as_i64()
                .is_some_and(|it| (*least..=*most).contains(&it)),
            (Self::Number, Value::Number(_)) | (Self::Boolean, Value::Bool(_)) => true,
            _ => false,
        }
    }
}
