//! Settings as they are written: the values of flags that are neither text nor numbers.

use std::path::PathBuf;
use std::str::FromStr;

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
