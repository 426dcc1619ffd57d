//! Where the value of a secret comes from. The values themselves are the vault's matter.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::name::SecretName;

/// One source under `secrets:`, checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// A variable of exeat's own environment.
    Env(String),
    /// A file, read again whenever it changes.
    File(PathBuf),
    /// What a program prints.
    Command {
        /// The program and its arguments; no shell reads them.
        argv: Vec<String>,
        /// How long what it printed is good for.
        ttl: Duration,
    },
    /// An entry of the local encrypted store, which has names of its own.
    Store(SecretName),
}

/// For operators: enough to find the source. Of a command only the program, since arguments may say too much.
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(variable) => write!(f, "environment variable {variable}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Command { argv, .. } => {
                write!(
                    f,
                    "command {}",
                    argv.first().map_or("(empty)", String::as_str)
                )
            }
            Self::Store(name) => write!(f, "entry {name} of the secret store"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_without_the_arguments_of_its_command() {
        for (source, expected) in [
            (SecretSource::Env("KEY".into()), "environment variable KEY"),
            (SecretSource::File("/run/key".into()), "file /run/key"),
            (
                SecretSource::Command {
                    argv: vec!["op".into(), "read".into()],
                    ttl: Duration::from_secs(1),
                },
                "command op",
            ),
            (
                SecretSource::Store(SecretName::parse("jira-staging").unwrap()),
                "entry jira-staging of the secret store",
            ),
        ] {
            assert_eq!(source.to_string(), expected);
        }
    }
}
