//! The target of a request line: its bytes and its form (RFC 9112 §3.2).
//!
//! Not here: hosts, ports, paths and queries; what they mean is decided by the one parser of
//! destinations.

use std::fmt;

use bytes::Bytes;
use http::Method;

use crate::wire::Malformed;

/// A request target as it was sent: printable ASCII without spaces and without `#`.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    bytes: Bytes,
    form: Form,
}

/// The four forms of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`; never `//…`, which a URL parser reads as the name of another host.
    Origin,
    /// `scheme://…`
    Absolute,
    /// `host:port`, on CONNECT and nowhere else.
    Authority,
    /// `*`, on OPTIONS and nowhere else.
    Asterisk,
}

impl Target {
    /// Takes the target of a request line apart no further than its form.
    ///
    /// # Errors
    ///
    /// [`Malformed::TargetBytes`] and [`Malformed::TargetForm`].
    pub(super) fn parse(bytes: Bytes, method: &Method) -> Result<Self, Malformed> {
        // A fragment never travels (RFC 9110 §7.1): one parser would cut it off, the next would
        // send it.
        if !bytes.iter().fold(true, |good, byte| {
            good & matches!(byte, 0x21..=0x7e) & (*byte != b'#')
        }) {
            return Err(Malformed::TargetBytes);
        }
        let form = form(&bytes, method).ok_or(Malformed::TargetForm)?;
        Ok(Self { bytes, form })
    }

    /// The target as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("`parse` lets only ASCII pass")
    }

    /// Which of the four forms it has.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }
}

/// Prints the form alone: a query may hold a key.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({:?}, {} bytes)", self.form, self.bytes.len())
    }
}

fn form(target: &[u8], method: &Method) -> Option<Form> {
    if method == Method::CONNECT {
        let authority = !target.iter().any(|byte| matches!(byte, b'/' | b'?' | b'*'));
        return authority.then_some(Form::Authority);
    }
    match target {
        [b'/', b'/', ..] => None,
        [b'/', ..] => Some(Form::Origin),
        [b'*'] => (method == Method::OPTIONS).then_some(Form::Asterisk),
        _ => has_scheme(target).then_some(Form::Absolute),
    }
}

/// Whether it starts with a scheme (RFC 3986 §3.1) and `://`.
fn has_scheme(target: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', target) else {
        return false;
    };
    let (scheme, rest) = target.split_at(colon);
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
        && rest.starts_with(b"://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_from_the_spelling_and_the_method() {
        for (method, target, form) in [
            (Method::GET, "/", Some(Form::Origin)),
            (Method::GET, "/a?b=http://c", Some(Form::Origin)),
            (Method::GET, "//evil.test/v1", None),
            (Method::GET, "http://a.test/b", Some(Form::Absolute)),
            (Method::POST, "HTTPS://a.test", Some(Form::Absolute)),
            (Method::GET, "git+ssh://a.test", Some(Form::Absolute)),
            (Method::GET, "evil.test:80", None),
            (Method::GET, "evil.test", None),
            (Method::GET, "urn:x", None),
            (Method::GET, "://a.test", None),
            (Method::GET, "1http://a.test", None),
            (Method::GET, "?a=b", None),
            (Method::GET, "*", None),
            (Method::OPTIONS, "*", Some(Form::Asterisk)),
            (Method::OPTIONS, "**", None),
            (Method::CONNECT, "api.good.test:443", Some(Form::Authority)),
            (Method::CONNECT, "[::1]:443", Some(Form::Authority)),
            (Method::CONNECT, "http://api.good.test:443/", None),
            (Method::CONNECT, "/path", None),
            (Method::CONNECT, "*", None),
        ] {
            let read = Target::parse(Bytes::from_static(target.as_bytes()), &method);
            assert_eq!(
                read.map(|it| it.form()),
                form.ok_or(Malformed::TargetForm),
                "{method} {target}"
            );
        }
    }

    #[test]
    fn only_printable_ascii_without_a_fragment_is_a_target() {
        for byte in 0..=u8::MAX {
            let target = Bytes::from(vec![b'/', byte, b'x']);
            let good = (0x21..0x7f).contains(&byte) && byte != b'#' && byte != b'/';
            assert_eq!(
                Target::parse(target, &Method::GET).is_ok(),
                good,
                "{byte:#x}"
            );
        }
    }

    #[test]
    fn a_target_does_not_print_its_query() {
        let target = Target::parse(Bytes::from_static(b"/a?key=SECRET"), &Method::GET).unwrap();
        assert_eq!(format!("{target:?}"), "Target(Origin, 13 bytes)");
    }
}
