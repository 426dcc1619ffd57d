//! The formats that a policy may name. All of them are asserted; any other is a mistake in the policy.

/// Format names, each with the words for "must be …".
pub(super) const FORMATS: &[(&str, &str)] = &[
    ("date", "a date such as 2026-01-31"),
    ("date-time", "a date and time such as 2026-01-31T09:30:00Z"),
    ("time", "a time with offset such as 09:30:00Z"),
    ("email", "an email address"),
    ("uri", "an absolute URI"),
    ("uuid", "a UUID"),
    ("ipv4", "an IPv4 address"),
    ("ipv6", "an IPv6 address"),
    ("hostname", "a host name"),
    (
        PHONE,
        "a phone number of 5 to 20 digits, spaces, dots, hyphens and parentheses",
    ),
];

/// The format that no dialect has, and what it means.
pub(super) const PHONE: &str = "phone";
pub(super) const PHONE_PATTERN: &str = r"^\+?[0-9 ().-]{5,20}$";

/// The words for "must be …" of a format.
pub(super) fn wording(format: &str) -> Option<&'static str> {
    FORMATS
        .iter()
        .find(|(name, _)| *name == format)
        .map(|(_, words)| *words)
}

/// [`PHONE_PATTERN`].
pub(super) fn is_phone(text: &str) -> bool {
    let rest = text.strip_prefix('+').unwrap_or(text);
    let allowed = |byte: u8| byte.is_ascii_digit() || b" ().-".contains(&byte);
    (5..=20).contains(&rest.len()) && rest.bytes().all(allowed)
}

/// The text form of RFC 9562 section 4. Draft 7 does not know this format, so the crate would let
/// everything pass there.
pub(super) fn is_uuid(text: &str) -> bool {
    let hyphen_at = |at| matches!(at, 8 | 13 | 18 | 23);
    let fits = |(at, byte): (usize, u8)| {
        if hyphen_at(at) {
            byte == b'-'
        } else {
            byte.is_ascii_hexdigit()
        }
    };
    text.len() == 36 && text.bytes().enumerate().all(fits)
}
