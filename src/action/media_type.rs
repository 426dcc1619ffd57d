//! Media types: the two that exeat reads, and all others.

use http::HeaderValue;

/// A media type that exeat reads, or one that it only passes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Any other, in lower case and without parameters.
    Other(Box<str>),
}

impl MediaType {
    /// Reads `type/subtype`.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, subtype) = text.split_once('/')?;
        let token = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
        };
        if !token(kind) || !token(subtype) {
            return None;
        }
        let known = [Self::Json, Self::Form].into_iter();
        let mut known = known.filter(|it| it.as_str().eq_ignore_ascii_case(text));
        let other = || Self::Other(text.to_ascii_lowercase().into());
        Some(known.next().unwrap_or_else(other))
    }

    /// The name as it goes upstream.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
            Self::Other(name) => name,
        }
    }

    /// The value of `Content-Type`.
    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_str(self.as_str())
            .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
    }
}

/// Reads `type/subtype`, with at most a `charset=utf-8` behind it for types that exeat reads.
///
/// Any other parameter could make a server read other text than exeat did (`utf-7`, `ibm037`).
pub fn media_type(text: &str) -> Option<MediaType> {
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let kind = MediaType::parse(essence.trim_matches([' ', '\t']))?;
    let parameters = parameters.trim_matches([' ', '\t']);
    let charset = parameters
        .split_once('=')
        .filter(|(name, _)| name.eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim_matches('"'));
    match (&kind, parameters, charset) {
        (MediaType::Other(_), ..) | (_, "", _) => Some(kind),
        (_, _, Some(charset)) if charset.eq_ignore_ascii_case("utf-8") => Some(kind),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_utf8_may_stand_behind_a_type_that_is_read() {
        let other = |name: &str| Some(MediaType::Other(name.into()));
        for (text, expected) in [
            ("application/json", Some(MediaType::Json)),
            ("Application/JSON ; charset=UTF-8", Some(MediaType::Json)),
            ("application/json; charset=\"utf-8\"", Some(MediaType::Json)),
            ("application/json; charset=utf-7", None),
            ("application/json; charset=utf-8; charset=ibm037", None),
            ("application/json; boundary=x", None),
            ("application/x-www-form-urlencoded", Some(MediaType::Form)),
            (
                "application/x-git-upload-pack-request",
                other("application/x-git-upload-pack-request"),
            ),
            (
                "multipart/form-data; boundary=x",
                other("multipart/form-data"),
            ),
            ("json", None),
            ("application/", None),
            ("a b/c", None),
            ("", None),
        ] {
            assert_eq!(media_type(text), expected, "{text}");
        }
    }
}
