//! What the runtime may say of a conversation: the variables under `context:`, and what it calls the conversation.
//!
//! Who the runtime is, is for the doors to know. Whatever comes from it goes through here before a session or a request
//! gets it.

use serde_json::{Map, Value, json};

use crate::action::pointer;
use crate::refusal::{Code, Refusal};
use crate::schema::{ScalarType, Schema, SchemaProblem, Shape, coerce};
use crate::template::Known;

/// The other name of `conversation_id`, under which the values are not kept.
const ALIAS: &str = "stellar.conversation_id";

/// The declared variables, by whole name.
#[derive(Debug)]
pub struct ContextVariables(Schema);

impl ContextVariables {
    /// Of these variables, each with its schema.
    pub(super) fn new(declared: Map<String, Value>) -> Result<Self, Vec<SchemaProblem>> {
        let mut properties = declared;
        for name in [Known::ConversationId.name(), ALIAS] {
            let schema = json!({"type": "string", "minLength": 1, "maxLength": 256});
            properties.insert(name.to_owned(), schema);
        }
        Schema::compile(&json!({"type": "object", "properties": properties})).map(Self)
    }

    /// Takes values by the whole names of their variables, as JSON says them.
    ///
    /// # Errors
    /// [`Code::ParameterUndeclared`] or [`Code::ParameterInvalid`], with the name in the pointer. No value is quoted.
    pub fn read(&self, said: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
        let said = Value::Object(said);
        self.0.check(&said)?;
        let Value::Object(mut said) = said else {
            return Err(Refusal::new(Code::Internal, "a context is an object"));
        };
        if let Some(id) = said.shift_remove(ALIAS) {
            let name = Known::ConversationId.name();
            if said.get(name).is_some_and(|other| *other != id) {
                let message = format!("{name} and {ALIAS} are the same, and must agree");
                return Err(Refusal::new(Code::ParameterDuplicate, message).at(pointer(ALIAS)));
            }
            said.insert(name.to_owned(), id);
        }
        Ok(said)
    }

    /// As [`Self::read`], from texts, as people write them on a command line: each is read as the declared type.
    ///
    /// # Errors
    /// As [`Self::read`], and [`Code::ParameterDuplicate`] for a name that is given twice.
    pub fn read_texts<'a>(
        &self,
        said: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Map<String, Value>, Refusal> {
        let mut values = Map::new();
        for (name, text) in said {
            let kind = match self.0.shape(name) {
                Shape::Scalar(kind) => kind,
                _ => ScalarType::String,
            };
            let value = coerce(text, kind).map_err(|expected| {
                let message = format!("{name} must be {expected}");
                Refusal::new(Code::ParameterInvalid, message).at(pointer(name))
            })?;
            if values.insert(name.to_owned(), value).is_some() {
                let message = format!("{name} is given twice");
                return Err(Refusal::new(Code::ParameterDuplicate, message).at(pointer(name)));
            }
        }
        self.read(values)
    }
}

/// Without declared variables.
impl Default for ContextVariables {
    fn default() -> Self {
        Self::new(Map::new()).expect("two strings are a schema")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::from_texts;

    const POLICY: &str = r#"
version: 1
context:
  contact.first_name: {type: string}
  contact.email: {type: email, sensitive: true}
  visits: {type: integer}
  vip: {type: boolean}
actions:
  greet:
    description: Greets whoever is there.
    method: GET
    url: https://api.good.test/hello
"#;

    fn read(said: Value) -> Result<Value, (Code, String)> {
        let loaded = from_texts(&[("p.yaml".into(), POLICY.into())]);
        let policy = loaded.policy.unwrap();
        let said = said.as_object().unwrap().clone();
        let read = policy.context().read(said);
        read.map(Value::Object).map_err(|it| {
            assert!(!it.message.contains("x@"), "{}", it.message);
            (it.code, it.hints.pointer.unwrap_or_default())
        })
    }

    fn read_texts(said: &[(&str, &str)]) -> Result<Value, (Code, String)> {
        let loaded = from_texts(&[("p.yaml".into(), POLICY.into())]);
        let policy = loaded.policy.unwrap();
        let read = policy.context().read_texts(said.iter().copied());
        read.map(Value::Object)
            .map_err(|it| (it.code, it.hints.pointer.unwrap_or_default()))
    }

    #[test]
    fn values_have_their_declared_types_and_nothing_else_is_taken() {
        let (invalid, undeclared) = (Code::ParameterInvalid, Code::ParameterUndeclared);
        for (said, expected) in [
            (json!({}), None),
            (
                json!({"contact.first_name": "Ada", "visits": 3, "vip": true}),
                None,
            ),
            (
                json!({"contact.email": "ada@example.com", "conversation_id": "c-1"}),
                None,
            ),
            (
                json!({"contact.email": "x@"}),
                Some((invalid, "/contact.email")),
            ),
            (
                json!({"contact.first_name": null}),
                Some((invalid, "/contact.first_name")),
            ),
            (json!({"visits": "3"}), Some((invalid, "/visits"))),
            (json!({"visits": 3.5}), Some((invalid, "/visits"))),
            (
                json!({"conversation_id": ""}),
                Some((invalid, "/conversation_id")),
            ),
            (
                json!({"contact": {"first_name": "Ada"}}),
                Some((undeclared, "/contact")),
            ),
            (
                json!({"contact.last_name": "L"}),
                Some((undeclared, "/contact.last_name")),
            ),
            (
                json!({"session_id": "s"}),
                Some((undeclared, "/session_id")),
            ),
            (json!({"agent_id": "a"}), Some((undeclared, "/agent_id"))),
        ] {
            let expected = expected.map_or_else(
                || Ok(said.clone()),
                |(code, pointer)| Err((code, pointer.to_owned())),
            );
            assert_eq!(read(said), expected);
        }
    }

    #[test]
    fn a_conversation_has_one_name_under_two() {
        let one = json!({"conversation_id": "c"});
        assert_eq!(
            read(json!({"stellar.conversation_id": "c"})),
            Ok(one.clone())
        );
        let both = json!({"stellar.conversation_id": "c", "conversation_id": "c"});
        assert_eq!(read(both), Ok(one));
        let differing = json!({"stellar.conversation_id": "c", "conversation_id": "d"});
        let refused = (
            Code::ParameterDuplicate,
            "/stellar.conversation_id".to_owned(),
        );
        assert_eq!(read(differing), Err(refused));
    }

    #[test]
    fn a_text_is_read_as_the_declared_type() {
        let said = [
            ("visits", "3"),
            ("vip", "true"),
            ("contact.first_name", "3"),
        ];
        let expected = json!({"visits": 3, "vip": true, "contact.first_name": "3"});
        assert_eq!(read_texts(&said), Ok(expected));
        for (said, code, pointer) in [
            (
                &[("visits", "three")][..],
                Code::ParameterInvalid,
                "/visits",
            ),
            (&[("visit", "3")], Code::ParameterUndeclared, "/visit"),
            (
                &[("vip", "true"), ("vip", "true")],
                Code::ParameterDuplicate,
                "/vip",
            ),
        ] {
            assert_eq!(read_texts(said), Err((code, pointer.to_owned())));
        }
    }
}
