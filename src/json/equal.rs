//! When two JSON values are the same.

use serde_json::{Number, Value};

/// Whether two values are the same; numbers are compared by value, so `1` is `1.0`, and members in any order.
#[must_use]
pub fn are_equal(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Number(one), Value::Number(two)) => are_equal_numbers(one, two),
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| are_equal(one, two))
        }
        (Value::Object(one), Value::Object(two)) => {
            let same = |(name, one)| two.get(name).is_some_and(|two| are_equal(one, two));
            one.len() == two.len() && one.iter().all(same)
        }
        _ => one == two,
    }
}

pub(super) fn are_equal_numbers(one: &Number, two: &Number) -> bool {
    match (whole(one), whole(two)) {
        (Some(one), Some(two)) => one == two,
        (None, None) => one.as_f64() == two.as_f64(),
        _ => false,
    }
}

/// Exactly, where a float would round: JSON's integers have 64 bits here.
fn whole(number: &Number) -> Option<i128> {
    let integer = number.as_i64().map(i128::from);
    integer.or(number.as_u64().map(i128::from)).or_else(|| {
        let float = number.as_f64()?;
        (float.fract() == 0.0 && float.abs() < 1e30).then_some(float as i128)
    })
}
