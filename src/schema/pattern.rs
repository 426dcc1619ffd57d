//! Makes the character classes of a pattern ASCII.
//!
//! The `jsonschema` crate reads `\d` and `\w` as ASCII, as ECMA-262 does, but `\s` as every Unicode
//! space. A policy author who writes `\s` thinks of the six ASCII ones; the others are a way to send
//! two words that look like one.

/// The six ASCII spaces, as members of a class.
const SPACES: &str = r"\t\n\v\f\r ";
/// Every other character, as members of a class; the last one is U+10FFFF itself.
const OTHERS: &str = "\\x00-\\x08\\x0e-\\x1f!-\u{10ffff}";

/// `pattern` with `\s` and `\S` written out; `None` where a space class is the end of a range
/// (`[\s-x]`), which has no agreed meaning.
pub(super) fn with_ascii_spaces(pattern: &str) -> Option<String> {
    let mut written = String::with_capacity(pattern.len());
    let mut in_class = false;
    let mut characters = pattern.chars().peekable();
    let mut after_range_hyphen = false;
    while let Some(character) = characters.next() {
        let escape = if character == '\\' {
            characters.next()
        } else {
            None
        };
        match (character, escape) {
            (_, Some(kind @ ('s' | 'S'))) if in_class => {
                let mut ahead = characters.clone();
                let before_range = ahead.next() == Some('-') && ahead.next() != Some(']');
                if before_range || after_range_hyphen {
                    return None;
                }
                written.push_str(if kind == 's' { SPACES } else { OTHERS });
            }
            (_, Some('s')) => written.push_str(&format!("[{SPACES}]")),
            (_, Some('S')) => written.push_str(&format!("[^{SPACES}]")),
            (_, Some(other)) => written.extend(['\\', other]),
            (_, None) => {
                let opens = character == '[' && !in_class;
                after_range_hyphen = character == '-' && in_class && !written.ends_with('[');
                in_class = opens || (in_class && character != ']');
                written.push(character);
                continue;
            }
        }
        after_range_hyphen = false;
    }
    Some(written)
}

#[cfg(test)]
mod tests {
    use super::with_ascii_spaces;

    #[test]
    fn space_classes_are_written_out_in_and_outside_brackets() {
        let cases: &[(&str, Option<&str>)] = &[
            (r"^a\d\w$", Some(r"^a\d\w$")),
            (r"\s", Some(r"[\t\n\v\f\r ]")),
            (r"^\S*$", Some(r"^[^\t\n\v\f\r ]*$")),
            (r"\\s", Some(r"\\s")),
            (r"[a\s]", Some(r"[a\t\n\v\f\r ]")),
            (r"[^\s]", Some(r"[^\t\n\v\f\r ]")),
            (r"[\S]", Some("[\\x00-\\x08\\x0e-\\x1f!-\u{10ffff}]")),
            (r"[\s-]", Some(r"[\t\n\v\f\r -]")),
            (r"[a-\s]", None),
            (r"[\s-z]", None),
            (r"[\]\s]", Some(r"[\]\t\n\v\f\r ]")),
        ];
        for (pattern, expected) in cases {
            assert_eq!(
                with_ascii_spaces(pattern).as_deref(),
                *expected,
                "{pattern}"
            );
        }
    }
}
