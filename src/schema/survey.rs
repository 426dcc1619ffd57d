//! Reads the source of a schema and collects everything that is wrong with it.
//!
//! The `jsonschema` crate stops at its first error, ignores unknown keywords, and would follow a
//! remote reference; a policy author sees all mistakes at once, and nothing is fetched. What the
//! keywords mean for an instance is not checked here.

use std::collections::BTreeMap;
use std::collections::HashMap;

use serde_json::Map;
use serde_json::Value;

use super::Problems;
use super::dialect::Child;
use super::dialect::Dialect;
use super::dialect::Holds;
use super::dialect::children;
use super::format;
use super::pattern::with_ascii_spaces;
use super::patterns::Patterns;
use crate::json::fold_case;
use crate::yaml::as_step;

/// Deeper schemas are a mistake or an attack on whoever reads them.
const MAX_DEPTH: usize = 64;

/// What `contentEncoding` can say (RFC 4648). Another name would be ignored.
const ENCODINGS: [&str; 5] = ["base64", "base64url", "base32", "base32hex", "base16"];

/// What the survey learned of a schema, beside its problems.
#[derive(Default)]
pub(super) struct Survey {
    /// Every `$anchor`, with the pointer of its schema.
    pub(super) anchors: BTreeMap<String, String>,
}

/// Walks every schema in `root`.
pub(super) fn survey(
    dialect: Dialect,
    root: &Value,
    patterns: &Patterns,
    problems: &mut Problems,
) -> Survey {
    let mut surveyor = Surveyor {
        dialect,
        patterns,
        problems,
        found: Survey::default(),
    };
    surveyor.schema(root, "", 0);
    surveyor.found
}

struct Surveyor<'a> {
    dialect: Dialect,
    patterns: &'a Patterns,
    problems: &'a mut Problems,
    found: Survey,
}

impl Surveyor<'_> {
    fn schema(&mut self, schema: &Value, pointer: &str, depth: usize) {
        let schema = match schema {
            Value::Object(schema) => schema,
            Value::Bool(_) => return,
            _ => {
                let remedy = "write a mapping of keywords, or true or false";
                return self.problems.add(pointer, "this is not a schema", remedy);
            }
        };
        if depth > MAX_DEPTH {
            let remedy = "describe fewer levels, or let $ref repeat a definition";
            return self
                .problems
                .add(pointer, "this schema nests deeper than 64 levels", remedy);
        }
        for (keyword, held) in schema {
            self.keyword(keyword, held, pointer);
        }
        self.lonely_branches(schema, pointer);
        self.ignored_siblings(schema, pointer);
        for Child {
            schema, pointer, ..
        } in children(self.dialect, schema, pointer)
        {
            self.schema(schema, &pointer, depth + 1);
        }
    }

    fn keyword(&mut self, keyword: &str, held: &Value, pointer: &str) {
        let at = format!("{pointer}/{}", as_step(keyword));
        match self.dialect.holds(keyword) {
            None => return self.unknown(keyword, &at),
            Some(Holds::Refused(remedy)) => {
                let message = format!("{keyword} is not supported");
                return self.problems.add(&at, message, remedy);
            }
            Some(_) => {}
        }
        match (keyword, held) {
            ("$schema" | "$id", _) if !pointer.is_empty() => {
                let message = format!("{keyword} stands inside a schema");
                self.problems.add(&at, message, "write it at the top only");
            }
            ("$ref", Value::String(target)) if !target.starts_with('#') => {
                let remedy = "put the schema under \"$defs\" and write \"#/$defs/NAME\"";
                self.problems.add(
                    &at,
                    "only references into the same schema are followed",
                    remedy,
                );
            }
            ("$anchor", Value::String(name)) => self.anchor(name, &at, pointer),
            ("format", Value::String(name)) if format::wording(name).is_none() => {
                let known: Vec<&str> = format::FORMATS.iter().map(|(name, _)| *name).collect();
                let remedy = format!("use one of {}, or a pattern", known.join(", "));
                self.problems
                    .add(&at, format!("the format {name} is unknown"), remedy);
            }
            ("contentEncoding", Value::String(name)) if !ENCODINGS.contains(&name.as_str()) => {
                let remedy = format!("use one of {}, or a pattern", ENCODINGS.join(", "));
                self.problems
                    .add(&at, format!("the encoding {name} is unknown"), remedy);
            }
            ("contentMediaType", Value::String(name)) if name != "application/json" => {
                let message = format!("the media type {name} is not looked into");
                let remedy = "write application/json, or remove it";
                self.problems.add(&at, message, remedy);
            }
            ("enum", Value::Array(values)) if values.is_empty() => {
                let remedy = "name the values, or remove the property";
                self.problems.add(&at, "this admits no value", remedy);
            }
            ("properties", Value::Object(properties)) => self.look_alikes(properties, &at),
            ("pattern", Value::String(pattern)) => self.pattern(pattern, &at),
            ("patternProperties", Value::Object(patterns)) => {
                for pattern in patterns.keys() {
                    self.pattern(pattern, &format!("{at}/{}", as_step(pattern)));
                }
            }
            _ => {}
        }
    }

    /// No request may hold both: many servers take them for one.
    fn look_alikes(&mut self, properties: &Map<String, Value>, at: &str) {
        let mut seen: HashMap<String, &str> = HashMap::new();
        for name in properties.keys() {
            if let Some(before) = seen.insert(fold_case(name), name) {
                let message = format!("{name} and {before} differ in case alone");
                self.problems.add(
                    &format!("{at}/{}", as_step(name)),
                    message,
                    "rename one of them",
                );
            }
        }
    }

    fn unknown(&mut self, keyword: &str, at: &str) {
        let remedy = match (keyword, self.dialect.nearest(keyword)) {
            ("nullable", _) => "write the type as a list, such as [string, \"null\"]".to_owned(),
            ("example", _) => "write \"examples\", with a list".to_owned(),
            (_, Some(near)) => format!("did you mean \"{near}\"?"),
            (_, None) => "remove it; notes belong in \"description\" or \"$comment\"".to_owned(),
        };
        self.problems.add(
            at,
            format!("{keyword} is not a keyword of JSON Schema"),
            remedy,
        );
    }

    fn anchor(&mut self, name: &str, at: &str, pointer: &str) {
        if self
            .found
            .anchors
            .insert(name.to_owned(), pointer.to_owned())
            .is_some()
        {
            let message = format!("the anchor {name} is declared twice");
            self.problems
                .add(at, message, "give each anchor its own name");
        }
    }

    fn pattern(&mut self, pattern: &str, at: &str) {
        let Some(pattern) = with_ascii_spaces(pattern) else {
            let remedy = "put the hyphen last in the brackets, or write \\-";
            return self
                .problems
                .add(at, "a space class cannot be the end of a range", remedy);
        };
        if self.patterns.compiled(self.dialect, &pattern).is_none() {
            let remedy = "write it without look-around and back-references, and with smaller \
                          repetitions: patterns run in linear time";
            self.problems
                .add(at, "this pattern cannot be compiled", remedy);
        }
    }

    /// `then` and `else` mean nothing without `if`: whoever wrote one meant to restrict something.
    fn lonely_branches(&mut self, schema: &Map<String, Value>, pointer: &str) {
        for keyword in ["then", "else"] {
            if schema.contains_key(keyword) && !schema.contains_key("if") {
                let at = format!("{pointer}/{keyword}");
                let message = format!("{keyword} has no effect without \"if\"");
                self.problems
                    .add(&at, message, "add \"if\" beside it, or remove it");
            }
        }
    }

    /// Draft 7 ignores whatever stands beside `$ref` (core, section 8.3).
    fn ignored_siblings(&mut self, schema: &Map<String, Value>, pointer: &str) {
        if self.dialect != Dialect::Draft7 || !schema.contains_key("$ref") {
            return;
        }
        let meant = |keyword: &str| match self.dialect.holds(keyword) {
            Some(Holds::Plain { asserts }) => asserts && keyword != "$ref",
            Some(_) => keyword != "definitions",
            None => false,
        };
        for keyword in schema.keys().filter(|keyword| meant(keyword)) {
            let at = format!("{pointer}/{}", as_step(keyword));
            let message = format!("draft 7 ignores {keyword} beside \"$ref\"");
            self.problems.add(
                &at,
                message,
                "put both under \"allOf\", or use draft 2020-12",
            );
        }
    }
}
