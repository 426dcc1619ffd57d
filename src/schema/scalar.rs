//! Values that fit into text: which type a place has, and how text becomes a value of it.
//!
//! Paths, queries, headers and forms carry text only. A value has one spelling there, so that two
//! texts never mean one value. Nothing here knows about schemas.

use serde_json::Number;
use serde_json::Value;

/// A single scalar type of JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScalarType {
    /// `string`
    String,
    /// `integer`
    Integer,
    /// `number`
    Number,
    /// `boolean`
    Boolean,
}

/// What a property's schema says about where its values can stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A single scalar type.
    Scalar(ScalarType),
    /// An array whose items all have a single scalar type.
    ArrayOfScalar(ScalarType),
    /// Objects, several types, or no declared type: JSON bodies only.
    #[default]
    Other,
}

/// Reads `text` as a value of type `to`, in its canonical spelling only.
///
/// # Errors
///
/// What is expected, to be read after "must be": `written as 10`, or `an integer, such as 10`.
pub fn coerce(text: &str, to: ScalarType) -> Result<Value, String> {
    match to {
        ScalarType::String => Ok(Value::String(text.to_owned())),
        ScalarType::Boolean => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err("true or false".to_owned()),
        },
        ScalarType::Integer => canonical(text, "an integer of at most 64 bits, such as 10", |it| {
            !it.is_f64()
        }),
        ScalarType::Number => canonical(
            text,
            "a number of at most 64 bits, such as 10 or 0.5",
            |_| true,
        ),
    }
}

/// The one spelling of a number: digits for every integer that 64 bits hold (`10`, not `10.0` or
/// `1e1`; no `-0`), else the shortest text that reads back as the same float.
#[must_use]
pub fn spelling(number: &Number) -> String {
    // As the general way writes it, without going through the machinery of formatting.
    if let Some(integer) = number.as_i64() {
        return integer.to_string();
    }
    as_integer(number)
        .unwrap_or_else(|| number.clone())
        .to_string()
}

/// 2^63 and 2^64: the first floats that an `i64` and a `u64` cannot hold.
const I64_END: f64 = 9_223_372_036_854_775_808.0;
const U64_END: f64 = 18_446_744_073_709_551_616.0;

fn canonical(text: &str, expected: &str, fits: impl Fn(&Number) -> bool) -> Result<Value, String> {
    if let Some(integer) = short_integer(text) {
        return Ok(Value::Number(integer));
    }
    let Some(number) = read(text).filter(&fits) else {
        return Err(expected.to_owned());
    };
    let spelled = number.to_string();
    if spelled == text {
        Ok(Value::Number(number))
    } else {
        Err(format!("written as {spelled}"))
    }
}

/// An integer in its one spelling that is surely in the range, and not negative: what most numbers are.
fn short_integer(text: &str) -> Option<Number> {
    let is_short = matches!(text.len(), 1..=18) && (text == "0" || !text.starts_with('0'));
    if !is_short || !text.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let digits = text.bytes().map(|it| u64::from(it - b'0'));
    Some(digits.fold(0, |value, digit| value * 10 + digit).into())
}

/// A number in any usual decimal spelling, as an integer where it is one.
fn read(text: &str) -> Option<Number> {
    let digits = text
        .bytes()
        .all(|it| it.is_ascii_digit() || matches!(it, b'+' | b'-'));
    if digits {
        let integer = text.parse::<i64>().map(Number::from);
        return integer
            .or_else(|_| text.parse::<u64>().map(Number::from))
            .ok();
    }
    // The standard library also reads words such as `inf`.
    if !text
        .bytes()
        .all(|it| matches!(it, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
    {
        return None;
    }
    let float = Number::from_f64(text.parse().ok()?)?;
    Some(as_integer(&float).unwrap_or(float))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the guards keep the float inside the range, and it has no fraction"
)]
fn as_integer(number: &Number) -> Option<Number> {
    let float = number
        .as_f64()
        .filter(|it| number.is_f64() && it.fract() == 0.0)?;
    if (-I64_END..I64_END).contains(&float) {
        Some(Number::from(float as i64))
    } else if (0.0..U64_END).contains(&float) {
        Some(Number::from(float as u64))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Number;
    use serde_json::Value;
    use serde_json::json;

    use super::ScalarType::Boolean;
    use super::ScalarType::Integer;
    use super::ScalarType::Number as Float;
    use super::ScalarType::String as Text;
    use super::coerce;
    use super::spelling;

    #[test]
    fn only_the_canonical_spelling_of_a_value_is_read() {
        let not_integer = Err("an integer of at most 64 bits, such as 10");
        let not_number = Err("a number of at most 64 bits, such as 10 or 0.5");
        let cases = [
            ("10", Integer, Ok(json!(10))),
            ("-7", Integer, Ok(json!(-7))),
            ("0", Integer, Ok(json!(0))),
            ("18446744073709551615", Integer, Ok(json!(u64::MAX))),
            ("1e1", Integer, Err("written as 10")),
            ("010", Integer, Err("written as 10")),
            ("+10", Integer, Err("written as 10")),
            ("10.0", Integer, Err("written as 10")),
            ("-0", Integer, Err("written as 0")),
            ("10.5", Integer, not_integer.clone()),
            ("", Integer, not_integer.clone()),
            (" 10", Integer, not_integer.clone()),
            ("1_0", Integer, not_integer.clone()),
            ("٣", Integer, not_integer.clone()),
            ("18446744073709551616", Integer, not_integer),
            ("0.5", Float, Ok(json!(0.5))),
            ("10", Float, Ok(json!(10))),
            ("1e+20", Float, Ok(json!(1e20))),
            ("1e20", Float, Err("written as 1e+20")),
            (".5", Float, Err("written as 0.5")),
            ("0.50", Float, Err("written as 0.5")),
            ("5e-1", Float, Err("written as 0.5")),
            ("10.0", Float, Err("written as 10")),
            ("1e19", Float, Err("written as 10000000000000000000")),
            ("-0.0", Float, Err("written as 0")),
            ("1e999", Float, not_number.clone()),
            ("NaN", Float, not_number.clone()),
            ("inf", Float, not_number.clone()),
            ("0x10", Float, not_number),
            ("true", Boolean, Ok(json!(true))),
            ("True", Boolean, Err("true or false")),
            ("1", Boolean, Err("true or false")),
            ("010", Text, Ok(json!("010"))),
        ];
        for (text, to, expected) in cases {
            assert_eq!(
                coerce(text, to),
                expected.map_err(str::to_owned),
                "{text} as {to:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_spelled_reads_back(float in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            let number = Number::from_f64(float).unwrap();
            let read = coerce(&spelling(&number), Float).unwrap();
            prop_assert_eq!(read.as_f64(), Some(float));
        }

        #[test]
        fn a_number_has_one_spelling(text in "[+-]?[0-9]{0,3}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{1,2})?") {
            if let Ok(Value::Number(number)) = coerce(&text, Float) {
                prop_assert_eq!(spelling(&number), text);
            }
        }
    }
}
