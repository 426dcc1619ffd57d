//! Patterns, each compiled once however many schemas of a policy have it.
//!
//! The `jsonschema` crate compiles a pattern for every schema in which it stands. Compiled ones are large, and policies
//! repeat theirs: a hundred actions have the same rule for the name of a team.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use jsonschema::Keyword;
use jsonschema::ValidationError;
use jsonschema::ValidationOptions;
use jsonschema::Validator;
use serde_json::Value;
use serde_json::json;

use super::dialect::Dialect;
use super::validator;

/// Compiled patterns by their text. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Patterns(Arc<Mutex<Compiled>>);

/// `None`: one that cannot be compiled.
type Compiled = HashMap<(Dialect, String), Option<Validator>>;

impl Patterns {
    /// What says whether a string fits; `None` for a pattern that cannot be compiled.
    pub(super) fn compiled(&self, dialect: Dialect, pattern: &str) -> Option<Validator> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (dialect, pattern.to_owned());
        let compile = || {
            let alone = json!({ "pattern": pattern });
            validator::options(dialect).build(&alone).ok()
        };
        known.entry(key).or_insert_with(compile).clone()
    }

    /// The settings under which schemas share them.
    pub(super) fn options(&self, dialect: Dialect) -> ValidationOptions<'static> {
        let patterns = self.clone();
        validator::options(dialect).with_keyword("pattern", move |_, held: &Value, _| {
            let pattern = held.as_str().unwrap_or_default();
            match patterns.compiled(dialect, pattern) {
                Some(validator) => Ok(Box::new(Pattern(validator)) as Box<_>),
                None => Err(ValidationError::custom("this pattern cannot be compiled")),
            }
        })
    }
}

/// The keyword `pattern`, with a validator that knows nothing else.
struct Pattern(Validator);

impl<'i> Keyword<'i> for Pattern {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        self.0.validate(instance)
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        self.0.is_valid(instance)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::schema::Compiler;

    #[test]
    fn schemas_of_one_policy_share_a_pattern_and_each_tells_its_own_place() {
        let compiler = Compiler::default();
        let pattern = r"^[a-z]\S{1,9}$";
        let places = [
            (json!({"properties": {"a": {"pattern": pattern}}}), "/a"),
            (
                json!({"$defs": {"team": {"pattern": pattern}}, "properties": {"b": {"$ref": "#/$defs/team"}}}),
                "/b",
            ),
            (
                json!({"properties": {"c": {"anyOf": [{"pattern": pattern}, {"type": "integer"}]}}}),
                "/c",
            ),
        ];
        for (source, pointer) in places {
            let schema = compiler.compile(&source).unwrap();
            let name = &pointer[1..];
            assert_eq!(schema.check(&json!({name: "platform"})), Ok(()), "{source}");
            let violation = schema.check(&json!({name: "P"})).unwrap_err();
            assert_eq!(violation.pointer, pointer);
            let words = format!("must match the pattern {pattern}");
            assert!(violation.message.ends_with(&words), "{violation:?}");
        }
        let named = json!({"patternProperties": {pattern: {"type": "integer"}}});
        let schema = compiler.compile(&named).unwrap();
        assert_eq!(schema.check(&json!({"platform": 1})), Ok(()));
        assert!(schema.check(&json!({"P": 1})).is_err());
        assert_eq!(compiler.0.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_pattern_that_cannot_be_compiled_is_told_wherever_it_stands() {
        let compiler = Compiler::default();
        for name in ["a", "b"] {
            let source = json!({"properties": {name: {"pattern": "(?=x)"}}});
            let problems = compiler.compile(&source).unwrap_err();
            assert_eq!(problems[0].pointer, format!("/properties/{name}/pattern"));
            assert_eq!(problems[0].message, "this pattern cannot be compiled");
        }
    }
}
