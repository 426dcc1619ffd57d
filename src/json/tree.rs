//! A JSON value that borrows from the text it was read from, for whoever looks at most of it and keeps little.

use std::borrow::Cow;

use serde_json::Number;
use serde_json::Value;

/// A JSON value. Its strings are pieces of the text, unless escapes stand in them; its members are a list in the order
/// of the text, since building a map costs more than looking through a few names.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree<'t> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// As [`super::parse`] reads numbers.
    Number(Number),
    /// Without its escapes.
    String(Cow<'t, str>),
    /// The items.
    Array(Vec<Self>),
    /// The members; no two have the same name.
    Object(Vec<Member<'t>>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Member<'t> {
    /// Without its escapes.
    pub name: Cow<'t, str>,
    /// What stands behind the colon.
    pub value: Tree<'t>,
}

impl Tree<'_> {
    /// The same value on its own.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(number.clone()),
            Self::String(text) => Value::String(text.as_ref().to_owned()),
            Self::Array(items) => items.iter().map(Self::to_value).collect(),
            Self::Object(members) => {
                let members = members.iter();
                let members = members.map(|it| (it.name.as_ref().to_owned(), it.value.to_value()));
                Value::Object(members.collect())
            }
        }
    }

    /// Whether this is the same value; numbers are compared by value, so `1` is `1.0`, and members in any order.
    #[must_use]
    pub fn is_equal(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(one), Value::Bool(two)) => one == two,
            (Self::Number(one), Value::Number(two)) => super::equal::are_equal_numbers(one, two),
            (Self::String(one), Value::String(two)) => one == two,
            (Self::Array(one), Value::Array(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.is_equal(two))
            }
            (Self::Object(one), Value::Object(two)) => {
                let same = |it: &Member<'_>| {
                    let other = two.get(it.name.as_ref());
                    other.is_some_and(|other| it.value.is_equal(other))
                };
                one.len() == two.len() && one.iter().all(same)
            }
            _ => false,
        }
    }
}

/// For whoever has a value already.
impl<'v> From<&'v Value> for Tree<'v> {
    fn from(value: &'v Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::String(Cow::Borrowed(text)),
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(members) => {
                let members = members.iter().map(|(name, value)| Member {
                    name: Cow::Borrowed(name),
                    value: Self::from(value),
                });
                Self::Object(members.collect())
            }
        }
    }
}
