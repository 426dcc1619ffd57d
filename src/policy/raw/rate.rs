//! `rate_limit`: how often something may be called.

use crate::policy::raw::decode::Decode;
use crate::policy::raw::decode::Decoder;
use crate::policy::raw::fields::Shape;
use crate::policy::raw::per_environment::Varies;
use crate::policy::raw::scalars::FromScalar;
use crate::policy::raw::scalars::Wrong;
use crate::problem::Located;
use crate::yaml::Mapping;
use crate::yaml::Node;
use crate::yaml::Resolved;
use crate::yaml::Scalar;

section! {
    /// A rate limit in its long form.
    Limit, "a rate limit" {
        limit: Located<Calls>, Required, "how many calls, in the time that `per` says";
        per: Located<Per>, Required, "`second`, `minute`, `hour` or `day`";
        burst: Located<Calls>, Optional, "how many of them at once";
        key: Located<Key>, Optional, "what is counted together: `action`, `agent` or `session`";
    }
}

choice! {
    /// A unit of time.
    Per {
        Second = "second", "1 s.";
        Minute = "minute", "60 s.";
        Hour = "hour", "60 minutes.";
        Day = "day", "24 hours.";
    }
}

choice! {
    /// What is counted together.
    Key {
        Action = "action", "The calls of each action.";
        Agent = "agent", "The calls of each agent.";
        Session = "session", "The calls in each session.";
    }
}

/// Beyond this a limit is none: exeat itself carries fewer calls in a second.
const MOST_CALLS: u32 = 1_000_000;

/// A number of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Calls(u32);

impl Calls {
    /// At least one.
    pub(in crate::policy) fn get(self) -> u32 {
        self.0
    }

    fn of(number: u64) -> Option<Self> {
        let number = u32::try_from(number).ok()?;
        (1..=MOST_CALLS).contains(&number).then_some(Self(number))
    }
}

impl FromScalar for Calls {
    const SHAPE: Shape = Shape::Integer(1, MOST_CALLS as u64);

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let number = match scalar.resolve() {
            Resolved::Integer(number) => number.as_u64(),
            _ => None,
        };
        number
            .and_then(Self::of)
            .ok_or_else(|| Wrong::expected(Self::SHAPE, scalar))
    }
}

/// The short form: `30/minute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Short {
    /// How many calls.
    pub(in crate::policy) limit: Calls,
    /// In what time.
    pub(in crate::policy) per: Per,
}

impl FromScalar for Short {
    const SHAPE: Shape = Shape::Rate;

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let expected = || Wrong::expected(Self::SHAPE, scalar);
        let units = || expected().remedy("the units are `second`, `minute`, `hour` and `day`");
        let (digits, unit) = scalar.text.split_once('/').ok_or_else(units)?;
        let are_digits = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
        if !are_digits || digits.starts_with('0') {
            return Err(expected().remedy("write a whole number of calls, at least 1"));
        }
        let limit = digits.parse().ok().and_then(Calls::of);
        let too_many = format!("write at most {MOST_CALLS}, or a shorter unit of time");
        let limit = limit.ok_or_else(|| expected().remedy(too_many))?;
        let per = match unit {
            "second" => Per::Second,
            "minute" => Per::Minute,
            "hour" => Per::Hour,
            "day" => Per::Day,
            _ => return Err(units()),
        };
        Ok(Self { limit, per })
    }
}

/// A rate limit in either form.
#[derive(Clone, Debug)]
pub(in crate::policy) enum RateLimit {
    /// `30/minute`.
    Short(Located<Short>),
    /// `{limit: 30, per: minute, …}`.
    Long(Limit),
}

impl Decode for RateLimit {
    const SHAPE: Shape = Shape::Either(&[Short::SHAPE, Limit::SHAPE]);

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        if node.scalar().is_some() {
            return Located::decode(node, decoder).map(Self::Short);
        }
        if node.mapping().is_none() {
            decoder.mismatch(node, Self::SHAPE);
            return None;
        }
        Limit::decode(node, decoder).map(Self::Long)
    }
}

/// A mapping with a field of the long form is one; any other is a map of environments.
impl Varies for RateLimit {
    fn is_value(mapping: &Mapping) -> bool {
        let mut fields = Limit::SECTION.fields.iter();
        fields.any(|field| mapping.get(field.name).is_some())
    }
}
