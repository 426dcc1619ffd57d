//! What gives a credential away: the name of the place where it stands, or its own shape.
//!
//! It finds what issuers have made recognisable, not every secret.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

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

/// Names under which requests have credentials and what opens a session, beside those above: nobody may find them in a
/// log, but in a policy they may have a value. In lower case and without `-` and `_`.
const SESSIONS: [&str; 20] = [
    "assertion",
    "clientassertion",
    "code",
    "codeverifier",
    "credentials",
    "csrftoken",
    "idtoken",
    "otp",
    "passphrase",
    "pin",
    "privatekey",
    "refreshtoken",
    "sas",
    "secretkey",
    "session",
    "sessionid",
    "setcookie",
    "sid",
    "xamzcredential",
    "xamzsignature",
];

/// Whether a header carries a credential by its name.
pub fn is_credential_header(name: &str) -> bool {
    HEADERS.contains(&name.to_ascii_lowercase().as_str())
}

/// Whether a query parameter carries a credential by its name.
pub fn is_credential_query(name: &str) -> bool {
    QUERIES.contains(&folded(name).as_str())
}

/// Whether what stands under this name, of whatever part of a request, is kept out of every log.
pub fn is_secret_name(name: &str) -> bool {
    let folded = folded(name);
    secret_names().any(|it| it == folded)
}

/// The names under which nothing is shown, as [`is_secret_name`] compares them.
pub fn secret_names() -> impl Iterator<Item = String> {
    let all = HEADERS.iter().chain(&QUERIES).chain(&SESSIONS);
    all.map(|name| folded(name))
}

fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace(['-', '_'], "")
}

/// RFC 7519 §3: header and claims are JSON objects, so both begin with `{"` in base64url.
const SIGNED: &str = "eyJ";

/// RFC 7468 §2.
const KEY: &str = "-----BEGIN";

/// How secrets begin: those of [`SHAPES`] in their order, then the other two. One look at a text finds them all, and
/// every name that goes into a record is looked at.
static BEGINNINGS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let prefixes = SHAPES.iter().map(|shape| shape.prefix);
    AhoCorasick::new(prefixes.chain([SIGNED, KEY])).expect("a few short texts")
});

/// The secrets in a text that have a known shape, and what they are called.
pub fn secrets_in(text: &str) -> impl Iterator<Item = (Range<usize>, &'static str)> {
    BEGINNINGS.find_overlapping_iter(text).filter_map(|found| {
        match SHAPES.get(found.pattern().as_usize()) {
            Some(shape) => Some((shape.at(text, found.start())?, shape.name)),
            None if text[found.range()] == *SIGNED => {
                Some((signed_at(text, found.start())?, "a signed token (JWT)"))
            }
            None => Some((key_at(text, found.start()), "a private key or certificate")),
        }
    })
}

impl Shape {
    fn at(&self, text: &str, at: usize) -> Option<Range<usize>> {
        let run = run(&text[at + self.prefix.len()..]);
        let fits = !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric())
            && run.len() >= self.least
            && (!self.digit || run.bytes().any(|b| b.is_ascii_digit()));
        fits.then_some(at..at + self.prefix.len() + run.len())
    }
}

fn signed_at(text: &str, at: usize) -> Option<Range<usize>> {
    let (header, rest) = text[at..].split_at(run(&text[at..]).len());
    let claims = rest.strip_prefix('.').filter(|it| it.starts_with(SIGNED))?;
    let signature = claims[run(claims).len()..].strip_prefix('.')?;
    let end = text.len() - signature.len() + run(signature).len();
    (header.len() >= 10).then_some(at..end)
}

/// Without its end, everything that follows belongs to it.
fn key_at(text: &str, at: usize) -> Range<usize> {
    let end = text[at..].find("-----END").and_then(|end| {
        let label = at + end + "-----END".len();
        Some(label + text[label..].find("-----")? + "-----".len())
    });
    at..end.unwrap_or(text.len())
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
        let key = "-----BEGIN PRIVATE KEY-----\nMC4\n-----END PRIVATE KEY-----";
        let github = ["ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"].concat();
        for (before, secret, after) in [
            ("Bearer ", &*["sk-", "abcdef0123456789abcd"].concat(), ""),
            ("", &["sk-ant-", "api03-abcdefghij"].concat(), "."),
            ("token ", &github, " x"),
            ("", &["xoxb-", "123456789012-abc"].concat(), ""),
            ("(", &["AKIA", "IOSFODNN7EXAMPLE"].concat(), ")"),
            ("Bearer ", &jwt, ","),
            ("a ", key, " b"),
            ("a ", "-----BEGIN PRIVATE KEY-----MC4", ""),
        ] {
            let text = format!("{before}{secret}{after}");
            let found: Vec<_> = secrets_in(&text).map(|(range, _)| &text[range]).collect();
            assert!(found.contains(&secret), "{text}: {found:?}");
        }
        for text in [
            "a task-force-of-eight-and-1234567",
            "sk-placeholder-for-openai",
            "eyJ is how a token begins",
            "AKIA",
            "https://api.example.com/v1/items/{{id}}",
        ] {
            assert_eq!(secrets_in(text).next(), None, "{text}");
        }
    }

    #[test]
    fn places_of_credentials_are_known_by_name_in_any_case() {
        for name in ["Authorization", "x-api-key", "COOKIE"] {
            assert!(is_credential_header(name), "{name}");
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["key", "API_KEY", "access-token", "appid"] {
            assert!(is_credential_query(name), "{name}");
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "X-Amz-Signature",
            "sig",
            "refresh_token",
            "code",
            "x_api_key",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["Accept", "city", "zip_code", "summary"] {
            assert!(
                !is_credential_header(name) && !is_secret_name(name),
                "{name}"
            );
        }
    }
}
