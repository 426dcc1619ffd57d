//! Scalars as written, and what they are in the core schema of YAML 1.2 (section 10.3.2).

use serde_json::Number;

/// Text as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text, without quotes and with escapes replaced.
    pub text: String,
    /// How it was written.
    pub style: Style,
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: only such text can be a number, a boolean or null.
    Plain,
    /// In single or double quotes.
    Quoted,
    /// After `|` or `>`.
    Block,
}

/// What a scalar is where its type is not known beforehand.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolved {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`; `yes`, `on` and the like are text.
    Boolean(bool),
    /// A whole number, written without point and exponent.
    Integer(Number),
    /// A number written with a point or an exponent.
    Float(Number),
    /// Something that looks like a number, but readers differ in which: the reason says why.
    Unclear(&'static str),
    /// Anything else.
    Text,
}

impl Scalar {
    /// What it is where its type is not known beforehand.
    #[must_use]
    pub fn resolve(&self) -> Resolved {
        if self.style != Style::Plain {
            return Resolved::Text;
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => Resolved::Null,
            "true" | "True" | "TRUE" => Resolved::Boolean(true),
            "false" | "False" | "FALSE" => Resolved::Boolean(false),
            text => number(text),
        }
    }
}

fn number(text: &str) -> Resolved {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if matches!(digits, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Resolved::Unclear("JSON has no such number");
    }
    if is_other_base(digits) {
        return Resolved::Unclear("YAML versions differ in how they read this number");
    }
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return integer(negative, digits);
    }
    if is_decimal(digits) {
        float(text)
    } else {
        Resolved::Text
    }
}

/// `0x1f`, `0o17` and `0b1`, which are numbers in some versions and text in others, as are
/// `1_000` and `12:30`, which are left as text: nobody takes those for something else.
fn is_other_base(digits: &str) -> bool {
    let Some(rest) = digits.strip_prefix('0') else {
        return false;
    };
    let mut rest = rest.chars();
    let radix = match rest.next() {
        Some('x') => 16,
        Some('o') => 8,
        Some('b') => 2,
        _ => return false,
    };
    let rest = rest.as_str();
    !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix))
}

fn integer(negative: bool, digits: &str) -> Resolved {
    if digits.len() > 1 && digits.starts_with('0') {
        return Resolved::Unclear("a leading 0 makes it octal for some readers");
    }
    let parsed = if negative {
        format!("-{digits}").parse::<i64>().ok().map(Number::from)
    } else {
        digits.parse::<u64>().ok().map(Number::from)
    };
    parsed.map_or(
        Resolved::Unclear("it does not fit into 64 bits"),
        Resolved::Integer,
    )
}

/// `[0-9]+ ( \. [0-9]* )? ( [eE] [-+]? [0-9]+ )?` or `\. [0-9]+ …`, the float of the core schema.
fn is_decimal(digits: &str) -> bool {
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let magnitude = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !magnitude.is_empty() && all_digits(magnitude)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent_fits
        && all_digits(whole)
        && all_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
}

fn float(text: &str) -> Resolved {
    let finite = text.parse::<f64>().ok().and_then(Number::from_f64);
    finite.map_or(
        Resolved::Unclear("it is too large for a number"),
        Resolved::Float,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Resolved {
        let (text, style) = (text.to_owned(), Style::Plain);
        Scalar { text, style }.resolve()
    }

    #[test]
    fn only_true_and_false_are_booleans() {
        assert_eq!(plain("true"), Resolved::Boolean(true));
        assert_eq!(plain("False"), Resolved::Boolean(false));
        for text in ["yes", "no", "on", "off", "y", "n", "tRUE"] {
            assert_eq!(plain(text), Resolved::Text, "{text}");
        }
    }

    #[test]
    fn integers_stay_integers_and_floats_floats() {
        for (text, number) in [("0", 0), ("42", 42), ("-7", -7), ("+3", 3), ("-0", 0)] {
            assert_eq!(plain(text), Resolved::Integer(number.into()), "{text}");
        }
        assert_eq!(
            plain("18446744073709551615"),
            Resolved::Integer(u64::MAX.into())
        );
        for (text, number) in [
            ("1.0", 1.0),
            ("-2.5", -2.5),
            ("1e3", 1e3),
            (".5", 0.5),
            ("1.", 1.0),
        ] {
            let number = Number::from_f64(number).unwrap();
            assert_eq!(plain(text), Resolved::Float(number), "{text}");
        }
    }

    #[test]
    fn numbers_that_readers_see_differently_are_unclear() {
        let rows = [
            "010",
            "-00",
            "0x1f",
            "0o17",
            "0b11",
            ".inf",
            "-.INF",
            ".nan",
            "1e999",
            "18446744073709551616",
            "-9223372036854775809",
        ];
        for text in rows {
            assert!(matches!(plain(text), Resolved::Unclear(_)), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_number_is_text() {
        for text in [
            "1.0.0", "1e", "-", "+", ".", "e5", "0x", "0xg", "1_000", "12:30", "--1",
        ] {
            assert_eq!(plain(text), Resolved::Text, "{text}");
        }
    }

    #[test]
    fn quotes_make_text() {
        for style in [Style::Quoted, Style::Block] {
            for text in ["1", "true", "null", "", "010"] {
                let text = text.to_owned();
                assert_eq!(Scalar { text, style }.resolve(), Resolved::Text);
            }
        }
    }
}
