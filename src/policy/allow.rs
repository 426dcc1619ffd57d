//! Patterns of an agent's `allow`.

use std::fmt;

/// A name of an action, in which `*` stands for any characters, also none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowPattern(Box<str>);

impl AllowPattern {
    /// Any text is one.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Whether it fits a name.
    pub fn fits(&self, name: &str) -> bool {
        let mut pieces = self.0.split('*');
        let Some(mut rest) = name.strip_prefix(pieces.next().unwrap_or_default()) else {
            return false;
        };
        let mut pieces: Vec<&str> = pieces.collect();
        let Some(last) = pieces.pop() else {
            return rest.is_empty();
        };
        for piece in pieces {
            match rest.find(piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

/// As it is written.
impl fmt::Display for AllowPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, fit) in [
            ("get_item", "get_item", true),
            ("get_item", "get_items", false),
            ("get_*", "get_item", true),
            ("get_*", "get_", true),
            ("get_*", "forget_item", false),
            ("*_item", "get_item", true),
            ("*", "anything", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("a*a", "a", false),
            ("*b*b", "ab", false),
        ] {
            assert_eq!(
                AllowPattern::new(pattern).fits(name),
                fit,
                "{pattern} {name}"
            );
        }
    }
}
