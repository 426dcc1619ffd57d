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

/// Reads `type/subtype` with what stands behind it (RFC 9110 §8.3.1): at most a `charset=utf-8` for types that exeat
/// reads, and any parameters, each once, for others.
///
/// Any other charset could make a server read other text than exeat did (`utf-7`, `ibm037`), and what is no parameter
/// could be another type to it (`image/png; a=b, text/html`).
pub fn media_type(text: &str) -> Option<MediaType> {
    let (essence, behind) = text.split_at(text.find(';').unwrap_or(text.len()));
    let kind = MediaType::parse(essence.trim_matches([' ', '\t']))?;
    let parameters = parameters(behind)?;
    match (&kind, parameters.as_slice()) {
        (MediaType::Other(_), _) | (_, []) => Some(kind),
        (_, [(name, value)]) => {
            let is_utf8 = name == "charset" && value.eq_ignore_ascii_case("utf-8");
            is_utf8.then_some(kind)
        }
        _ => None,
    }
}

/// Names in small letters, with their values; `None` where they are none, or one stands twice.
fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t']);
    while !rest.is_empty() {
        // Between two of them stands at least one; more are empty parameters, which have to be skipped.
        rest = rest.strip_prefix(';')?.trim_start_matches([' ', '\t']);
        if rest.is_empty() || rest.starts_with(';') {
            continue;
        }
        let (name, behind) = rest.split_once('=')?;
        let (value, behind) = value(behind)?;
        let name = name.to_ascii_lowercase();
        if !is_token(&name) || found.iter().any(|(it, _)| *it == name) {
            return None;
        }
        found.push((name, value));
        rest = behind.trim_start_matches([' ', '\t']);
    }
    Some(found)
}

/// A token or a quoted string, and what stands behind it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let (token, behind) = text.split_at(end);
        return is_token(token).then(|| (token.to_owned(), behind));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    let of_a_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(of_a_token)
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
            ("application/json; charset=utf-8\"", None),
            ("application/json; charset=\"utf-8", None),
            ("application/json; charset=\"\"utf-8\"\"", None),
            (
                "application/json; charset=\"utf\\-8\"",
                Some(MediaType::Json),
            ),
            ("application/json; charset=utf-8, text/html", None),
            ("application/json;", Some(MediaType::Json)),
            ("application/json;; charset=utf-8 ;", Some(MediaType::Json)),
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
            (
                "multipart/form-data; boundary=\"x; =\\\" y\"; charset=x",
                other("multipart/form-data"),
            ),
            ("multipart/form-data; boundary=x; BOUNDARY=y", None),
            ("image/png; a=b, text/html", None),
            ("image/png; a=b c", None),
            ("image/png; a=\"b\"c", None),
            ("image/png; a=\"b\\\"", None),
            ("image/png; a", None),
            ("image/png; a=", None),
            ("image/png; =b", None),
            ("image/png; text/html", None),
            ("json", None),
            ("application/", None),
            ("a b/c", None),
            ("", None),
        ] {
            assert_eq!(media_type(text), expected, "{text}");
        }
    }
}
