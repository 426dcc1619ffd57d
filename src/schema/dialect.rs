//! The dialects of JSON Schema that a policy may use, and what each keyword holds.
//!
//! One table: reading the source, rewriting patterns and building nodes all find subschemas through
//! it, so none of them can see a schema that another overlooks. What a keyword *means* for an
//! instance is the business of the `jsonschema` crate.

use std::borrow::Cow;

use jsonschema::Draft;
use serde_json::Map;
use serde_json::Value;

use crate::yaml::as_step;

/// A supported dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Dialect {
    Draft7,
    Draft201909,
    Draft202012,
}

/// What stands under a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// One schema.
    Schema,
    /// An array of schemas.
    Schemas,
    /// One schema, or an array of schemas.
    SchemaOrSchemas,
    /// Names to schemas.
    Named,
    /// Names to schemas or to arrays of names (`dependencies` of draft 7).
    NamedOrNames,
    /// Anything that is not a schema; `true` if it can refuse an instance.
    Plain { asserts: bool },
    /// A keyword that exists, but not in a policy: why, and what to write instead.
    Refused(&'static str),
}

const ASSERTION: Holds = Holds::Plain { asserts: true };
const ANNOTATION: Holds = Holds::Plain { asserts: false };
const NO_DYNAMIC: Holds =
    Holds::Refused("write \"$ref\": references are resolved when the policy is loaded");
const NO_VOCABULARY: Holds =
    Holds::Refused("remove it: a policy uses the vocabularies of its dialect");

/// Keywords of every dialect.
const COMMON: &[(&str, Holds)] = &[
    ("$schema", ANNOTATION),
    ("$id", ANNOTATION),
    ("$ref", ASSERTION),
    ("$comment", ANNOTATION),
    ("definitions", Holds::Named),
    ("title", ANNOTATION),
    ("description", ANNOTATION),
    ("default", ANNOTATION),
    ("examples", ANNOTATION),
    ("readOnly", ANNOTATION),
    ("writeOnly", ANNOTATION),
    ("type", ASSERTION),
    ("enum", ASSERTION),
    ("const", ASSERTION),
    ("format", ASSERTION),
    ("contentEncoding", ASSERTION),
    ("contentMediaType", ASSERTION),
    ("multipleOf", ASSERTION),
    ("maximum", ASSERTION),
    ("exclusiveMaximum", ASSERTION),
    ("minimum", ASSERTION),
    ("exclusiveMinimum", ASSERTION),
    ("maxLength", ASSERTION),
    ("minLength", ASSERTION),
    ("pattern", ASSERTION),
    ("maxItems", ASSERTION),
    ("minItems", ASSERTION),
    ("uniqueItems", ASSERTION),
    ("maxProperties", ASSERTION),
    ("minProperties", ASSERTION),
    ("required", ASSERTION),
    ("properties", Holds::Named),
    ("patternProperties", Holds::Named),
    ("additionalProperties", Holds::Schema),
    ("propertyNames", Holds::Schema),
    ("contains", Holds::Schema),
    ("allOf", Holds::Schemas),
    ("anyOf", Holds::Schemas),
    ("oneOf", Holds::Schemas),
    ("not", Holds::Schema),
    ("if", Holds::Schema),
    ("then", Holds::Schema),
    ("else", Holds::Schema),
];

/// Keywords that came with 2019-09 and stayed.
const SINCE_2019: &[(&str, Holds)] = &[
    ("$defs", Holds::Named),
    ("$anchor", ANNOTATION),
    ("$vocabulary", NO_VOCABULARY),
    ("deprecated", ANNOTATION),
    ("contentSchema", Holds::Schema),
    ("dependentSchemas", Holds::Named),
    ("dependentRequired", ASSERTION),
    ("minContains", ASSERTION),
    ("maxContains", ASSERTION),
    ("unevaluatedItems", Holds::Schema),
    ("unevaluatedProperties", Holds::Schema),
];

const ONLY_DRAFT_7: &[(&str, Holds)] = &[
    ("items", Holds::SchemaOrSchemas),
    ("additionalItems", Holds::Schema),
    ("dependencies", Holds::NamedOrNames),
];

const ONLY_2019: &[(&str, Holds)] = &[
    ("items", Holds::SchemaOrSchemas),
    ("additionalItems", Holds::Schema),
    ("$recursiveRef", NO_DYNAMIC),
    ("$recursiveAnchor", NO_DYNAMIC),
];

const ONLY_2020: &[(&str, Holds)] = &[
    ("prefixItems", Holds::Schemas),
    ("items", Holds::Schema),
    ("$dynamicRef", NO_DYNAMIC),
    ("$dynamicAnchor", NO_DYNAMIC),
];

impl Dialect {
    /// The dialect that `$schema` names; without it, 2020-12.
    pub(super) fn of(schema: &Value) -> Option<Self> {
        let Some(named) = schema.get("$schema") else {
            return Some(Self::Draft202012);
        };
        let uri = named.as_str()?.trim_end_matches('#');
        let uri = uri
            .strip_prefix("https://")
            .or_else(|| uri.strip_prefix("http://"))?;
        match uri {
            "json-schema.org/draft-07/schema" => Some(Self::Draft7),
            "json-schema.org/draft/2019-09/schema" => Some(Self::Draft201909),
            "json-schema.org/draft/2020-12/schema" => Some(Self::Draft202012),
            _ => None,
        }
    }

    pub(super) const fn draft(self) -> Draft {
        match self {
            Self::Draft7 => Draft::Draft7,
            Self::Draft201909 => Draft::Draft201909,
            Self::Draft202012 => Draft::Draft202012,
        }
    }

    /// What `keyword` holds; `None` for a keyword that this dialect does not know.
    pub(super) fn holds(self, keyword: &str) -> Option<Holds> {
        let mut known = self.keywords();
        known
            .find(|(name, _)| *name == keyword)
            .map(|(_, holds)| *holds)
    }

    /// The keyword that was probably meant.
    pub(super) fn nearest(self, keyword: &str) -> Option<&'static str> {
        let usable = self
            .keywords()
            .filter(|(_, holds)| !matches!(holds, Holds::Refused(_)));
        let near = usable.map(|(name, _)| (strsim::osa_distance(keyword, name), *name));
        let (distance, name) = near.min_by_key(|(distance, _)| *distance)?;
        (distance <= 1.max(keyword.len() / 3)).then_some(name)
    }

    fn keywords(self) -> impl Iterator<Item = &'static (&'static str, Holds)> {
        let (since, only): (&[_], &[_]) = match self {
            Self::Draft7 => (&[], ONLY_DRAFT_7),
            Self::Draft201909 => (SINCE_2019, ONLY_2019),
            Self::Draft202012 => (SINCE_2019, ONLY_2020),
        };
        COMMON.iter().chain(since).chain(only)
    }
}

/// A schema that stands directly under a keyword of another one.
pub(super) struct Child<'a> {
    pub(super) keyword: &'a str,
    /// The property name, pattern or definition name under which it stands, if the keyword has names.
    pub(super) name: Option<&'a str>,
    pub(super) pointer: String,
    pub(super) schema: &'a Value,
    /// Whether it stands in an array.
    pub(super) listed: bool,
}

/// Every schema directly below `schema`, in the order of the text.
pub(super) fn children<'a>(
    dialect: Dialect,
    schema: &'a Map<String, Value>,
    pointer: &str,
) -> Vec<Child<'a>> {
    let mut found = Vec::new();
    for (keyword, held) in schema {
        let below = format!("{pointer}/{}", as_step(keyword));
        let child = |name, step: Option<Cow<'_, str>>, schema| Child {
            keyword,
            name,
            pointer: step.map_or_else(|| below.clone(), |step| format!("{below}/{step}")),
            schema,
            listed: held.is_array(),
        };
        match (dialect.holds(keyword), held) {
            (Some(Holds::Schemas | Holds::SchemaOrSchemas), Value::Array(list)) => {
                let items = list.iter().enumerate();
                found.extend(items.map(|(at, it)| child(None, Some(at.to_string().into()), it)));
            }
            (Some(Holds::Schema | Holds::SchemaOrSchemas), _) => {
                found.push(child(None, None, held))
            }
            (Some(Holds::Named), Value::Object(map)) => {
                found.extend(
                    map.iter()
                        .map(|(name, it)| child(Some(name), Some(as_step(name)), it)),
                );
            }
            (Some(Holds::NamedOrNames), Value::Object(map)) => {
                let schemas = map.iter().filter(|(_, it)| !it.is_array());
                found.extend(schemas.map(|(name, it)| child(Some(name), Some(as_step(name)), it)));
            }
            _ => {}
        }
    }
    found
}
