//! Credentials that were written into a policy: by the name of the place where they stand, or by their own shape.
//!
//! A last net for honest mistakes. It finds what issuers have made recognisable, not every secret.

use crate::policy::check::told::Told;
use crate::policy::raw::decode::Text;
use crate::problem::Place;

/// Headers that carry a credential, in lower case.
const HEADERS: [&str; 24] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "api-key",
    "x-api-key",
    "apikey",
    "x-apikey",
    "x-auth-token",
    "x-access-token",
    "x-amz-security-token",
    "x-goog-api-key",
    "x-functions-key",
    "ocp-apim-subscription-key",
    "private-token",
    "x-api-token",
    "x-auth-key",
    "x-vault-token",
    "x-gitlab-token",
    "x-figma-token",
    "x-shopify-access-token",
    "x-rapidapi-key",
    "dd-api-key",
    "dd-application-key",
    "circle-token",
];

/// Query parameters that carry a credential, in lower case and without `-` and `_`.
const QUERIES: [&str; 16] = [
    "key",
    "apikey",
    "xapikey",
    "appid",
    "token",
    "accesstoken",
    "authtoken",
    "apitoken",
    "sig",
    "signature",
    "clientsecret",
    "secret",
    "password",
    "passwd",
    "pwd",
    "subscriptionkey",
];

/// A prefix that an issuer puts before its secrets.
struct Shape {
    prefix: &'static str,
    /// Characters that must follow.
    least: usize,
    /// Whether a digit must be among them: the prefix alone also begins words.
    digit: bool,
    name: &'static str,
}

const fn shape(prefix: &'static str, least: usize, digit: bool, name: &'static str) -> Shape {
    Shape {
        prefix,
        least,
        digit,
        name,
    }
}

const SHAPES: [Shape; 17] = [
    shape("sk-ant-", 12, false, "an Anthropic key"),
    shape("sk-", 16, true, "an OpenAI key"),
    shape("sk_live_", 12, false, "a Stripe key"),
    shape("sk_test_", 12, false, "a Stripe key"),
    shape("rk_live_", 12, false, "a Stripe key"),
    shape("ghp_", 16, false, "a GitHub token"),
    shape("gho_", 16, false, "a GitHub token"),
    shape("ghs_", 16, false, "a GitHub token"),
    shape("github_pat_", 12, false, "a GitHub token"),
    shape("xoxa-", 8, false, "a Slack token"),
    shape("xoxb-", 8, false, "a Slack token"),
    shape("xoxp-", 8, false, "a Slack token"),
    shape("AKIA", 16, false, "an AWS access key"),
    shape("ASIA", 16, true, "an AWS access key"),
    shape("AIza", 30, false, "a Google API key"),
    shape("glpat-", 12, false, "a GitLab token"),
    shape("hf_", 30, false, "a Hugging Face token"),
];

/// Whether a header carries a credential by its name.
pub(super) fn is_credential_header(name: &str) -> bool {
    HEADERS.contains(&name.to_ascii_lowercase().as_str())
}

/// Whether a query parameter carries a credential by its name.
pub(super) fn is_credential_query(name: &str) -> bool {
    let folded = name.to_ascii_lowercase().replace(['-', '_'], "");
    QUERIES.contains(&folded.as_str())
}

/// Tells a text with the shape of a secret. Returns whether it is one.
pub(super) fn in_text(text: &str, place: &Place, told: &mut Told<'_>) -> bool {
    let Some(name) = secret_in(text) else {
        return false;
    };
    told.leak(place, &format!("something with the shape of {name}"));
    true
}

/// As [`in_text`].
pub(super) fn in_located(text: &Text, told: &mut Told<'_>) -> bool {
    in_text(&text.value, &text.place, told)
}

/// As [`in_text`], for several.
pub(super) fn in_texts<'t>(
    texts: impl Iterator<Item = (&'t String, &'t Place)>,
    told: &mut Told<'_>,
) {
    for (text, place) in texts {
        in_text(text, place, told);
    }
}

/// What kind of secret stands in a text, by its shape.
fn secret_in(text: &str) -> Option<&'static str> {
    if text.contains("-----BEGIN") {
        return Some("a private key or certificate");
    }
    let shaped = SHAPES.iter().find(|shape| shape.stands_in(text));
    let jwt = || is_jwt_in(text).then_some("a signed token (JWT)");
    shaped.map(|shape| shape.name).or_else(jwt)
}

impl Shape {
    fn stands_in(&self, text: &str) -> bool {
        text.match_indices(self.prefix).any(|(at, _)| {
            let run = run(&text[at + self.prefix.len()..]);
            !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric())
                && run.len() >= self.least
                && (!self.digit || run.bytes().any(|b| b.is_ascii_digit()))
        })
    }
}

/// RFC 7519 §3: header and claims are JSON objects, so both begin with `{"` in base64url.
fn is_jwt_in(text: &str) -> bool {
    text.match_indices("eyJ").any(|(at, _)| {
        let (header, rest) = text[at..].split_at(run(&text[at..]).len());
        let claims = rest.strip_prefix('.').filter(|it| it.starts_with("eyJ"));
        let signed = claims.is_some_and(|it| it[run(it).len()..].starts_with('.'));
        header.len() >= 10 && signed
    })
}

/// What could go on as a token, from the start of a text.
fn run(text: &str) -> &str {
    let part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let length = text.bytes().take_while(part).count();
    &text[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_their_shape_and_words_are_not() {
        // Put together here: a whole one in a file would alarm every scanner that reads this repository.
        let jwt = ["eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxIn0", "c2ln"].join(".");
        for (text, found) in [
            (format!("Bearer {}{}", "sk-", "abcdef0123456789abcd"), true),
            (format!("{}{}", "sk-ant-", "api03-abcdefghij"), true),
            (
                format!("token {}{}", "ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"),
                true,
            ),
            (format!("{}{}", "xoxb-", "123456789012-abc"), true),
            (format!("{}{}", "AKIA", "IOSFODNN7EXAMPLE"), true),
            (format!("Bearer {jwt}"), true),
            ("-----BEGIN PRIVATE KEY-----".into(), true),
            ("a task-force-of-eight-and-1234567".into(), false),
            ("sk-placeholder-for-openai".into(), false),
            ("eyJ is how a token begins".into(), false),
            ("AKIA".into(), false),
            ("https://api.example.com/v1/items/{{id}}".into(), false),
        ] {
            assert_eq!(secret_in(&text).is_some(), found, "{text}");
        }
    }

    #[test]
    fn places_of_credentials_are_known_by_name_in_any_case() {
        for name in ["Authorization", "x-api-key", "COOKIE"] {
            assert!(is_credential_header(name), "{name}");
        }
        for name in ["key", "API_KEY", "access-token", "appid"] {
            assert!(is_credential_query(name), "{name}");
        }
        assert!(!is_credential_header("Accept") && !is_credential_query("city"));
    }
}
