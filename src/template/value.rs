//! What values mean in a template: truth, equality and order, as Go's text/template has them, but numbers compare by
//! value, and what is missing is false and unequal to everything.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::template::tree::Step;

/// A value, or the name of one that is not there.
#[derive(Clone, Debug)]
pub(super) enum Found<'a> {
    Value(Cow<'a, Value>),
    Missing(Unrendered),
}

/// Why a template cannot be rendered from these values. It holds names, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unrendered {
    /// A parameter that is printed or ordered has no value: `parameter_missing`.
    ParameterMissing(String),
    /// A variable of the session or the context has none: `variable_missing`.
    VariableMissing(String),
    /// A value cannot stand or be compared where it does: `parameter_invalid`.
    Unfit {
        /// Whose value it is.
        name: String,
        /// What it must be, to be read after "must be".
        expected: &'static str,
    },
}

/// Why two values do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Incomparable(pub(super) &'static str);

const SAME_TYPE: Incomparable =
    Incomparable("of the type that it is compared with in the template");
const SCALAR: Incomparable =
    Incomparable("a string, a number or a boolean, since the template compares it");
const ORDERED: Incomparable =
    Incomparable("a string or a number, since the template puts it in an order");

impl Found<'_> {
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Missing(_) => false,
            Self::Value(value) => is_true(value),
        }
    }
}

/// `false`, `0`, `""`, `null` and what is empty are false.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

/// Whether two values are equal. Values of different types are a mistake that Go reports instead of answering.
pub(super) fn equal(one: &Value, other: &Value) -> Result<bool, Incomparable> {
    match (one, other) {
        (Value::Null, other) => Ok(other.is_null()),
        (_, Value::Null) => Ok(false),
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => {
            Err(SCALAR)
        }
        (Value::Bool(one), Value::Bool(other)) => Ok(one == other),
        (Value::String(one), Value::String(other)) => Ok(one == other),
        (Value::Number(one), Value::Number(other)) => Ok(order_numbers(one, other).is_eq()),
        _ => Err(SAME_TYPE),
    }
}

/// The order of two numbers, or of two strings by their bytes.
pub(super) fn order(one: &Value, other: &Value) -> Result<Ordering, Incomparable> {
    match (one, other) {
        (Value::String(one), Value::String(other)) => Ok(one.cmp(other)),
        (Value::Number(one), Value::Number(other)) => Ok(order_numbers(one, other)),
        (Value::String(_) | Value::Number(_), Value::String(_) | Value::Number(_)) => {
            Err(SAME_TYPE)
        }
        _ => Err(ORDERED),
    }
}

/// Integers of 64 bits do not fit a float: they are compared as integers.
pub(super) fn order_numbers(one: &Number, other: &Number) -> Ordering {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => one.cmp(&other),
        (Some(integer), None) => order_mixed(float(other), integer).reverse(),
        (None, Some(integer)) => order_mixed(float(one), integer),
        // JSON has neither NaN nor infinities.
        (None, None) => float(one)
            .partial_cmp(&float(other))
            .unwrap_or(Ordering::Equal),
    }
}

fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(0.0)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates far beyond any 64-bit integer, which keeps the order"
)]
fn order_mixed(float: f64, integer: i128) -> Ordering {
    let whole = (float.floor() as i128).cmp(&integer);
    match whole {
        Ordering::Equal if float.fract() != 0.0 => Ordering::Greater,
        other => other,
    }
}

/// What is inside a value.
pub(super) fn inside<'v>(value: &'v Value, step: &Step) -> Option<&'v Value> {
    match (value, step) {
        (Value::Object(members), Step::Key(key)) => members.get(key),
        (Value::Array(items), Step::At(index)) => items.get(usize::try_from(*index).ok()?),
        _ => None,
    }
}
