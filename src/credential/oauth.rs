//! OAuth 2.0 client credentials as values (RFC 6749 §4.4): the request for a token, and what is believed of the answer.
//!
//! Nothing is sent, kept or timed here; that is for `tokens`. An answer is never quoted, not even to operators: a
//! server may put the secret that it was sent into its words.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::credential::{Secrets, Source};
use crate::fault::{Fault, FaultKind};
use crate::json;
use crate::name::SecretName;
use crate::request::encode_into;
use crate::secret::Secret;

/// The most bytes of an answer. Signed tokens with many claims have a few thousand.
pub const MAX_ANSWER: usize = 64 * 1024;

/// How long a token without `expires_in` is used. RFC 6749 §5.1 lets servers leave it out and say it in their
/// documentation; few issue tokens that live for less than five minutes.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How long a token is used at most, whatever the server says: a client that was locked out is noticed within a day.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The codes of RFC 6749 §5.2 and RFC 8707 §2. Any other word of a server is not repeated.
const ERRORS: [&str; 7] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
];

/// What a connector asks for, and as whom. It names secrets and never holds one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who asks.
    pub client_id: Source,
    /// What shows it.
    pub client_secret: Source,
    /// Where both of them stand.
    pub client_auth: ClientAuth,
    /// What the token is for: scopes with a space between them (RFC 6749 §3.3), or nothing.
    pub scope: Box<str>,
    /// Whom the token is for, where the server asks for that.
    pub audience: Option<Box<str>>,
}

/// How a client shows who it is. Never in both ways (RFC 6749 §2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// The `Authorization` header, both parts form-encoded first.
    #[default]
    Basic,
    /// `client_id` and `client_secret` in the form.
    Body,
}

/// The request for a token, but for where it goes.
pub struct TokenRequest {
    /// Client authentication by `Basic`.
    pub authorization: Option<HeaderValue>,
    /// The body, of `application/x-www-form-urlencoded`.
    pub form: Zeroizing<String>,
}

/// What a server granted.
#[derive(Clone, Debug)]
pub struct Granted {
    /// The token.
    pub token: Secret,
    /// How long it is good for, from when it was asked for; at most [`LONGEST_LIFETIME`].
    pub lifetime: Duration,
}

/// Why an answer grants nothing. Holds no word of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAnswer {
    /// Another status than 200, with the error code where it is one that the RFCs have.
    Status(StatusCode, Option<&'static str>),
    /// More than [`MAX_ANSWER`].
    TooLarge,
    /// Encoded, though it was asked for as it is.
    Encoded,
    /// Another type than `application/json`.
    NotJson,
    /// Not a JSON object, or one that can be read in two ways.
    Malformed,
    /// `token_type` is missing, or is not `bearer`.
    TokenType,
    /// `access_token` is missing, or is not visible ASCII.
    Token,
    /// `expires_in` is neither a number nor digits in a string.
    Lifetime,
}

impl Grant {
    /// The secrets that the request needs.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        [&self.client_id, &self.client_secret]
            .into_iter()
            .filter_map(Source::secret)
    }

    /// Writes the request.
    ///
    /// # Errors
    /// [`FaultKind::Secret`] where a value is not UTF-8, as forms are.
    pub fn request(&self, secrets: &Secrets) -> Result<TokenRequest, Fault> {
        let id = text(secrets.get(&self.client_id)?, "client_id")?;
        let secret = text(secrets.get(&self.client_secret)?, "client_secret")?;
        let mut form = Zeroizing::new("grant_type=client_credentials".to_owned());
        if !self.scope.is_empty() {
            field("scope", &self.scope, &mut form);
        }
        if let Some(audience) = &self.audience {
            field("audience", audience, &mut form);
        }
        let authorization = match self.client_auth {
            ClientAuth::Basic => Some(basic(id, secret)?),
            ClientAuth::Body => {
                field("client_id", id, &mut form);
                field("client_secret", secret, &mut form);
                None
            }
        };
        Ok(TokenRequest {
            authorization,
            form,
        })
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenRequest(***)")
    }
}

fn text<'a>(value: &'a [u8], what: &str) -> Result<&'a str, Fault> {
    let detail = || format!("the {what} is not UTF-8, and cannot stand in a form");
    std::str::from_utf8(value).map_err(|_| Fault::new(FaultKind::Secret, detail()))
}

fn field(name: &str, value: &str, form: &mut String) {
    form.push('&');
    form.push_str(name);
    form.push('=');
    encode_into(value, form);
}

/// RFC 6749 §2.3.1: form-encoded first, so that a colon in the name does not move the border.
fn basic(id: &str, secret: &str) -> Result<HeaderValue, Fault> {
    let mut pair = Zeroizing::new(String::new());
    encode_into(id, &mut pair);
    pair.push(':');
    encode_into(secret, &mut pair);
    let value = Zeroizing::new(format!(
        "Basic {}",
        &*Zeroizing::new(STANDARD.encode(&*pair))
    ));
    let mut value = HeaderValue::from_str(&value)
        .map_err(|_| Fault::new(FaultKind::Internal, "base64 did not fit a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads the answer of a token endpoint (RFC 6749 §5.1, §5.2).
///
/// # Errors
/// Whatever keeps it from being a bearer token that can stand in a header.
pub fn read_answer(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Granted, BadAnswer> {
    if status != StatusCode::OK {
        let members = is_json(headers).then(|| members(body).ok()).flatten();
        return Err(BadAnswer::Status(status, members.and_then(error_code)));
    }
    if headers.contains_key(CONTENT_ENCODING) && headers[CONTENT_ENCODING] != "identity" {
        return Err(BadAnswer::Encoded);
    }
    if !is_json(headers) {
        return Err(BadAnswer::NotJson);
    }
    let members = members(body)?;
    let kind = members.get("token_type").and_then(Value::as_str);
    if !kind.is_some_and(|it| it.eq_ignore_ascii_case("bearer")) {
        return Err(BadAnswer::TokenType);
    }
    let token = members.get("access_token").and_then(Value::as_str);
    let token = token.filter(|it| it.bytes().all(|b| b.is_ascii_graphic()));
    let token = token.and_then(|it| Secret::new(it.as_bytes().to_vec()).ok());
    Ok(Granted {
        token: token.ok_or(BadAnswer::Token)?,
        lifetime: lifetime(members.get("expires_in"))?,
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let kind = value.to_str().ok().and_then(|it| it.split(';').next());
    kind.is_some_and(|it| it.trim().eq_ignore_ascii_case("application/json"))
}

fn members(body: &[u8]) -> Result<Map<String, Value>, BadAnswer> {
    if body.len() > MAX_ANSWER {
        return Err(BadAnswer::TooLarge);
    }
    match json::parse(body) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(BadAnswer::Malformed),
    }
}

fn error_code(members: Map<String, Value>) -> Option<&'static str> {
    let said = members.get("error")?.as_str()?;
    ERRORS.into_iter().find(|it| *it == said)
}

/// A number, or digits in a string, which some servers send; cut to what is sensible. `null` is like nothing at all.
fn lifetime(expires_in: Option<&Value>) -> Result<Duration, BadAnswer> {
    let seconds = match expires_in {
        None | Some(Value::Null) => return Ok(DEFAULT_LIFETIME),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        Some(_) => None,
    };
    let seconds = seconds.ok_or(BadAnswer::Lifetime)?;
    let seconds = seconds.clamp(0.0, LONGEST_LIFETIME.as_secs_f64());
    Duration::try_from_secs_f64(seconds).map_err(|_| BadAnswer::Lifetime)
}

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, None) => write!(f, "it answered {}", status.as_u16()),
            Self::Status(status, Some(code)) => {
                write!(f, "it answered {} with {code}", status.as_u16())
            }
            Self::TooLarge => write!(f, "its answer has more than {MAX_ANSWER} bytes"),
            Self::Encoded => {
                f.write_str("its answer has a Content-Encoding that was not asked for")
            }
            Self::NotJson => f.write_str("its answer is not application/json"),
            Self::Malformed => {
                f.write_str("its answer is not a JSON object that can be read in one way only")
            }
            Self::TokenType => f.write_str("it gave a token whose token_type is not bearer"),
            Self::Token => f.write_str("its access_token is missing, or is not visible ASCII"),
            Self::Lifetime => f.write_str("its expires_in is not a number"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(client_auth: ClientAuth) -> Grant {
        Grant {
            client_id: Source::Literal("agents:1".into()),
            client_secret: Source::Secret(SecretName::parse("s").unwrap()),
            client_auth,
            scope: "orders.read orders.write".into(),
            audience: Some("https://crm.example.com".into()),
        }
    }

    fn request(grant: &Grant, secret: &[u8]) -> Result<TokenRequest, Fault> {
        let mut secrets = Secrets::default();
        let name = grant.secrets().next().unwrap().clone();
        secrets.insert(name, Secret::new(secret.to_vec()).unwrap());
        grant.request(&secrets)
    }

    #[test]
    fn a_client_shows_who_it_is_in_exactly_one_way() {
        const ASKED: &str = "grant_type=client_credentials&scope=orders.read%20orders.write\
                             &audience=https%3A%2F%2Fcrm.example.com";
        let made = request(&grant(ClientAuth::Basic), b"a%b:c&d e").unwrap();
        let header = made.authorization.unwrap();
        assert!(header.is_sensitive());
        let encoded = header.to_str().unwrap().strip_prefix("Basic ").unwrap();
        let pair = STANDARD.decode(encoded).unwrap();
        assert_eq!(pair, b"agents%3A1:a%25b%3Ac%26d%20e");
        assert_eq!(*made.form, ASKED);

        let made = request(&grant(ClientAuth::Body), b"a%b:c&d e").unwrap();
        assert!(made.authorization.is_none());
        let expected = format!("{ASKED}&client_id=agents%3A1&client_secret=a%25b%3Ac%26d%20e");
        assert_eq!(*made.form, expected);
        assert!(!format!("{made:?}").contains("a%25b"));
    }

    #[test]
    fn nothing_is_asked_for_that_was_not_declared() {
        let bare = Grant {
            scope: "".into(),
            audience: None,
            ..grant(ClientAuth::Basic)
        };
        let made = request(&bare, b"s").unwrap();
        assert_eq!(*made.form, "grant_type=client_credentials");
        assert!(request(&bare, b"\xff").is_err());
    }

    fn read(body: &str) -> Result<Granted, BadAnswer> {
        read_answer(StatusCode::OK, &json_headers(), body.as_bytes())
    }

    fn json_headers() -> HeaderMap {
        let kind = HeaderValue::from_static("Application/JSON; charset=UTF-8");
        HeaderMap::from_iter([(CONTENT_TYPE, kind)])
    }

    #[test]
    fn lifetimes_are_cut_to_what_is_sensible() {
        let day = LONGEST_LIFETIME.as_secs();
        for (written, expected) in [
            ("", Ok(300)),
            (r#","expires_in":null"#, Ok(300)),
            (r#","expires_in":3600"#, Ok(3600)),
            (r#","expires_in":"3600""#, Ok(3600)),
            (r#","expires_in":59.5"#, Ok(59)),
            (r#","expires_in":0"#, Ok(0)),
            (r#","expires_in":-1"#, Ok(0)),
            (r#","expires_in":-1e300"#, Ok(0)),
            (r#","expires_in":1e300"#, Ok(day)),
            (r#","expires_in":9223372036854775808"#, Ok(day)),
            (r#","expires_in":"99999999999999999999999999""#, Ok(day)),
            (r#","expires_in":"soon""#, Err(BadAnswer::Lifetime)),
            (r#","expires_in":"""#, Err(BadAnswer::Lifetime)),
            (r#","expires_in":"-1""#, Err(BadAnswer::Lifetime)),
            (r#","expires_in":"NaN""#, Err(BadAnswer::Lifetime)),
            (r#","expires_in":true"#, Err(BadAnswer::Lifetime)),
            (r#","expires_in":[3600]"#, Err(BadAnswer::Lifetime)),
        ] {
            let text = format!(r#"{{"access_token":"t","token_type":"bearer"{written}}}"#);
            let lifetime = read(&text).map(|granted| granted.lifetime.as_secs());
            assert_eq!(lifetime, expected, "{written}");
        }
    }

    #[test]
    fn only_a_bearer_token_that_fits_a_header_is_one() {
        let granted = read(r#"{"access_token":"a.b-c~+/=","token_type":"bEaReR","x":1}"#).unwrap();
        assert_eq!(granted.token.expose(), b"a.b-c~+/=");
        for (body, expected) in [
            (r#"{"access_token":"t"}"#, BadAnswer::TokenType),
            (
                r#"{"access_token":"t","token_type":"mac"}"#,
                BadAnswer::TokenType,
            ),
            (
                r#"{"access_token":"t","token_type":null}"#,
                BadAnswer::TokenType,
            ),
            (r#"{"token_type":"bearer"}"#, BadAnswer::Token),
            (
                r#"{"access_token":"","token_type":"bearer"}"#,
                BadAnswer::Token,
            ),
            (
                r#"{"access_token":7,"token_type":"bearer"}"#,
                BadAnswer::Token,
            ),
            (
                r#"{"access_token":"a b","token_type":"bearer"}"#,
                BadAnswer::Token,
            ),
            (
                r#"{"access_token":"a\r\nX: y","token_type":"bearer"}"#,
                BadAnswer::Token,
            ),
            (
                r#"{"access_token":"é","token_type":"bearer"}"#,
                BadAnswer::Token,
            ),
            (
                r#"{"access_token":"a","access_token":"b","token_type":"bearer"}"#,
                BadAnswer::Malformed,
            ),
            (r#"["access_token"]"#, BadAnswer::Malformed),
            ("<html>", BadAnswer::Malformed),
            ("", BadAnswer::Malformed),
        ] {
            assert_eq!(read(body).err(), Some(expected), "{body}");
        }
        let large = format!(r#"{{"x":"{}"}}"#, "a".repeat(MAX_ANSWER));
        assert_eq!(read(&large).err(), Some(BadAnswer::TooLarge));
    }

    #[test]
    fn an_answer_says_that_it_is_json_in_clear() {
        let good = br#"{"access_token":"t","token_type":"bearer"}"#;
        for (name, value, expected) in [
            (CONTENT_TYPE, "text/html", BadAnswer::NotJson),
            (CONTENT_TYPE, "application/jsonp", BadAnswer::NotJson),
            (CONTENT_ENCODING, "gzip", BadAnswer::Encoded),
        ] {
            let mut headers = json_headers();
            headers.insert(name, HeaderValue::from_static(value));
            let answer = read_answer(StatusCode::OK, &headers, good);
            assert_eq!(answer.err(), Some(expected), "{value}");
        }
        let bare = read_answer(StatusCode::OK, &HeaderMap::new(), good);
        assert_eq!(bare.err(), Some(BadAnswer::NotJson));
    }

    #[test]
    fn a_servers_words_are_not_repeated() {
        for (status, body, expected) in [
            (
                401,
                r#"{"error":"invalid_client","error_description":"no client SECRET"}"#,
                "it answered 401 with invalid_client",
            ),
            (400, r#"{"error":"SECRET is wrong"}"#, "it answered 400"),
            (302, "", "it answered 302"),
            (
                201,
                r#"{"access_token":"SECRET","token_type":"bearer"}"#,
                "it answered 201",
            ),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let bad = read_answer(status, &json_headers(), body.as_bytes()).unwrap_err();
            assert_eq!(bad.to_string(), expected);
        }
    }
}
