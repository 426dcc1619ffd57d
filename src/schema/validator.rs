//! How the `jsonschema` crate is set up: no retrieval, linear-time patterns, asserted formats.

use jsonschema::EmailOptions;
use jsonschema::PatternOptions;
use jsonschema::ValidationOptions;
use serde_json::Map;
use serde_json::Value;

use super::dialect::Dialect;
use super::dialect::Holds;
use super::format;
use super::pattern::with_ascii_spaces;

/// Bytes that one compiled pattern may take: the default of the `regex` crate. A name of up to 200
/// letters of any script (`\p{L}{1,200}`) needs several; `(a{1000}){1000}` does not fit.
const PATTERN_SIZE: usize = 10 << 20;
/// Bytes of the cache in which one pattern is matched.
const PATTERN_CACHE: usize = 2 << 20;

/// The settings under which every schema is compiled.
pub(super) fn options(dialect: Dialect) -> ValidationOptions<'static> {
    let patterns = PatternOptions::regex()
        .size_limit(PATTERN_SIZE)
        .dfa_size_limit(PATTERN_CACHE);
    jsonschema::options()
        .with_draft(dialect.draft())
        .offline()
        .with_pattern_options(patterns)
        .with_email_options(EmailOptions::default().without_display_text())
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .with_format("phone", format::is_phone)
        .with_format("uuid", format::is_uuid)
}

/// The schema as the crate gets it, and the patterns that look different there.
pub(super) struct Prepared {
    pub(super) schema: Value,
    /// `(as compiled, as written)`
    pub(super) patterns: Vec<(String, String)>,
}

/// Rewrites space classes to ASCII, and drops `$id` and `$schema`: references are local, and the
/// dialect is already known.
pub(super) fn prepare(dialect: Dialect, source: &Value) -> Prepared {
    let mut prepared = Prepared {
        schema: Value::Null,
        patterns: Vec::new(),
    };
    let mut schema = prepared.rewritten(dialect, source);
    if let Value::Object(root) = &mut schema {
        root.shift_remove("$id");
        root.shift_remove("$schema");
    }
    prepared.schema = schema;
    prepared
}

impl Prepared {
    fn rewritten(&mut self, dialect: Dialect, schema: &Value) -> Value {
        let Value::Object(keywords) = schema else {
            return schema.clone();
        };
        let rewrite = |(keyword, held): (&String, &Value)| {
            let held = match (keyword.as_str(), held) {
                ("pattern", Value::String(pattern)) => Value::String(self.pattern(pattern)),
                _ => self.held(dialect, keyword, held),
            };
            (keyword.clone(), held)
        };
        Value::Object(keywords.iter().map(rewrite).collect())
    }

    fn held(&mut self, dialect: Dialect, keyword: &str, held: &Value) -> Value {
        match (dialect.holds(keyword), held) {
            (Some(Holds::Schemas | Holds::SchemaOrSchemas), Value::Array(list)) => {
                list.iter().map(|it| self.rewritten(dialect, it)).collect()
            }
            (Some(Holds::Schema | Holds::SchemaOrSchemas), _) => self.rewritten(dialect, held),
            (Some(Holds::Named | Holds::NamedOrNames), Value::Object(named)) => {
                let patterns = keyword == "patternProperties";
                let rewrite = |(name, it): (&String, &Value)| {
                    let name = if patterns {
                        self.pattern(name)
                    } else {
                        name.clone()
                    };
                    (name, self.rewritten(dialect, it))
                };
                Value::Object(named.iter().map(rewrite).collect::<Map<_, _>>())
            }
            _ => held.clone(),
        }
    }

    fn pattern(&mut self, written: &str) -> String {
        let compiled = with_ascii_spaces(written).unwrap_or_else(|| written.to_owned());
        if compiled != written {
            self.patterns.push((compiled.clone(), written.to_owned()));
        }
        compiled
    }
}
