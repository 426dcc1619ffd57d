//! What a scalar can be in a policy: text, true or false, a number, a duration, a size, a word.

use std::time::Duration;

use crate::policy::raw::fields::Shape;
use crate::problem::Place;
use crate::problem::Problem;
use crate::problem::nearest;
use crate::yaml::Resolved;
use crate::yaml::Scalar;

/// No call should wait longer than this.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// No body should be buffered beyond this.
const MOST_BYTES: u64 = 1024 * 1024 * 1024;

/// What is read from one scalar.
pub(in crate::policy) trait FromScalar: Sized {
    /// What is expected.
    const SHAPE: Shape;

    /// The value.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong>;
}

/// What is wrong with a scalar.
#[derive(Debug)]
pub(in crate::policy) struct Wrong {
    message: String,
    remedy: Option<String>,
}

impl Wrong {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            remedy: None,
        }
    }

    /// Something else than what may stand here.
    pub(in crate::policy) fn expected(shape: Shape, found: &Scalar) -> Self {
        Self::new(format!(
            "expected {}, found `{}`",
            shape.in_words(),
            short(&found.text)
        ))
    }

    /// How to mend it.
    pub(in crate::policy) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Another word than those that may stand here.
    pub(in crate::policy) fn word(found: &str, words: &'static [&'static str]) -> Self {
        let expected = Shape::OneOf(words).in_words();
        let wrong = Self::new(format!("expected {expected}, found `{}`", short(found)));
        match nearest(found, words.iter().copied()) {
            Some(near) => wrong.remedy(format!("did you mean `{near}`?")),
            None => wrong,
        }
    }

    /// The problem at the place of the scalar.
    pub(in crate::policy) fn problem(self, place: &Place) -> Problem {
        let problem = Problem::error(place, self.message);
        match self.remedy {
            Some(remedy) => problem.remedy(remedy),
            None => problem,
        }
    }
}

fn short(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl FromScalar for String {
    const SHAPE: Shape = Shape::Text;

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        Ok(scalar.text.clone())
    }
}

/// A scalar whose type matters later, as that of a static variable in a JSON body.
impl FromScalar for Scalar {
    const SHAPE: Shape = Shape::Text;

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        match scalar.resolve() {
            Resolved::Unclear(reason) => {
                let wrong = Wrong::new(format!("unclear number: {reason}"));
                Err(wrong.remedy("write it in decimal, or quote it for text"))
            }
            _ => Ok(scalar.clone()),
        }
    }
}

impl FromScalar for bool {
    const SHAPE: Shape = Shape::Boolean;

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        if let Resolved::Boolean(value) = scalar.resolve() {
            return Ok(value);
        }
        let wrong = Wrong::expected(Self::SHAPE, scalar);
        Err(match scalar.text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => wrong.remedy("write `true`, without quotes"),
            "no" | "off" | "n" | "false" => wrong.remedy("write `false`, without quotes"),
            _ => wrong,
        })
    }
}

/// A port: 1 to 65535.
impl FromScalar for u16 {
    const SHAPE: Shape = Shape::Integer(1, 65_535);

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let Resolved::Integer(number) = scalar.resolve() else {
            return Err(Wrong::expected(Self::SHAPE, scalar));
        };
        let port = number
            .as_u64()
            .and_then(|number| Self::try_from(number).ok());
        port.filter(|port| *port > 0)
            .ok_or_else(|| Wrong::expected(Self::SHAPE, scalar))
    }
}

impl FromScalar for Duration {
    const SHAPE: Shape = Shape::Duration;

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let expected = || Wrong::expected(Self::SHAPE, scalar);
        let (digits, unit) = number_and_unit(&scalar.text);
        let count: u64 = digits.parse().map_err(|_| expected())?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "" => return Err(expected().remedy(format!("add the unit: `{digits}s`"))),
            _ => return Err(expected().remedy("the units are `ms`, `s`, `m` and `h`")),
        };
        let duration = count.checked_mul(milliseconds).map(Self::from_millis);
        match duration {
            Some(Self::ZERO) => {
                Err(Wrong::new("a duration of zero").remedy("write at least `1ms`"))
            }
            Some(duration) if duration <= LONGEST => Ok(duration),
            _ => Err(Wrong::new("a duration longer than a day").remedy("write at most `24h`")),
        }
    }
}

/// A number of bytes, at most 1 GiB and not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) struct ByteCount(u64);

impl ByteCount {
    /// The bytes.
    pub(in crate::policy) fn get(self) -> u64 {
        self.0
    }
}

impl FromScalar for ByteCount {
    const SHAPE: Shape = Shape::ByteCount;

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let expected = || Wrong::expected(Self::SHAPE, scalar);
        let (digits, unit) = number_and_unit(&scalar.text);
        let count: u64 = digits.parse().map_err(|_| expected())?;
        let factor = match unit {
            "" | "B" => 1,
            "KB" | "kB" => 1000,
            "MB" => 1000 * 1000,
            "GB" => 1000 * 1000 * 1000,
            "KiB" => 1024,
            "MiB" => 1024 * 1024,
            "GiB" => 1024 * 1024 * 1024,
            _ => {
                let units = "the units are `KiB`, `MiB`, `GiB`, `KB`, `MB` and `GB`";
                return Err(expected().remedy(units));
            }
        };
        match count.checked_mul(factor) {
            Some(0) => Err(Wrong::new("a size of zero").remedy("write at least `1`")),
            Some(bytes) if bytes <= MOST_BYTES => Ok(Self(bytes)),
            _ => Err(Wrong::new("a size of more than 1 GiB").remedy("write at most `1GiB`")),
        }
    }
}

fn number_and_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// The version of the language. There is one so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Version;

impl FromScalar for Version {
    const SHAPE: Shape = Shape::Integer(1, 1);

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        if scalar.resolve() == Resolved::Integer(1.into()) {
            return Ok(Self);
        }
        Err(Wrong::expected(Self::SHAPE, scalar).remedy("write `version: 1`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Style;

    fn read<T: FromScalar>(text: &str) -> Result<T, Wrong> {
        let (text, style) = (text.to_owned(), Style::Plain);
        T::from_scalar(&Scalar { text, style })
    }

    #[test]
    fn durations_have_a_unit_and_a_sensible_length() {
        let rows = [
            ("5s", 5000),
            ("250ms", 250),
            ("1m", 60_000),
            ("24h", 86_400_000),
        ];
        for (text, milliseconds) in rows {
            let duration: Duration = read(text).unwrap();
            assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
        }
        let wrong = [
            "5",
            "0s",
            "25h",
            "1d",
            "5 s",
            "1.5s",
            "-1s",
            "s",
            "",
            "5S",
            "5s5s",
            "99999999999999999999s",
            "18446744073709551615h",
        ];
        for text in wrong {
            assert!(read::<Duration>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        let rows = [
            ("1", 1),
            ("64KiB", 65_536),
            ("10MiB", 10_485_760),
            ("1MB", 1_000_000),
            ("1GiB", 1 << 30),
            ("5B", 5),
        ];
        for (text, bytes) in rows {
            assert_eq!(read::<ByteCount>(text).unwrap().get(), bytes, "{text}");
        }
        for text in [
            "0",
            "0MiB",
            "2GiB",
            "1073741825",
            "1 MiB",
            "1M",
            "-1",
            "1.5MiB",
            "1e3",
        ] {
            assert!(read::<ByteCount>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports_are_numbers_from_1_to_65535() {
        assert_eq!(read::<u16>("443").unwrap(), 443);
        for text in ["0", "65536", "-1", "https", "0443", "443.0"] {
            assert!(read::<u16>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn yes_is_not_true_and_the_remedy_says_so() {
        assert!(read::<bool>("true").unwrap());
        let wrong = read::<bool>("yes").unwrap_err();
        assert_eq!(wrong.remedy.unwrap(), "write `true`, without quotes");
    }
}
