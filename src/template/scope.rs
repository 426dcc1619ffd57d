//! What a template may name, as the policy declares it. Values are [`crate::template::Values`].

use std::collections::HashMap;

use crate::schema::ScalarType;

/// What a template may name.
pub struct Scope<'a> {
    /// The parameters.
    pub parameters: &'a dyn Declared,
    /// The static variables in one environment.
    pub statics: &'a HashMap<String, String>,
    /// What is declared under `context:`, by whole name: `contact.first_name`.
    pub context: &'a HashMap<String, Context>,
}

/// The declared parameters.
pub trait Declared {
    /// What is declared of a parameter, or of a property below one: `["customer", "name"]`. `None`: nothing, which is a
    /// mistake in the template.
    fn declared(&self, names: &[&str]) -> Option<Parameter>;

    /// The parameter that somebody may have meant who wrote a name that is not declared.
    fn nearest(&self, _name: &str) -> Option<&str> {
        None
    }
}

/// Without names to guess from.
impl<F: Fn(&[&str]) -> Option<Parameter>> Declared for F {
    fn declared(&self, names: &[&str]) -> Option<Parameter> {
        self(names)
    }
}

/// For text in which no parameter may stand.
pub struct NoParameters;

impl Declared for NoParameters {
    fn declared(&self, _names: &[&str]) -> Option<Parameter> {
        None
    }
}

/// What a schema says about a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Whether it is there whenever the object is in which it stands: it is required, or has a default.
    pub certain: bool,
    /// Whether it is true wherever it is there: it has no default, and its schema excludes `""`, `0`, `false`, `null`
    /// and what is empty.
    pub truthy: bool,
    /// What it can be.
    pub kind: Kind,
}

impl Parameter {
    /// One of which nothing is known, not even whether it is declared: its schema is wrong, or belongs to somebody
    /// else.
    pub const ASSUMED: Self = Self {
        certain: true,
        truthy: false,
        kind: Kind::Assumed,
    };
}

/// What a value can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One declared scalar type: text is read back as a value of it.
    Scalar(ScalarType),
    /// Several scalar types, or none declared: text is read back as a string.
    Untyped,
    /// It may be an array or an object, which cannot stand in text.
    Structured,
    /// Nothing is known: a name that something else has, too, is that.
    Assumed,
}

/// A variable that the runtime may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// What it can be.
    pub kind: Kind,
    /// Whether it is hidden from agents and logs.
    pub sensitive: bool,
}

/// The built-in names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// UTC, whole seconds, `Z`; fixed once for a request.
    CurrentDatetime,
    /// The agent's key in the policy.
    AgentId,
    /// The agent's title, else its key.
    AgentName,
    /// The environment in which the request was decided.
    Environment,
    /// The session that the caller named.
    SessionId,
    /// What the runtime calls the conversation, else the session.
    ConversationId,
}

impl Known {
    const ALL: [(&'static str, Self); 7] = [
        ("current_datetime", Self::CurrentDatetime),
        ("agent_id", Self::AgentId),
        ("agent_name", Self::AgentName),
        ("environment", Self::Environment),
        ("session_id", Self::SessionId),
        ("conversation_id", Self::ConversationId),
        ("stellar.conversation_id", Self::ConversationId),
    ];

    /// The built-in of this name.
    pub fn named(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, known)| *known)
    }

    /// The names of all.
    pub fn names<'n>() -> impl Iterator<Item = &'n str> {
        Self::ALL.iter().map(|(name, _)| *name)
    }

    /// Its name in templates.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, known)| *known == self);
        found.map_or("", |(name, _)| name)
    }
}
