//! Names that policies give: one type for each kind, made only by parsing.
//!
//! Not for hosts (`request::Host`) or names of parameters, which are any string that a schema declares.

use std::fmt;
use std::sync::Arc;

/// The most characters a name may have.
///
/// OpenAI and Anthropic refuse longer names of tools, and an action is a tool.
pub const MAX_LENGTH: usize = 64;

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// Empty, or longer than [`MAX_LENGTH`].
    Length,
    /// A character other than a letter, a digit, `_` or `-`.
    Character(char),
    /// `none`, which the language keeps for "no connector".
    Reserved,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "a name has 1 to {MAX_LENGTH} characters"),
            Self::Character(c) => write!(
                f,
                "a name has only letters, digits, `_` and `-`, not {:?}",
                c
            ),
            Self::Reserved => f.write_str("`none` is reserved"),
        }
    }
}

fn parse(text: &str) -> Result<Arc<str>, BadName> {
    if text.is_empty() || text.len() > MAX_LENGTH {
        return Err(BadName::Length);
    }
    let odd = text
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')));
    match odd {
        Some(c) => Err(BadName::Character(c)),
        None if text == "none" => Err(BadName::Reserved),
        None => Ok(Arc::from(text)),
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Reads a name: 1 to 64 letters, digits, `_` or `-`, and not `none`.
            ///
            /// # Errors
            /// The first rule that the text breaks.
            pub fn parse(text: &str) -> Result<Self, BadName> {
                parse(text).map(Self)
            }

            /// The name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// What an agent may do: the key of an entry under `actions:`.
    ActionName;
    /// Who asks: the key of an entry under `agents:`, and the proxy user name.
    AgentName;
    /// The key of an entry under `secrets:`. It never says anything about the value.
    SecretName;
    /// The key of an entry under `auth:`.
    ConnectorName;
    /// The key of an entry under `connections:`.
    ConnectionName;
    /// An entry of `environments:`, such as `production`.
    EnvironmentName;
    /// The key of an entry under `tunnels:`.
    TunnelName;
    /// What a reply is called: a value under `outcomes:`, and a label in metrics.
    OutcomeName;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_words_are_names() {
        let long = "a".repeat(65);
        for (text, expected) in [
            ("get_weather", None),
            ("a-B-9", None),
            ("", Some(BadName::Length)),
            (long.as_str(), Some(BadName::Length)),
            ("a b", Some(BadName::Character(' '))),
            ("a~b", Some(BadName::Character('~'))),
            ("é", Some(BadName::Character('é'))),
            ("none", Some(BadName::Reserved)),
        ] {
            assert_eq!(ActionName::parse(text).err(), expected, "{text:?}");
        }
    }
}
