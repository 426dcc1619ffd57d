//! The types that a schema allows by `type`, as a set.

use serde_json::Value;

use super::ScalarType;

/// A set of the seven types of JSON Schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Types(u8);

impl Types {
    pub(super) const NULL: Self = Self(1);
    pub(super) const BOOLEAN: Self = Self(1 << 1);
    pub(super) const INTEGER: Self = Self(1 << 2);
    pub(super) const NUMBER: Self = Self(1 << 3);
    pub(super) const STRING: Self = Self(1 << 4);
    pub(super) const ARRAY: Self = Self(1 << 5);
    pub(super) const OBJECT: Self = Self(1 << 6);

    /// What stands under `type`: a name, or a list of names.
    pub(super) fn of(held: &Value) -> Self {
        match held {
            Value::String(name) => Self::named(name),
            Value::Array(names) => {
                let names = names.iter().filter_map(Value::as_str);
                names.fold(Self::default(), |all, name| all.with(Self::named(name)))
            }
            _ => Self::default(),
        }
    }

    /// The type of this name; empty for no type.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => Self::default(),
        }
    }

    /// Whether one of these types is in it.
    pub(super) const fn has(self, some: Self) -> bool {
        self.0 & some.0 != 0
    }

    /// What both allow. Every integer is a number: what is left of the two is the integer.
    pub(super) const fn common(self, other: Self) -> Self {
        let both = Self(self.0 & other.0);
        let integers = self.has(Self::INTEGER) && other.has(Self::NUMBER)
            || self.has(Self::NUMBER) && other.has(Self::INTEGER);
        match integers {
            true => both.with(Self::INTEGER),
            false => both,
        }
    }

    /// The scalar type, where it is the only one in it.
    pub(super) fn scalar(self) -> Option<ScalarType> {
        match self {
            Self::STRING => Some(ScalarType::String),
            Self::INTEGER => Some(ScalarType::Integer),
            Self::NUMBER => Some(ScalarType::Number),
            Self::BOOLEAN => Some(ScalarType::Boolean),
            _ => None,
        }
    }

    /// What one of them allows.
    pub(super) const fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }
}
