//! Settings as they are written: the values of flags that are neither text nor numbers.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;

use crate::dial::Answer;
use crate::request::Host;

/// `plain_http` as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlainHttpFlag {
    /// Carried upstream over TLS.
    Upgrade,
    /// Refused.
    Refuse,
}

/// `on_echo` as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnEchoFlag {
    /// The secret is masked.
    Redact,
    /// The reply is refused.
    Refuse,
}

/// `audit.when_blocked` as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WhenBlockedFlag {
    /// Requests are refused.
    Refuse,
    /// Records are lost.
    Drop,
}

/// A number of bytes as it is written: `500MB`, `64KiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [
            ("", 1),
            ("B", 1),
            ("KB", 1000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
        ];
        let count = counted(text, &units);
        count.map(Self).ok_or_else(|| {
            "a size is a number with KB, MB, GB, KiB, MiB or GiB, such as `100MiB`".into()
        })
    }
}

/// How old something may become: `24h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub Duration);

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = counted(text, &[("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)]);
        seconds
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .ok_or_else(|| "an age is a number with s, m, h or d, such as `24h`".into())
    }
}

/// A number from 1 with its unit.
fn counted(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let count: u64 = digits.parse().ok()?;
    count.checked_mul(*factor).filter(|count| *count > 0)
}

/// Where audit records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The end of a file.
    File(PathBuf),
}

impl FromStr for AuditTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "stdout" => Self::Stdout,
            "stderr" => Self::Stderr,
            "" => return Err("a target is stdout, stderr or a file".into()),
            path => Self::File(path.into()),
        })
    }
}

/// A time as it is written: a whole number and a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.len()
            - text
                .trim_start_matches(|it: char| it.is_ascii_digit())
                .len();
        let (count, unit) = text.split_at(digits);
        let milliseconds: Option<u64> = match (unit, count) {
            ("", "0") | ("ms", _) => Some(1),
            ("s", _) => Some(1000),
            ("m", _) => Some(60_000),
            ("h", _) => Some(3_600_000),
            _ => None,
        };
        let count: Option<u64> = count.parse().ok();
        let span = milliseconds.zip(count).and_then(|(a, b)| a.checked_mul(b));
        match span.map(Duration::from_millis) {
            Some(span) if span <= LONGEST => Ok(Self(span)),
            Some(_) => Err("write at most `24h`".into()),
            None => Err("write a number and a unit, such as `500ms`, `8s` or `5m`".into()),
        }
    }
}

/// A day, as in policies: what is longer is a slip.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// `NAME=ADDRESS` as a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEntry {
    /// The name.
    pub host: Host,
    /// What it stands for.
    pub address: Answer,
}

impl FromStr for HostEntry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = text
            .split_once('=')
            .ok_or("write NAME=ADDRESS, such as api.example.com=127.0.0.1:8443")?;
        Ok(Self {
            host: Host::parse(name).map_err(|bad| bad.to_string())?,
            address: address.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, milliseconds) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("500ms", Some(500)),
            ("8s", Some(8000)),
            ("5m", Some(300_000)),
            ("24h", Some(86_400_000)),
            ("25h", None),
            ("8", None),
            ("s", None),
            ("", None),
            ("1.5s", None),
            ("-1s", None),
            ("8 s", None),
            ("99999999999999999999h", None),
        ] {
            let span: Option<Span> = text.parse().ok();
            let expected = milliseconds.map(|it| Span(Duration::from_millis(it)));
            assert_eq!(span, expected, "{text:?}");
        }
    }
}
